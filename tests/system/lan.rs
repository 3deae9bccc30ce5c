//! Discovery, roaming and address translation on a network of namespaces: machines with addresses
//! of their own on a bridge, and a router with nftables.

mod addresses;
mod discovery;

use crate::machines::{self, Check, Lan, Machine};
use crate::needs::{Role, Test};
use crate::program::{DEADLINE, Program};
use serde_json::Value;
use std::thread;
use std::time::{Duration, Instant};

const CHECKS: &[Check] = &[
    (
        "a server is found by broadcast alone and by each group alone",
        discovery::each_destination_alone,
    ),
    (
        "a search without a result names the asked networks and possible reasons",
        discovery::no_server,
    ),
    #[cfg(feature = "quic")]
    ("a private room is found without its name, members and secret", discovery::private_room),
    ("with several servers the user has to name one", discovery::several),
    ("a server bound to one address answers from it, to its subnet only", discovery::one_address),
    ("the server listens on an interface that appears later", discovery::later_interface),
    ("a host name with dead addresses first is joined", discovery::dead_addresses),
    ("a failed join names the address and the reason", discovery::reasons),
    ("invitations name addresses that others can reach", discovery::invitations),
    ("a discovered room is found again at its new address", discovery::moved),
    ("the LAN is searched beside many other interfaces", discovery::many_interfaces),
    (
        "a server at a link-local address is joined through the named interface",
        discovery::link_local,
    ),
    (
        "no answer goes to a broadcast or group address, and none is larger than the probe",
        discovery::forged,
    ),
    ("one of three talking clients moves to another address", || roaming(&[])),
    #[cfg(feature = "quic")]
    ("a client over QUIC moves to another address", || roaming(&["--transport", "quic"])),
    ("no line is lost behind a NAT that rebinds every five seconds", behind_nat),
    ("refused sends count as losses", refused_sends),
    ("a thousand datagrams to closed ports affect no other client", dead_ports),
    ("long lines pass a link with a small MTU", small_mtu),
    ("long lines pass an MTU black hole, also after it changes", black_hole),
    ("a server answers at each of its addresses", addresses::each_address_answers),
    ("a pasted page arrives from a secondary address of the server", addresses::pasted_page),
    ("a better route appears during a chat", addresses::route_appears),
    ("clients follow a server whose address disappears", addresses::address_disappears),
];

pub(crate) const ROLES: &[Role] = &[
    ("lan", |args| machines::play(CHECKS, args)),
    ("send_forged_probe", discovery::send_forged_probe),
];

pub(crate) fn tests() -> Vec<Test> {
    machines::tests(module_path!(), "lan", CHECKS)
}

fn roaming(how: &[&str]) {
    let lan = Lan::new();
    let server = lan.machine("server", 1);
    let mut process = serve(&lan, &server, &[]);
    let names = [("alice", 2), ("bob", 3), ("carl", 4)];
    let machines = names.map(|(name, n)| (name, lan.machine(name, n)));
    let clients = machines.each_ref().map(|(name, machine)| join(&lan, machine, name, how));
    let [mut alice, mut bob, mut carl] = clients;
    let home = &machines[0].1;
    let mut said = 0..;
    let mut say = |count| {
        for n in said.by_ref().take(count) {
            alice.type_line(&format!("line {n}"));
        }
    };
    say(20);
    home.ip("addr del 10.7.0.2/24 dev eth0");
    say(20);
    home.ip("addr add 10.7.0.22/24 dev eth0");
    say(20);
    process.line("the move", |line| line.contains("alice is at 10.7.0.22:"));
    for other in [&mut bob, &mut carl] {
        expect_lines(other, "alice", 60);
        other.type_line("heard you");
        // At its new address.
        alice.next_where("message", |e| e["text"] == "heard you");
    }
    assert_same_session(&alice);
}

fn behind_nat() {
    const REBINDINGS: usize = 4;
    const PERIOD: Duration = Duration::from_secs(5);
    const PAUSE: Duration = Duration::from_millis(50);
    let lan = Lan::new();
    let server = lan.machine("server", 1);
    let mut process = serve(&lan, &server, &["--nat"]);
    let (router, inside) = (lan.machine("router", 9), Machine::new("inside"));
    router.ip(&format!("link add eth1 type veth peer name eth0 netns {}", inside.name()));
    for (machine, device, address) in
        [(&router, "eth1", "192.168.9.1"), (&inside, "eth0", "192.168.9.2")]
    {
        machine.ip(&format!("addr add {address}/24 dev {device}"));
        machine.ip(&format!("link set {device} up"));
    }
    inside.ip("route add default via 192.168.9.1");
    let forward = ["-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"];
    assert!(router.command("sh").args(forward).status().unwrap().success());
    router.rules(
        "table ip nat { chain out { type nat hook postrouting priority srcnat; \
         oifname eth0 masquerade fully-random; } }",
    );
    let outside = lan.machine("outside", 3);
    let mut alice = join(&lan, &inside, "alice", &["10.7.0.1"]);
    let mut bob = join(&lan, &outside, "bob", &[]);
    process.line("alice behind the router", |line| line.contains("alice joined from 10.7.0.9:"));
    let start = Instant::now();
    let mut lines = 0;
    for n in 1..=REBINDINGS {
        let next = start + PERIOD * n as u32;
        while Instant::now() < next {
            for client in [&mut alice, &mut bob] {
                client.type_line(&format!("line {lines}"));
            }
            lines += 1;
            thread::sleep(PAUSE);
        }
        // As a masquerading router does when its uplink returns: all translations at this address
        // are forgotten, and the next packet from inside gets another port.
        router.ip("addr del 10.7.0.9/24 dev eth0");
        router.ip("addr add 10.7.0.9/24 dev eth0");
    }
    for client in [&mut alice, &mut bob] {
        client.type_line(&format!("line {lines}"));
    }
    for _ in 0..REBINDINGS {
        process.line("the rebinding", |line| line.contains("alice is at 10.7.0.9:"));
    }
    expect_lines(&mut bob, "alice", lines + 1);
    expect_lines(&mut alice, "bob", lines + 1);
    assert_same_session(&alice);
}

/// EPERM, EHOSTUNREACH, EACCES and EINVAL for a while, at the server and at a client.
fn refused_sends() {
    let lan = Lan::new();
    let server = lan.machine("server", 1);
    let process = serve(&lan, &server, &[]);
    let machines = [2, 3, 4, 5, 6, 7].map(|n| lan.machine(&format!("m{n}-"), n));
    let mut clients = machines.each_ref().map(|machine| {
        let nick = format!("nick{}", machine.name().trim_start_matches('m').replace('-', "x"));
        join(&lan, machine, &nick, &["10.7.0.1"])
    });
    let kinds = [(3, "unreachable"), (4, "prohibit"), (5, "blackhole")];
    for (n, kind) in kinds {
        server.ip(&format!("route add {kind} 10.7.0.{n}/32"));
    }
    let deny = |who: &str| {
        format!(
            "table ip t {{ chain out {{ type filter hook output priority filter; {who} drop; }} }}"
        )
    };
    server.rules(&deny("ip daddr 10.7.0.6"));
    machines[5].rules(&deny("ip daddr 10.7.0.1"));
    let say = |clients: &mut [Program], lines: std::ops::Range<usize>| {
        for n in lines {
            clients[0].type_line(&format!("line {n}"));
        }
    };
    say(&mut clients, 0..50);
    let speaker = clients[0].events("welcome")[0]["nickname"].as_str().unwrap().to_owned();
    // The client that the server can reach receives the lines, although its own packets are
    // dropped.
    expect_lines(&mut clients[5], &speaker, 50);
    clients[5].type_line("said behind a wall");
    for (n, kind) in kinds {
        server.ip(&format!("route del {kind} 10.7.0.{n}/32"));
    }
    server.rules("");
    machines[5].rules("");
    say(&mut clients, 50..60);
    for client in &mut clients[1..] {
        expect_lines(client, &speaker, 60);
        assert_same_session(client);
    }
    clients[0].next_where("message", |e| e["text"] == "said behind a wall");
    end(process, clients);
}

/// Each is answered by ICMP port unreachable. Linux does not report it to unconnected sockets;
/// Windows reports it as error 10054 of a later receive, which the server skips.
fn dead_ports() {
    let lan = Lan::new();
    let server = lan.machine("server", 1);
    let process = serve(&lan, &server, &["--max-peers-per-ip", "200", "--rate-limit", "off"]);
    let (dead, living) = (lan.machine("dead", 2), lan.machine("living", 3));
    let mut alice = join(&lan, &living, "alice", &["10.7.0.1"]);
    let mut bob = join(&lan, &living, "bob", &["10.7.0.1"]);
    let args = ["load", "10.7.0.1", "--receivers", "99", "--out", "run", "--duration", "1h"];
    let mut many = lan.start(&dead, &args);
    alice.next_where("message", |e| e["from"] == "s1");
    many.signal("KILL");
    many.wait();
    dead.rules(
        "table inet filter { chain in { type filter hook input priority filter; \
         udp sport 2428 counter; } }",
    );
    let limits = "sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_msgs_per_sec=100000";
    assert!(dead.command("sh").args(["-c", limits]).status().unwrap().success());
    let mut lines = 0;
    let deadline = Instant::now() + DEADLINE;
    while dead.counted().0 < 1_000 {
        assert!(Instant::now() < deadline, "{} datagrams to dead ports", dead.counted().0);
        for _ in 0..10 {
            alice.type_line(&format!("line {lines}"));
            lines += 1;
        }
        expect_lines(&mut bob, "alice", lines);
    }
    let answered = dead.command("sh").args(["-c", "grep ^Icmp: /proc/net/snmp"]).output().unwrap();
    println!(
        "    {}",
        String::from_utf8_lossy(&answered.stdout).lines().last().unwrap_or_default()
    );
    // All hundred clients expire, and the others are told.
    let left = |e: &Value| e["reason"] == "timeout" && e["peers"] == 2;
    bob.next_where("left", left);
    alice.type_line("no_server else is here");
    bob.next_where("message", |e| e["text"] == "no_server else is here");
    [&alice, &bob].into_iter().for_each(assert_same_session);
    end(process, [alice, bob]);
}

/// The server's interface drops longer packets, and only its own machine is told (veth behaves like
/// a switch). The limit changes during the chat.
fn black_hole() {
    let lan = Lan::new();
    let server = lan.machine("server", 1);
    let _process = serve(&lan, &server, &[]);
    server.ip("link set eth0 mtu 1000");
    let machines = [("one", 2), ("two", 3), ("three", 4)].map(|(name, n)| lan.machine(name, n));
    let mut alice = join(&lan, &machines[0], "alice", &["10.7.0.1"]);
    let mut bob = join(&lan, &machines[1], "bob", &["10.7.0.1"]);
    let once = ["10.7.0.1", "--delivery", "unreliable"];
    let mut carl = join(&lan, &machines[2], "carl", &once);
    let line = |n: u32| format!("{n} {}", "x".repeat(990));
    let hears = |client: &mut Program, from: &str, n| {
        let text = line(n);
        client.next_where("message", |e| e["from"] == from && e["text"] == text.as_str());
    };
    carl.type_line(&line(0));
    hears(&mut alice, "carl", 0);
    hears(&mut bob, "carl", 0);
    for (n, mtu) in [1_000, 576, 1_500, 1_227, 700].into_iter().enumerate() {
        server.ip(&format!("link set eth0 mtu {mtu}"));
        for n in [2 * n as u32 + 1, 2 * n as u32 + 2] {
            alice.type_line(&line(n));
            hears(&mut bob, "alice", n);
            bob.type_line(&line(n));
            hears(&mut alice, "bob", n);
        }
    }
    // A client without knowledge of the path joins and receives the replay.
    let mut dave = join(&lan, &machines[2], "dave", &["10.7.0.1"]);
    dave.next_where("history", |e| e["text"] == line(10).as_str());
    for client in [&alice, &bob, &carl, &dave] {
        assert_same_session(client);
    }
}

/// A link with an MTU of 600 bytes, which a router reports to the server (RFC 1191). No end needs
/// to believe the report.
fn small_mtu() {
    let lan = Lan::new();
    let server = lan.machine("server", 1);
    let _process = serve(&lan, &server, &[]);
    let (router, inside) = (lan.machine("router", 9), Machine::new("inside"));
    router.ip(&format!(
        "link add eth1 mtu 600 type veth peer name eth0 mtu 600 netns {}",
        inside.name()
    ));
    for (machine, device, address) in
        [(&router, "eth1", "192.168.9.1"), (&inside, "eth0", "192.168.9.2")]
    {
        machine.ip(&format!("addr add {address}/24 dev {device}"));
        machine.ip(&format!("link set {device} up"));
    }
    inside.ip("route add default via 192.168.9.1");
    let forward = ["-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"];
    assert!(router.command("sh").args(forward).status().unwrap().success());
    let outside = lan.machine("outside", 3);
    for machine in [&server, &outside] {
        machine.ip("route add 192.168.9.0/24 via 10.7.0.9");
    }
    let mut alice = join(&lan, &inside, "alice", &["10.7.0.1"]);
    let mut bob = join(&lan, &outside, "bob", &["10.7.0.1"]);
    let mut carl = join(&lan, &outside, "carl", &["10.7.0.1"]);
    let filling = "x".repeat(900);
    for n in 0..20 {
        for client in [&mut alice, &mut bob] {
            client.type_line(&format!("{filling} {n}"));
        }
    }
    for (client, from) in [(&mut alice, "bob"), (&mut bob, "alice"), (&mut carl, "alice")] {
        for n in 0..20 {
            let text = format!("{filling} {n}");
            client.next_where("message", |e| e["from"] == from && e["text"] == text.as_str());
        }
        assert_same_session(client);
    }
}

pub(crate) fn serve(lan: &Lan, machine: &Machine, args: &[&str]) -> Program {
    let mut server = lan.start(machine, &[&["server", "--no-history"], args].concat());
    server.line("address", |line| line.starts_with("listening on "));
    server
}

/// A client in the room.
pub(crate) fn join(lan: &Lan, machine: &Machine, nick: &str, args: &[&str]) -> Program {
    let usual = ["--nick", nick, "--output", "json", "--no-cache", "--stay", "forever"];
    let mut client = lan.start(machine, &[&["client"], args, &usual].concat());
    client.next("welcome");
    client
}

/// Asserts that all lines of one peer arrived, each once and in order.
pub(crate) fn expect_lines(client: &mut Program, from: &str, count: usize) {
    let last = format!("line {}", count - 1);
    let heard = |e: &Value| e["event"] == "message" && e["from"] == from;
    let seen = client.events("message").iter().any(|e| heard(e) && e["text"] == last.as_str());
    if !seen {
        client.line("the last line", |line| {
            serde_json::from_str(line).is_ok_and(|e: Value| heard(&e) && e["text"] == last.as_str())
        });
    }
    let lines: Vec<_> = client.events("message").into_iter().filter(heard).collect();
    let texts: Vec<_> = lines.iter().map(|e| e["text"].as_str().unwrap()).collect();
    let expected: Vec<_> = (0..count).map(|n| format!("line {n}")).collect();
    assert_eq!(texts, expected);
}

/// Ends the clients, then the server: each leaves as asked.
fn end(mut server: Program, clients: impl IntoIterator<Item = Program>) {
    for mut client in clients {
        assert_eq!(client.leave(), Some(0), "{}", client.output());
    }
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0), "{}", server.output());
}

/// Asserts that the client has not rejoined.
pub(crate) fn assert_same_session(client: &Program) {
    assert_eq!(client.events("welcome").len(), 1, "{}", client.output());
}

fn wait_until(done: impl Fn() -> bool, otherwise: impl Fn() -> String) {
    let deadline = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < deadline, "{}", otherwise());
        thread::yield_now();
    }
}
