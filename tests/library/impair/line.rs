//! Deterministic impairments: lists, windows, the bottleneck, bounds and counters.

use super::*;
use chatagram::impair::{MAX_DROP_RANGES, MAX_HELD, TRUNCATED};

/// Pushes packets of `bytes` at these times and returns when each left.
fn departures(
    network: &mut Impairment,
    bytes: usize,
    moments: impl Iterator<Item = u64>,
) -> Vec<u64> {
    let mut left = Vec::new();
    for moment in moments {
        take(network, at(moment), |due, _| left.push(due.as_micros()));
        network.push(vec![0; bytes], at(moment));
    }
    take(network, at(u64::MAX), |due, _| left.push(due.as_micros()));
    left
}

#[test]
fn an_empty_configuration_changes_nothing() {
    let mut network = network("none", SEED);
    assert_eq!(network.poll_timeout(), None);
    network.push(b"hello".to_vec(), at(7));
    assert_eq!(network.poll_timeout(), Some(at(7)));
    assert_eq!(network.pop(at(6)), None);
    assert_eq!(network.pop(at(9)), Some(b"hello".to_vec()));
    assert_eq!(network.pop(at(9)), None);
    let counts = network.counts();
    let expected = Counts {
        packets: 1,
        bytes: 5,
        delivered: 1,
        delivered_bytes: 5,
        delay_sum_us: 2,
        ..Counts::default()
    };
    assert_eq!(counts, expected);
    let json = serde_json::to_string(&counts).unwrap();
    assert_eq!(serde_json::from_str::<Counts>(&json).unwrap(), counts);
}

#[test]
fn lists_and_every_nth_lose_exact_packets() {
    for (text, drops) in [
        ("drop 5,17-19", "5,17-19"),
        ("every 10", "9,19"),
        ("every 1", "0-24"),
        ("drop 8,24-99,  every 10", "8-9,19,24"),
    ] {
        let mut network = network(text, SEED);
        departures(&mut network, 1, 0..25);
        assert_eq!(network.counts().drops, drops, "{text}");
    }
}

#[test]
fn a_blackhole_counts_from_the_first_packet_and_excludes_its_end() {
    let mut network = network("blackhole 2s-5s", SEED);
    departures(&mut network, 1, (0..70).map(|tenth| 3_000_000 + tenth * 100_000));
    assert_eq!(network.counts().drops, "20-49");
}

#[test]
fn a_lost_packet_advances_the_index_and_the_chain() {
    let lost = |text: &str| -> Ranges {
        let mut network = network(text, SEED);
        departures(&mut network, 1, 0..5_000);
        network.counts().drops.parse().unwrap()
    };
    let chain = lost("loss 5% burst 3");
    // Every second packet, by three causes, so that each burst meets some.
    let odd = |write: fn(u64) -> String| -> String {
        (0..2_500).map(|n| write(2 * n + 1)).collect::<Vec<_>>().join(",")
    };
    let listed = format!("drop {}", odd(|n| n.to_string()));
    let windows = format!("blackhole {}", odd(|n| format!("{n}us-{}us", n + 1)));
    for reason in ["every 2", &listed, &windows] {
        let both = lost(&format!("loss 5% burst 3, {reason}"));
        for index in 0..5_000 {
            let expected = chain.contains(index) || index % 2 == 1;
            assert_eq!(both.contains(index), expected, "{index} {reason:.20}");
        }
    }
}

#[test]
fn a_bottleneck_serializes_packets_before_the_delay() {
    // 100 bytes at 2 Mbit/s take 400 us.
    let mut line = network("rate 2mbit, delay 10ms", SEED);
    let left = departures(&mut line, 100, [0, 0, 0, 5_000].into_iter());
    assert_eq!(left, [10_400, 10_800, 11_200, 15_400]);
    assert_eq!(line.counts().delay_sum_us, 10_400 + 10_800 + 11_200 + 10_400);
    // A third of a microsecond per packet does not accumulate to an error.
    let mut fast = network("rate 2.4gbit, limit 3000", SEED);
    let left = departures(&mut fast, 100, (0..3_000).map(|_| 0));
    assert_eq!(left.last(), Some(&1_002), "334 ns each, rounded up to the nanosecond");
}

#[test]
fn a_full_queue_drops_the_tail() {
    let mut line = network("rate 2mbit, limit 100", SEED);
    let left = departures(&mut line, 100, (0..250).map(|_| 0));
    assert_eq!(left, (1..=100).map(|n| n * 400).collect::<Vec<_>>());
    let counts = line.counts();
    assert_eq!((counts.lost, counts.overflowed, counts.drops.as_str()), (0, 150, ""));
    // The queue has space once the first packet is sent, even if that is still delayed.
    let mut long = network("rate 2mbit, limit 1, delay 1s", SEED);
    departures(&mut long, 100, [0, 399, 400].into_iter());
    assert_eq!((long.counts().delivered, long.counts().overflowed), (2, 1));
    // At twice the link's rate the link stays busy and the queue full.
    let mut busy = network("rate 2mbit, limit 100", SEED);
    let left = departures(&mut busy, 100, (0..10_000).map(|n| n * 200));
    assert_eq!(left.len(), 5_000 + 99);
    assert!(left.windows(2).all(|pair| pair[1] - pair[0] == 400), "the line was idle");
}

#[test]
fn the_number_of_held_packets_is_bounded() {
    for text in ["delay 1s", "delay 1s, rate 100gbit", "delay 1s, duplicate 100%"] {
        let mut network = network(text, SEED);
        for _ in 0..MAX_HELD + 10 {
            network.push(Vec::new(), at(0));
        }
        let counts = network.counts();
        let held = counts.packets + counts.duplicated - counts.overflowed;
        assert_eq!(held, MAX_HELD as u64, "{text}");
        take(&mut network, at(u64::MAX), |_, _| ());
        assert_eq!(network.counts().delivered, held, "{text}");
    }
}

#[test]
fn a_copy_dropped_by_a_full_queue_is_counted() {
    let mut network = network("rate 1kbit, limit 1, duplicate 100%", SEED);
    network.push(vec![0; 10], at(0));
    let counts = network.counts();
    assert_eq!((counts.packets, counts.duplicated, counts.overflowed), (1, 1, 1));
}

#[test]
fn an_empty_packet_has_no_bit_to_flip() {
    let mut network = network("corrupt 100%", SEED);
    network.push(Vec::new(), at(0));
    assert_eq!(network.pop(at(0)), Some(Vec::new()));
    assert_eq!(network.counts().corrupted, 0);
}

#[test]
fn packets_due_together_leave_by_index() {
    let mut network = network("delay 1ms", SEED);
    for index in 0..100_u64 {
        network.push(index.to_be_bytes().to_vec(), at(0));
    }
    let mut order = Vec::new();
    take(&mut network, at(1_000), |_, packet| order.push(number(&packet)));
    assert_eq!(order, (0..100).collect::<Vec<_>>());
    assert_eq!(network.counts().reordered, 0);
}

#[test]
fn a_truncated_list_of_drops_is_marked() {
    let mut network = network("every 2", SEED);
    let last = 2 * MAX_DROP_RANGES as u64 + 100;
    for _ in 0..last {
        network.push(Vec::new(), at(0));
        network.pop(at(0));
    }
    let counts = network.counts();
    assert_eq!(counts.lost, last / 2);
    let pieces: Vec<_> = counts.drops.split(',').collect();
    assert_eq!(pieces.len(), MAX_DROP_RANGES + 1);
    assert_eq!(pieces[MAX_DROP_RANGES], TRUNCATED);
    assert!(counts.drops.parse::<Ranges>().is_err(), "a truncated list must not parse");
}

#[test]
fn extreme_times_do_not_panic() {
    let mut network = network("delay 86400s, jitter 86400s, rate 1bit, blackhole 0s-1us", SEED);
    for moment in [u64::MAX, 0, 5, u64::MAX, 3] {
        network.push(vec![0; 65_535], at(moment));
        network.pop(at(moment));
    }
    take(&mut network, at(u64::MAX), |_, _| ());
    assert_eq!(network.poll_timeout(), None);
}
