//! `scripts/minimal_client.py`, written from `proto.md` alone, against the built program: the text
//! suffices to write a client.

use crate::needs::needs;
use crate::program::{Program, Server};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/minimal_client.py")
}

/// Starts the script as a child process.
fn start(server: SocketAddr, nick: &str) -> Program {
    needs(&["python3"]);
    let mut command = Command::new("python3");
    command.arg(script()).env("PYTHONUTF8", "1");
    let args = [&*server.to_string(), nick];
    Program::start_by(command, Path::new(env!("CARGO_TARGET_TMPDIR")), &args)
}

/// A client in the room, which then has `peers` members.
fn join(server: SocketAddr, nick: &str, peers: usize) -> Program {
    let mut client = start(server, nick);
    expect(&mut client, &format!("* welcome to the room, {nick}: {peers} here"));
    client
}

/// Reads until this line.
fn expect(client: &mut Program, wanted: &str) {
    client.line(wanted, |line| line == wanted);
}

fn it_talks_with_the_real_client_and_says_goodbye() {
    let server = Server::start(&["--no-history"]);
    let mut bob = server.join("bob");
    let mut alice = join(server.address, "alice", 2);
    let joined = bob.next("joined");
    assert_eq!((&joined["nickname"], &joined["peers"]), (&json!("alice"), &json!(2)));
    alice.type_line("hello, 世界");
    let heard = bob.next("message");
    assert_eq!((&heard["from"], &heard["text"]), (&json!("alice"), &json!("hello, 世界")));
    bob.type_line("hello yourself");
    expect(&mut alice, "bob: hello yourself");
    bob.type_line("@alice only you");
    expect(&mut alice, "bob whispers: only you");
    bob.type_line("\u{1b}[2J and \u{202e} gone");
    expect(&mut alice, "bob: \u{fffd}[2J and \u{fffd} gone");
    let mut carl = server.join("carl");
    expect(&mut alice, "* carl joined, 3 here");
    carl.type_line("exit");
    expect(&mut alice, "* carl left, 2 here");
    alice.type_line("exit");
    assert_eq!(alice.wait(), Some(0), "{}", alice.output());
    let left = bob.next_where("left", |e| e["nickname"] == "alice");
    assert_eq!((&left["peers"], &left["reason"]), (&json!(1), &json!("quit")));
}

fn it_stays_by_heartbeats_and_leaves_when_interrupted() {
    // The server expires a client after 3 s of silence.
    let server = Server::start(&["--no-history"]);
    let mut bob = server.join("bob");
    let mut alice = join(server.address, "alice", 2);
    std::thread::sleep(Duration::from_secs(4));
    bob.type_line("still here?");
    expect(&mut alice, "bob: still here?");
    alice.signal("INT");
    assert_eq!(alice.wait(), Some(0), "{}", alice.output());
    assert_eq!(bob.next("left")["reason"], "quit");
}

fn a_name_that_is_taken_is_refused_with_exit_code_4() {
    let server = Server::start(&["--no-history"]);
    let _bob = server.join("bob");
    let mut second = start(server.address, "BOB");
    assert_eq!(second.wait(), Some(4), "{}", second.output());
    let output = second.output();
    assert!(output.starts_with("* refused: ") && output.contains("in use"), "{output}");
}

fn without_an_answer_it_gives_up_with_exit_code_3() {
    // A bound socket, so that the kernel does not report the port as unreachable.
    let deaf = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut alice = start(deaf.local_addr().unwrap(), "alice");
    assert_eq!(alice.wait(), Some(3), "{}", alice.output());
}

fn a_pipe_of_300_lines_is_delivered_whole_and_in_order() {
    let server = Server::start(&["--no-history", "--rate-limit", "20/100"]);
    let mut bob = server.join("bob");
    let mut alice = start(server.address, "alice");
    (0..300).for_each(|i| alice.type_line(&format!("line {i}")));
    let long = "й".repeat(1_234);
    alice.type_line(&long);
    alice.end_input();
    assert_eq!(alice.wait(), Some(0), "{}", alice.output());
    bob.next_where("left", |e| e["nickname"] == "alice");
    let texts: Vec<Value> = bob.events("message").iter().map(|e| e["text"].clone()).collect();
    let expected: Vec<Value> = (0..300).map(|i| json!(format!("line {i}"))).collect();
    assert_eq!(texts[..300], expected);
    let pieces: Vec<_> = texts[300..].iter().map(|text| text.as_str().unwrap()).collect();
    assert_eq!(pieces.concat(), long);
    assert!(pieces.iter().all(|piece| piece.len() <= 1_000), "{pieces:?}");
}

/// The server may send as many messages ahead of a lost one as its window allows (§7.4).
fn a_replay_of_300_lines_is_complete_and_in_order_despite_losses() {
    // Datagrams of the server to this client, counted from its `Welcome`.
    for impair in ["down: drop 2", "down: drop 3", "down: drop 2-4,6", "down: loss 10%"] {
        let server = ["--no-history", "--rate-limit", "off", "--replay", "300", "--impair", impair];
        let server = Server::start(&server);
        let mut teller = server.client("teller", &["--transport", "tcp"]);
        let lines: Vec<String> = (0..300).map(|i| format!("line {i}")).collect();
        lines.iter().for_each(|line| teller.type_line(line));
        teller.end_input();
        assert_eq!(teller.wait(), Some(0));
        let mut alice = start(server.address, "alice");
        expect(&mut alice, "teller: line 299");
        let output = alice.output();
        let told = output.lines().filter_map(|line| line.strip_prefix("teller: "));
        assert_eq!(told.collect::<Vec<_>>(), lines, "{impair}");
    }
}

fn it_is_short_and_needs_only_the_standard_library() {
    const STANDARD: [&str; 11] = [
        "contextlib",
        "queue",
        "secrets",
        "select",
        "signal",
        "socket",
        "struct",
        "sys",
        "threading",
        "time",
        "zlib",
    ];
    let text = std::fs::read_to_string(script()).unwrap();
    assert!(text.starts_with("#!/usr/bin/env python3\n"));
    assert!(text.lines().count() <= 260, "{} lines", text.lines().count());
    let mut imported = Vec::new();
    for line in text.lines().map(str::trim_start) {
        if let Some(names) = line.strip_prefix("import ") {
            imported.extend(names.split(',').map(str::trim));
        } else if let Some(rest) = line.strip_prefix("from ") {
            imported.extend(rest.split_whitespace().next());
        }
    }
    assert!(!imported.is_empty());
    for name in imported {
        assert!(STANDARD.contains(&name), "{name} is not known to be in the standard library");
    }
    assert!(!text.contains("__import__") && !text.contains("importlib"));
}

tests! {
    it_talks_with_the_real_client_and_says_goodbye,
    it_stays_by_heartbeats_and_leaves_when_interrupted,
    a_name_that_is_taken_is_refused_with_exit_code_4,
    without_an_answer_it_gives_up_with_exit_code_3,
    a_pipe_of_300_lines_is_delivered_whole_and_in_order,
    a_replay_of_300_lines_is_complete_and_in_order_despite_losses,
    it_is_short_and_needs_only_the_standard_library,
}
