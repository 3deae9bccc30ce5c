//! The built program over QUIC, on the loopback interface.

use crate::program::{Program, Server, free_port};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const QUIC: &[&str] = &["--transport", "quic"];
const TCP: &[&str] = &["--transport", "tcp"];
const ORDERED: &[&str] = &["--delivery", "reliable-ordered"];

fn join(server: &Server, name: &str, how: &[&str]) -> Program {
    let args = [&["--no-cache", "--stay", "forever"], how].concat();
    let mut client = server.client(name, &args);
    client.next("welcome");
    client
}

/// A client over QUIC in each mode, beside one over UDP and one over TCP.
fn a_room_holds_quic_in_every_mode() {
    let server = Server::start(&["--history", "h.jsonl"]);
    let modes = ["unreliable", "reliable-unordered", "reliable-ordered"];
    let over_quic = modes.map(|mode| [QUIC, &["--delivery", mode]].concat());
    let kinds: [(&str, &[&str]); 5] = [
        ("alice", &over_quic[0]),
        ("bob", &over_quic[1]),
        ("carl", &over_quic[2]),
        ("dora", TCP),
        ("eve", ORDERED),
    ];
    let mut clients = kinds.map(|(name, how)| join(&server, name, how));
    let long = format!("a long line: {}", "x".repeat(900));
    for (client, (name, _)) in clients.iter_mut().zip(kinds) {
        client.type_line(&format!("here is {name}"));
        client.type_line(&long);
    }
    for (client, (name, _)) in clients.iter_mut().zip(kinds) {
        for (other, _) in kinds.iter().filter(|(other, _)| *other != name) {
            for text in [&format!("here is {other}"), &long] {
                client.has_said(text, |line| {
                    serde_json::from_str::<Value>(line).is_ok_and(|event| {
                        event["event"] == "message"
                            && event["from"] == *other
                            && event["text"] == **text
                    })
                });
            }
        }
    }
    let [mut alice, mut bob, ..] = clients;
    alice.type_line("@bob only you");
    let whisper = bob.next_where("message", |event| event["private"] == true);
    assert_eq!((&whisper["text"], &whisper["from"]), (&json!("only you"), &json!("alice")));
    bob.type_line("/stats");
    let stats = bob.next("stats");
    assert_eq!((&stats["transport"], &stats["delivery"]), (&json!("quic"), &json!(modes[1])));
    let quic = &stats["quic"];
    assert!(quic["packets_sent"].as_u64() > Some(0) && quic["rtt_ms"].as_f64() > Some(0.0));
    assert!(quic["congestion_window"].as_u64() > Some(1_200), "{quic}");
    bob.type_line("/who");
    let who = bob.next("who");
    let alice_there = who["peers"].as_array().unwrap().iter().find(|it| it["nickname"] == "alice");
    assert_eq!(alice_there.unwrap()["transport"], "quic", "{who}");
    alice.type_line("/quit");
    assert_eq!(alice.wait(), Some(0), "{}", alice.output());
    let left = bob.next("left");
    assert_eq!((&left["nickname"], &left["reason"]), (&json!("alice"), &json!("quit")));
}

fn quic_refuses_and_closes_as_tcp_does() {
    let mut server = Server::start(&[]);
    let mut alice = join(&server, "alice", QUIC);
    let mut other = server.client("ALICE", &[&["--no-cache"], QUIC].concat());
    assert_eq!(other.wait(), Some(4), "{}", other.output());
    assert!(other.output().contains("in use"), "{}", other.output());
    server.program.signal("INT");
    assert_eq!(alice.next("closed")["reason"], "shutdown");
    assert_eq!((alice.wait(), server.program.wait()), (Some(0), Some(0)));
}

fn a_server_without_quic_is_not_reached_over_it() {
    let server = Server::start(&["--no-quic"]);
    let mut alice = server.client("alice", &[&["--no-cache"], QUIC].concat());
    assert_eq!(alice.wait(), Some(3), "{}", alice.output());
    assert!(alice.output().contains("QUIC"), "{}", alice.output());
    join(&server, "bob", ORDERED);
}

fn quic_can_have_an_address_of_its_own() {
    let port = free_port();
    let server = Server::start(&["--quic", &format!("127.0.0.1:{port}")]);
    let mut bob = join(&server, "bob", ORDERED);
    let dir = tempfile::tempdir().unwrap();
    let place = format!("127.0.0.1:{port}");
    let args = ["client", &place, "--nick", "alice", "--no-cache", "--output", "json"];
    let mut alice = Program::start(dir.path(), &[&args[..], QUIC].concat());
    alice.type_line("by the side door");
    bob.hear("by the side door");
    let mut carl = server.client("carl", &[&["--no-cache"], QUIC].concat());
    assert_eq!(carl.wait(), Some(3), "{}", carl.output());
    // A firewall may open that port alone: it is no second door for UDP.
    let args = ["client", &place, "--nick", "dora", "--no-cache"];
    let mut dora = Program::start(dir.path(), &args);
    assert_eq!(dora.wait(), Some(3), "{}", dora.output());
}

fn a_killed_quic_client_expires() {
    let server = Server::start(&[]);
    let mut watcher = join(&server, "watcher", ORDERED);
    join(&server, "alice", QUIC).kill();
    let left = watcher.next("left");
    assert_eq!((&left["nickname"], &left["reason"]), (&json!("alice"), &json!("timeout")));
}

/// The network in front of the client is that of `--impair`, which treats QUIC's packets too.
fn quic_repairs_what_an_impaired_network_loses() {
    let server = Server::start(&["--impair", "loss 20%", "--rate-limit", "off"]);
    let mut alice = join(&server, "alice", QUIC);
    let mut bob = join(&server, "bob", &[QUIC, &["--delivery", "reliable-unordered"]].concat());
    (0..50).for_each(|number| alice.type_line(&format!("number {number}")));
    let mut left: BTreeSet<_> = (0..50).map(|number| format!("number {number}")).collect();
    while !left.is_empty() {
        let event = bob.next("message");
        assert!(left.remove(event["text"].as_str().unwrap()), "twice: {event}");
    }
}

/// Clients over QUIC and UDP come back to a server that was killed, with every line once.
fn quic_clients_return_to_a_restarted_server() {
    let bind = format!("127.0.0.1:{}", free_port());
    let history = ["--history", "h.jsonl"];
    let server = Server::start_at(&bind, tempfile::tempdir().unwrap(), &history);
    let mut clients = [("alice", QUIC), ("bob", QUIC)].map(|(name, how)| join(&server, name, how));
    clients[0].type_line("before");
    clients[1].hear("before");
    let Server { program, dir, .. } = server;
    program.kill();
    let _server = Server::start_at(&bind, dir, &history);
    clients.iter_mut().for_each(|client| drop(client.next("welcome")));
    clients[0].type_line("after");
    clients[1].hear("after");
    assert_eq!(clients[1].events("message").len(), 2, "{}", clients[1].output());
}

tests! {
    a_room_holds_quic_in_every_mode,
    quic_refuses_and_closes_as_tcp_does,
    a_server_without_quic_is_not_reached_over_it,
    quic_can_have_an_address_of_its_own,
    a_killed_quic_client_expires,
    quic_repairs_what_an_impaired_network_loses,
    quic_clients_return_to_a_restarted_server,
}
