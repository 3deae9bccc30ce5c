//! The built program with files that another program moves, removes or truncates while it writes to
//! them, as log rotation does. A confirmed line is in a file, or its loss is reported.

use crate::program::{Program, Server, free_port, history_texts};
use std::fs;
use std::path::Path;
use std::process::Command;

/// As logrotate does, with and without `create`. Every confirmed line is in one of the two files.
fn a_moved_history_continues_in_a_new_private_file() {
    let mut server = Server::start(&["--history", "h.jsonl"]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    let mut say = |text: &str| {
        alice.type_line(text);
        bob.hear(text);
    };
    let (file, old) = (server.dir.path().join("h.jsonl"), server.dir.path().join("old"));
    say("one");
    say("two");
    fs::rename(&file, &old).unwrap();
    // The server notices without traffic.
    let words =
        "h.jsonl was moved away: 2 lines of this server stay there; later ones go to a new file";
    server.program.line("message in the log", |line| line.contains(words));
    say("three");
    assert_eq!(
        (history_texts(&old), history_texts(&file)),
        (vec!["one".into(), "two".into()], vec!["three".into()])
    );
    assert_eq!(mode(&file), 0o600);
    // And at once if a line follows.
    fs::rename(&file, &old).unwrap();
    fs::write(&file, b"").unwrap();
    say("four");
    assert_eq!(
        (history_texts(&old), history_texts(&file)),
        (vec!["three".into()], vec!["four".into()])
    );
    // As logrotate does with `copytruncate`.
    fs::copy(&file, &old).unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_len(0).unwrap();
    say("five");
    assert_eq!(
        (history_texts(&old), history_texts(&file)),
        (vec!["four".into()], vec!["five".into()])
    );
    server.program.has_said("message in the log", |line| line.contains("bytes were cut off"));
}

fn a_removed_history_is_replaced_and_its_loss_reported() {
    let mut server = Server::start(&["--history", "h.jsonl", "--log-file", "log"]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    let file = server.dir.path().join("h.jsonl");
    alice.type_line("one");
    bob.hear("one");
    fs::remove_file(&file).unwrap();
    let words = "h.jsonl was removed, and 1 lines of this server with it";
    server.program.line("message in the log", |line| line.contains(words));
    alice.type_line("two");
    bob.hear("two");
    assert_eq!(history_texts(&file), ["two"]);
    server.program.signal("TERM");
    server.program.wait();
    assert!(fs::read_to_string(server.dir.path().join("log")).unwrap().contains(words));
}

fn without_a_new_history_lines_go_to_the_old_file_or_every_peer_is_told() {
    let mut server = Server::start(&["--history", "h.jsonl"]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    let (file, old) = (server.dir.path().join("h.jsonl"), server.dir.path().join("old"));
    alice.type_line("one");
    bob.hear("one");
    fs::rename(&file, &old).unwrap();
    fs::create_dir(&file).unwrap();
    alice.type_line("two");
    bob.hear("two");
    server
        .program
        .has_said("message in the log", |line| line.contains("later ones go there as well"));
    // Either the moved file is still open, or the server began a new one before the test made the
    // directory.
    assert_eq!(history_texts(&old), ["one", "two"]);
    fs::remove_file(&old).unwrap();
    alice.type_line("three");
    bob.status("the chat goes on, but the history does not");
    fs::remove_dir(&file).unwrap();
    alice.type_line("four");
    bob.status("the history is being written again; 1 lines are not in it");
    assert_eq!(history_texts(&file), ["four"]);
}

fn a_moved_history_still_locks_its_path() {
    let server = Server::start(&["--history", "h.jsonl"]);
    fs::rename(server.dir.path().join("h.jsonl"), server.dir.path().join("old")).unwrap();
    let args = ["server", "--bind", "127.0.0.1:0", "--history", "h.jsonl"];
    let mut second = Program::start(server.dir.path(), &args);
    assert_eq!(second.wait(), Some(1), "{}", second.output());
    assert!(second.output().contains("another server is using it"), "{}", second.output());
    let mut alice = server.join("alice");
    alice.type_line("hello");
    assert_eq!(alice.leave(), Some(0));
    assert_eq!(history_texts(&server.dir.path().join("h.jsonl")), ["hello"]);
    let dir = server.dir.path().to_owned();
    server.program.signal("INT");
    let Server { mut program, dir: kept, .. } = server;
    assert_eq!(program.wait(), Some(0));
    assert!(!dir.join("h.jsonl.lock").exists(), "the lock was left");
    drop(kept);
}

fn a_failing_default_history_does_not_stop_the_server() {
    let port = free_port();
    let state = |dir: &Path| dir.join(format!(".local/state/chatagram/history-{port}.jsonl"));
    let start = |setup: &str, dir: &Path, address: &str| {
        let mut shell = Command::new("/bin/sh");
        let program = env!("CARGO_BIN_EXE_chatagram");
        shell.args(["-c", &format!("{setup}\nexec \"$0\" \"$@\""), program]);
        let bind = format!("{address}:{port}");
        let mut server = Program::start_by(shell, dir, &["server", "--bind", &bind]);
        server.line("address", |line| line.starts_with("listening on "));
        server
    };
    let warned = |server: &mut Program| {
        server.has_said("a warning", |line| {
            line.contains("[WARN] no history is kept") && line.contains("--no-history")
        });
    };
    for setup in ["unset HOME", "export HOME=/proc"] {
        let dir = tempfile::tempdir().unwrap();
        warned(&mut start(setup, dir.path(), "127.0.0.1"));
    }
    for content in [&b"something else\n"[..], &[b'x'; 2 << 20]] {
        let dir = tempfile::tempdir().unwrap();
        let file = state(dir.path());
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, content).unwrap();
        warned(&mut start(":", dir.path(), "127.0.0.1"));
        assert!(fs::read(&file).unwrap() == content);
    }
    // Two servers at the same port of two addresses.
    let dir = tempfile::tempdir().unwrap();
    let mut first = start(":", dir.path(), "127.0.0.1");
    first.has_said("its history", |line| line.contains("history in"));
    warned(&mut start(":", dir.path(), "127.0.0.2"));
}

fn the_saved_part_of_a_torn_line_is_private() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("h.jsonl"), br#"{"at":"2026-11-20T20:18"#).unwrap();
    let args = ["server", "--bind", "127.0.0.1:0", "--history", "h.jsonl", "--no-discovery"];
    let mut server = Program::start(dir.path(), &args);
    server.line("message in the log", |line| line.contains("the last line was torn"));
    assert_eq!(mode(&dir.path().join("h.jsonl.torn")), 0o600);
}

fn mode(file: &Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&fs::metadata(file).unwrap().permissions()) & 0o777
}

tests! {
    a_moved_history_continues_in_a_new_private_file,
    a_removed_history_is_replaced_and_its_loss_reported,
    without_a_new_history_lines_go_to_the_old_file_or_every_peer_is_told,
    a_moved_history_still_locks_its_path,
    a_failing_default_history_does_not_stop_the_server,
    the_saved_part_of_a_torn_line_is_private,
}
