//! The simulated network: a real hub and real sessions in virtual time, with random faults of the
//! network, the machines and the administration. `simulation/checks.rs` and `guard.rs` have the
//! invariants, which are checked at every step.
//!
//! `CHATAGRAM_SEEDS=10000` sets the number of seeds (250 by default, 3,000 with
//! `CHATAGRAM_TESTS=all`). `CHATAGRAM_SEED=17` runs one seed and prints its events.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "needs/amount.rs"]
mod amount;
#[path = "simulation/attacks.rs"]
mod attacks;
#[path = "simulation/cast.rs"]
mod cast;
#[path = "simulation/checks.rs"]
mod checks;
#[path = "simulation/claims.rs"]
mod claims;
#[path = "simulation/dice.rs"]
mod dice;
#[path = "simulation/distant.rs"]
mod distant;
#[path = "simulation/engine.rs"]
mod engine;
#[path = "simulation/failover.rs"]
mod failover;
#[path = "simulation/floods.rs"]
mod floods;
#[path = "simulation/guard.rs"]
mod guard;
#[path = "simulation/hostile.rs"]
mod hostile;
#[path = "simulation/joining.rs"]
mod joining;
#[path = "simulation/machines.rs"]
mod machines;
#[path = "simulation/moderator.rs"]
mod moderator;
#[path = "simulation/network.rs"]
mod network;
#[path = "simulation/paths.rs"]
mod paths;
#[path = "simulation/presence.rs"]
mod presence;
#[path = "simulation/quic.rs"]
mod quic;
#[path = "simulation/reflection.rs"]
mod reflection;
#[path = "simulation/renames.rs"]
mod renames;
#[path = "simulation/rooms.rs"]
mod rooms;
#[path = "simulation/scenarios.rs"]
mod scenarios;
#[path = "simulation/seeds.rs"]
mod seeds;
#[path = "simulation/shared.rs"]
mod shared;
#[path = "simulation/streams.rs"]
mod streams;
#[path = "simulation/transports.rs"]
mod transports;
#[path = "simulation/wires.rs"]
mod wires;
#[path = "simulation/world.rs"]
mod world;

use chatagram::protocol::Delivery;
#[cfg(feature = "quic")]
use seeds::for_every_quic_seed;
use seeds::{for_every_fifth_seed, for_every_seed, for_seeds};

#[test]
fn a_chat_survives_random_events() {
    for_every_seed("a_chat_survives_random_events", |seed, verbose| {
        scenarios::anything(0, seed, verbose)
    });
}

#[test]
fn a_moderator_acts_at_random() {
    for_every_fifth_seed("a_moderator_acts_at_random", moderator::anything);
}

#[test]
fn removing_many_clients_does_not_delay_the_others() {
    let mut all = [0; 2];
    for seed in 0..8 {
        let [calm, kicks] = moderator::delays(seed, false);
        all = [all[0] + calm, all[1] + kicks];
    }
    eprintln!("99th percentile, sum of 8 rooms: {} us, with 50 kicks {} us", all[0], all[1]);
    assert!(all[1] * 10 <= all[0] * 11, "{all:?}");
}

#[test]
fn renamed_clients_are_known_by_their_names() {
    for_every_fifth_seed("renamed_clients_are_known_by_their_names", renames::anything);
}

#[test]
fn a_chat_over_both_transports_survives_random_events() {
    for_every_seed("a_chat_over_both_transports_survives_random_events", |seed, verbose| {
        scenarios::anything(600, seed, verbose)
    });
}

#[cfg(feature = "quic")]
#[test]
fn unreliable_lines_over_quic_arrive_once_or_are_counted_missing() {
    let name = "unreliable_lines_over_quic_arrive_once_or_are_counted_missing";
    for_every_quic_seed(name, |seed, verbose| quic::delivery(Delivery::Unreliable, seed, verbose));
}

#[cfg(feature = "quic")]
#[test]
fn reliable_unordered_lines_over_quic_arrive_exactly_once() {
    let name = "reliable_unordered_lines_over_quic_arrive_exactly_once";
    for_every_quic_seed(name, |seed, verbose| {
        quic::delivery(Delivery::ReliableUnordered, seed, verbose)
    });
}

#[cfg(feature = "quic")]
#[test]
fn reliable_ordered_lines_over_quic_arrive_exactly_once_and_in_order() {
    let name = "reliable_ordered_lines_over_quic_arrive_exactly_once_and_in_order";
    for_every_quic_seed(name, |seed, verbose| {
        quic::delivery(Delivery::ReliableOrdered, seed, verbose)
    });
}

#[cfg(feature = "quic")]
#[test]
fn a_room_of_three_transports_loses_no_line() {
    for_seeds(3, "a_room_of_three_transports_loses_no_line", quic::mixed);
}

#[test]
fn first_joins_succeed_at_30_percent_loss() {
    joining::hardly_any_fails();
}

#[cfg(feature = "quic")]
#[test]
fn first_joins_over_quic_succeed_at_20_percent_loss() {
    joining::hardly_any_fails_over_quic();
}

#[test]
fn a_path_of_a_minute_carries_every_line() {
    for_seeds(50, "a_path_of_a_minute_carries_every_line", distant::minute);
}

#[test]
fn a_path_of_a_kilobit_carries_joins_and_lines() {
    for_seeds(50, "a_path_of_a_kilobit_carries_joins_and_lines", distant::kilobits);
}

#[test]
fn every_line_is_accounted_for_over_any_transport() {
    for_every_seed("every_line_is_accounted_for_over_any_transport", transports::mixed);
}

#[test]
fn reordering_alone_loses_no_line() {
    for_every_fifth_seed("reordering_alone_loses_no_line", |seed, verbose| {
        scenarios::reordering(scenarios::MODES[seed as usize % 3], seed, verbose)
    });
}

#[test]
fn a_stopped_peer_is_dropped_and_delays_no_other() {
    for_every_fifth_seed("a_stopped_peer_is_dropped_and_delays_no_other", transports::stopped);
}

#[test]
fn wall_clock_steps_expire_no_client() {
    for_every_fifth_seed("wall_clock_steps_expire_no_client", machines::clocks_step);
}

#[test]
fn a_client_rejoins_within_five_seconds_after_sleep() {
    for_every_fifth_seed("a_client_rejoins_within_five_seconds_after_sleep", machines::sleep);
}

#[test]
fn a_stopped_server_loses_no_client() {
    for_every_fifth_seed("a_stopped_server_loses_no_client", machines::server_stands_still);
}

#[test]
fn clients_wait_for_an_announced_restart() {
    for_every_fifth_seed("clients_wait_for_an_announced_restart", machines::restart);
}

#[test]
fn paths_of_any_mtu_lose_no_reliable_line_and_no_session() {
    let name = "paths_of_any_mtu_lose_no_reliable_line_and_no_session";
    for_every_fifth_seed(name, machines::narrow);
}

#[test]
fn a_pasted_page_arrives_in_order_within_the_rate_limit() {
    for_every_fifth_seed("a_pasted_page_arrives_in_order_within_the_rate_limit", floods::page);
}

#[test]
fn a_client_that_respects_the_limit_is_never_dropped() {
    for_every_fifth_seed("a_client_that_respects_the_limit_is_never_dropped", floods::talkative);
}

#[test]
fn simultaneous_bursts_drop_no_client() {
    for_seeds(100, "simultaneous_bursts_drop_no_client", floods::together);
}

#[test]
fn bulk_does_not_delay_short_lines_at_a_bottleneck() {
    for_seeds(50, "bulk_does_not_delay_short_lines_at_a_bottleneck", floods::bulk);
}

/// The 99th percentile of the delay between the others grows by at most a tenth.
#[test]
fn a_flood_or_a_stopped_client_does_not_delay_others() {
    use floods::Beside::{Flood, Nothing, Standstill};
    // Connections have buffers of random size, some too small for traffic without a limit.
    for (limited, tcp) in [(true, false), (true, true), (false, false)] {
        let waits = |beside| {
            let runs = (0..5).flat_map(|seed| floods::latencies(beside, limited, tcp, seed));
            let mut all: Vec<_> = runs.collect();
            all.sort_unstable();
            [50, 99, 100].map(|percent| floods::percentile(&all, percent))
        };
        let alone = waits(Nothing);
        println!("limited {limited}, tcp {tcp}: p50, p99, max in us: alone {alone:?}");
        // Without a limit no client counts as a flood.
        for beside in [Flood, Standstill].into_iter().filter(|it| limited || *it == Standstill) {
            let other = waits(beside);
            println!("  beside {beside:?} {other:?}");
            // A stopped client must not affect even the maximum, of which [`floods::latencies`] has
            // 3.
            let bounded = if beside == Standstill { 2 } else { 1 };
            assert!(other[bounded] * 10 <= alone[bounded] * 11, "{alone:?} became {other:?}");
        }
    }
}

#[test]
fn every_client_knows_the_members_after_a_crowd_came_and_went() {
    for_seeds(50, "every_client_knows_the_members_after_a_crowd_came_and_went", presence::crowd);
}

#[test]
fn unjoined_connections_are_closed_and_block_no_join() {
    for_every_fifth_seed("unjoined_connections_are_closed_and_block_no_join", transports::crowd);
}

#[test]
fn clients_follow_a_server_between_its_addresses() {
    for_every_fifth_seed("clients_follow_a_server_between_its_addresses", paths::addresses_change);
}

#[test]
fn forged_server_addresses_are_not_followed() {
    for_every_fifth_seed("forged_server_addresses_are_not_followed", paths::impostors);
}

#[test]
fn replayed_datagrams_have_no_effect() {
    for_every_fifth_seed("replayed_datagrams_have_no_effect", attacks::replayed);
}

#[test]
fn replayed_connections_admit_no_client() {
    for_every_seed("replayed_connections_admit_no_client", attacks::recorded);
}

#[test]
fn an_abandoned_join_holds_no_name() {
    for_every_seed("an_abandoned_join_holds_no_name", transports::given_up);
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
fn a_room_with_several_servers_survives_random_events() {
    for_every_fifth_seed("a_room_with_several_servers_survives_random_events", rooms::anything);
}

#[test]
fn a_race_for_a_name_over_several_servers_has_one_winner() {
    for_every_seed("a_race_for_a_name_over_several_servers_has_one_winner", rooms::race);
}

#[test]
fn a_join_over_tcp_waits_for_the_engine() {
    claims::over_streams();
}

#[test]
fn a_client_over_tcp_that_talks_stays_while_its_lines_wait_for_the_engine() {
    claims::of_a_talker();
}

#[test]
fn joins_of_a_crowd_for_which_the_engine_has_no_time_yet_are_tried_again() {
    claims::of_a_crowd();
}

#[test]
fn a_server_cut_off_from_the_engine_tells_its_peers_and_heals() {
    let name = "a_server_cut_off_from_the_engine_tells_its_peers_and_heals";
    for_every_fifth_seed(name, rooms::cut_off);
}

#[test]
fn an_engine_that_is_away_loses_no_line_and_no_session() {
    for_every_fifth_seed("an_engine_that_is_away_loses_no_line_and_no_session", rooms::engine_away);
}

#[test]
fn an_engine_that_forgets_is_noticed_by_everybody() {
    for_every_fifth_seed("an_engine_that_forgets_is_noticed_by_everybody", rooms::engine_forgets);
}

#[test]
fn whispers_pings_and_questions_reach_other_servers() {
    for_every_fifth_seed("whispers_pings_and_questions_reach_other_servers", rooms::across);
}

#[test]
fn clients_of_a_dead_server_go_on_at_another() {
    for_every_fifth_seed("clients_of_a_dead_server_go_on_at_another", rooms::server_dies);
}

#[test]
fn clients_go_from_server_to_server_and_lose_no_line() {
    for_every_fifth_seed("clients_go_from_server_to_server_and_lose_no_line", failover::wander);
}

#[test]
fn a_server_that_dies_while_lines_wait_loses_none() {
    let name = "a_server_that_dies_while_lines_wait_loses_none";
    for_every_fifth_seed(name, failover::dies_with_lines);
}

#[test]
fn a_server_that_is_behind_shows_no_line_twice() {
    for_every_fifth_seed("a_server_that_is_behind_shows_no_line_twice", failover::behind);
}

#[test]
fn a_client_of_a_new_server_knows_the_others_at_once() {
    for_every_fifth_seed("a_client_of_a_new_server_knows_the_others_at_once", failover::early);
}

#[test]
fn an_engine_that_lies_harms_neither_server_nor_clients() {
    let name = "an_engine_that_lies_harms_neither_server_nor_clients";
    for_every_fifth_seed(name, hostile::engine);
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
fn two_servers_do_not_answer_each_other() {
    for seed in 0..50 {
        reflection::two_servers(seed);
    }
}
