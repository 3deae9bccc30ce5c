//! A name has one peer, on whichever server.

use super::proxy::Proxy;
use super::redis::Redis;
use super::servers::{Server, addresses, servers};
use crate::needs::{amount, needs_time};
use chatagram::client::session::{self, CloseReason, Event, Transport};
use chatagram::lab::load::Fleet;
use chatagram::protocol::Delivery;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);
/// How long a server is cut off from the engine, at least.
const CUT: Duration = Duration::from_secs(60);
/// Five seconds are promised; the simulation holds the servers to them.
const TOLD: Duration = Duration::from_secs(8);
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

/// Three clients at once for each of some names, one at each server, over both transports.
fn race(servers: &[SocketAddr], round: usize) {
    let mut fleets = [(); 2].map(|()| Fleet::new(true, None).unwrap());
    let mut names = [Vec::new(), Vec::new()];
    for name in 0..ROUND {
        for server in 0..servers.len() {
            let which = (name + server) % 2;
            let config = session::Config {
                nickname: format!("r{round}-{name}"),
                transport: [Transport::Udp, Transport::Tcp][which],
                delivery: Delivery::ReliableOrdered,
                give_up: LIMIT,
                shown: Vec::new(),
            };
            fleets[which].add(config, &[servers[(name + server) % servers.len()]]).unwrap();
            names[which].push((name, server));
        }
    }
    let (mut won, mut lost) = ([0; ROUND], [0; ROUND]);
    // What became of each client, for the message of a failure.
    let mut told = BTreeMap::<usize, Vec<String>>::new();
    let start = Instant::now();
    while won.iter().chain(&lost).sum::<usize>() < ROUND * servers.len() {
        assert!(start.elapsed() < LIMIT, "round {round}: won {won:?}, lost {lost:?}");
        for (fleet, names) in fleets.iter_mut().zip(&names) {
            fleet.wait(fleet.now().mono + Duration::from_millis(5)).unwrap();
            while let Some((index, event, _)) = fleet.poll_event() {
                let (name, client) = names[index];
                let at = start.elapsed();
                told.entry(name).or_default().push(format!("{at:?} client {client}: {event:?}"));
                match event {
                    Event::Welcome { .. } => won[name] += 1,
                    Event::Error { notice } => {
                        let message = notice.to_string();
                        assert!(message.contains("is in use: choose another"), "{message}");
                    }
                    Event::Closed { reason: CloseReason::Refused } => lost[name] += 1,
                    Event::Closed { reason } => panic!("round {round}: {reason:?}"),
                    _ => {}
                }
            }
        }
    }
    let wrong = (0..ROUND).filter(|name| (won[*name], lost[*name]) != (1, servers.len() - 1));
    let wrong: Vec<_> = wrong.map(|name| (name, told.remove(&name))).collect();
    assert!(wrong.is_empty(), "round {round}: {wrong:#?}");
    for fleet in &mut fleets {
        for index in 0..fleet.len() {
            fleet.with_session(index, session::Session::leave);
        }
        while !fleet.sessions().all(session::Session::is_closed) {
            assert!(start.elapsed() < LIMIT, "round {round}: they do not leave");
            fleet.wait(fleet.now().mono + Duration::from_millis(5)).unwrap();
            while fleet.poll_event().is_some() {}
        }
    }
}

/// A server that the engine does not hear tells its peers, closes its sessions before another peer
/// can have their names, and takes part again once it is heard.
pub(crate) fn a_server_cut_off_from_the_engine_gives_its_names_up_in_time() {
    needs_time();
    let redis = Redis::start(&[]);
    let proxy = Proxy::start(redis.port);
    let mut cut = Server::start(&format!("redis://{}/cut", proxy.address), &[]);
    let whole = Server::start(&redis.url("cut"), &[]);
    let mut bob = whole.join("bob");
    let mut fleet = Fleet::new(true, None).unwrap();
    fleet.add(alice(LIMIT), &[cut.address]).unwrap();
    until(&mut fleet, "alice joins", |_, event| matches!(event, Event::Welcome { .. }));
    proxy.freeze(true);
    let frozen = Instant::now();
    until(&mut fleet, "alice is told", |_, event| says(event, "no contact"));
    let told = frozen.elapsed();
    assert!(told < TOLD, "{told:?}");
    // Rivals want the name again and again, until one has it.
    let mut ended = None;
    let mut tries = 0;
    let taken = loop {
        tries += 1;
        fleet.add(alice(Duration::ZERO), &[whole.address]).unwrap();
        let (mut won, rival) = (false, tries);
        until(&mut fleet, "an answer", |index, event| {
            if index == 0 && says(event, "for too long") {
                ended = Some(frozen.elapsed());
            }
            won |= index == rival && matches!(event, Event::Welcome { .. });
            won || (index == rival && matches!(event, Event::Closed { .. }))
        });
        if won {
            break frozen.elapsed();
        }
        assert!(frozen.elapsed() < CUT, "the name stays taken");
        let pause = fleet.now().mono + Duration::from_millis(200);
        while fleet.now().mono < pause {
            fleet.wait(pause).unwrap();
        }
    };
    println!("told after {told:.1?}, ended {ended:.1?}, taken {taken:.1?}, tried {tries} times");
    assert!(ended.is_some_and(|ended| ended < taken), "the name was at two servers");
    std::thread::sleep(CUT.saturating_sub(frozen.elapsed()));
    proxy.freeze(false);
    let server = cut.program.as_mut().unwrap();
    server.line("return", |line| line.contains("taking part in the room"));
    bob.type_line("after");
    let mut carol = cut.join("carol");
    carol.type_line("healed");
    bob.hear("healed");
}

fn alice(give_up: Duration) -> session::Config {
    session::Config {
        nickname: "alice".to_owned(),
        transport: Transport::Udp,
        delivery: Delivery::ReliableOrdered,
        give_up,
        shown: Vec::new(),
    }
}

fn says(event: &Event, words: &str) -> bool {
    matches!(event, Event::Status { notice } if notice.to_string().contains(words))
}

/// Runs until an event of a client is this one.
fn until(fleet: &mut Fleet, what: &str, mut is: impl FnMut(usize, &Event) -> bool) {
    let start = Instant::now();
    loop {
        while let Some((index, event, _)) = fleet.poll_event() {
            if is(index, &event) {
                return;
            }
        }
        assert!(start.elapsed() < Duration::from_secs(60), "not within the deadline: {what}");
        fleet.wait(fleet.now().mono + Duration::from_millis(20)).unwrap();
    }
}
