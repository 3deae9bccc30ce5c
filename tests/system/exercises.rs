//! Runs every command of `scripts/exercises.md` and compares the output with the text. Each
//! exercise has a network namespace of its own, where the default port is free. All run at once,
//! because they mostly wait.

mod terminal;
mod text;

use crate::needs::{is_here, needs, needs_time, skip};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use terminal::Terminal;
use text::{Exercise, Step, What};

/// Tells a child of this test the number of its exercise.
const NUMBER: &str = "EXERCISE";
/// Tells it to print the output of all terminals.
const SHOW: &str = "EXERCISE_SHOW";
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// `ip link set lo up`, without iproute2.
const LOOPBACK_UP: &str = "import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh', b'lo', 0x49))";

fn exercises() -> Vec<Exercise> {
    text::read(&std::fs::read_to_string(Path::new(ROOT).join("scripts/exercises.md")).unwrap())
}

fn works(command: &[&str]) -> bool {
    let status = Command::new(command[0])
        .args(&command[1..])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

fn every_exercise_prints_what_its_text_shows() {
    if std::env::var_os(NUMBER).is_none() {
        needs_time();
    }
    needs(&["bash", "sh", "python3", "unshare", "true", "kill"]);
    let ways: [&[&str]; 2] =
        [&["unshare", "--user", "--map-root-user", "--net"], &["unshare", "--net"]];
    let Some(way) = ways.iter().find(|way| works(&[way, &["true"][..]].concat())) else {
        skip("this machine refuses network namespaces (unshare --user --net)");
    };
    let this = std::env::current_exe().unwrap();
    let wanted = std::env::var(NUMBER).ok();
    let start = |number: usize| {
        let mut command = Command::new(way[0]);
        command.args(&way[1..]).args([
            "sh",
            "-c",
            "python3 -c \"$1\" && shift && exec \"$@\"",
            "sh",
        ]);
        command.args([LOOPBACK_UP, this.to_str().unwrap()]);
        command.args(["--role", "one_exercise_in_a_network_of_its_own"]);
        if wanted.is_some() {
            command.env(SHOW, "1");
        }
        command
            .env("RUST_BACKTRACE", "0")
            .env(NUMBER, number.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let numbers = 1..=exercises().len();
    let running: Vec<_> = numbers
        .filter(|number| {
            let text = &exercises()[number - 1].text;
            cfg!(feature = "quic") || !text.contains("--features quic")
        })
        .filter(|number| wanted.as_ref().is_none_or(|wanted| *wanted == number.to_string()))
        .map(|number| {
            std::thread::spawn({
                let child = start(number);
                move || child.wait_with_output().unwrap()
            })
        })
        .collect();
    let ended: Vec<_> = running.into_iter().map(|thread| thread.join().unwrap()).collect();
    if wanted.is_some() {
        assert!(!ended.is_empty(), "there is no such exercise");
    }
    for output in &ended {
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(ended.iter().all(|output| output.status.success()), "an exercise failed: see above");
    // Every exercise has run.
    needs(&["tshark"]);
}

/// The child that the test above starts for each exercise.
fn one_exercise_in_a_network_of_its_own(_: &[&str]) {
    let number: usize = std::env::var(NUMBER).unwrap().parse().unwrap();
    let exercise = &exercises()[number - 1];
    // Other programs in the lab run as another user.
    let all = Permissions::from_mode(0o755);
    let dir = tempfile::Builder::new().permissions(all).tempdir().unwrap();
    let place = dir.path();
    for name in ["scripts", "proto.md", "tests"] {
        symlink(Path::new(ROOT).join(name), place.join(name)).unwrap();
    }
    let program = Path::new(env!("CARGO_BIN_EXE_chatagram"));
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", program.parent().unwrap().display());
    let begun = std::time::Instant::now();
    let has_tshark = is_here("tshark");
    let mut terminals: BTreeMap<String, Terminal> = BTreeMap::new();
    // Terminals whose last block was left out.
    let mut skipped = BTreeSet::new();
    for (index, step) in exercise.steps.iter().enumerate() {
        let Step { line, terminal: name, what } = step;
        let at = |why: String, terminal: &Terminal| -> ! {
            let printed = terminal.printed.join("\n");
            panic!("exercises.md:{line}, terminal {name}: {why}\nbut it printed:\n{printed}")
        };
        match what {
            What::Type { script, after_ctrl_c, with_tshark } => {
                if let Some(mut old) = terminals.remove(name) {
                    let over = if *after_ctrl_c { old.ctrl_c() } else { old.end() };
                    over.unwrap_or_else(|why| at(why, &old));
                    check(name, &old);
                }
                if *with_tshark && !has_tshark {
                    skipped.insert(name.clone());
                    continue;
                }
                skipped.remove(name);
                let mut new = Terminal::run(script, place, &path);
                let next = exercise.steps[index + 1..].iter().find(|next| next.terminal == *name);
                if !next.is_some_and(|next| matches!(next.what, What::See { .. })) {
                    new.end().unwrap_or_else(|why| at(why, &new));
                }
                terminals.insert(name.clone(), new);
            }
            What::See { .. } if skipped.contains(name) => {}
            What::See { groups } => {
                let terminal = terminals.get_mut(name);
                let terminal = terminal.unwrap_or_else(|| panic!("line {line}: nothing runs"));
                for group in groups {
                    terminal.see(group).unwrap_or_else(|why| at(why, terminal));
                }
            }
        }
    }
    for (name, mut terminal) in terminals {
        terminal.ctrl_c().unwrap_or_else(|why| panic!("terminal {name}: {why}"));
        check(&name, &terminal);
    }
    eprintln!("{}: {:.0} s", exercise.title, begun.elapsed().as_secs_f64());
}

/// Asserts that a terminal printed no sign of a failure.
fn check(name: &str, terminal: &Terminal) {
    if std::env::var_os(SHOW).is_some() {
        eprintln!("--- terminal {name}\n{}", terminal.printed.join("\n"));
    }
    for bad in ["panicked at", "Traceback", "command not found", "syntax error"] {
        let found = terminal.printed.iter().any(|line| line.contains(bad));
        assert!(!found, "terminal {name}: {:#?}", terminal.printed);
    }
}

fn there_are_ten_exercises_with_all_their_parts() {
    let exercises = exercises();
    assert_eq!(exercises.len(), 10);
    for (exercise, number) in exercises.iter().zip(1..) {
        let title = &exercise.title;
        assert!(title.starts_with(&format!("Exercise {number}: ")), "{title}");
        let parts = ["**You need**", "### Look", "### Questions", "<details>", "**Go further.**"];
        for part in parts {
            assert!(exercise.text.contains(part), "{title} lacks {part}");
        }
        let questions = exercise.text.split("### Questions").nth(1).unwrap();
        let (asked, answers) = questions.split_once("<details>").unwrap();
        let answers = answers.split_once("</details>").unwrap().0;
        let count = |text: &str| (1..9).filter(|n| text.contains(&format!("\n{n}. "))).count();
        assert!((3..=4).contains(&count(asked)), "{title}: {} questions", count(asked));
        assert_eq!(count(asked), count(answers), "{title}: questions and answers");
        let is_typed = |step: &&Step| matches!(step.what, What::Type { .. });
        let typed = exercise.steps.iter().filter(is_typed).count();
        assert!(typed > 0 && typed < exercise.steps.len(), "{title} has commands, and shows what");
    }
}

/// The reader is as strict as the text.
fn output_that_differs_from_the_text_is_found() {
    for (told, line, fit) in [
        ("* you left", "* you left", true),
        ("* you left", "* you left, 1 here", false),
        ("* ... left", "* alice left", true),
        ("* ... left", "* alice joined", false),
        ("... lost, ...", "up: 2 packets, 1 lost, 9 reordered", true),
        ("... ab", "ab", false),
        ("a...a", "a", false),
        ("100 %    ... ms", "100 %   142 ms", true),
        ("100 %    ... ms", "100 %    50 ms      1.2 ms", true),
        ("  40  04", "    40 04", true),
        ("  40", "40", false),
        ("4 0", "40", false),
        ("40", "4 0", false),
    ] {
        assert_eq!(text::fits(told, line), fit, "{told:?} and {line:?}");
    }
    let lines = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
    assert_eq!(text::find(&lines("b c"), &lines("a b x b c"), 0), Some(3));
    assert_eq!(text::find(&lines("b c"), &lines("b c a"), 1), None, "not lines before `from`");
    assert_eq!(text::find(&lines("b c"), &lines("b x c"), 0), None, "adjacent lines only");
    let read = text::read("## Exercise 1: x\n```text\n# terminal 2\na\nb\n...\nc\n```\n## Notes\n");
    let [Exercise { steps, .. }] = &read[..] else { panic!("one exercise") };
    let What::See { groups } = &steps[0].what else { panic!("expected output") };
    assert_eq!((&groups[..], &*steps[0].terminal), (&[lines("a b"), lines("c")][..], "2"));
}

tests! {
    every_exercise_prints_what_its_text_shows,
    there_are_ten_exercises_with_all_their_parts,
    output_that_differs_from_the_text_is_found,
    @role one_exercise_in_a_network_of_its_own,
}
