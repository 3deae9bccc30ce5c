//! The simulated network: a real hub and real sessions in virtual time, under everything that a
//! network, a machine or an administrator can do to them. `simulation/checks.rs` and `guard.rs` say
//! what must hold at every step.
//!
//! `CHATAGRAM_SEEDS=50000` runs more seeds than the usual thousand of each scenario (`.ci/run`: ten
//! thousand), and `CHATAGRAM_SEED=17` one of them, telling what happens.

// A test that cannot go on fails: that is what these are for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "simulation/attacks.rs"]
mod attacks;
#[path = "simulation/cast.rs"]
mod cast;
#[path = "simulation/checks.rs"]
mod checks;
#[path = "simulation/dice.rs"]
mod dice;
#[path = "simulation/floods.rs"]
mod floods;
#[path = "simulation/guard.rs"]
mod guard;
#[path = "simulation/joining.rs"]
mod joining;
#[path = "simulation/machines.rs"]
mod machines;
#[path = "simulation/network.rs"]
mod network;
#[path = "simulation/paths.rs"]
mod paths;
#[path = "simulation/reflection.rs"]
mod reflection;
#[path = "simulation/scenarios.rs"]
mod scenarios;
#[path = "simulation/streams.rs"]
mod streams;
#[path = "simulation/transports.rs"]
mod transports;
#[path = "simulation/wires.rs"]
mod wires;
#[path = "simulation/world.rs"]
mod world;

use chatagram::protocol::Delivery;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Runs a scenario with every seed. It returns the trace of the run.
fn for_every_seed(name: &str, scenario: impl Fn(u64, bool) -> u64) {
    for_seeds(1, name, scenario);
}

/// The same for a scenario that takes its time.
fn for_every_fifth_seed(name: &str, scenario: impl Fn(u64, bool) -> u64) {
    for_seeds(5, name, scenario);
}

fn for_seeds(step: usize, name: &str, scenario: impl Fn(u64, bool) -> u64) {
    let number = |variable: &str| std::env::var(variable).ok().map(|n| n.parse().unwrap());
    let only: Option<u64> = number("CHATAGRAM_SEED");
    let seeds = only.map_or(0..number("CHATAGRAM_SEEDS").unwrap_or(1_000), |only| only..only + 1);
    for seed in seeds.step_by(step) {
        let outcome = catch_unwind(AssertUnwindSafe(|| scenario(seed, only.is_some())));
        if let Err(cause) = outcome {
            eprintln!(
                "seed {seed} fails; to see it again:\n    \
                 CHATAGRAM_SEED={seed} cargo test --test simulation {name} -- --exact --nocapture"
            );
            resume_unwind(cause);
        }
    }
}

#[test]
fn anything_may_happen_to_a_chat() {
    for_every_seed("anything_may_happen_to_a_chat", |seed, verbose| {
        scenarios::anything(0, seed, verbose)
    });
}

#[test]
fn anything_may_happen_to_a_chat_over_both_transports() {
    for_every_seed("anything_may_happen_to_a_chat_over_both_transports", |seed, verbose| {
        scenarios::anything(600, seed, verbose)
    });
}

#[test]
fn a_first_join_gets_through_where_three_of_ten_datagrams_are_lost_each_way() {
    joining::hardly_any_fails();
}

#[test]
fn every_line_is_accounted_for_whatever_carries_it() {
    for_every_seed("every_line_is_accounted_for_whatever_carries_it", transports::mixed);
}

#[test]
fn reordering_alone_loses_no_line_and_calls_none_lost() {
    for_every_fifth_seed("reordering_alone_loses_no_line_and_calls_none_lost", |seed, verbose| {
        scenarios::reordering(scenarios::MODES[seed as usize % 3], seed, verbose)
    });
}

#[test]
fn a_stopped_peer_is_dropped_and_delays_nobody() {
    for_every_seed("a_stopped_peer_is_dropped_and_delays_nobody", transports::stopped);
}

#[test]
fn nobody_expires_when_clocks_are_put_right_or_wrong() {
    for_every_seed("nobody_expires_when_clocks_are_put_right_or_wrong", machines::clocks_step);
}

#[test]
fn who_slept_is_back_within_five_seconds() {
    for_every_seed("who_slept_is_back_within_five_seconds", machines::sleep);
}

#[test]
fn nobody_is_gone_when_the_server_stood_still() {
    for_every_seed("nobody_is_gone_when_the_server_stood_still", machines::server_stands_still);
}

#[test]
fn a_restart_that_was_announced_is_waited_for_and_loses_nothing() {
    for_every_seed("a_restart_that_was_announced", machines::restart);
}

#[test]
fn a_path_of_any_width_loses_no_reliable_line_and_no_session() {
    for_every_seed("a_path_of_any_width_loses_no_reliable_line_and_no_session", machines::narrow);
}

#[test]
fn a_pasted_page_arrives_whole_in_order_and_no_faster_than_allowed() {
    for_every_fifth_seed(
        "a_pasted_page_arrives_whole_in_order_and_no_faster_than_allowed",
        floods::page,
    );
}

#[test]
fn who_waits_is_never_dropped_whatever_the_network_does() {
    for_every_fifth_seed("who_waits_is_never_dropped_whatever_the_network_does", floods::talkative);
}

#[test]
fn many_who_burst_at_once_throw_nobody_out() {
    for_every_fifth_seed("many_who_burst_at_once_throw_nobody_out", floods::together);
}

#[test]
fn bulk_passes_a_narrow_line_and_who_says_little_does_not_wait_for_it() {
    for_seeds(
        50,
        "bulk_passes_a_narrow_line_and_who_says_little_does_not_wait_for_it",
        floods::bulk,
    );
}

/// The 99th percentile of what the others wait for each other grows by a tenth at most.
#[test]
fn others_do_not_feel_a_flood_nor_a_standstill() {
    use floods::Beside::{Flood, Nothing, Standstill};
    // Connections here have buffers of any size: some are too slow for what is said without a limit.
    for (limited, tcp) in [(true, false), (true, true), (false, false)] {
        let waits = |beside| {
            let runs = (0..5).flat_map(|seed| floods::latencies(beside, limited, tcp, seed));
            let mut all: Vec<_> = runs.collect();
            all.sort_unstable();
            [50, 99, 100].map(|percent| floods::percentile(&all, percent))
        };
        let alone = waits(Nothing);
        println!("limited {limited}, tcp {tcp}: p50, p99, max in us: alone {alone:?}");
        // Where nobody is limited there is no flood.
        for beside in [Flood, Standstill].into_iter().filter(|it| limited || *it == Standstill) {
            let other = waits(beside);
            println!("  beside {beside:?} {other:?}");
            // Of who stands still they feel nothing at all.
            let bounded = if beside == Standstill { 2 } else { 1 };
            assert!(other[bounded] * 10 <= alone[bounded] * 11, "{alone:?} became {other:?}");
        }
    }
}

#[test]
fn strangers_on_tcp_are_cut_off_and_keep_nobody_out() {
    for_every_seed("strangers_on_tcp_are_cut_off_and_keep_nobody_out", transports::crowd);
}

#[test]
fn a_server_with_several_addresses_is_followed_from_one_to_another() {
    for_every_fifth_seed(
        "a_server_with_several_addresses_is_followed_from_one_to_another",
        paths::addresses_change,
    );
}

#[test]
fn who_only_says_that_the_server_is_elsewhere_leads_nobody_there() {
    for_every_fifth_seed(
        "who_only_says_that_the_server_is_elsewhere_leads_nobody_there",
        paths::impostors,
    );
}

#[test]
fn nothing_follows_from_what_is_repeated() {
    for_every_seed("nothing_follows_from_what_is_repeated", attacks::replayed);
}

#[test]
fn nobody_comes_in_by_what_another_connection_brought() {
    for_every_seed("nobody_comes_in_by_what_another_connection_brought", attacks::recorded);
}

#[test]
fn who_gave_up_before_it_was_let_in_holds_no_name() {
    for_every_seed("who_gave_up_before_it_was_let_in_holds_no_name", transports::given_up);
}

#[test]
fn unreliable_lines_arrive_once_or_are_counted_missing() {
    for_every_seed("unreliable_lines_arrive_once_or_are_counted_missing", |seed, verbose| {
        scenarios::delivery(Delivery::Unreliable, seed, verbose)
    });
}

#[test]
fn reliable_unordered_lines_arrive_exactly_once() {
    for_every_seed("reliable_unordered_lines_arrive_exactly_once", |seed, verbose| {
        scenarios::delivery(Delivery::ReliableUnordered, seed, verbose)
    });
}

#[test]
fn reliable_ordered_lines_arrive_exactly_once_and_in_order() {
    for_every_seed("reliable_ordered_lines_arrive_exactly_once_and_in_order", |seed, verbose| {
        scenarios::delivery(Delivery::ReliableOrdered, seed, verbose)
    });
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for seed in 0..20 {
        for tcp in [0, 600] {
            let [first, second] = [(); 2].map(|()| scenarios::anything(tcp, seed, false));
            assert_eq!(first, second);
        }
    }
    assert_ne!(scenarios::anything(0, 1, false), scenarios::anything(0, 2, false));
}

#[test]
fn two_servers_aimed_at_each_other_fall_silent() {
    for seed in 0..50 {
        reflection::two_servers(seed);
    }
}
