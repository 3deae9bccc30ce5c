//! `chatagram completions` and `chatagram man`: the shells and `man` itself accept the output.

use crate::needs::{needs, skip};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const COMMANDS: [&str; 15] = [
    "discover",
    "watch",
    "server",
    "client",
    "host",
    "load",
    "lab",
    "replay",
    "report",
    "decode",
    "grade",
    "kit",
    "doctor",
    "completions",
    "man",
];

fn chatagram(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHATAGRAM_")) {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null());
    command
}

fn printed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn script(shell: &str) -> String {
    printed(&chatagram(&["completions", shell]).output().unwrap())
}

/// The output of another program.
fn other(program: &str, args: &[&str]) -> Output {
    needs(&[program]);
    Command::new(program).args(args).stdin(Stdio::null()).output().unwrap()
}

fn every_shell_script_knows_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = script(shell);
        for command in COMMANDS {
            assert!(script.contains(command), "{shell}: {command}");
        }
        assert!(script.contains("max-peers-per-ip"), "{shell}: options of commands");
    }
    let wrong = chatagram(&["completions", "tcsh"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}

fn is_accepted_by(shell: &str) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(shell);
    fs::write(&path, script(shell)).unwrap();
    printed(&other(shell, &["-n", path.to_str().unwrap()]));
}

fn bash_accepts_its_script() {
    is_accepted_by("bash");
}

fn fish_accepts_its_script() {
    is_accepted_by("fish");
}

fn zsh_accepts_its_script() {
    is_accepted_by("zsh");
}

/// The completions that bash offers for these words, the last of which is unfinished.
fn offered(words: &str) -> Vec<String> {
    needs(&["sed"]);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("completions");
    fs::write(&path, script("bash")).unwrap();
    // Asks bash for the function that the script registers.
    let ask = format!(
        "source '{}' && COMP_WORDS=({words}) && COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) && \
         function=$(complete -p chatagram | sed 's/.*-F \\([^ ]*\\) .*/\\1/') && \
         $function chatagram \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\" && \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        path.display()
    );
    let output = other("bash", &["--norc", "-c", &ask]);
    printed(&output).lines().map(str::to_owned).collect()
}

fn bash_completes_commands_options_and_values() {
    assert_eq!(offered("chatagram cli"), ["client"]);
    assert_eq!(offered("chatagram comp"), ["completions"]);
    assert_eq!(offered("chatagram client --nic"), ["--nick"]);
    assert_eq!(offered("chatagram client --transport t"), ["tcp"]);
    let modes = offered("chatagram client --delivery ''");
    assert_eq!(modes, ["unreliable", "reliable-unordered", "reliable-ordered"]);
    assert_eq!(offered("chatagram doctor --output j"), ["json"]);
}

#[cfg(unix)]
fn a_closed_pipe_is_no_error_and_a_full_disk_is() {
    for args in [["completions", "bash"].as_slice(), &["man"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = chatagram(args).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        printed(&output);
        if let Ok(full) = fs::File::options().write(true).open("/dev/full") {
            let output = chatagram(args).stdout(full).stderr(Stdio::piped()).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{args:?}");
            assert!(String::from_utf8_lossy(&output.stderr).contains("cannot print"));
        }
    }
}

/// The text of a page as `man` shows it, which has to give no warning.
fn shown(page: &Path) -> String {
    needs(&["man", "cat"]);
    let mut man = Command::new("man");
    man.args(["--warnings", "-l"]).arg(page).env("MANWIDTH", "80").env("LC_ALL", "C.UTF-8");
    man.env("MANPAGER", "cat").env("GROFF_NO_SGR", "1").env_remove("MANOPT");
    let output = man.stdin(Stdio::null()).output().unwrap();
    if !output.status.success() {
        // macOS, for example.
        skip("man has no options --warnings -l");
    }
    assert!(output.stderr.is_empty(), "{}: {output:?}", page.display());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn man_shows_a_page_for_every_command_without_warnings() {
    let dir = TempDir::new().unwrap();
    let pages = dir.path().join("share/man/man1");
    let written = printed(&chatagram(&["man", pages.to_str().unwrap()]).output().unwrap());
    assert!(written.starts_with("16 pages in "), "{written}");
    let mut names: Vec<_> =
        COMMANDS.iter().map(|command| format!("chatagram-{command}.1")).collect();
    names.push("chatagram.1".to_owned());
    names.sort();
    let mut there: Vec<_> = fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    assert_eq!(there, names);
    for name in &names {
        let text = shown(&pages.join(name));
        let name = name.trim_end_matches(".1");
        assert!(text.contains("Exit codes") && text.contains(name), "{name}: {text}");
        // Each exit code has its own line.
        assert!(text.lines().any(|line| line.trim() == "2  usage" || line.contains("2  usage,")));
    }
    let main = fs::read_to_string(pages.join("chatagram.1")).unwrap();
    assert_eq!(main, printed(&chatagram(&["man"]).output().unwrap()));
    let twin = chatagram(&["man"]).env("CHATAGRAM_DIR", &pages).output().unwrap();
    assert_eq!(printed(&twin), written);
}

fn man_replaces_its_own_pages_and_no_other_file() {
    let dir = TempDir::new().unwrap();
    let main = dir.path().join("chatagram.1");
    let args = ["man", dir.path().to_str().unwrap()];
    printed(&chatagram(&args).output().unwrap());
    let page = fs::read_to_string(&main).unwrap();
    let earlier = page.lines().next().unwrap().to_owned() + "\nfrom earlier\n";
    fs::write(&main, earlier).unwrap();
    printed(&chatagram(&args).output().unwrap());
    assert_eq!(fs::read_to_string(&main).unwrap(), page);

    let server = dir.path().join("chatagram-server.1");
    fs::write(&server, "somebody's own\n").unwrap();
    fs::remove_file(&main).unwrap();
    let refused = chatagram(&args).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let complaint = String::from_utf8(refused.stderr).unwrap();
    assert!(complaint.contains("chatagram-server.1"), "{complaint}");
    assert_eq!(fs::read_to_string(&server).unwrap(), "somebody's own\n");
    assert!(!main.exists(), "man writes no page if it refuses one");
}

tests! {
    every_shell_script_knows_every_command,
    bash_accepts_its_script,
    fish_accepts_its_script,
    zsh_accepts_its_script,
    bash_completes_commands_options_and_values,
    #[cfg(unix)]
    a_closed_pipe_is_no_error_and_a_full_disk_is,
    man_shows_a_page_for_every_command_without_warnings,
    man_replaces_its_own_pages_and_no_other_file,
}
