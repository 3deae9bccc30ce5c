//! Statistics of handmade traces.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::lab::record::{Condition, Counts, Links, Machine, Mode, Network};
use crate::link::Copies;

/// A row of `a` at `b`: id, intended, arrived and delivered in microseconds; sent when intended.
fn row(id: u64, intended: u64, arrived: u64, delivered: u64) -> Record {
    Record {
        run: "r".into(),
        mode: Mode::ReliableOrdered,
        sender: "a".into(),
        receiver: "b".into(),
        id,
        intended_us: intended,
        sent_us: Some(intended),
        arrived_us: Some(arrived),
        delivered_us: Some(delivered),
        server_held_us: None,
        verdict: Verdict::Delivered,
    }
}

fn lost(id: u64) -> Record {
    let verdict = Verdict::Lost;
    Record { arrived_us: None, delivered_us: None, verdict, ..row(id, 0, 0, 0) }
}

fn info() -> RunInfo {
    RunInfo {
        run: "r".into(),
        condition: None,
        emulation: None,
        replayed: None,
        impair: None,
        mode: Mode::ReliableOrdered,
        redundancy: Copies::Auto,
        repetition: 1,
        seed: 1,
        senders: 1,
        receivers: 1,
        rate: 50.0,
        size: 64,
        no_delay: None,
        duration_s: 1.0,
        sent: 0,
        version: String::new(),
        kernel: String::new(),
        congestion_control: None,
        server_congestion_control: None,
        started: String::new(),
        machine: Machine::default(),
        attempts: 1,
        files: Vec::new(),
        links: Links::default(),
        text_bytes: 0,
        network: None,
        trace: None,
        program: None,
    }
}

fn summary(records: &[Record]) -> Summary {
    Measured::new(records, &info()).summary()
}

#[test]
fn no_rows_give_no_statistics() {
    let it = summary(&[]);
    assert_eq!(it, Summary { retransmitted: Some(0), redundant: Some(0), ..Summary::default() });
    assert_eq!((it.delivery(), it.held_share(), it.loss_run_mean()), (None, None, None));
}

#[test]
fn percentiles_are_by_nearest_rank_and_are_values_that_occurred() {
    // The textbook example of nearest rank: 15, 20, 35, 40, 50.
    let five = [15, 20, 35, 40, 50];
    let at = |percent| nearest_rank(&five, percent).unwrap();
    assert_eq!((at(5), at(30), at(40), at(50), at(100)), (15, 20, 20, 35, 50));
    let hundred: Vec<u64> = (1..=100).collect();
    assert_eq!(nearest_rank(&hundred, 99), Some(99));
    assert_eq!(nearest_rank(&[7], 50), Some(7));
    assert_eq!(nearest_rank::<u64>(&[], 50), None);
}

#[test]
fn latency_counts_from_the_intended_time() {
    let mut late = row(0, 1_000, 31_000, 31_000);
    late.sent_us = Some(21_000);
    assert_eq!(summary(&[late]).max_ms, Some(30.0));
}

#[test]
fn losses_and_duplicates_are_counted_against_messages_sent() {
    let again = Record { verdict: Verdict::Duplicate, ..row(0, 0, 9_000, 9_000) };
    let it = summary(&[row(0, 0, 5_000, 5_000), again, lost(1), lost(2), row(3, 60, 70, 70)]);
    assert_eq!((it.sent, it.delivered, it.lost, it.duplicated), (4, 2, 2, 1));
    assert_eq!(it.delivery(), Some(0.5));
    assert_eq!(it.max_ms, Some(5.0), "the second showing is not a latency");
}

#[test]
fn unsaid_messages_are_not_lost() {
    let unsaid = |id| Record { sent_us: None, ..lost(id) };
    let it = summary(&[row(0, 0, 5_000, 5_000), lost(1), unsaid(2), unsaid(3)]);
    assert_eq!((it.sent, it.delivered, it.lost, it.unsaid), (2, 1, 1, 2));
    assert_eq!((it.loss_runs, it.loss_run_max, it.delivery()), (1, 1, Some(0.5)));
}

#[test]
fn reordering_is_rfc_4737_in_the_order_of_delivery() {
    // RFC 4737 §3: 1 2 4 5 3 6 has one reordered packet, the 3.
    let order = [1, 2, 4, 5, 3, 6];
    let rows: Vec<_> = (0..).zip(order).map(|(at, id)| row(id, 0, 0, 100 * at)).collect();
    assert_eq!(summary(&rows).reordered, 1);
    // Two late messages count twice; a gap counts none.
    let order = [0, 9, 1, 2];
    let rows: Vec<_> = (0..).zip(order).map(|(at, id)| row(id, 0, 0, 100 * at)).collect();
    assert_eq!(summary(&rows).reordered, 2);
    // Flows are independent of each other and of the order of rows.
    let other = Record { receiver: "c".into(), ..row(0, 0, 0, 900) };
    assert_eq!(summary(&[row(2, 0, 0, 300), other, row(1, 0, 0, 200)]).reordered, 0);
}

#[test]
fn jitter_starts_with_the_first_pair() {
    assert_eq!(summary(&[row(0, 0, 20_000, 20_000)]).jitter_ms, None);
    // Transits of 20, 36 and 20 ms: D = 16 and 16, J = 1 and 1 + 15/16.
    let rows = [row(0, 0, 20_000, 20_000), row(1, 50_000, 86_000, 86_000)];
    assert_eq!(summary(&rows).jitter_ms, Some(1.0));
    let rows = [rows[0].clone(), rows[1].clone(), row(2, 100_000, 120_000, 120_000)];
    assert_eq!(summary(&rows).jitter_ms, Some(f64::midpoint(1.0, 1.9375)));
}

#[test]
fn a_shift_of_the_epoch_changes_nothing() {
    let rows = |by: u64| -> Vec<Record> {
        let delay = |i: u64| 20_000 + i % 3 * 1_000;
        (0..50)
            .map(|i| (i, by + i * 20_000))
            .map(|(i, t)| row(i, t, t + delay(i), t + delay(i)))
            .collect()
    };
    assert_eq!(summary(&rows(0)), summary(&rows(1 << 50)));
}

#[test]
fn hold_time_is_from_arrival_to_delivery() {
    let rows = [row(0, 0, 20_000, 20_000), row(1, 0, 20_000, 20_999), row(2, 0, 20_000, 95_000)];
    let it = summary(&rows);
    assert_eq!((it.held, it.hold_p99_ms), (1, Some(75.0)));
    assert_eq!(it.held_share(), Some(1.0 / 3.0));
}

#[test]
fn waits_at_the_server_are_apart_and_unknown_without_a_record() {
    let at = |id, held| Record { server_held_us: held, ..row(id, 0, 20_000, 20_000) };
    let it = summary(&[row(0, 0, 20_000, 95_000)]);
    assert_eq!((it.held, it.server_held, it.server_held_share()), (1, None, None));
    let lost = Record { server_held_us: Some(9_000), ..lost(4) };
    let rows = [at(0, Some(0)), at(1, Some(999)), at(2, Some(40_000)), at(3, None), lost];
    let it = summary(&rows);
    assert_eq!((it.held, it.server_held, it.server_hold_p99_ms), (0, Some(1), Some(40.0)));
    assert_eq!(it.server_held_share(), Some(0.25));
    let mut both = Measured::new(&rows, &info());
    both.merge(&Measured::new(&rows, &info()));
    assert_eq!(both.summary().server_held, Some(2));
}

#[test]
fn loss_runs_are_rfc_3357_loss_periods() {
    let rows: Vec<_> = (0..10)
        .map(|id| if [1, 2, 3, 6, 9].contains(&id) { lost(id) } else { row(id, 0, 1, 1) })
        .collect();
    let it = summary(&rows);
    assert_eq!((it.loss_runs, it.loss_run_max, it.loss_run_mean()), (3, 3, Some(5.0 / 3.0)));
}

#[test]
fn wire_bytes_come_from_the_network_or_else_from_the_links() {
    let mut info = info();
    info.text_bytes = 1_000;
    let totals = &mut info.links.totals;
    (totals.sent_bytes, totals.received_bytes, totals.retransmitted) = (1_500, 500, 7);
    let it = Measured::new(&[], &info).summary();
    assert_eq!((it.wire_per_text, it.retransmitted), (Some(2.0), Some(7)));
    let counts = |bytes| Counts { bytes, ..Counts::default() };
    info.network = Some(Network { up: counts(2_500), down: counts(1_500), ..Network::default() });
    info.mode = Mode::Tcp;
    let it = Measured::new(&[], &info).summary();
    assert_eq!((it.wire_per_text, it.retransmitted), (Some(4.0), None));
}

#[test]
fn repetitions_are_grouped_and_groups_are_ordered() {
    let run = |loss, mode, repetition| RunInfo {
        condition: Some(Condition { loss, ..Condition::default() }),
        mode,
        repetition,
        ..info()
    };
    let infos = [
        run(0.05, Mode::Tcp, 1),
        run(0.05, Mode::Unreliable, 2),
        run(0.0, Mode::Tcp, 1),
        run(0.05, Mode::Unreliable, 1),
    ];
    let halves = [vec![row(0, 0, 10_000, 10_000), lost(1)], vec![row(0, 0, 30_000, 30_000)]];
    let measured: Vec<_> = (0..4).map(|at| Measured::new(&halves[at % 2], &infos[at])).collect();
    let groups = group(&infos.iter().zip(&measured).collect::<Vec<_>>());
    let order: Vec<_> = groups.iter().map(|it| (it.variant.mode, it.runs.clone())).collect();
    assert_eq!(order, [(Mode::Tcp, vec![2]), (Mode::Unreliable, vec![3, 1]), (Mode::Tcp, vec![0])]);
    assert_eq!(groups[1].summary.sent, 2);
    assert_eq!(groups[1].p99_ms.as_ref().unwrap().median, 30.0);
    assert_eq!(groups[0].measured.within(50), Some(10.0));
    assert_eq!(groups[0].measured.within(99), None, "half of it was lost");
}

#[test]
fn the_machine_taints_a_run_and_a_spread_taints_all_runs_beside_it() {
    let condition = Some(Condition { jitter_ms: 2.0, ..Condition::default() });
    let narrow = Some(Condition { bandwidth: Some(1_000), ..Condition::default() });
    let run = |mode, repetition| RunInfo { condition, mode, repetition, ..info() };
    let late = Machine { send_late_p99_us: 5_001, ..Machine::default() };
    let router = Machine { router_late_p99_us: Some(9_000), ..Machine::default() };
    let steal = Machine { steal: Some(0.06), ..Machine::default() };
    let fine =
        Machine { send_late_p99_us: 5_000, steal: Some(0.05), router_late_p99_us: None, ..late };
    let infos = [
        RunInfo { machine: late, ..run(Mode::Tcp, 1) },
        RunInfo { machine: router, ..run(Mode::Tcp, 2) },
        RunInfo { machine: steal, ..run(Mode::ReliableOrdered, 2) },
        RunInfo { machine: fine, ..run(Mode::Tcp, 3) },
        run(Mode::Unreliable, 4),
        run(Mode::Tcp, 4),
        RunInfo { senders: 2, ..run(Mode::Tcp, 4) },
        RunInfo { condition: None, ..run(Mode::Unreliable, 5) },
        RunInfo { condition: narrow, ..run(Mode::Unreliable, 6) },
    ];
    let at = |latency: u64| vec![row(0, 0, 20_000, 20_000), row(1, 0, 20_000, latency)];
    let spread = Measured::new(&at(34_500), &infos[4]);
    let measured: Vec<_> = infos
        .iter()
        .map(|it| if it.mode == Mode::Unreliable { spread.clone() } else { Measured::default() })
        .collect();
    let found = taints(&infos.iter().zip(&measured).collect::<Vec<_>>());
    let beside = Taint::Spread { spread_ms: 10.5 };
    assert_eq!(found[0], [Taint::Sending { late_ms: 5.001 }]);
    assert_eq!(found[1], [Taint::Router { late_ms: 9.0 }]);
    assert_eq!(found[2], [Taint::Steal { share: 0.06 }]);
    assert_eq!((&found[3], &found[4], &found[5]), (&vec![], &vec![beside], &vec![beside]));
    assert!(found[6].is_empty() && found[7].is_empty(), "not beside it; an unknown network");
    assert!(found[8].is_empty(), "messages wait in the queue of a slow path");
    let within = Measured::new(&at(34_000), &infos[4]);
    assert!(taints(&[(&infos[4], &within)])[0].is_empty());
}
