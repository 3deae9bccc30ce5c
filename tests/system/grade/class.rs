//! `chatagram grade --class`: a folder of submissions, some of which behave badly.

use super::{open_to_all, with_mark};
use crate::needs::{is_all, needs};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Ends, and leaves two processes in sessions of their own; one has another environment.
const LEAVES: &str = "
import os, sys
for words in (['sleep', 'MARK'], ['env', '-i', 'sleep', 'MARK']):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execvp(words[0], words)
        os._exit(0)
    os.wait()
sys.exit(1)
";

/// Says nothing and does not end; its child is in another session.
const HANGS: &str = "
import os, time
if os.fork() == 0:
    os.setsid()
    os.execvp('sleep', ['sleep', 'MARK'])
time.sleep(600)
";

fn chatagram(args: &[&str]) -> Output {
    let mut it = Command::new(env!("CARGO_BIN_EXE_chatagram"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHATAGRAM_")) {
        it.env_remove(name);
    }
    it.args(args).stdin(Stdio::null()).output().unwrap()
}

#[cfg(unix)]
fn make_executable(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Without `CHATAGRAM_TESTS=all` nobody hangs: the grader waits for that one.
fn a_class_is_graded_whatever_its_submissions_do() {
    needs(&["python3", "sh", "sleep", "env"]);
    let dir = tempfile::tempdir().unwrap();
    open_to_all(dir.path());
    let class = dir.path().join("class");
    std::fs::create_dir(&class).unwrap();
    let kit = class.join("ann");
    assert!(chatagram(&["kit", "python", kit.to_str().unwrap()]).status.success());
    let mark = format!("8{}", std::process::id());
    let mut submissions =
        vec![("bob", "import no_such_module".to_owned()), ("cid", LEAVES.replace("MARK", &mark))];
    if is_all() {
        submissions.push(("dan", HANGS.replace("MARK", &mark)));
    }
    for (name, text) in &submissions {
        let file = class.join(name);
        std::fs::write(&file, format!("#!/usr/bin/env python3\n{text}")).unwrap();
        make_executable(&file);
    }
    std::fs::write(class.join("eve, \"<b>\""), "no program").unwrap();
    std::fs::write(class.join(".hidden"), "").unwrap();
    let (key, out) = (dir.path().join("key"), dir.path().join("out"));
    std::fs::write(&key, "the key of the course").unwrap();
    let paths = [&class, &key, &out].map(|path| path.to_str().unwrap());
    let options = ["grade", "--class", paths[0], "--course-key", paths[1], "--out", paths[2]];
    let output = chatagram(&[&options[..], &["--only", "frames", "--format", "junit"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(lines[0], ["ann", "5/5", "all", "criteria", "passed"], "{text}");
    assert_eq!(lines[1], ["bob", "0/5", "failed:", "header;", "not", "judged:", "1"], "{text}");
    assert_eq!(lines[2][..3], ["cid", "0/5", "failed:"], "{text}");
    assert!(text.contains("eve, \"<b>\"") && text.contains("not graded: cannot start"), "{text}");
    assert!(!text.contains("hidden"), "{text}");

    let mut rows = csv::Reader::from_path(out.join("summary.csv")).unwrap();
    let rows: Vec<BTreeMap<String, String>> = rows.deserialize().map(Result::unwrap).collect();
    assert_eq!(rows.len(), lines.len(), "{rows:?}");
    assert_eq!(
        (&*rows[0]["submission"], &*rows[0]["earned"], &*rows[0]["points"]),
        ("ann", "5", "5")
    );
    assert_ne!(rows[0]["seed"], rows[1]["seed"], "each student has a seed");
    let last = &rows[rows.len() - 1];
    assert_eq!((&*last["submission"], &*last["earned"]), ("eve, \"<b>\"", ""));
    let page = std::fs::read_to_string(out.join("summary.html")).unwrap();
    assert_eq!(page.matches("<tr>").count(), rows.len() + 1, "{page}");
    assert!(page.contains("&lt;b&gt;") && !page.contains("<b>"), "{page}");
    for name in ["ann", "bob", "cid"] {
        let report = std::fs::read_to_string(out.join(format!("{name}.report"))).unwrap();
        assert!(report.starts_with("<?xml"), "{name}: {report}");
    }
    assert_eq!(with_mark(&mark), 0, "a submission left a process behind");
}

tests! {
    a_class_is_graded_whatever_its_submissions_do,
}
