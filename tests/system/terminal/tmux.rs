//! A terminal in a tmux server of its own: the tests send keys and read the screen.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use crate::needs::needs;
use crate::program::{DEADLINE, signal};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Interval between looks at the screen.
const GLANCE: Duration = Duration::from_millis(20);

/// Programs that these tests need.
pub(crate) const NEEDED: [&str; 5] = ["tmux", "bash", "sh", "stty", "cat"];

pub(crate) struct Tmux {
    socket: String,
    pub(crate) dir: TempDir,
}

impl Tmux {
    /// Starts a terminal of this size, whose shell runs `script` in a directory of its own.
    pub(crate) fn start(columns: u16, rows: u16, script: &str) -> Self {
        needs(&NEEDED);
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let socket = format!("chatagram-{}-{count}", std::process::id());
        let tmux = Self { socket, dir: tempfile::tempdir().unwrap() };
        fs::write(tmux.dir.path().join("script"), script).unwrap();
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let size = ["new-session", "-d", "-x", &columns, "-y", &rows, "bash script"];
        // In one call, so that the server always has a session.
        let mut all = vec!["set-option", "-g", "history-limit", "9999", ";"];
        all.extend(size);
        let mut command = tmux.command(&all);
        for (name, _) in std::env::vars() {
            if name.starts_with("CHATAGRAM_") || name == "TMUX_PANE" || name == "NO_COLOR" {
                command.env_remove(name);
            }
        }
        command.env("HOME", tmux.dir.path()).current_dir(tmux.dir.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        tmux
    }

    /// Presses keys, named as in tmux.
    pub(crate) fn press(&self, keys: &[&str]) {
        let mut all = vec!["send-keys"];
        all.extend(keys);
        self.run(&all);
    }

    /// Types characters.
    pub(crate) fn write(&self, text: &str) {
        self.run(&["send-keys", "-l", "--", text]);
    }

    /// Types a line and Enter.
    pub(crate) fn say(&self, line: &str) {
        self.write(line);
        self.press(&["Enter"]);
    }

    /// Pastes like a terminal: with marks if the program asked for them.
    pub(crate) fn paste(&self, text: &str) {
        let file = self.dir.path().join("page");
        fs::write(&file, text).unwrap();
        self.run(&["load-buffer", file.to_str().unwrap()]);
        self.run(&["paste-buffer", "-p"]);
    }

    /// Resizes the terminal while `process` stands still, between two redraws: tmux wraps its rows
    /// at once, gives the terminal its new size a little later, and what was drawn between would be
    /// for the old size. `complete` accepts the screen that is to be resized; `meanwhile` gives the
    /// process work.
    pub(crate) fn resize(
        &self,
        (columns, rows): (u16, u16),
        process: u32,
        complete: impl Fn(&str) -> bool,
        meanwhile: impl FnOnce(),
    ) {
        let deadline = Instant::now() + DEADLINE;
        let terminal = self.figure("pane_tty");
        loop {
            signal(process, "STOP");
            self.read_all_of(&terminal);
            let screen = self.screen();
            if complete(&screen) {
                break;
            }
            assert!(Instant::now() < deadline, "never complete:\n{screen}");
            signal(process, "CONT");
            std::thread::sleep(GLANCE);
        }
        let size = [columns, rows].map(|it| it.to_string());
        self.run(&["resize-window", "-x", &size[0], "-y", &size[1]]);
        let wanted = format!("{rows} {columns}");
        loop {
            let input = fs::File::open(&terminal).unwrap();
            let output = Command::new("stty").arg("size").stdin(input).output().unwrap();
            if String::from_utf8_lossy(&output.stdout).trim() == wanted {
                break;
            }
            assert!(Instant::now() < deadline, "{output:?} is not {wanted}");
            std::thread::sleep(GLANCE);
        }
        meanwhile();
        signal(process, "CONT");
    }

    /// Waits until tmux has read everything that was written to the terminal: a new title last.
    fn read_all_of(&self, terminal: &str) {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let title = format!("title {}", COUNT.fetch_add(1, Ordering::Relaxed));
        fs::write(terminal, format!("\u{1b}]2;{title}\u{7}")).unwrap();
        let deadline = Instant::now() + DEADLINE;
        while self.figure("pane_title") != title {
            assert!(Instant::now() < deadline, "no {title}");
            std::thread::sleep(GLANCE);
        }
    }

    /// Writes the output of the program from now on to a file, and returns its path.
    pub(crate) fn record(&self) -> PathBuf {
        let file = self.dir.path().join("raw");
        fs::write(&file, "").unwrap();
        self.run(&["pipe-pane", &format!("cat >> {}", file.display())]);
        file
    }

    /// The value of one of tmux's formats.
    pub(crate) fn figure(&self, name: &str) -> String {
        self.run(&["display-message", "-p", &format!("#{{{name}}}")]).trim().to_owned()
    }

    /// The screen without empty rows at its end.
    pub(crate) fn screen(&self) -> String {
        self.run(&["capture-pane", "-p"]).trim_end().to_owned()
    }

    /// The screen with its colours.
    pub(crate) fn coloured(&self) -> String {
        self.run(&["capture-pane", "-p", "-e"])
    }

    /// The scrollback and the screen, with wrapped lines joined.
    pub(crate) fn scrollback(&self) -> String {
        self.run(&["capture-pane", "-p", "-J", "-S", "-"])
    }

    /// Waits until `wanted` accepts the screen.
    pub(crate) fn wait(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            assert!(Instant::now() < deadline, "no {what}:\n{screen}");
            std::thread::sleep(GLANCE);
        }
    }

    /// Waits for this text on the screen.
    pub(crate) fn see(&self, text: &str) -> String {
        self.wait(text, |screen| screen.contains(text))
    }

    /// Waits for a prompt with this draft at the bottom of the screen.
    pub(crate) fn draft(&self, draft: &str) -> String {
        let prompt = format!("> {draft}");
        self.wait(&prompt, |screen| screen.lines().last() == Some(prompt.trim_end()))
    }

    /// The content of a file in the directory, once it exists.
    pub(crate) fn file(&self, name: &str) -> String {
        let path = self.dir.path().join(name);
        let deadline = Instant::now() + DEADLINE;
        loop {
            match fs::read_to_string(&path) {
                Ok(text) if text.ends_with('\n') => return text,
                _ => assert!(Instant::now() < deadline, "no {name}:\n{}", self.screen()),
            }
            std::thread::sleep(GLANCE);
        }
    }

    fn run(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-u", "-f", "/dev/null", "-L", &self.socket]).args(args);
        // The server leaves its socket behind, which is removed with the directory.
        command.env("TMUX_TMPDIR", self.dir.path());
        command.env("LC_ALL", "C.UTF-8").env_remove("TMUX").stdin(Stdio::null());
        command
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _: Option<Output> = self.command(&["kill-server"]).output().ok();
    }
}

/// The screen with constants in place of times and round trips.
pub(crate) fn normalised(screen: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    for line in screen.lines() {
        let bytes = line.as_bytes();
        let time = bytes.len() > 8 && bytes[2] == b':' && bytes[5] == b':' && bytes[0] <= b'2';
        let line = if time { format!("HH:MM:SS{}", &line[8..]) } else { line.to_owned() };
        out.push(match line.split_once("rtt ") {
            Some((head, tail)) if line.starts_with("-- ") => {
                let rest = tail.split_once(" ms").map_or("", |(_, rest)| rest);
                format!("{head}rtt N ms{rest}")
            }
            _ => line,
        });
    }
    out.join("\n")
}

/// A shell script that runs `command`, records the terminal's settings before and after in files,
/// and then prints all input visibly.
pub(crate) fn observed(command: &str) -> String {
    format!(
        "echo '$ chatagram'; stty -a > before; sh -c 'echo $$ > pid; exec {command}'; \
         echo code $?; stty -a > after\n\
         exec cat -v\n"
    )
}

/// Asserts that the terminal's state is as it was before an `observed` command.
pub(crate) fn assert_restored(tmux: &Tmux, code: &str) {
    tmux.see(code);
    assert_eq!(tmux.file("before"), tmux.file("after"), "{}", tmux.screen());
    assert_eq!(tmux.figure("cursor_flag"), "1", "the cursor is hidden");
    tmux.paste("plain paste");
    let screen = tmux.see("plain paste");
    assert!(!screen.contains("200~"), "bracketed paste is on:\n{screen}");
}
