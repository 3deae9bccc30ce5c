//! A server with several addresses: each answers, and sessions survive changes of routes and
//! addresses.

use super::{assert_same_session, expect_lines, join, serve};
use crate::machines::{Lan, Machine};
use std::process::Command;

/// Further addresses of a machine: a second one of its interface, in both families, and one of lo.
const FURTHER: [(&str, &str); 4] = [
    ("10.7.0.11/24", "eth0"),
    ("10.79.0.1/32", "lo"),
    ("fd07::1/64", "eth0"),
    ("fd07::11/64", "eth0"),
];

fn multihomed(lan: &Lan) -> (Machine, Machine) {
    let (server, client) = (lan.machine("server", 1), lan.machine("client", 2));
    for (address, device) in FURTHER {
        server.ip(&format!("addr add {address} dev {device} {}", no_dad(address)));
    }
    client.ip("addr add fd07::2/64 dev eth0 nodad");
    client.ip("route add 10.79.0.1 via 10.7.0.1");
    (server, client)
}

fn no_dad(address: &str) -> &str {
    if address.contains(':') { "nodad" } else { "" }
}

pub(crate) fn each_address_answers() {
    let lan = Lan::new();
    let (server, client) = multihomed(&lan);
    let _process = serve(&lan, &server, &[]);
    let elsewhere =
        ["10.7.0.1", "10.7.0.11", "10.79.0.1", "[::ffff:10.7.0.11]", "fd07::1", "fd07::11"];
    let here = ["[::]:2428", "0.0.0.0", "127.0.0.2", "127.0.1.1", "10.79.0.1", "fd07::11", "::1"];
    let both = [(&client, &elsewhere[..]), (&client, &["[fe80::1%eth0]"]), (&server, &here)];
    for (machine, addresses) in both {
        for address in addresses {
            for transport in ["udp", "tcp"] {
                let args = ["client", address, "--nick", "alice", "--transport", transport];
                let mut alice = lan.start(machine, &[&args[..], &["--no-cache"]].concat());
                alice.type_line("hello");
                assert_eq!(alice.leave(), Some(0), "{transport} to {address}: {}", alice.output());
            }
        }
    }
}

/// Datagrams that leave in one system call, as batches too, leave from the address that was asked.
pub(crate) fn pasted_page() {
    const LINES: usize = 300;
    let lan = Lan::new();
    let (server, client) = multihomed(&lan);
    let _process = serve(&lan, &server, &["--replay", "300", "--rate-limit", "off"]);
    for (address, first) in [("10.79.0.1", "alice"), ("fd07::11", "carl")] {
        let mut listeners = ["bob", "dave"].map(|name| join(&lan, &client, name, &[address]));
        let mut pasting = join(&lan, &client, first, &[address]);
        let page: String = (0..LINES).map(|n| format!("line {n}\n")).collect();
        pasting.write(page.as_bytes());
        for listener in &mut listeners {
            expect_lines(listener, first, LINES);
            assert_same_session(listener);
        }
        let mut late = join(&lan, &client, "late", &[address]);
        late.line("the end of the replay", |line| line.contains(&format!("line {}\"", LINES - 1)));
        assert_eq!(late.events("history").len(), LINES);
        for mut peer in listeners.into_iter().chain([pasting, late]) {
            assert_eq!(peer.leave(), Some(0), "{}", peer.output());
        }
    }
}

/// A better route, such as a VPN, appears during a chat: first for the server, then for the client.
pub(crate) fn route_appears() {
    let lan = Lan::new();
    let (server, client) = (lan.machine("server", 1), lan.machine("client", 2));
    let mut process = serve(&lan, &server, &[]);
    let mut alice = join(&lan, &client, "alice", &["10.7.0.1"]);
    let mut bob = join(&lan, &server, "bob", &["127.0.0.1"]);
    alice.type_line("line 0");
    server.ip(&format!("link add vpn0 type veth peer name vpn0 netns {}", client.name()));
    for (machine, address) in [(&server, "10.8.0.1/24"), (&client, "10.8.0.2/24")] {
        for device in ["all", "eth0", "vpn0"] {
            let loose = format!("echo 0 >/proc/sys/net/ipv4/conf/{device}/rp_filter");
            run(machine.command("sh").args(["-c", &loose]));
        }
        machine.ip(&format!("addr add {address} dev vpn0"));
        machine.ip("link set vpn0 up");
    }
    // The server now sends over another link than it receives from, and routing prefers the other
    // source address.
    server.ip("route add 10.7.0.2/32 via 10.8.0.2 src 10.8.0.1");
    bob.type_line("heard you");
    alice.next_where("message", |e| e["text"] == "heard you");
    alice.type_line("line 1");
    client.ip("route add 10.7.0.1/32 via 10.8.0.1 src 10.8.0.2");
    alice.type_line("line 2");
    process.line("the move", |line| line.contains("alice is at 10.8.0.2:"));
    bob.type_line("and there");
    alice.next_where("message", |e| e["text"] == "and there");
    expect_lines(&mut bob, "alice", 3);
    assert_same_session(&alice);
}

/// The address at which a client joined disappears, and the server has a line for the client, which
/// follows it.
pub(crate) fn address_disappears() {
    let lan = Lan::new();
    let (server, client) = multihomed(&lan);
    let _process = serve(&lan, &server, &[]);
    let mut alice = join(&lan, &client, "alice", &["10.7.0.11"]);
    let mut carl = join(&lan, &client, "carl", &["fd07::11"]);
    let mut bob = join(&lan, &client, "bob", &["10.7.0.1"]);
    server.ip("addr del 10.7.0.11/24 dev eth0");
    server.ip("addr del fd07::11/64 dev eth0");
    bob.type_line("line 0");
    for (peer, address) in [(&mut alice, "10.7.0.1:2428"), (&mut carl, "[fd07::1]:2428")] {
        let moved = format!("the server is at {address} now");
        peer.next_where("status", |e| e["text"] == moved.as_str());
        expect_lines(peer, "bob", 1);
        peer.type_line("heard you");
        bob.next_where("message", |e| e["text"] == "heard you");
        assert_same_session(peer);
    }
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
