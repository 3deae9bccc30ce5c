//! The built program over QUIC, on the loopback interface.

use crate::program::{Program, Server, free_port};
use chatagram::lab::record::read_run;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

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
    let server = Server::start(&["--impair", "loss 10%", "--rate-limit", "off"]);
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

/// Each end has its own congestion control, and says so where another transport has none.
fn each_end_chooses_its_congestion_control() {
    let server = Server::start(&["--congestion", "bbr"]);
    let mut alice = join(&server, "alice", &[QUIC, &["--congestion", "new-reno"]].concat());
    alice.type_line("/stats");
    assert_eq!(alice.next("stats")["quic"]["congestion_control"], "new-reno");
    let out = tempfile::tempdir().unwrap();
    let run = out.path().join("run");
    let args = ["load", &server.address.to_string(), "--out", run.to_str().unwrap()];
    let short = ["--duration", "200ms", "--rate", "5", "--congestion", "bbr"];
    let mut load = Program::start(out.path(), &[&args[..], &short, QUIC].concat());
    assert_eq!(load.wait(), Some(0), "{}", load.output());
    let info = read_run(&run).unwrap().info.unwrap();
    assert_eq!(info.congestion_control.as_deref(), Some("bbr"));
    for (args, wanted) in [
        (&["client", "127.0.0.1", "--nick", "bob", "--congestion", "bbr"][..], "--transport quic"),
        (&[&args[..], &["--congestion", "bbr"], TCP].concat(), "TCP's congestion control"),
        (&["server", "--no-quic", "--congestion", "bbr"], "cannot be used with"),
        (&["server", "--congestion", "reno"], "new-reno"),
    ] {
        let mut refused = Program::start(out.path(), args);
        assert_eq!(refused.wait(), Some(2), "{}", refused.output());
        assert!(refused.output().contains(wanted), "{}", refused.output());
    }
}

/// Both ends write the same secrets, as Wireshark reads them.
fn both_ends_write_their_keys_to_the_key_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = |name: &str| dir.path().join(name);
    let start = |name: &str, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
        command.env("SSLKEYLOGFILE", log(name));
        Program::start_by(command, dir.path(), args)
    };
    let mut server = start("server", &["server", "--bind", "127.0.0.1:0", "--no-history"]);
    let line = server.line("address", |line| line.starts_with("listening on "));
    let args = ["client", &line["listening on ".len()..], "--nick", "alice", "--no-cache"];
    let mut alice = start("client", &[&args[..], &["--output", "json"], QUIC].concat());
    alice.next("welcome");
    assert_eq!(alice.leave(), Some(0), "{}", alice.output());
    let secrets = |name: &str| -> BTreeSet<String> {
        fs::read_to_string(log(name)).unwrap().lines().map(str::to_owned).collect()
    };
    let (ours, its) = (secrets("client"), secrets("server"));
    let kinds: Vec<_> = ours.iter().map(|line| line.split(' ').next().unwrap()).collect();
    for kind in ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    assert_eq!(ours, its);
}

tests! {
    a_room_holds_quic_in_every_mode,
    each_end_chooses_its_congestion_control,
    both_ends_write_their_keys_to_the_key_log,
    quic_refuses_and_closes_as_tcp_does,
    a_server_without_quic_is_not_reached_over_it,
    quic_can_have_an_address_of_its_own,
    a_killed_quic_client_expires,
    quic_repairs_what_an_impaired_network_loses,
    quic_clients_return_to_a_restarted_server,
}
