//! One-way delay and bytes on the wire through a relay, in virtual time.
//!
//! ```text
//! sender ── 25 ms, loss ── relay ── 25 ms, loss ── receiver
//! ```

use super::{Loss, Redundancy, copies};
use crate::link::rtt::Rtt;
use crate::link::{Class, Copies, Link, Role};
use crate::protocol::limits::{MAX_DATAGRAM, MESSAGE_WINDOW};
use crate::protocol::{Batch, Datagram, Delivery};
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

const DELAY: Duration = Duration::from_millis(25);
/// Ethernet, IPv4 and UDP headers.
const HEADERS: u64 = 14 + 20 + 8;
/// Sizes of encoded messages: a line of 64 bytes to and from the server, and its receipt.
const SAY: usize = 76;
const LINE: usize = 91;
const ACCEPTED: usize = 7;
/// A number that no line has.
const WELCOME: u32 = u32::MAX;

/// Index of a link: `links[2 * hop + end]`.
type Way = usize;

/// A sender's link (0), the relay's to it (1), the relay's to the receiver (2), the receiver's (3).
struct Relay {
    now: Timestamp,
    links: [Link; 4],
    under_way: BTreeMap<(Timestamp, u64), (Way, Vec<u8>)>,
    datagrams: u64,
    /// Datagrams that were not lost, and their bytes.
    passed: u64,
    bytes: u64,
    loss_per_mille: u64,
    /// Upper bound of the random delay added.
    jitter: Duration,
    chance: u64,
    delivery: Delivery,
    /// When each line arrived.
    arrived: BTreeMap<u32, Timestamp>,
    order: Vec<u32>,
    /// Turns of the loop without progress of time.
    steps: u32,
}

impl Relay {
    fn new(loss_per_mille: u64, seed: u64, delivery: Delivery) -> Self {
        let now = Timestamp::from_micros(1_000_000);
        let client = Role::Client { heartbeat: Duration::from_secs(2) };
        let roles = [client, Role::Server, Role::Server, client];
        Self {
            now,
            links: roles.map(|role| {
                let mut link = Link::new(7, role, 1, now);
                link.set_path(MAX_DATAGRAM, now); // no search for the path's size
                link
            }),
            under_way: BTreeMap::new(),
            datagrams: 0,
            passed: 0,
            bytes: 0,
            loss_per_mille,
            jitter: Duration::ZERO,
            chance: seed,
            delivery,
            arrived: BTreeMap::new(),
            order: Vec::new(),
            steps: 0,
        }
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014).
    fn roll(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.chance ^ (self.chance >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn is_lost(&mut self) -> bool {
        self.roll() % 1_000 < self.loss_per_mille
    }

    fn delay(&mut self) -> Duration {
        let jitter = self.jitter.as_micros() as u64;
        DELAY + Duration::from_micros(if jitter == 0 { 0 } else { self.roll() % jitter })
    }

    fn say(&mut self, number: u32) {
        let payload = padded(number, SAY);
        self.links[0].send(&payload, self.delivery, None).unwrap();
        self.flush();
    }

    fn flush(&mut self) {
        self.pass_on();
        for way in 0..4 {
            let mut bytes = Vec::new();
            while self.links[way].poll_transmit(&mut bytes, self.now) {
                for datagram in bytes.chunks(MAX_DATAGRAM) {
                    self.datagrams += 1;
                    if !self.is_lost() {
                        self.passed += 1;
                        self.bytes += datagram.len() as u64 + HEADERS;
                        let key = (self.now + self.delay(), self.datagrams);
                        self.under_way.insert(key, (way ^ 1, datagram.to_vec()));
                    }
                }
            }
        }
    }

    /// The relay confirms and forwards each message.
    fn pass_on(&mut self) {
        while let Some(received) = self.links[1].poll_received() {
            let number = number(&received.payload);
            let accepted = Batch::of(&padded(number, ACCEPTED)).unwrap();
            self.links[1].send_batch(accepted, self.delivery, Class::Receipt);
            self.links[2].send(&padded(number, LINE), self.delivery, None).unwrap();
        }
        while self.links[0].poll_received().is_some() {}
        while let Some(received) = self.links[3].poll_received() {
            let number = number(&received.payload);
            if number == WELCOME {
                continue;
            }
            assert!(self.arrived.insert(number, self.now).is_none(), "{number} arrived twice");
            self.order.push(number);
        }
    }

    fn run_until(&mut self, end: Timestamp) {
        loop {
            let timeouts = self.links.iter().filter_map(|link| link.poll_timeout().map(|t| t.0));
            let arrival = self.under_way.first_key_value().map(|((at, _), _)| *at);
            let Some(next) = timeouts.chain(arrival).min().filter(|next| *next <= end) else {
                break;
            };
            self.steps = if next > self.now { 0 } else { self.steps + 1 };
            assert!(self.steps < 1_000, "time does not advance");
            self.now = self.now.max(next);
            match self.under_way.first_entry().filter(|entry| entry.key().0 <= self.now) {
                Some(entry) => {
                    let (to, bytes) = entry.remove();
                    let datagram = Datagram::decode(&bytes).unwrap();
                    self.links[to].receive(&datagram, bytes.len(), self.now);
                }
                None => self.links.iter_mut().for_each(|link| link.handle_timeout(self.now)),
            }
            self.flush();
        }
        self.now = end;
    }
}

fn padded(number: u32, size: usize) -> Box<[u8]> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(size, b'x');
    payload.into()
}

fn number(payload: &[u8]) -> u32 {
    u32::from_be_bytes(*payload.first_chunk().unwrap())
}

/// One-way delays over many runs, sorted, and bytes on the wire a line.
struct Measured {
    delays: Vec<Duration>,
    /// The 99th percentile of each run.
    runs: Vec<Duration>,
    bytes_per_line: u64,
    datagrams_per_line: f64,
}

/// By nearest rank.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent).div_ceil(100) - 1]
}

/// Like scripts/delay-under-loss.py, sends the first line one second after the welcome.
fn run(percent: u64, rate: u32, delivery: Delivery, seed: u64) -> (Relay, Vec<Duration>) {
    run_with_jitter(percent, Duration::ZERO, rate, delivery, seed)
}

fn run_with_jitter(
    percent: u64,
    jitter: Duration,
    rate: u32,
    delivery: Delivery,
    seed: u64,
) -> (Relay, Vec<Duration>) {
    let mut relay = Relay::new(10 * percent, seed, delivery);
    relay.jitter = jitter;
    for way in [1, 2] {
        let welcome = padded(WELCOME, 100);
        relay.links[way].send(&welcome, Delivery::ReliableOrdered, None).unwrap();
    }
    relay.flush();
    let start = relay.now + Duration::from_secs(1);
    let due = |line: u32| start + Duration::from_secs(1) * line / rate;
    let count = 30 * rate;
    for line in 0..count {
        relay.run_until(due(line));
        relay.say(line);
    }
    relay.run_until(relay.now + Duration::from_secs(10));
    assert_eq!(relay.arrived.len(), count as usize, "lines are missing");
    assert!(delivery == Delivery::ReliableUnordered || relay.order.is_sorted());
    let mut delays: Vec<_> = (0..count).map(|n| relay.arrived[&n].since(due(n))).collect();
    delays.sort_unstable();
    (relay, delays)
}

fn measure(percent: u64, rate: u32, delivery: Delivery) -> Measured {
    let seeds = if rate < 10 { 100 } else { 20 };
    let (mut delays, mut runs, mut bytes, mut datagrams) = (Vec::new(), Vec::new(), 0, 0);
    for seed in 0..seeds {
        let (relay, own) = run(percent, rate, delivery, seed);
        runs.push(percentile(&own, 99));
        delays.extend(own);
        bytes += relay.bytes;
        datagrams += relay.passed;
    }
    delays.sort_unstable();
    runs.sort_unstable();
    let bytes_per_line = bytes / delays.len() as u64;
    let datagrams_per_line = datagrams as f64 / delays.len() as f64;
    Measured { delays, runs, bytes_per_line, datagrams_per_line }
}

/// For comparison, TCP on such a path, measured: 60, 121, 706, 1,775, 6,264 and (two lines a
/// second) 996 ms at the 99th percentile, and at least about 400 bytes a line.
#[test]
fn delay_and_bytes_stay_within_bounds_at_every_loss() {
    // Loss and lines a second; bounds of the 99th percentile in microseconds, of its 90th
    // percentile over the runs in milliseconds, and of bytes a line.
    let bounds = [
        (0, 50, 50_000, 51, 420),
        (1, 50, 70_000, 80, 600),
        (5, 50, 75_000, 85, 750),
        (10, 50, 91_000, 105, 735),
        (20, 50, 130_000, 145, 931),
        (10, 2, 77_000, 170, 1_540),
    ];
    for (percent, rate, microseconds, unlucky, bytes) in bounds {
        let ordered = measure(percent, rate, Delivery::ReliableOrdered);
        let unordered = measure(percent, rate, Delivery::ReliableUnordered);
        for (name, measured) in [("ordered", &ordered), ("unordered", &unordered)] {
            let [p50, p99, max] = [50, 99, 100].map(|p| percentile(&measured.delays, p));
            // Few lines and early losses make outliers of single runs.
            let typical = percentile(&measured.runs, 90);
            println!(
                "{percent:2} % {rate:2}/s {name:9} p50 {p50:8.1?} p99 {p99:8.1?} max {max:8.1?}, \
                 p99 of nine runs in ten {typical:8.1?}, {} bytes and {:.1} datagrams a line",
                measured.bytes_per_line, measured.datagrams_per_line
            );
            assert!(p99 <= Duration::from_micros(microseconds), "{percent} % {name}: {p99:?}");
            assert!(typical <= Duration::from_millis(unlucky), "{percent} % {name}: {typical:?}");
            assert!(measured.bytes_per_line <= bytes, "{percent} % {name}");
            assert!(rate < 10 || measured.datagrams_per_line <= 5.0, "{percent} % {name}");
        }
        for percent in [50, 90, 99] {
            let [first, second] = [&unordered, &ordered].map(|m| percentile(&m.delays, percent));
            assert!(first <= second, "{first:?} > {second:?}");
        }
    }
}

/// Runs in which the window is full while acknowledgments are lost: only probes may leave. With a
/// doubled interval after each, lines waited for 600 to 720 ms.
#[test]
fn a_full_window_on_a_lossy_path_stops_lines_for_less_than_half_a_second() {
    for seed in [1_108, 1_188, 1_218, 1_531] {
        let (_, delays) = run(20, 50, Delivery::ReliableOrdered, seed);
        let longest = percentile(&delays, 100);
        assert!(longest < Duration::from_millis(500), "{seed}: {longest:?}");
    }
}

#[test]
fn a_clean_path_carries_copies_of_the_first_messages_only() {
    let (relay, _) = run(0, 50, Delivery::ReliableOrdered, 0);
    for link in &relay.links[..3] {
        let stats = link.stats();
        assert!(stats.redundant <= 30, "{} copies", stats.redundant);
        assert_eq!((stats.redundancy, stats.loss_per_mille), (0, 0));
    }
}

#[test]
fn a_setting_replaces_the_loss_as_the_reason_for_copies() {
    let delivered = |percent: u64, setting| {
        let mut relay = Relay::new(10 * percent, 3, Delivery::ReliableOrdered);
        relay.links.iter_mut().for_each(|link| link.set_copies(setting));
        for line in 0..300 {
            relay.run_until(relay.now + Duration::from_millis(100));
            relay.say(line);
        }
        relay.run_until(relay.now + Duration::from_secs(10));
        assert_eq!(relay.arrived.len(), 300, "without copies, losses are still repaired");
        relay.links[0].stats()
    };
    let none = delivered(20, Copies::Fixed(0));
    assert_eq!((none.redundant, none.redundancy), (0, 0));
    assert!(none.retransmitted > 0);
    for copies in 1..=Copies::MOST {
        let stats = delivered(0, Copies::Fixed(copies));
        assert_eq!((stats.redundant, stats.retransmitted), (300 * u64::from(copies), 0));
    }
}

#[test]
fn copies_stay_within_their_budget() {
    for percent in [1, 10, 40] {
        let (relay, _) = run(percent, 20, Delivery::ReliableOrdered, 1);
        for link in &relay.links {
            let stats = link.stats();
            let all = stats.sent_message_bytes + LINE as u64 * stats.retransmitted;
            assert!(stats.redundant_bytes <= 3 * all, "{stats:?}");
        }
    }
}

/// A sender with a full queue, at 5 % loss.
#[test]
fn a_bulk_sender_sends_no_copies() {
    let mut relay = Relay::new(50, 1, Delivery::ReliableUnordered);
    for line in 0..1_000 {
        relay.links[0].send(&padded(line, SAY), relay.delivery, None).unwrap();
    }
    relay.flush();
    while relay.links[0].queued_bytes() > 2 * MESSAGE_WINDOW as usize * (SAY + 32) {
        relay.run_until(relay.now + Duration::from_millis(10));
    }
    assert_eq!(relay.links[0].stats().redundant, 0);
}

#[test]
fn the_number_of_copies_follows_the_measured_loss() {
    let mut loss = Loss::default();
    assert_eq!(copies(loss), 2);
    let until = |loss: &mut Loss, wanted| {
        (0..).find(|_| {
            loss.on_acked();
            copies(*loss) == wanted
        })
    };
    assert_eq!(until(&mut loss, 1), Some(24));
    (0..200).for_each(|_| loss.on_acked());
    assert_eq!(loss.per_mille(), 0);
    loss.on_lost();
    assert_eq!((copies(loss), loss.per_mille()), (2, 8));
    (0..1_000).for_each(|n| if n % 10 == 0 { loss.on_lost() } else { loss.on_acked() });
    assert_eq!(copies(loss), 3);
    (0..1_000).for_each(|n| if n % 5 == 0 { loss.on_lost() } else { loss.on_acked() });
    assert_eq!(copies(loss), 4);
    assert!((190..210).contains(&loss.per_mille()), "{}", loss.per_mille());
    assert!(until(&mut loss, 1).is_some_and(|acked| (500..700).contains(&acked)));
}

#[test]
fn losses_that_copies_repair_hardly_add_acknowledgments() {
    let sent = |percent| run(percent, 50, Delivery::ReliableOrdered, 4).0.links[3].stats().sent;
    let (clean, lossy) = (sent(0), sent(5));
    assert!(lossy <= clean * 5 / 4, "{lossy} acknowledgments, {clean} without loss");
}

/// Lines are 20 ms apart; an earlier hop loses the datagram of the fourth one.
#[test]
fn lines_delayed_by_an_earlier_hop_leave_twice() {
    let at = |millis: u64| Timestamp::from_micros(millis * 1_000);
    let mut rtt = Rtt::default();
    rtt.sample(2 * DELAY, Duration::ZERO);
    let mut redundancy = Redundancy::default();
    let mut first_copy = |messages, millis| {
        redundancy.on_departure(messages, at(millis));
        redundancy.copy_leaves(at(millis), 1, &rtt, 3)
    };
    first_copy(1, 0);
    assert_eq!(first_copy(1, 20), at(45));
    assert_eq!(first_copy(1, 40), at(65));
    assert_eq!(first_copy(2, 80), at(81));
    assert_eq!(first_copy(1, 100), at(125), "the rhythm is the same");
}

#[test]
fn jitter_adds_at_most_15_percent_of_bytes() {
    let run = |jitter| {
        run_with_jitter(0, Duration::from_millis(jitter), 50, Delivery::ReliableOrdered, 3).0
    };
    let steady = run(0).bytes;
    for jitter in [10, 50, 200] {
        let relay = run(jitter);
        let ratio = relay.bytes as f64 / steady as f64;
        println!("jitter {jitter} ms: {ratio:.3} times the bytes");
        assert!(ratio <= 1.15, "{jitter} ms: {ratio:.3}");
        for link in &relay.links {
            let stats = link.stats();
            assert_eq!(stats.sent_lost, 0, "{jitter} ms: {stats:?}");
        }
    }
}
