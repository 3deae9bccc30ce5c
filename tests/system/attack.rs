//! Forged source addresses, on a network of namespaces: the server sends at most as many bytes to
//! an unproven address as came from it, two servers do not answer each other, and a flood of joins
//! keeps no client out.

mod datagrams;
mod flood;
mod guests;

use crate::machines::{self, Check, Lan, Machine};
use crate::needs::{Role, Test, amount};
use crate::program::{DEADLINE, Program};
use chatagram::protocol::Frame;
use chatagram::protocol::limits::{JOIN_SIZE, PROBE_SIZE};
use datagrams::{datagram, forge, join, kinds};
use flood::FORGED;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any timer after which an end could send again (`proto.md` §7.5: the probe timeout).
const LONGER_THAN_ANY_TIMER: Duration = Duration::from_secs(3);
/// Datagrams of each kind.
const TIMES: usize = 50;
const PORT: u16 = 2_428;
/// Bytes of the headers of IPv4 and UDP.
const HEADERS: u64 = 28;
/// Joins in the flood, each from another address: usually, and in a run of all tests.
const JOINS: [u64; 2] = [50_000, 300_000];
/// Limit of the server's growth in KiB.
const GROWTH: u64 = 1_024;

const CHECKS: &[Check] = &[
    (
        "an unproven address gets no more bytes than came from it, and no retransmission",
        forged_senders,
    ),
    ("datagrams from or to a broadcast or multicast address get no answer", many),
    ("two servers aimed at each other fall silent", two_servers),
    ("a flood of joins from many addresses blocks no client and leaves no memory", joins),
];

pub(crate) const ROLES: &[Role] = &[
    ("attack", |args| machines::play(CHECKS, args)),
    ("forge", datagrams::send_forged),
    ("flood", flood::run),
    ("guests", guests::run),
];

pub(crate) fn tests() -> Vec<Test> {
    machines::tests(module_path!(), "attack", CHECKS)
}

fn forged_senders() {
    const VICTIM: &str = "10.7.0.2:9";
    let lan = Lan::new();
    let [server, victim, attacker, home] = lan_of(&lan);
    let _process = serve(&lan, &server);
    let mut alice = lan.start(
        &home,
        &[
            "client",
            "10.7.0.1",
            "--nick",
            "alice",
            "--no-cache",
            "--output",
            "json",
            "--stay",
            "forever",
        ],
    );
    let welcome = alice.next("welcome");
    let session = u64::from_str_radix(welcome["session"].as_str().unwrap(), 16).unwrap();
    for kind in kinds(PORT, Some(session)) {
        // The last datagram surely gets an answer: then the server has handled all before it.
        let last = match kind.port {
            PORT => datagram(0, JOIN_SIZE, &[join(7, &[])]),
            _ => datagram(0, PROBE_SIZE, &[Frame::Probe { nonce: 8 }]),
        };
        count(&victim, "in", "ip saddr 10.7.0.1");
        let to = ("10.7.0.1", kind.port);
        forge(&attacker, VICTIM, to, TIMES, &[&kind.bytes]);
        forge(&attacker, VICTIM, to, 1, &[&last]);
        let answers = 1 + if kind.answered { TIMES as u64 } else { 0 };
        wait_until(kind.name, || victim.counted().0 >= answers);
        let (packets, bytes) = victim.counted();
        assert_eq!(packets, answers, "{}", kind.name);
        let sent = TIMES as u64 * (HEADERS + kind.bytes.len() as u64);
        assert!(bytes <= sent + HEADERS + last.len() as u64, "{bytes} bytes for {}", kind.name);
    }
    count(&victim, "in", "ip saddr 10.7.0.1");
    thread::sleep(LONGER_THAN_ANY_TIMER);
    assert_eq!(victim.counted(), (0, 0), "the server has sent again");
    // The datagrams named alice's session, and have not changed it.
    assert_eq!(alice.leave(), Some(0), "{}", alice.output());
    assert_eq!(alice.events("welcome").len(), 1, "{}", alice.output());
}

fn many() {
    let lan = Lan::new();
    let [server, _victim, attacker, _] = lan_of(&lan);
    let mut process = serve(&lan, &server);
    // The room's port accepts every destination address that the kernel accepts.
    attacker.ip("route add default dev eth0");
    server.ip("route add default dev eth0");
    let bytes = datagram(0, JOIN_SIZE, &[join(7, &[])]);
    let reset = datagram(77, 0, &[Frame::Heartbeat]);
    count(&server, "out", "udp sport { 2428, 2429 }");
    for from in ["10.7.0.255:9", "255.255.255.255:9", "239.255.67.71:9", "10.7.0.2:0"] {
        forge(&attacker, from, ("10.7.0.1", PORT), TIMES, &[&bytes, &reset]);
    }
    for to in ["10.7.0.255", "255.255.255.255", "239.255.67.71"] {
        forge(&attacker, "10.7.0.2:9", (to, PORT), TIMES, &[&bytes, &reset]);
    }
    forge(&attacker, "10.7.0.2:9", ("10.7.0.1", PORT), 1, &[&bytes]);
    wait_until("an answer to an honest join", || server.counted().0 > 0);
    assert_eq!(server.counted().0, 1, "answers to broadcasts");
    // The server reads and drops datagrams to groups, so its receive buffer does not fill.
    process.signal("TERM");
    assert_eq!(process.wait(), Some(0));
    let log = process.output();
    assert!(
        log.contains(" not of this protocol") && !log.contains("receive buffer was full"),
        "{log}"
    );
}

fn two_servers() {
    let lan = Lan::new();
    let [one, two, attacker, _] = lan_of(&lan);
    let _processes = [serve(&lan, &one), serve(&lan, &two)];
    let addresses = ["10.7.0.1", "10.7.0.2"];
    for machine in [&one, &two] {
        count(machine, "out", "udp sport { 2428, 2429 }");
    }
    let mut answers = 1;
    let kinds = kinds(PORT, None);
    for (from, to) in [(1, 0), (0, 1)] {
        for kind in &kinds {
            let from = format!("{}:{}", addresses[from], kind.port);
            forge(&attacker, &from, (addresses[to], kind.port), TIMES, &[&kind.bytes]);
            answers += if to == 0 && kind.answered { TIMES as u64 } else { 0 };
        }
        let last = datagram(0, JOIN_SIZE, &[join(7, &[])]);
        let from = format!("{}:{PORT}", addresses[from]);
        forge(&attacker, &from, (addresses[to], PORT), 1, &[&last]);
    }
    for machine in [&one, &two] {
        wait_until("the last answer", || machine.counted().0 >= answers);
    }
    thread::sleep(LONGER_THAN_ANY_TIMER);
    for machine in [&one, &two] {
        assert_eq!(machine.counted().0, answers, "the servers talk to each other");
    }
}

fn joins() {
    let joins = amount("CHATAGRAM_JOINS", JOINS[0], JOINS[1]) as u32;
    let lan = Lan::new();
    let [server, attacker, guests, _] = lan_of(&lan);
    server.ip(&format!("route add {FORGED} via 10.7.0.2"));
    attacker.ip(&format!("route add local {FORGED} dev lo"));
    let process = serve(&lan, &server);
    let to = format!("10.7.0.1:{PORT}");
    let flood = |first: u32, count: u32| {
        let (first, count) = (first.to_string(), count.to_string());
        let output = attacker.role("flood", &[&to, &first, &count]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let numbers: Vec<u64> = said.split_whitespace().map(|it| it.parse().unwrap()).collect();
        let [sent, answered, largest, more] = numbers[..] else { panic!("{said:?}") };
        assert!(largest <= JOIN_SIZE as u64 && answered <= sent && more == 0, "{said}");
        // Losses before the server would prove nothing.
        assert!(answered >= sent / 100 * 99, "{said}");
    };
    // The first joins also allocate what the server needs once.
    flood(joins, 20_000);
    let mut role = guests.role("guests", &[&to]);
    let mut role = role.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut guests = BufReader::new(role.stdout.take().unwrap());
    let mut said = String::new();
    (0..20).for_each(|_| assert_ne!(guests.read_line(&mut said).unwrap(), 0));
    let before = resident(&process);
    let start = Instant::now();
    flood(0, joins);
    let took = start.elapsed().as_secs_f64();
    drop(role.stdin.take());
    guests.read_to_string(&mut said).unwrap();
    assert!(role.wait().unwrap().success());
    let growth = resident(&process).saturating_sub(before);
    let mut waits: Vec<u64> = said
        .lines()
        .map(|line| line.parse().expect("every guest is admitted, none reports \"never\""))
        .collect();
    waits.sort_unstable();
    let [median, most] = [50, 95].map(|percent| waits[waits.len() * percent / 100]);
    println!(
        "{joins} joins in {took:.0} s; the server grew by {growth} KiB; {} guests joined in \
         {median} ms (median), {most} ms (95 %), {} ms (all)",
        waits.len(),
        waits[waits.len() - 1]
    );
    assert!(growth < GROWTH, "{before} KiB before, {growth} more after");
    assert!(waits.len() >= 20, "{waits:?}");
}

fn lan_of<const N: usize>(lan: &Lan) -> [Machine; N] {
    std::array::from_fn(|n| lan.machine(["a", "b", "c", "d"][n], n as u8 + 1))
}

fn serve(lan: &Lan, machine: &Machine) -> Program {
    let mut server = lan.start(machine, &["server", "--no-history"]);
    server.line("address", |line| line.starts_with("listening on "));
    server
}

/// Counts the packets that reach a machine or leave it.
fn count(machine: &Machine, way: &str, what: &str) {
    machine.rules(&format!(
        "table inet filter {{ chain it {{ \
         type filter hook {way}put priority filter; {what} counter; }} }}"
    ));
}

/// Resident memory of a process in KiB.
fn resident(program: &Program) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not end");
        thread::yield_now();
    }
}
