//! Clients with several servers, as processes over loopback: one server goes, and they move on.

use crate::program::{Program, Server};
use serde_json::json;
use std::thread;

/// A client that was given both servers, in the room of the first.
fn join(servers: [&Server; 2], name: &str, transport: &str) -> Program {
    let [first, second] = servers.map(|it| it.address.to_string());
    let both = format!("{first},{second}");
    let args = ["client", &both, "--nick", name, "--output", "json", "--no-cache", "--stay"];
    let args = [&args[..], &["forever", "--transport", transport]].concat();
    let mut client = Program::start(servers[0].dir.path(), &args);
    assert_eq!(client.next("welcome")["server"], json!(first));
    client
}

/// Waits until the client is at the other server, and has said what that means.
fn arrive(client: &mut Program, servers: [&Server; 2]) {
    let [lost, other] = servers.map(|it| it.address.to_string());
    client.has_said("the lost server", |line| {
        line.contains(&format!("the server at {lost} is lost: trying {other}"))
    });
    let back = client.next("welcome");
    assert_eq!((&back["server"], back["nickname"].is_string()), (&json!(other), true));
    client.status("this server has another history");
}

/// `end` is the signal that ends the first server.
fn clients_move_to_the_other_server(transport: &str, end: &str) {
    let (mut first, second) = (Server::start(&["--no-history"]), Server::start(&["--no-history"]));
    let mut alice = join([&first, &second], "alice", transport);
    let mut bob = join([&first, &second], "bob", transport);
    alice.type_line("here");
    bob.hear("here");
    first.program.signal(end);
    first.program.wait();
    arrive(&mut alice, [&first, &second]);
    arrive(&mut bob, [&first, &second]);
    alice.type_line("there");
    bob.hear("there");
    bob.type_line("too");
    alice.hear("too");
    for (client, said) in [(&mut alice, &["too"][..]), (&mut bob, &["here", "there"])] {
        let texts: Vec<_> = client.events("message").iter().map(|it| it["text"].clone()).collect();
        assert_eq!(texts, said, "each line once");
        client.type_line("/quit");
        assert_eq!(client.wait(), Some(0));
    }
}

fn clients_of_a_killed_server_move_to_the_other_one() {
    // Over UDP they notice after five seconds.
    let udp = thread::spawn(|| clients_move_to_the_other_server("udp", "KILL"));
    clients_move_to_the_other_server("tcp", "KILL");
    udp.join().unwrap();
}

fn clients_of_a_server_that_closes_move_to_the_other_one() {
    for transport in ["udp", "tcp"] {
        for end in ["INT", "TERM"] {
            clients_move_to_the_other_server(transport, end);
        }
    }
}

fn a_dead_server_among_several_delays_a_join_and_does_not_fail_it() {
    let mut dead = Server::start(&["--no-history"]);
    dead.program.signal("KILL");
    dead.program.wait();
    let alive = Server::start(&["--no-history"]);
    for transport in ["udp", "tcp"] {
        let both = format!("{},{}", dead.address, alive.address);
        let args = ["client", &both, "--nick", "alice", "--output", "json", "--no-cache"];
        let mut client =
            Program::start(alive.dir.path(), &[&args[..], &["--transport", transport]].concat());
        client.type_line("hello");
        client.end_input();
        assert_eq!(client.next("welcome")["server"], json!(alive.address.to_string()));
        assert_eq!(client.wait(), Some(0), "{}", client.output());
    }
}

fn a_name_that_cannot_be_resolved_does_not_keep_the_others_away() {
    let server = Server::start(&["--no-history"]);
    let both = format!("nowhere.invalid,{}", server.address);
    let args = ["client", &both, "--nick", "alice", "--output", "json", "--no-cache"];
    let mut client = Program::start(server.dir.path(), &args);
    client.end_input();
    assert!(client.next("error")["message"].as_str().unwrap().contains("nowhere.invalid"));
    client.next("welcome");
    assert_eq!(client.wait(), Some(0));
}

tests! {
    clients_of_a_killed_server_move_to_the_other_one,
    clients_of_a_server_that_closes_move_to_the_other_one,
    a_dead_server_among_several_delays_a_join_and_does_not_fail_it,
    a_name_that_cannot_be_resolved_does_not_keep_the_others_away,
}
