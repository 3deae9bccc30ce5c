//! Servers that stop, restart or die, and clients that leave, expire and return.

use crate::program::{Program, Server, free_port};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub(super) fn a_stopping_server_tells_every_client() {
    let mut server = Server::start(&[]);
    let mut alice = server.join("alice");
    server.program.signal("INT");
    assert_eq!(alice.next("closed")["reason"], "shutdown");
    assert_eq!(alice.wait(), Some(0));
    assert_eq!(server.program.wait(), Some(0));
}

/// A service manager restarts a server in this way: SIGTERM, then a new process at the same
/// address.
pub(super) fn clients_return_to_a_restarted_server_with_the_lines_typed_meanwhile() {
    for transport in ["udp", "tcp"] {
        let bind = format!("127.0.0.1:{}", free_port());
        let history = ["--history", "h.jsonl"];
        let mut server = Server::start_at(&bind, tempfile::tempdir().unwrap(), &history);
        let join = |server: &Server, name: &str| {
            let args = ["--no-cache", "--stay", "forever", "--transport", transport];
            let mut client = server.client(name, &args);
            client.next("welcome");
            client
        };
        let (mut alice, mut bob) = (join(&server, "alice"), join(&server, "bob"));
        alice.type_line("before");
        bob.next_where("message", |event| event["text"] == "before");
        server.program.signal("TERM");
        for client in [&mut alice, &mut bob] {
            client.next_where("status", |event| event["text"] == "the server is restarting");
        }
        assert_eq!(server.program.wait(), Some(0));
        alice.type_line("meanwhile");
        let server = Server::start_at(&bind, server.dir, &history);
        for client in [&mut alice, &mut bob] {
            client.next("welcome");
        }
        alice.type_line("after");
        bob.next_where("message", |event| event["text"] == "after");
        let shown = [bob.events("history"), bob.events("message")].concat();
        let mut texts: Vec<_> = shown.iter().map(|event| event["text"].as_str().unwrap()).collect();
        texts.sort_unstable();
        assert_eq!(texts, ["after", "before", "meanwhile"], "{transport}");
        for client in [&mut alice, &mut bob] {
            assert_eq!(client.leave(), Some(0), "{}", client.output());
        }
        drop(server);
    }
}

pub(super) fn clients_give_up_a_server_that_does_not_return_from_a_restart() {
    let mut server = Server::start(&[]);
    let mut alice = server.client("alice", &["--no-cache", "--give-up", "1s"]);
    alice.next("welcome");
    server.program.signal("TERM");
    assert_eq!(alice.next("closed")["reason"], "lost");
    assert_eq!((alice.wait(), server.program.wait()), (Some(5), Some(0)));
}

pub(super) fn signals_make_a_client_say_goodbye() {
    let server = Server::start(&[]);
    let mut watcher = server.join("watcher");
    for signal in ["INT", "TERM"] {
        let mut alice = server.join("alice");
        alice.signal(signal);
        assert_eq!(alice.wait(), Some(0));
        assert_eq!(watcher.next("left")["reason"], "quit");
    }
}

pub(super) fn a_killed_client_expires() {
    let server = Server::start(&[]);
    let mut watcher = server.join("watcher");
    server.join("alice").kill();
    let left = watcher.next("left");
    assert_eq!((&left["nickname"], &left["reason"]), (&json!("alice"), &json!("timeout")));
}

/// As when a laptop sleeps: the client is stopped, and the room goes on without it.
pub(super) fn a_client_that_stood_still_past_its_expiry_is_back_within_five_seconds() {
    let server = Server::start(&[]);
    let mut bob = server.join("bob");
    for transport in ["udp", "tcp"] {
        let args = ["--no-cache", "--stay", "forever", "--transport", transport];
        let mut alice = server.client("alice", &args);
        alice.next("welcome");
        let lines = [1, 2, 3, 4].map(|n| format!("{transport} {n}"));
        let shows = |client: &mut Program, text: &str| {
            client.line(text, |line| {
                serde_json::from_str(line).is_ok_and(|e: Value| e["text"] == text)
            });
        };
        bob.type_line(&lines[0]);
        shows(&mut alice, &lines[0]);
        alice.signal("STOP");
        bob.type_line(&lines[1]);
        let left = bob.next_where("left", |e| e["nickname"] == "alice");
        assert_eq!(left["reason"], "timeout");
        bob.type_line(&lines[2]);
        let woken = Instant::now();
        alice.signal("CONT");
        alice.next("welcome");
        let took = woken.elapsed();
        assert!(took < Duration::from_secs(5), "{transport}: back after {took:?}");
        shows(&mut alice, &lines[2]);
        bob.type_line(&lines[3]);
        shows(&mut alice, &lines[3]);
        let events = [alice.events("history"), alice.events("message")].concat();
        for line in lines {
            let times = events.iter().filter(|e| e["text"] == line.as_str()).count();
            assert_eq!(times, 1, "{line}: {}", alice.output());
        }
        assert_eq!(alice.leave(), Some(0), "{}", alice.output());
        bob.next_where("left", |e| e["reason"] == "quit");
        println!("{transport}: back after {took:.0?}");
    }
}

pub(super) fn every_client_returns_to_a_killed_server_and_shows_no_line_twice() {
    let dir = tempfile::tempdir().unwrap();
    let bind = format!("127.0.0.1:{}", free_port());
    let history = ["--history", "h.jsonl"];
    let server = Server::start_at(&bind, dir, &history);
    let [mut alice, mut bob, mut carl] = ["alice", "bob", "carl"].map(|name| server.join(name));
    alice.type_line("before");
    for client in [&mut bob, &mut carl] {
        assert_eq!(client.next("message")["text"], "before");
    }
    let Server { program, dir, .. } = server;
    program.kill();
    alice.type_line("while nobody listens");
    let _server = Server::start_at(&bind, dir, &history);
    for client in [&mut alice, &mut bob, &mut carl] {
        client.next("welcome");
    }
    bob.type_line("after");
    assert_eq!(alice.next_where("message", |e| e["text"] == "after")["from"], "bob");
    for client in [&mut bob, &mut carl] {
        let shown = |e: &Value| e["text"] == "while nobody listens";
        client.line("alice's line", |line| serde_json::from_str(line).is_ok_and(|e| shown(&e)));
    }
    for client in [alice, bob, carl] {
        let mut texts: Vec<_> = [client.events("message"), client.events("history")]
            .concat()
            .iter()
            .map(|e| e["text"].to_string())
            .collect();
        let all = texts.len();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), all, "{}", client.output());
    }
}
