//! Discovery, roaming and address translation on a network of namespaces: machines with addresses
//! of their own on a bridge, and a router with nftables.

mod addresses;

use crate::machines::{self, Check, Lan, Machine};
use crate::needs::{Role, Test};
use crate::program::{DEADLINE, Program};
use crate::raw::Raw;
use chatagram::protocol::limits::{DISCOVERY_PORT, PROBE_SIZE};
use chatagram::protocol::{DatagramWriter, Frame, Header};
use serde_json::Value;
use std::net::SocketAddrV4;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// The destinations of a probe, in nftables' syntax.
const BROADCAST: &str = "ip daddr 10.7.0.255";
const GROUP_V4: &str = "ip daddr 239.255.67.71";
const GROUP_V6: &str = "ip6 daddr ff12::4347";

const CHECKS: &[Check] = &[
    ("a server is found by broadcast alone and by each group alone", each_destination_alone),
    ("a search without a result names the asked networks and possible reasons", no_server),
    ("with several servers the user has to name one", several),
    ("a server bound to one address answers from it, to its subnet only", one_address),
    ("the server listens on an interface that appears later", later_interface),
    ("a host name with dead addresses first is joined", dead_addresses),
    ("a failed join names the address and the reason", reasons),
    ("invitations name addresses that others can reach", invitations),
    ("a discovered room is found again at its new address", moved),
    ("the LAN is searched beside many other interfaces", many_interfaces),
    ("a server at a link-local address is joined through the named interface", link_local),
    ("no answer goes to a broadcast or group address, and none is larger than the probe", forged),
    ("one of three talking clients moves to another address", roaming),
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

pub(crate) const ROLES: &[Role] =
    &[("lan", |args| machines::play(CHECKS, args)), ("send_forged_probe", send_forged_probe)];

pub(crate) fn tests() -> Vec<Test> {
    machines::tests(module_path!(), "lan", CHECKS)
}

fn each_destination_alone() {
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

fn no_server() {
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
    assert_eq!(server.counted(), (0, 0));
    // The server exists: a client that names it joins.
    let mut bob = lan.start(&client, &["client", "10.7.0.1", "--nick", "bob", "--no-cache"]);
    assert_eq!(bob.leave(), Some(0), "{}", bob.output());
}

fn several() {
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

fn one_address() {
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

fn later_interface() {
    let lan = Lan::new();
    let (server, client) = (Machine::new("server"), lan.machine("client", 2));
    let _process = serve(&lan, &server, &[]);
    lan.plug_in(&server, 1);
    // A broadcast needs no group.
    block(&server, [BROADCAST, GROUP_V6]);
    assert_eq!(find(&lan, &client)["address"], "10.7.0.1:2428");
}

/// The resolver puts dead addresses first, and no ICMP error reports them.
fn dead_addresses() {
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
fn reasons() {
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

fn invitations() {
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
fn moved() {
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
fn many_interfaces() {
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
fn link_local() {
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
fn forged() {
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
fn send_forged_probe(args: &[&str]) {
    let [from, to] = args else { panic!("{args:?}") };
    let mut probe = Vec::new();
    let mut writer = DatagramWriter::new(&mut probe);
    writer.push(&Frame::Probe { nonce: 7 });
    writer.pad_to(PROBE_SIZE);
    writer.finish(&Header::default());
    let to = SocketAddrV4::new(to.parse().unwrap(), DISCOVERY_PORT);
    Raw::open().send(from.parse().unwrap(), to, &probe);
}

fn roaming() {
    let lan = Lan::new();
    let server = lan.machine("server", 1);
    let mut process = serve(&lan, &server, &[]);
    let names = [("alice", 2), ("bob", 3), ("carl", 4)];
    let machines = names.map(|(name, n)| (name, lan.machine(name, n)));
    let clients = machines.each_ref().map(|(name, machine)| join(&lan, machine, name, &[]));
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
    let mut process = serve(&lan, &server, &[]);
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
    for client in &mut clients {
        assert_eq!(client.leave(), Some(0), "{}", client.output());
    }
    process.signal("TERM");
    assert_eq!(process.wait(), Some(0), "{}", process.output());
}

/// Each is answered by ICMP port unreachable. Linux does not report it to unconnected sockets;
/// Windows reports it as error 10054 of a later receive, which the server skips.
fn dead_ports() {
    let lan = Lan::new();
    let server = lan.machine("server", 1);
    let mut process = serve(&lan, &server, &["--max-peers-per-ip", "200", "--rate-limit", "off"]);
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
    for client in [&mut alice, &mut bob] {
        assert_same_session(client);
        assert_eq!(client.leave(), Some(0), "{}", client.output());
    }
    process.signal("TERM");
    assert_eq!(process.wait(), Some(0), "{}", process.output());
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

/// Asserts that the client has not rejoined.
pub(crate) fn assert_same_session(client: &Program) {
    assert_eq!(client.events("welcome").len(), 1, "{}", client.output());
}

/// The exit code of a search, and the servers it found.
fn discover(lan: &Lan, machine: &Machine) -> (Option<i32>, Vec<Value>) {
    let mut search = lan.start(machine, &["discover", "--output", "json", "--wait", "600ms"]);
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

fn wait_until(done: impl Fn() -> bool, otherwise: impl Fn() -> String) {
    let deadline = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < deadline, "{}", otherwise());
        thread::yield_now();
    }
}
