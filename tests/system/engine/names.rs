//! A name has one peer, on whichever server.

use super::proxy::Proxy;
use super::redis::Redis;
use super::servers::{Server, addresses, servers};
use crate::needs::{amount, needs_time};
use chatagram::client::session::{self, CloseReason, Event, Transport};
use chatagram::lab::load::Fleet;
use chatagram::protocol::Delivery;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);
/// How long a server is cut off from the engine, at least.
const CUT: Duration = Duration::from_secs(60);
/// Races at once: their clients share a fleet.
const ROUND: usize = 25;

pub(crate) fn a_name_has_one_winner_in_each_race() {
    let races = amount("CHATAGRAM_RACES", 25, 100) as usize;
    let redis = Redis::start(&[]);
    let servers = servers::<3>(&redis.url("races"), &[]);
    let addresses = addresses(&servers);
    for round in 0..races / ROUND {
        race(&addresses, round);
    }
}

/// Three clients at once for each of some names, one at each server.
fn race(servers: &[SocketAddr], round: usize) {
    let mut fleet = Fleet::new(true, None).unwrap();
    for name in 0..ROUND {
        for server in 0..servers.len() {
            let config = session::Config {
                nickname: format!("r{round}-{name}"),
                transport: [Transport::Udp, Transport::Tcp][(name + server) % 2],
                delivery: Delivery::ReliableOrdered,
                give_up: LIMIT,
                shown: Vec::new(),
            };
            fleet.add(config, &[servers[(name + server) % servers.len()]]).unwrap();
        }
    }
    let (mut won, mut lost) = ([0; ROUND], [0; ROUND]);
    let start = Instant::now();
    while won.iter().chain(&lost).sum::<usize>() < ROUND * servers.len() {
        assert!(start.elapsed() < LIMIT, "round {round}: won {won:?}, lost {lost:?}");
        fleet.wait(fleet.now().mono + Duration::from_millis(5)).unwrap();
        while let Some((index, event, _)) = fleet.poll_event() {
            match event {
                Event::Welcome { .. } => won[index / servers.len()] += 1,
                // A loser over UDP is not always told why: it then gives up by itself.
                Event::Closed { reason: CloseReason::Refused | CloseReason::Unreachable } => {
                    lost[index / servers.len()] += 1;
                }
                Event::Closed { reason } => panic!("{index}: {reason:?}"),
                _ => {}
            }
        }
    }
    assert_eq!((won, lost), ([1; ROUND], [servers.len() - 1; ROUND]), "round {round}");
    for index in 0..fleet.len() {
        fleet.with_session(index, session::Session::leave);
    }
    while !fleet.sessions().all(session::Session::is_closed) {
        assert!(start.elapsed() < LIMIT, "round {round}: they do not leave");
        fleet.wait(fleet.now().mono + Duration::from_millis(5)).unwrap();
        while fleet.poll_event().is_some() {}
    }
}

/// A server that the engine does not hear closes its sessions before another peer can have their
/// names, and takes part again once it is heard.
pub(crate) fn a_server_cut_off_from_the_engine_gives_its_names_up_in_time() {
    needs_time();
    let redis = Redis::start(&[]);
    let proxy = Proxy::start(redis.port);
    let mut cut = Server::start(&format!("redis://{}/cut", proxy.address), &[]);
    let whole = Server::start(&redis.url("cut"), &[]);
    let mut alice = cut.join("alice");
    let mut bob = whole.join("bob");
    alice.type_line("before");
    bob.hear("before");
    proxy.freeze(true);
    let frozen = Instant::now();
    alice.status("no contact");
    let told = frozen.elapsed();
    // Only while alice's session lasts may nobody else have her name.
    let mut impostor = 0;
    let taken = loop {
        impostor += 1;
        assert!(frozen.elapsed() < Duration::from_secs(60), "the name stays taken");
        let mut rival = whole.client("alice");
        rival.line("answer", |line| {
            line.contains("\"event\":\"welcome\"") || line.contains("\"event\":\"closed\"")
        });
        if rival.events("welcome").len() == 1 {
            break Instant::now();
        }
        drop(rival);
        std::thread::sleep(Duration::from_millis(500));
    };
    let lost = alice.status("for too long");
    println!(
        "told after {told:.1?}, {lost:?}, the name was free after {:.1?}, tried {impostor} times",
        taken - frozen
    );
    std::thread::sleep(CUT.saturating_sub(frozen.elapsed()));
    proxy.freeze(false);
    let server = cut.program.as_mut().unwrap();
    server.line("return", |line| line.contains("taking part in the room"));
    bob.type_line("after");
    let mut carol = cut.join("carol");
    carol.type_line("healed");
    bob.hear("healed");
}
