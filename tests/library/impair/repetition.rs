//! The same seed gives the same decisions, whatever the timing.

use super::*;
use std::collections::BTreeMap;

const TEXT: &str = "loss 5% burst 3, every 97, delay 25ms, jitter 5ms, duplicate 2%, corrupt 2%";

/// Sends 20,000 packets at these intervals and pops them after every `lazy`-th push. Returns the
/// list of drops, and the delivered copies of each packet, including bit errors.
fn outcome(
    seed: u64,
    direction: Direction,
    interval: u64,
    lazy: u64,
) -> (String, BTreeMap<u32, Vec<Vec<u8>>>) {
    let spec: Spec = TEXT.parse().unwrap();
    let mut network = Impairment::new(&spec.up, seed, direction);
    let mut delivered: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
    let mut keep = |packet: Vec<u8>| {
        // The index three times: the majority survives one flipped bit.
        let part = |n: usize| u32::from_be_bytes(packet[4 * n..4 * n + 4].try_into().unwrap());
        let index = if part(0) == part(1) { part(0) } else { part(2) };
        delivered.entry(index).or_default().push(packet);
    };
    for index in 0..20_000_u32 {
        let now = at(u64::from(index) * interval);
        network.push(index.to_be_bytes().repeat(3), now);
        if u64::from(index) % lazy == 0 {
            std::iter::from_fn(|| network.pop(now)).for_each(&mut keep);
        }
    }
    std::iter::from_fn(|| network.pop(at(u64::MAX))).for_each(&mut keep);
    assert_eq!(network.counts().overflowed, 0);
    (network.counts().drops, delivered)
}

#[test]
fn timing_does_not_change_decisions() {
    let one = outcome(SEED, Direction::Up, 1_000, 1);
    assert!(one.0.len() > 1_000, "too few losses");
    for (interval, lazy) in [(1_000, 1), (7, 1), (100_000, 3), (900, 1_000)] {
        assert!(outcome(SEED, Direction::Up, interval, lazy) == one, "{interval} {lazy}");
    }
}

#[test]
fn another_seed_or_direction_gives_other_losses() {
    let one = outcome(SEED, Direction::Up, 1_000, 1).0;
    let others = [(SEED + 1, Direction::Up), (0, Direction::Up), (SEED, Direction::Down)];
    for (seed, direction) in others {
        let other = outcome(seed, direction, 1_000, 1).0;
        let both: (Ranges, Ranges) = (one.parse().unwrap(), other.parse().unwrap());
        let shared = (0..20_000)
            .filter(|i| (i + 1) % 97 != 0 && both.0.contains(*i) && both.1.contains(*i))
            .count() as u64;
        // Independent losses of 5 % coincide at 0.25 %; the correlation within both chains scales
        // the variance by less than 3.
        assert_share(shared, 20_000, 0.0025, 3.0);
    }
}

#[test]
fn a_recorded_list_of_drops_repeats_its_losses() {
    let recorded = run("loss 5% burst 3", 1_000, |_, _, _| ());
    let repeated = run(&format!("drop {}", recorded.drops), 1_000, |_, _, _| ());
    assert_eq!((repeated.lost, repeated.drops), (recorded.lost, recorded.drops));
}
