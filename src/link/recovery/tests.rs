//! Loss detection on its own: bounds, late acknowledgments, reordering, persistent congestion.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn memory_is_bounded_if_no_acknowledgment_comes() {
    let at = Timestamp::from_micros(1_000_000);
    for asks in [Asks::No, Asks::Soon] {
        let mut recovery = Recovery::new(1, at);
        let mut lost = 0;
        for _ in 0..10 * REMEMBERED_DATAGRAMS {
            lost += recovery.make_room(at).map_or(0, |outcome| outcome.lost_datagrams);
            let asks = if recovery.has_sent_nothing() { Asks::Soon } else { asks };
            recovery.on_sent(at, 100, asks, Contents::default());
            assert!(recovery.sent.len() <= REMEMBERED_DATAGRAMS);
        }
        assert_eq!(recovery.next_sequence(), 1 + 10 * REMEMBERED_DATAGRAMS as u64);
        assert!(lost > 0);
    }
}

#[test]
fn a_repeated_acknowledgment_gives_no_round_trip_sample() {
    for (delay, sampled) in [(60, true), (61, false)] {
        let (sent, came) = (Timestamp::from_micros(0), Timestamp::from_micros(900_000));
        let mut recovery = Recovery::new(1, sent);
        recovery.on_sent(sent, 100, Asks::Soon, Contents::default());
        let mut outcome = Outcome::default();
        recovery.on_ack(1, 0, Duration::from_millis(delay), came, &mut outcome);
        assert_eq!(outcome.rtt.is_some(), sampled);
        assert!(recovery.outstanding == 0);
    }
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_micros(millis * 1_000)
}

/// Sends a datagram every 10 ms; the first has a round-trip time of 100 ms.
fn sent(count: u64) -> Recovery {
    let mut recovery = Recovery::new(0, at(0));
    for n in 0..count {
        recovery.on_sent(at(10 * n), 100, Asks::Soon, Contents::default());
    }
    acknowledge(&mut recovery, 0, 0, 100);
    recovery
}

fn acknowledge(recovery: &mut Recovery, ack: u32, bitmap: u64, now: u64) -> Outcome {
    let mut outcome = Outcome::default();
    recovery.on_ack(ack, bitmap, Duration::ZERO, at(now), &mut outcome);
    outcome
}

#[test]
fn a_late_acknowledgment_undoes_the_loss() {
    let mut recovery = sent(6);
    let (window, share) = (recovery.congestion.window(), recovery.loss.per_mille());
    let outcome = acknowledge(&mut recovery, 4, 0b11, 150); // 4, 3 and 2 overtook 1
    assert_eq!((outcome.lost_datagrams, outcome.found_datagrams), (1, 0));
    assert!(recovery.congestion.window() < window && recovery.loss.per_mille() > share);
    let outcome = acknowledge(&mut recovery, 4, 0b111, 160);
    assert_eq!((outcome.lost_datagrams, outcome.found_datagrams), (0, 1));
    assert_eq!(recovery.congestion.window(), window);
    assert!(recovery.loss.per_mille() <= share);
    let outcome = acknowledge(&mut recovery, 4, 0b111, 170);
    assert_eq!(outcome.found_datagrams, 0, "a spurious loss counts once");
}

#[test]
fn loss_delay_grows_to_the_reordering_seen() {
    let mut recovery = sent(20);
    acknowledge(&mut recovery, 4, 0b11, 150);
    acknowledge(&mut recovery, 4, 0b111, 210); // 1 took 200 ms
    let outcome = acknowledge(&mut recovery, 10, 0b1111, 220); // 6 and more overtook 5
    assert_eq!(outcome.lost_datagrams, 0);
    let loss_delay = Duration::from_millis(200) * 9 / 8;
    assert_eq!(recovery.timeout(), Some(at(50) + loss_delay));
    let mut outcome = Outcome::default();
    assert_eq!(recovery.on_timeout(at(50) + loss_delay, 1, &mut outcome), None);
    assert_eq!(outcome.lost_datagrams, 1);
}

#[test]
fn losses_without_reordering_restore_the_usual_thresholds() {
    let mut recovery = sent(4);
    acknowledge(&mut recovery, 3, 0b01, 150);
    acknowledge(&mut recovery, 3, 0b11, 160);
    assert!(recovery.rtt.reorders());
    for n in 4..600_u64 {
        recovery.on_sent(at(100 * n), 100, Asks::Soon, Contents::default());
        if n % 20 != 0 {
            acknowledge(&mut recovery, n as u32, 0, 100 * n + 90);
        }
    }
    assert!(!recovery.rtt.reorders());
}

/// All datagrams are within one bitmap, so none is forgotten before the last acknowledgment.
#[test]
fn an_acknowledgment_in_between_prevents_persistent_congestion() {
    for (acked, smallest) in [(None, true), (Some(30), false)] {
        let mut recovery = Recovery::new(0, at(0));
        for n in 0..60 {
            recovery.on_sent(at(20 * n), 100, Asks::Soon, Contents::default());
        }
        acknowledge(&mut recovery, 0, 0, 100);
        if let Some(sequence) = acked {
            acknowledge(&mut recovery, sequence, 0, 700);
        }
        // Three probe timeouts take 825 ms, or 712 ms after a second sample. All losses span
        // 1,160 ms; those on each side of the acknowledged datagram span 560 ms.
        recovery.on_sent(at(1_250), 100, Asks::Soon, Contents::default());
        acknowledge(&mut recovery, 60, 0, 1_350);
        assert_eq!(recovery.congestion.window() == 2_400, smallest, "{acked:?}");
    }
}

/// The pauses before the first probes for a datagram that leaves now, milliseconds.
fn pauses(recovery: &mut Recovery, copies: u32, now: u64) -> [u128; 6] {
    recovery.on_sent(at(now), 100, Asks::Soon, Contents::default());
    let mut last = at(now);
    [(); 6].map(|()| {
        let due = recovery.timeout().unwrap();
        assert!(recovery.on_timeout(due, copies, &mut Outcome::default()).is_some());
        due.since(std::mem::replace(&mut last, due)).as_millis()
    })
}

#[test]
fn the_pauses_between_probes_have_a_limit_after_the_first_sample_only() {
    for (copies, before, after) in [
        (1, [1, 2, 4, 8, 16, 32], [325, 650, 1_000, 1_000, 1_000, 1_000]),
        (2, [1, 1, 1, 1, 2, 4], [325, 325, 325, 325, 650, 1_000]),
    ] {
        let unknown = pauses(&mut Recovery::new(0, at(0)), copies, 0);
        assert_eq!(unknown, before.map(|times: u128| times * 1_024));
        let mut known = sent(1);
        assert_eq!(pauses(&mut known, copies, 100), after);
    }
}
