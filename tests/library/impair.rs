//! The emulated network over a million packets: its rates match the configuration, and the same
//! seed gives the same result.
//!
//! Bounds are five standard deviations of the count, stated at each; one correct run in 1.7 million
//! would exceed such a bound. The seed is fixed, so these runs do not.

use chatagram::impair::{Counts, Direction, Impairment, Ranges, Spec};
use chatagram::time::Timestamp;
use std::time::Duration;

mod distribution;
mod golden;
mod line;
mod repetition;

const PACKETS: u64 = 1_000_000;
const SEED: u64 = 42;

fn network(text: &str, seed: u64) -> Impairment {
    let spec: Spec = text.parse().unwrap();
    Impairment::new(&spec.up, seed, Direction::Up)
}

fn at(micros: u64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// Pops the packets due by `now`, each at its due time.
fn take(network: &mut Impairment, now: Timestamp, mut seen: impl FnMut(Timestamp, Vec<u8>)) {
    while let Some(due) = network.poll_timeout().filter(|&due| due <= now) {
        seen(due, network.pop(due).unwrap());
    }
}

/// Sends `PACKETS` packets, `every` microseconds apart, each with its index, and returns the
/// counters.
fn run(text: &str, every: u64, mut seen: impl FnMut(u64, Timestamp, Vec<u8>)) -> Counts {
    let mut network = network(text, SEED);
    for index in 0..PACKETS {
        let now = at(index * every);
        take(&mut network, now, |due, packet| seen(number(&packet), due, packet));
        network.push(index.to_be_bytes().to_vec(), now);
    }
    take(&mut network, at(u64::MAX), |due, packet| seen(number(&packet), due, packet));
    let counts = network.counts();
    assert_eq!(counts.packets, PACKETS);
    let gone = counts.lost + counts.overflowed + counts.delivered;
    assert_eq!(counts.packets + counts.duplicated, gone, "a packet has vanished");
    counts
}

fn number(packet: &[u8]) -> u64 {
    u64::from_be_bytes(packet.try_into().unwrap())
}

/// Asserts that `count` of `n` is within five deviations of `n * p`. `spread` scales the variance
/// of the binomial distribution where events are not independent.
#[track_caller]
fn assert_share(count: u64, n: u64, p: f64, spread: f64) {
    let (count, n) = (count as f64, n as f64);
    let deviation = (n * p * (1.0 - p) * spread).sqrt();
    let off = (count - n * p) / deviation;
    assert!(off.abs() < 5.0, "{count} of {n} is {off:.1} deviations from {p}");
}

/// The lengths of the loss bursts.
fn bursts(counts: &Counts) -> Vec<u64> {
    let drops: Ranges = counts.drops.parse().unwrap();
    drops.iter().map(|(first, last)| last - first + 1).collect()
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
