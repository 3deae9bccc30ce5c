//! Random decisions, measured over a million packets.

use super::*;

#[test]
fn independent_loss_has_its_rate_and_no_memory() {
    let counts = run("loss 5%", 1_000, |_, _, _| ());
    assert_share(counts.lost, PACKETS, 0.05, 1.0);
    // Without memory, a burst ends with the same probability at any length: 95 % have length 1.
    let bursts = bursts(&counts);
    let single = bursts.iter().filter(|&&length| length == 1).count() as u64;
    assert_share(single, bursts.len() as u64, 0.95, 1.0);
    assert_eq!(bursts.iter().sum::<u64>(), counts.lost, "the list is not what was lost");
}

#[test]
fn bursts_have_their_rate_and_mean_length() {
    for (text, loss, mean) in [
        ("loss 5% burst 3", 0.05, 3.0),
        ("loss 20% burst 8", 0.2, 8.0),
        ("loss 1% burst 1", 0.01, 1.0),
    ] {
        let counts = run(text, 1_000, |_, _, _| ());
        // States k apart correlate by lambda^k, which scales the variance of a sum.
        let (r, p) = (1.0 / mean, loss / mean / (1.0 - loss));
        let lambda: f64 = 1.0 - p - r;
        assert_share(counts.lost, PACKETS, loss, (1.0 + lambda) / (1.0 - lambda));
        // Lengths are geometric: mean L, variance L(L-1), and a share of 1/L has length 1.
        let bursts = bursts(&counts);
        let n = bursts.len() as f64;
        let realised = bursts.iter().sum::<u64>() as f64 / n;
        let deviation = (mean * (mean - 1.0) / n).sqrt();
        assert!((realised - mean).abs() <= 5.0 * deviation, "{text}: {realised} ± {deviation}");
        let single = bursts.iter().filter(|&&length| length == 1).count() as u64;
        if mean > 1.0 {
            assert_share(single, bursts.len() as u64, r, 1.0);
        }
    }
}

#[test]
fn the_explicit_chain_loses_in_both_states() {
    let counts = run("gilbert 2% 20% 80% 1%", 1_000, |_, _, _| ());
    let bad: f64 = 0.02 / 0.22;
    let loss = bad * 0.8 + (1.0 - bad) * 0.01;
    // The variance of one packet, and the addition from the correlation of the states.
    let (own, states) = (loss * (1.0 - loss), bad * (1.0 - bad) * 0.79 * 0.79);
    let lambda: f64 = 1.0 - 0.22;
    let spread = 1.0 + 2.0 * states * lambda / (1.0 - lambda) / own;
    assert_share(counts.lost, PACKETS, loss, spread);
}

#[test]
fn the_first_packet_meets_the_stationary_distribution() {
    let first = |seed| {
        let mut network = network("loss 20% burst 50", seed);
        network.push(Vec::new(), at(0));
        network.counts().lost
    };
    assert_share((0..100_000).map(first).sum(), 100_000, 0.2, 1.0);
}

#[test]
fn jitter_is_uniform_about_the_delay() {
    let mut seen = vec![0_u64; 10_001];
    let mut offsets = Vec::new();
    // 50 ms apart, so that no packet overtakes another.
    let counts = run("delay 25ms, jitter 5ms", 50_000, |index, due, _| {
        let offset = due.since(at(index * 50_000)) - ms(20);
        seen[offset.as_micros() as usize] += 1;
        offsets.push(offset.as_micros() as f64 - 5_000.0);
    });
    assert_eq!((counts.delivered, counts.reordered), (PACKETS, 0));

    // Mean: the variance of a uniform whole number of 10,001 is (10,001^2 - 1) / 12.
    let n = PACKETS as f64;
    let variance = (10_001.0_f64.powi(2) - 1.0) / 12.0;
    let mean = counts.delay_sum_us as f64 / n;
    assert!((mean - 25_000.0).abs() < 5.0 * (variance / n).sqrt(), "mean delay {mean} us");

    // Kolmogorov: the distance is below 1.95/sqrt(n) in all but one of 1,000 runs.
    let (mut below, mut farthest) = (0, 0.0_f64);
    for (place, count) in seen.iter().enumerate() {
        below += count;
        farthest = farthest.max((below as f64 / n - (place + 1) as f64 / 10_001.0).abs());
    }
    assert!(farthest < 1.95 / n.sqrt(), "Kolmogorov distance {farthest}");

    // Chi-square over every microsecond: mean 10,000, variance 20,000.
    let expected = n / 10_001.0;
    let chi: f64 = seen.iter().map(|&c| (c as f64 - expected).powi(2) / expected).sum();
    assert!((chi - 10_000.0).abs() < 5.0 * 20_000.0_f64.sqrt(), "chi-square {chi}");

    // The jitter of neighbours is independent: the deviation of the correlation is 1/sqrt(n).
    let product: f64 = offsets.windows(2).map(|pair| pair[0] * pair[1]).sum();
    assert!((product / n / variance).abs() < 5.0 / n.sqrt(), "neighbours correlate");
}

#[test]
fn jitter_reorders_at_the_expected_rate() {
    let mut furthest = 0;
    let mut late = 0;
    let counts = run("delay 25ms, jitter 5ms", 1_000, |index, _, _| {
        late += u64::from(index < furthest);
        furthest = furthest.max(index);
    });
    assert_eq!(counts.reordered, late);
    // A packet is late if one of the nine within the next 10 ms is due before it. Given its own
    // offset x of 10,001, the k-th after it is not with probability 1 - max(x - 1000 k, 0)/10,001.
    let places = 10_001_u64;
    let in_order = |x: u64| -> f64 {
        (1..=10).map(|k| 1.0 - x.saturating_sub(1_000 * k) as f64 / places as f64).product()
    };
    let p = 1.0 - (0..places).map(in_order).sum::<f64>() / places as f64;
    // Packets at least 10 apart are independent: at most 21 covariances, none above the variance.
    assert_share(counts.reordered, PACKETS, p, 21.0);
}

#[test]
fn delays_are_clamped_to_zero() {
    let counts = run("jitter 5ms", 50_000, |index, due, _| {
        assert!(due.since(at(index * 50_000)) <= ms(5));
    });
    // The lower half becomes zero: the mean is a quarter of the jitter, with a variance of (1/6 -
    // 1/16) of its square.
    let (mean, n) = (counts.delay_sum_us as f64 / PACKETS as f64, PACKETS as f64);
    let deviation = 5_000.0 * ((1.0 / 6.0 - 1.0 / 16.0) / n).sqrt();
    assert!((mean - 1_250.0).abs() < 5.0 * deviation + 1.0, "mean delay {mean} us");
}

#[test]
fn duplicates_have_their_rate_and_equal_their_originals() {
    let mut copies = vec![0_u8; PACKETS as usize];
    let counts = run("loss 10%, duplicate 1%", 1_000, |index, _, _| copies[index as usize] += 1);
    let survivors = PACKETS - counts.lost;
    assert_share(counts.duplicated, survivors, 0.01, 1.0);
    let times = |n| copies.iter().filter(|&&count| count == n).count() as u64;
    assert_eq!([times(0), times(2), times(3)], [counts.lost, counts.duplicated, 0]);
    // Loss and duplication are drawn independently: without duplicates the same packets are lost.
    assert_eq!(run("loss 10%", 1_000, |_, _, _| ()).drops, counts.drops);
}

#[test]
fn a_copy_has_its_own_jitter() {
    let (mut pending, mut pairs) = (None, Vec::new());
    // The first of the two may be the original or the copy; neither statistic depends on which.
    run("delay 25ms, jitter 5ms, duplicate 100%", 50_000, |index, due, _| {
        let offset = due.since(at(index * 50_000)).as_micros() as f64 - 25_000.0;
        match pending.take() {
            Some(first) => pairs.push((first, offset)),
            None => pending = Some(offset),
        }
    });
    assert_eq!(pairs.len() as u64, PACKETS);
    let n = PACKETS as f64;
    // For independent uniform offsets, the product has mean 0 and deviation J^2 / 3; the distance
    // has mean 2J / 3 and variance (2J)^2 / 18.
    let product = pairs.iter().map(|(a, b)| a * b).sum::<f64>() / n;
    let deviation = 5_000.0_f64.powi(2) / 3.0 / n.sqrt();
    assert!(product.abs() < 5.0 * deviation, "a copy follows its original");
    let distance = pairs.iter().map(|(a, b)| b - a).sum::<f64>() / n;
    let deviation = 10_000.0 / (18.0 * n).sqrt();
    assert!((distance - 10_000.0 / 3.0).abs() < 5.0 * deviation, "mean distance {distance} us");
}

#[test]
fn a_bit_error_is_one_bit_at_a_uniform_place() {
    let mut flipped = [0_u64; 64];
    let mut network = network("corrupt 1%", SEED);
    for index in 0..PACKETS {
        network.push(index.to_be_bytes().to_vec(), at(index));
        let bits = number(&network.pop(at(index)).unwrap()) ^ index;
        assert!(bits.count_ones() <= 1);
        if bits > 0 {
            flipped[bits.trailing_zeros() as usize] += 1;
        }
    }
    let counts = network.counts();
    assert_eq!(flipped.iter().sum::<u64>(), counts.corrupted);
    assert_share(counts.corrupted, PACKETS, 0.01, 1.0);
    // Chi-square with 63 degrees of freedom: mean 63, variance 126.
    let expected = counts.corrupted as f64 / 64.0;
    let chi: f64 = flipped.iter().map(|&c| (c as f64 - expected).powi(2) / expected).sum();
    assert!((chi - 63.0).abs() < 5.0 * 126.0_f64.sqrt(), "chi-square {chi}");
}
