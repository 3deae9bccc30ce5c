//! Searching for servers: by broadcast and groups, over many interfaces, and with forged probes.

use super::{join, serve, wait_until};
use crate::machines::{Lan, Machine};
use crate::program::DEADLINE;
use crate::raw::Raw;
use chatagram::protocol::limits::{DISCOVERY_PORT, PROBE_SIZE};
use chatagram::protocol::{DatagramWriter, Frame, Header};
use serde_json::Value;
use std::net::SocketAddrV4;
use std::process::Command;
use std::time::Instant;

/// The destinations of a probe, in nftables' syntax.
const BROADCAST: &str = "ip daddr 10.7.0.255";
const GROUP_V4: &str = "ip daddr 239.255.67.71";
const GROUP_V6: &str = "ip6 daddr ff12::4347";

pub(super) fn each_destination_alone() {
    let lan = Lan::new();
    let (server, client) = (lan.machine("server", 1), lan.machine("client", 2));
    let mut process = serve(&lan, &server, &["--room", "lab"]);
    for (destination, address) in
        [(BROADCAST, "10.7.0.1:2428"), (GROUP_V4, "10.7.0.1:2428"), (GROUP_V6, "[fe80::1%2]:2428")]
    {
        let others =
            [BROADCAST, GROUP_V4, GROUP_V6].into_iter().filter(|other| *other != destination);
        block(&server, others);
        let found = find(&lan, &client);
        assert_eq!((&found["room"], &found["peers"]), (&"lab".into(), &0.into()), "{destination}");
        assert_eq!(found["addresses"], Value::from(vec![address]), "{destination}");
        // A client joins the server that it found.
        let mut alice = lan.start(&client, &["client", "--nick", "alice", "--no-cache"]);
        alice.type_line("hello");
        assert_eq!(alice.leave(), Some(0), "{}", alice.output());
        assert!(alice.output().contains(&format!("found \"lab\" at {address}, 0 here")));
        let from = if destination == GROUP_V6 { "[fe80::2%" } else { "10.7.0.2:" };
        process.line("the join", |line| line.contains(&format!("alice joined from {from}")));
        process.line("the leave", |line| line.contains("alice left"));
    }
    // Both families at once: one server, IPv4 first.
    block(&server, []);
    let both = Value::from(vec!["10.7.0.1:2428", "[fe80::1%2]:2428"]);
    let deadline = Instant::now() + DEADLINE;
    while find(&lan, &client)["addresses"] != both {
        assert!(Instant::now() < deadline);
    }
    block(&server, [BROADCAST, GROUP_V4, GROUP_V6]);
    assert_eq!(discover(&lan, &client).0, Some(3));
}

#[cfg(feature = "quic")]
pub(super) fn private_room() {
    let lan = Lan::new();
    let (server, client) = (lan.machine("server", 1), lan.machine("client", 2));
    let mut process = lan.start(&server, &["server", "--private", "--no-history", "--room", "den"]);
    let ticket = process.line("ticket", |line| line.starts_with("chatagram://"));
    assert!(ticket.contains("10.7.0.1"), "{ticket}");
    let _alice = join(&lan, &client, "alice", &[&ticket]);
    let found = find(&lan, &client);
    assert_eq!(found["private"], true, "{found}");
    assert_eq!((&found["room"], &found["peers"]), (&Value::Null, &Value::Null), "{found}");
    let text = found.to_string();
    for secret in [ticket.rsplit('/').next().unwrap(), "den", "alice"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    // Finding the room is not enough to join it.
    let mut bob = lan.start(&client, &["client", "--nick", "bob", "--no-cache"]);
    assert_ne!(bob.wait(), Some(0), "{}", bob.output());
    assert!(bob.output().contains("is private: ask its host for the ticket"), "{}", bob.output());
}

pub(super) fn no_server() {
    let lan = Lan::new();
    let (server, client) = (lan.machine("server", 1), lan.machine("client", 2));
    let _process = serve(&lan, &server, &["--no-discovery"]);
    count_answers(&server);
    let mut alice = lan.start(&client, &["client", "--nick", "alice", "--no-cache"]);
    assert_eq!(alice.wait(), Some(3));
    let output = alice.output();
    for part in [
        "eth0: 10.7.0.255, 239.255.67.71 from 10.7.0.2",
        "eth0: ff12::4347",
        "isolation",
        "WSL",
        "firewall",
        "chatagram client HOST",
    ] {
        assert!(output.contains(part), "{part:?} is not in {output}");
    }
    assert_eq!(discover(&lan, &client), (Some(3), vec![]));
    let mut search = lan.start(&client, &["discover", "--lang", "zh", "--wait", "100ms"]);
    assert_eq!(search.wait(), Some(3), "{}", search.output());
    for part in ["没有服务器回答", "，来自 10.7.0.2", "chatagram client 地址"] {
        assert!(search.output().contains(part), "{part:?} is not in {}", search.output());
    }
    assert_eq!(server.counted(), (0, 0));
    // The server exists: a client that names it joins.
    let mut bob = lan.start(&client, &["client", "10.7.0.1", "--nick", "bob", "--no-cache"]);
    assert_eq!(bob.leave(), Some(0), "{}", bob.output());
}

pub(super) fn several() {
    let lan = Lan::new();
    let (one, two) = (lan.machine("one", 1), lan.machine("two", 2));
    // Two servers on one machine share the discovery port.
    let _processes = [
        serve(&lan, &one, &["--bind", "0.0.0.0:2428"]),
        serve(&lan, &one, &["--bind", "0.0.0.0:5000"]),
        serve(&lan, &two, &["--bind", "0.0.0.0:2428"]),
    ];
    let client = lan.machine("client", 3);
    let all = ["10.7.0.1:2428", "10.7.0.1:5000", "10.7.0.2:2428"];
    let deadline = Instant::now() + DEADLINE;
    loop {
        let found = discover(&lan, &client).1;
        let addresses: Vec<_> = found.iter().map(|it| it["address"].as_str().unwrap()).collect();
        if addresses == all {
            break;
        }
        assert!(Instant::now() < deadline, "{found:?}");
    }
    let mut alice = lan.start(&client, &["client", "--nick", "alice", "--no-cache"]);
    assert_eq!(alice.wait(), Some(2));
    all.iter().for_each(|one| assert!(alice.output().contains(one), "{}", alice.output()));
    // From one of the servers' machines: its own server has the loopback address.
    let found = discover(&lan, &two).1;
    assert!(found.iter().any(|it| it["address"] == "127.0.0.1:2428"), "{found:?}");
}

pub(super) fn one_address() {
    let lan = Lan::new();
    let (server, client) = (lan.machine("server", 1), lan.machine("client", 2));
    server.ip("addr add 10.7.0.99/24 dev eth0");
    let other = Machine::new("other");
    server.ip(&format!("link add eth1 type veth peer name eth0 netns {}", other.name()));
    for (machine, device, address) in [(&server, "eth1", "10.8.0.1"), (&other, "eth0", "10.8.0.2")]
    {
        machine.ip(&format!("addr add {address}/24 dev {device}"));
        machine.ip(&format!("link set {device} up"));
    }
    // Left to itself, the kernel would answer from the first address of the interface.
    let _process = serve(&lan, &server, &["--bind", "10.7.0.99:2428"]);
    assert_eq!(find(&lan, &client)["addresses"], Value::from(vec!["10.7.0.99:2428"]));
    assert_eq!(discover(&lan, &other), (Some(3), vec![]));
}

pub(super) fn later_interface() {
    let lan = Lan::new();
    let (server, client) = (Machine::new("server"), lan.machine("client", 2));
    let _process = serve(&lan, &server, &[]);
    lan.plug_in(&server, 1);
    // A broadcast needs no group.
    block(&server, [BROADCAST, GROUP_V6]);
    assert_eq!(find(&lan, &client)["address"], "10.7.0.1:2428");
}

/// The resolver puts dead addresses first, and no ICMP error reports them.
pub(super) fn dead_addresses() {
    let lan = Lan::new();
    let (server, client) = (lan.machine("server", 1), lan.machine("client", 2));
    client.ip("addr add fd77::2/64 dev eth0 nodad");
    let mut hosts = String::new();
    for n in 1..=12 {
        hosts += &format!("fd77::10{n} room.test\n");
        client.ip(&format!("neigh add fd77::10{n} lladdr 02:00:00:00:00:01 dev eth0"));
    }
    hosts += "10.7.0.1 room.test\n";
    let file = lan.dir.path().join("hosts");
    std::fs::write(&file, hosts).unwrap();
    let mount = |args: &[&str]| {
        assert!(Command::new("mount").args(args).status().unwrap().success());
    };
    mount(&["--bind", file.to_str().unwrap(), "/etc/hosts"]);
    let _process = serve(&lan, &server, &["--no-discovery"]);
    for transport in ["udp", "tcp"] {
        let mut guest = join(&lan, &client, transport, &["room.test", "--transport", transport]);
        assert_eq!(guest.leave(), Some(0), "{}", guest.output());
    }
    assert!(Command::new("umount").arg("/etc/hosts").status().unwrap().success());
}

/// The kernel reports the first three reasons at once, and hears the fourth from the other machine.
pub(super) fn reasons() {
    let lan = Lan::new();
    let (server, client) = (lan.machine("server", 1), lan.machine("client", 2));
    let silent = lan.machine("silent", 3);
    client.ip("route add prohibit 10.9.0.1/32");
    client.rules(
        "table ip t { chain out { type filter hook output priority filter; \
         ip daddr 10.7.0.9 drop; } }",
    );
    silent.rules("table ip t { chain in { type filter hook input priority filter; drop; } }");
    let reasons = [
        ("10.8.0.1", "udp", "has no route to it", false),
        ("10.8.0.1", "tcp", "has no route to it", false),
        ("10.9.0.1", "udp", "may not send to 10.9.0.1", false),
        ("10.9.0.1", "tcp", "may not send to 10.9.0.1", false),
        ("10.7.0.9", "udp", "may not send to 10.7.0.9", false),
        ("10.7.0.1", "udp", "10.7.0.1 refuses", true),
        ("10.7.0.1", "tcp", "10.7.0.1 refuses", true),
        ("10.7.0.3", "udp", "no answer from the server at 10.7.0.3:2428", false),
        ("10.7.0.3", "tcp", "no answer from the server at 10.7.0.3:2428", false),
    ];
    let started = reasons.map(|(address, transport, why, again)| {
        let args = ["client", address, "--nick", "a", "--no-cache", "--transport", transport];
        (lan.start(&client, &args), why, again)
    });
    for (mut program, why, again) in started {
        assert_eq!(program.wait(), Some(3), "{}", program.output());
        let output = program.output();
        assert!(output.contains(why), "{why:?} is not in {output}");
        // An ICMP error may be forged: the join goes on.
        assert_eq!(output.contains("Trying again"), again, "{output}");
    }
    // So the client joins a server that is started meanwhile.
    let mut early = lan.start(&client, &["client", "10.7.0.1", "--nick", "early", "--no-cache"]);
    early.line("the reason", |line| line.contains("10.7.0.1 refuses"));
    let _process = serve(&lan, &server, &["--no-discovery"]);
    early.line("welcome", |line| line.contains("welcome"));
    assert_eq!(early.leave(), Some(0), "{}", early.output());
}

pub(super) fn invitations() {
    let lan = Lan::new();
    let (server, alone) = (lan.machine("server", 1), Machine::new("alone"));
    for command in [&["server"][..], &["host", "--nick", "alice", "--stay", "forever"]] {
        let args = [command, &["--no-history"]].concat();
        let mut here = lan.start(&server, &args);
        here.line("an address", |line| {
            line.starts_with("others join with: chatagram client 10.7.0.1 ")
        });
        let mut alone = lan.start(&alone, &args);
        alone.line("a reason", |line| line.starts_with("this machine is on no network"));
        alone.line("an address", |line| line.contains("join with: chatagram client 127.0.0.1 "));
        assert!(!alone.output().contains("others join"), "{}", alone.output());
    }
}

/// The server restarts at another address, and another server has its old address.
pub(super) fn moved() {
    let lan = Lan::new();
    let (server, client) = (lan.machine("server", 1), lan.machine("client", 2));
    let process = serve(&lan, &server, &["--room", "lab"]);
    let mut guests =
        ["udp", "tcp"].map(|transport| join(&lan, &client, transport, &["--transport", transport]));
    process.kill();
    server.ip("addr del 10.7.0.1/24 dev eth0");
    server.ip("addr add 10.7.0.11/24 dev eth0");
    let other = lan.machine("other", 1);
    let _other = serve(&lan, &other, &["--room", "pub"]);
    let mut process = serve(&lan, &server, &["--room", "lab"]);
    for guest in &mut guests {
        guest.next("welcome");
        let there = "\\\"lab\\\" is at 10.7.0.11:2428 now";
        guest.has_said("where it is", |line| line.contains(there));
        guest.type_line("found again");
        process.line("the line", |line| line.ends_with(": found again"));
        assert_eq!(guest.leave(), Some(0), "{}", guest.output());
    }
}

/// Both ends of 80 cables have link-local addresses only, and the LAN is the last interface.
pub(super) fn many_interfaces() {
    let lan = Lan::new();
    let (server, client) = (lan.machine("server", 1), Machine::new("client"));
    let script = "for i in $(seq 80); do ip link add v$i type veth peer name w$i && \
                  ip link set v$i up && ip link set w$i up; done";
    assert!(client.command("sh").args(["-c", script]).status().unwrap().success());
    lan.plug_in(&client, 2);
    let _process = serve(&lan, &server, &[]);
    assert_eq!(find(&lan, &client)["address"], "10.7.0.1:2428");
    let mut search = lan.start(&client, &["discover", "--wait", "600ms"]);
    search.line("what was left out", |line| line.contains("Not probed"));
}

/// A server also refuses to listen at a broadcast or multicast address.
pub(super) fn link_local() {
    let lan = Lan::new();
    let (server, client) = (lan.machine("server", 1), lan.machine("client", 2));
    let mut process = serve(&lan, &server, &["--bind", "[fe80::1%eth0]:2428"]);
    for (n, (address, transport)) in
        [("fe80::1%eth0", "udp"), ("[fe80::1%eth0]:2428", "tcp"), ("fe80::1%2", "udp")]
            .into_iter()
            .enumerate()
    {
        let nick = format!("nick{n}");
        let mut guest = join(&lan, &client, &nick, &[address, "--transport", transport]);
        process.line("the join", |line| line.contains(&format!("{nick} joined from [fe80::2%")));
        assert_eq!(guest.leave(), Some(0), "{}", guest.output());
    }
    for (bind, why) in [
        ("10.7.0.255:2429", "broadcast address"),
        ("[ff02::1%eth0]:2429", "multicast"),
        ("[fe80::1%eth1]:2429", "eth0"),
    ] {
        let mut refused = lan.start(&server, &["server", "--no-history", "--bind", bind]);
        assert_eq!(refused.wait(), Some(2), "{}", refused.output());
        assert!(refused.output().contains(why), "{}", refused.output());
    }
}

/// Linux drops datagrams from broadcast and multicast addresses, and refuses to send to them. The
/// hub's tests cover what the server does itself.
pub(super) fn forged() {
    let lan = Lan::new();
    let (server, client) = (lan.machine("server", 1), lan.machine("client", 2));
    let _process = serve(&lan, &server, &["--room", &"🎵".repeat(32)]);
    count_answers(&server);
    let probe = |from| {
        let status = client.role("send_forged_probe", &[from, "10.7.0.1"]).status().unwrap();
        assert!(status.success());
    };
    ["10.7.0.255:9", "255.255.255.255:9", "239.255.67.71:9", "10.7.0.2:0"]
        .into_iter()
        .for_each(probe);
    // The server has answered a later datagram, so it has handled the earlier ones.
    probe("10.7.0.2:9");
    wait_until(|| server.counted().0 > 0, || "no answer to an honest probe".to_owned());
    let (packets, bytes) = server.counted();
    assert_eq!(packets, 1);
    assert!(bytes <= 28 + 256, "{bytes} bytes of IP, UDP and an answer");
}

/// Sends a probe to an address with a forged source address.
pub(super) fn send_forged_probe(args: &[&str]) {
    let [from, to] = args else { panic!("{args:?}") };
    let mut probe = Vec::new();
    let mut writer = DatagramWriter::new(&mut probe);
    writer.push(&Frame::Probe { nonce: 7 });
    writer.pad_to(PROBE_SIZE);
    writer.finish(&Header::default());
    let to = SocketAddrV4::new(to.parse().unwrap(), DISCOVERY_PORT);
    Raw::open().send(from.parse().unwrap(), to, &probe);
}

/// The exit code of a search, and the servers it found. Its output is for programs, so the language
/// changes nothing.
fn discover(lan: &Lan, machine: &Machine) -> (Option<i32>, Vec<Value>) {
    let args = ["discover", "--output", "json", "--lang", "ru", "--wait", "600ms"];
    let mut search = lan.start(machine, &args);
    let code = search.wait();
    (code, search.events("found"))
}

/// The only server that a search finds; searches again if there is none.
fn find(lan: &Lan, machine: &Machine) -> Value {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match &discover(lan, machine).1[..] {
            [] => assert!(Instant::now() < deadline, "no server is found"),
            [one] => return one.clone(),
            several => panic!("{several:?}"),
        }
    }
}

/// Drops probes to these destinations.
fn block<'a>(machine: &Machine, ways: impl IntoIterator<Item = &'a str>) {
    let drops: Vec<_> =
        ways.into_iter().map(|destination| format!("{destination} udp dport 2429 drop;")).collect();
    machine.rules(&format!(
        "table inet filter {{ chain in {{ type filter hook input priority filter; {} }} }}",
        drops.join(" ")
    ));
}

/// Counts the packets that leave from the discovery port.
fn count_answers(machine: &Machine) {
    machine.rules(
        "table inet filter { chain out { type filter hook output priority filter; \
         udp sport 2429 counter; } }",
    );
}
