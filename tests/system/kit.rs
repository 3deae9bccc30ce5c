//! `chatagram kit`: each kit, as given, builds without a warning, reads the test vectors and earns
//! the points of its first step; one that has the second step too earns more.

use crate::needs::{is_all, needs};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The points of the first step: its criteria are given.
const GIVEN: u64 = 5;

fn chatagram(args: &[&str]) -> Output {
    let mut it = Command::new(env!("CARGO_BIN_EXE_chatagram"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHATAGRAM_")) {
        it.env_remove(name);
    }
    it.args(args).stdin(Stdio::null()).output().unwrap()
}

/// A kit in a directory where a user without privileges can run it.
struct Written {
    _parent: tempfile::TempDir,
    dir: PathBuf,
}

impl Written {
    fn new(name: &str) -> Self {
        let parent = tempfile::tempdir().unwrap();
        open_to_all(parent.path());
        let dir = parent.path().join(name);
        let output = chatagram(&["kit", name, dir.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let says = String::from_utf8(output.stdout).unwrap();
        assert!(says.contains("README.md, then\n  cd "), "{says}");
        Self { _parent: parent, dir }
    }

    /// Runs `make`, which prints no warning.
    fn make(&self, goal: &str) {
        let mut make = Command::new("make");
        for name in ["CARGO_TARGET_DIR", "MAKEFLAGS", "MAKELEVEL", "CFLAGS"] {
            make.env_remove(name);
        }
        let output = make.arg(goal).current_dir(&self.dir).stdin(Stdio::null()).output().unwrap();
        let said = [&*output.stdout, &*output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{said}");
        assert!(!said.to_lowercase().contains("warning"), "{said}");
    }

    fn grade(&self, only: &[&str]) -> Value {
        let run = self.dir.join("run");
        let only = if only.is_empty() { "part1,part2".to_owned() } else { only.join(",") };
        let run = run.to_str().unwrap();
        let output = chatagram(&["grade", "--format", "json", "--only", &only, "--", run]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    }

    /// Puts `new` in the place of `old`, once.
    fn change(&self, file: &str, old: &str, new: &str) {
        let file = self.dir.join(file);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.matches(old).count(), 1, "{old}");
        std::fs::write(file, text.replace(old, new)).unwrap();
    }
}

#[cfg(unix)]
fn open_to_all(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[cfg(not(unix))]
fn open_to_all(_: &Path) {}

/// Builds the kit, runs its test and grades it: all criteria only in a run of all tests.
fn a_kit_earns_its_first_step(name: &str, tools: &[&str]) {
    needs(&["make", "sh"]);
    needs(tools);
    let kit = Written::new(name);
    kit.make("test");
    let report = kit.grade(if is_all() { &[] } else { &["join"] });
    assert_eq!(report["earned"], GIVEN, "{report:#}");
    let rows = report["criteria"].as_array().unwrap();
    let failed = rows.iter().filter(|row| row["verdict"] == "failed");
    let failed: Vec<_> = failed.map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(failed, ["join"], "{report:#}");
}

fn python() {
    a_kit_earns_its_first_step("python", &["python3"]);
}

fn java() {
    a_kit_earns_its_first_step("java", &["javac", "java"]);
}

fn c() {
    a_kit_earns_its_first_step("c", &["cc"]);
}

fn rust() {
    a_kit_earns_its_first_step("rust", &["cargo", "rustc"]);
}

fn javascript() {
    a_kit_earns_its_first_step("javascript", &["node"]);
}

/// Step 2 in Python. `GIVE_UP` is JOIN_TIMEOUT in seconds.
const JOIN: &str = r#"
        if now > self.first + GIVE_UP:
            sys.exit(3)
        if now >= self.due:
            fields = codec.put_integer(self.nonce) + blob(b"") + blob(self.nick.encode())
            frame = b"\5" + fields + b"\2" + bytes(4)
            self.send(frame + b"\0" + blob(bytes(512 - 40 - 4 - len(frame))))
            self.due, self.pause = now + self.pause, min(2 * self.pause, .75)
"#;

fn with_the_second_step_there_are_more_points() {
    needs(&["make", "sh", "python3"]);
    let kit = Written::new("python");
    // The whole time only in a run of all tests.
    let (time, only, points) =
        if is_all() { ("8", &["join-retry", "give-up"][..], 11) } else { ("1", &["join"][..], 8) };
    let end = "\n        show(\"* step 2 is yours: see README.md\")\n        sys.exit(3)\n";
    kit.change("client.py", end, &JOIN.replace("GIVE_UP", time));
    kit.change(
        "client.py",
        "        self.send()\n",
        "        self.nonce = time.time_ns()\n        \
         self.first, self.due, self.pause = now, now, .25\n        self.on_tick(now)\n",
    );
    let blob = "def blob(content):\n    return codec.put_integer(len(content)) + content\n\n\n";
    kit.change("client.py", "def show(text):", &format!("{blob}def show(text):"));
    let report = kit.grade(only);
    assert_eq!(report["earned"], points, "{report:#}");
}

fn no_kit_is_written_over_something() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mine"), "").unwrap();
    let says = |args: &[&str], words: &str| {
        let output = chatagram(args);
        let text = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text.contains(words), "{text}");
    };
    let place = dir.path().to_str().unwrap();
    says(&["kit", "c", place], "is not empty: name a new directory");
    assert_eq!(std::fs::read_dir(place).unwrap().count(), 1);
    says(&["kit", "cobol", "new"], "[possible values: python, java, c, rust, javascript]");
}

tests! {
    python,
    java,
    c,
    rust,
    javascript,
    with_the_second_step_there_are_more_points,
    no_kit_is_written_over_something,
}
