//! The built program and its environment: ignored signals; standard streams that are full, closed
//! or not read; limits of file sizes. The room goes on, and exit codes are as documented.

use crate::program::{self, Program, Server, free_port};
use chatagram::hub::{self, Capacity};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{self, Stdio};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_chatagram");

/// The program, started by a shell that runs `setup` first.
fn after(setup: &str) -> process::Command {
    let mut shell = process::Command::new("/bin/sh");
    shell.args(["-c", &format!("{setup}; exec \"$0\" \"$@\""), PROGRAM]);
    shell
}

fn server_after(setup: &str, args: &[&str]) -> Server {
    let dir = tempfile::tempdir().unwrap();
    let usual = ["server", "--bind", "127.0.0.1:0", "--no-discovery"];
    let mut program = Program::start_by(after(setup), dir.path(), &[&usual, args].concat());
    let line = program.line("address", |line| line.starts_with("listening on "));
    let address = line["listening on ".len()..].parse().unwrap();
    Server { program, address, dir }
}

fn signals_that_the_parent_ignores_stay_ignored() {
    let mut server = server_after("trap '' HUP INT", &["--no-history"]);
    server.program.signal("HUP");
    server.program.signal("INT");
    let mut alice = server.join("alice");
    alice.signal("INT");
    assert_eq!(alice.wait(), Some(0), "the client's parent ignores no signal");
    server.join("bob");
    server.program.signal("TERM");
    assert_eq!(server.program.wait(), Some(0));
}

fn sighup_reopens_the_log_and_the_room_goes_on() {
    let mut server = server_after(":", &["--no-history", "--log-file", "log"]);
    let log = server.dir.path().join("log");
    server.join("alice");
    // A thread of its own writes the log.
    while !read(&log).contains("alice joined") {
        std::thread::yield_now();
    }
    fs::rename(&log, server.dir.path().join("log.1")).unwrap();
    server.program.signal("HUP");
    let words = "the log log was moved away: what was written stays there";
    server.program.line("message in the log", |line| line.contains(words));
    server.join("bob");
    server.program.signal("INT");
    assert_eq!(server.program.wait(), Some(0));
    let (old, new) = (read(&server.dir.path().join("log.1")), read(&log));
    assert!(old.contains("alice joined") && !old.contains("bob joined"), "{old}");
    assert!(new.contains(words) && new.contains("bob joined"), "{new}");
}

fn a_removed_log_is_replaced_and_both_files_are_private() {
    let mut server = server_after("umask 022", &["--no-history", "--log-file", "log"]);
    let log = server.dir.path().join("log");
    let mode = || fs::metadata(&log).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    server.join("alice");
    fs::remove_file(&log).unwrap();
    let words = "the log log was removed with what was written to it";
    server.program.line("message in the log", |line| line.contains(words));
    server.join("bob");
    server.program.signal("INT");
    assert_eq!((server.program.wait(), mode()), (Some(0), 0o600));
    assert!(read(&log).contains("bob joined"), "{}", read(&log));
}

fn a_pipe_without_a_reader_is_refused_as_a_log() {
    let dir = tempfile::tempdir().unwrap();
    let (pipe, mode) = (dir.path().join("pipe"), rustix::fs::Mode::RWXU);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let args = ["server", "--bind", "127.0.0.1:0", "--no-history", "--log-file", "pipe"];
    let mut server = Program::start(dir.path(), &args);
    assert_eq!(server.wait(), Some(1), "{}", server.output());
    assert!(server.output().contains("cannot log to pipe"), "{}", server.output());
}

fn a_full_or_closed_standard_stream_changes_no_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let closed = || Stdio::from(std::io::pipe().unwrap().1);
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    for (wanted, args) in [
        (1, &["server", "--bind", "203.0.113.9:1", "--no-history"][..]),
        (3, &["client", "nowhere.invalid", "--nick", "a", "--no-cache"]),
        (1, &["report", "nowhere"]),
        (2, &["decode", "zz"]),
        (2, &["server", "--no-such-option"]),
    ] {
        for error in [closed(), full()] {
            let mut command = process::Command::new(PROGRAM);
            command.current_dir(dir.path()).args(args).stdin(Stdio::null()).stdout(Stdio::null());
            let status = command.stderr(error).status().unwrap();
            assert_eq!(status.code(), Some(wanted), "{args:?}");
        }
    }
    for args in [&["--help"][..], &["man"], &["decode", "--help"]] {
        let printed = |out| {
            let mut command = process::Command::new(PROGRAM);
            command.args(args).stderr(Stdio::null()).stdout(out).status().unwrap().code()
        };
        assert_eq!((printed(full()), printed(closed())), (Some(1), Some(0)), "{args:?}");
    }
}

fn closed_standard_streams_are_replaced_by_dev_null() {
    let dir = tempfile::tempdir().unwrap();
    let bind = format!("127.0.0.1:{}", free_port());
    let mut command = after("exec <&- >&- 2>&-");
    command.current_dir(dir.path()).env("HOME", dir.path());
    command.args(["server", "--bind", &bind, "--history", "h.jsonl", "--log-file", "log"]);
    let mut child = command.args(["--no-discovery"]).spawn().unwrap();
    let args = ["client", &bind, "--nick", "a", "--no-cache", "--output", "json"];
    let mut alice = Program::start(dir.path(), &args);
    alice.next("welcome");
    for number in 0..3 {
        let descriptor = format!("/proc/{}/fd/{number}", child.id());
        assert_eq!(fs::read_link(descriptor).unwrap(), Path::new("/dev/null"), "{number}");
    }
    assert_eq!(alice.leave(), Some(0));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// More than a pipe, the write in progress and the queue behind it hold.
fn an_unread_log_does_not_stop_the_room_and_dropped_messages_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (mut unread, error) = std::io::pipe().unwrap();
    let bind = format!("127.0.0.1:{}", free_port());
    let mut command = process::Command::new(PROGRAM);
    command.args(["server", "--bind", &bind, "--no-history", "--rate-limit", "off"]);
    command.args(["--no-discovery"]).env("HOME", dir.path()).stdout(Stdio::null()).stderr(error);
    let mut server = command.spawn().unwrap();
    drop(command);
    let join = |name| {
        let args = ["client", &bind, "--nick", name, "--no-cache", "--output", "json"];
        let mut client = Program::start(dir.path(), &[&args[..], &["--stay", "forever"]].concat());
        client.next("welcome");
        client
    };
    let (mut alice, mut bob) = (join("alice"), join("bob"));
    let long = "x".repeat(990);
    (0..6_000).for_each(|_| alice.type_line(&long));
    alice.type_line("the last");
    bob.next_where("message", |event| event["text"] == "the last");
    let mut said = Vec::new();
    let mut piece = [0; 1 << 16];
    while !String::from_utf8_lossy(&said).contains("messages were dropped") {
        assert!(is_readable(&unread), "the log has no count of dropped messages");
        let count = unread.read(&mut piece).unwrap();
        assert!(count > 0, "the log ended without the count of dropped messages");
        said.extend_from_slice(&piece[..count]);
    }
    (0..200).for_each(|_| alice.type_line(&long));
    alice.type_line("once more");
    bob.next_where("message", |event| event["text"] == "once more");
    // Nothing reads the pipe any more; the shutdown does not wait for it.
    program::signal(server.id(), "TERM");
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

/// Returns false if the pipe stays empty until the deadline.
fn is_readable(pipe: &std::io::PipeReader) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let timeout = Timespec::try_from(program::DEADLINE).unwrap();
    poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&timeout)).unwrap() > 0
}

/// As with `client | less`, and a terminal after Ctrl-S.
fn a_client_with_unread_output_ends_in_time() {
    for (stay, end, code) in [("0s", "", 0), ("forever", "INT", 0), ("forever", "KILL", 5)] {
        let mut server = Server::start(&["--no-history"]);
        let (_unread, output) = full_pipe();
        let mut command = process::Command::new(PROGRAM);
        command.args(["client", &server.address.to_string(), "--nick", "ear", "--stay", stay]);
        command.args(["--no-cache", "--transport", "tcp", "--give-up", "1s"]);
        command.stdin(Stdio::null()).stdout(output).stderr(Stdio::null());
        let mut client = command.spawn().unwrap();
        drop(command);
        if !end.is_empty() {
            // The client has joined, and has received its `Welcome`.
            server.program.line("its arrival", |line| line.contains("ear joined"));
            let mut alice = server.join("alice");
            alice.type_line("/ping ear");
            alice.next_where("pong", |event| event["from"] == "ear");
        }
        match end {
            "INT" => program::signal(client.id(), "INT"),
            "KILL" => server.program.signal("KILL"),
            _ => {}
        }
        assert_eq!(client.wait().unwrap().code(), Some(code), "{stay} {end}");
    }
}

/// A full pipe: both its ends.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    use rustix::fs::{OFlags, fcntl_setfl};
    let (reader, mut writer) = std::io::pipe().unwrap();
    fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
    while std::io::Write::write(&mut writer, &[b'x'; 4_096]).is_ok() {}
    while std::io::Write::write(&mut writer, b"x").is_ok() {}
    fcntl_setfl(&writer, OFlags::empty()).unwrap();
    (reader, writer)
}

fn a_file_at_its_size_limit_ends_neither_server_nor_client() {
    let args = ["--history", "h.jsonl", "--log-file", "log", "--rate-limit", "off"];
    let mut server = server_after("ulimit -f 8", &args);
    let mut alice = server.join("alice");
    let long = "x".repeat(990);
    (0..20).for_each(|_| alice.type_line(&long));
    alice.next_where("status", |event| {
        event["text"].as_str().unwrap().contains("the chat goes on, but the history does not")
    });
    assert_eq!(alice.leave(), Some(0));
    let args = ["client", &server.address.to_string(), "--nick", "b", "--cache", "c.json"];
    let dir = server.dir.path().to_owned();
    let mut bob = Program::start_by(after("ulimit -f 0"), &dir, &args);
    bob.type_line("hi");
    bob.end_input();
    assert_eq!(bob.wait(), Some(0), "{}", bob.output());
    assert!(bob.output().contains("the last lines are not kept"), "{}", bob.output());
    server.program.signal("INT");
    assert_eq!(server.program.wait(), Some(0));
}

/// The pause between two transmissions is an option of the operator; the shutdown does not wait for
/// it.
fn a_server_with_a_long_flush_interval_stops_at_once() {
    let config = chatagram::server::Config {
        bind: vec![([127, 0, 0, 1], 0).into()],
        tcp: false,
        quic: None,
        no_delay: true,
        discovery: false,
        pace: Duration::from_secs(3_600),
        copies: chatagram::link::Copies::Auto,
        impair: None,
        history: None,
        engine: None,
        metrics: None,
        waits: None,
        metrics_hosts: Vec::new(),
        web: None,
        script: None,
        hub: hub::Config {
            room: "room".to_owned(),
            heartbeat: Duration::from_secs(2),
            capacity: Capacity { peers: 8, peers_per_ip: 8, expiry: Duration::from_secs(10) },
            replay: 10,
            limit: None,
            discovery: None,
        },
    };
    let server = chatagram::server::Server::start(config).unwrap();
    let (address, stopper) = (server.addresses().next().unwrap(), server.stopper());
    let serving = std::thread::spawn(|| server.run());
    let dir = tempfile::tempdir().unwrap();
    let args = ["client", &address.to_string(), "--nick", "a", "--no-cache", "--output", "json"];
    let mut alice = Program::start(dir.path(), &args);
    alice.next("closed");
    stopper.stop();
    serving.join().unwrap().unwrap();
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap()
}

tests! {
    signals_that_the_parent_ignores_stay_ignored,
    sighup_reopens_the_log_and_the_room_goes_on,
    a_removed_log_is_replaced_and_both_files_are_private,
    a_pipe_without_a_reader_is_refused_as_a_log,
    a_full_or_closed_standard_stream_changes_no_exit_code,
    closed_standard_streams_are_replaced_by_dev_null,
    an_unread_log_does_not_stop_the_room_and_dropped_messages_are_counted,
    a_client_with_unread_output_ends_in_time,
    a_file_at_its_size_limit_ends_neither_server_nor_client,
    a_server_with_a_long_flush_interval_stops_at_once,
}
