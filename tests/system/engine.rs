//! One room on several servers, with a `redis-server` that each test starts.
//!
//! `CHATAGRAM_ENGINE_KILLS=1000` sets the number of killed servers (3 by default, 25 with
//! `CHATAGRAM_TESTS=all`), `CHATAGRAM_RACES=10000` the number of races for a name (25, 100),
//! `CHATAGRAM_CROWD=300` the peers of the test for one order (60, 300), and `CHATAGRAM_OUTAGE=30`
//! the seconds for which the engine is gone (by default until the clients are told).

mod crowd;
mod doctor;
mod failover;
mod hostile;
mod names;
mod order;
mod outages;
mod proxy;
mod redis;
mod refusals;
mod rooms;
mod servers;
mod variants;

tests! {
    names::a_name_has_one_winner_in_each_race,
    names::a_server_cut_off_from_the_engine_gives_its_names_up_in_time,
    failover::a_client_of_a_dead_server_is_back_at_a_listed_one_with_name_and_lines,
    order::three_servers_show_one_order_under_loss,
    order::killed_servers_lose_no_confirmed_line_and_no_peer,
    outages::lines_said_while_the_engine_is_down_are_confirmed_when_it_is_back,
    outages::an_emptied_engine_is_announced_and_the_room_begins_anew,
    outages::an_engine_with_an_older_log_is_announced,
    outages::an_engine_that_goes_back_under_its_connections_is_announced,
    outages::a_promoted_stale_replica_is_announced,
    outages::a_killed_durable_engine_loses_no_confirmed_line,
    outages::a_promoted_replica_serves_the_room,
    variants::a_unix_socket_leads_to_the_engine,
    variants::a_durable_line_is_confirmed_when_the_disk_has_it,
    doctor::doctor_says_what_an_engine_lacks,
    doctor::doctor_needs_an_engine_without_a_password_in_sight,
    hostile::a_redis_that_lies_harms_no_server,
    hostile::contents_that_somebody_writes_reach_no_terminal_and_leave_the_room_running,
    rooms::rooms_on_one_engine_do_not_mix,
    rooms::whispers_are_in_no_log_no_file_and_no_replica,
    refusals::a_wrong_url_is_refused,
    refusals::an_unusable_redis_is_refused_with_its_fault,
    refusals::an_engine_over_tls_is_used_and_its_certificate_checked,
    refusals::a_password_is_shown_nowhere,
}
