//! Which addresses an attempt tries, how often, and for how long.
#![allow(clippy::unwrap_used)]

use super::super::obstacle::Kind;
use super::super::rejoin::First;
use super::super::{CloseReason, Config, Event, Session, Transport};
use super::*;
use crate::protocol::{Delivery, Flags};
use crate::time::WallTime;
use rand_chacha::rand_core::SeedableRng;

#[test]
fn a_rejoin_waits_for_a_restart_for_at_most_a_minute() {
    let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3_600));
    let begun = Timestamp::ZERO;
    for (give_up, wait) in [(hour, RESTART_WAIT), (second, second)] {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let mut attempt = Attempt::again(&mut rng, begun, Duration::ZERO, 0, begun);
        assert!(!attempt.expects(Refusal::ShuttingDown));
        assert_eq!(attempt.await_restart(give_up, begun), wait);
        assert!(attempt.expects(Refusal::ShuttingDown) && !attempt.expects(Refusal::RoomFull));
        assert!(!attempt.is_over(give_up, begun + wait - second / 10));
        assert!(attempt.is_over(give_up, begun + wait));
    }
}

const SERVER: [([u8; 4], u16); 3] =
    [([10, 0, 0, 1], 2428), ([10, 0, 0, 2], 2428), ([10, 0, 0, 3], 2428)];

fn at(ms: u64) -> Now {
    Now { mono: Timestamp::from_micros(ms * 1_000), wall: WallTime(ms * 1_000) }
}

fn session(transport: Transport, servers: usize) -> Session {
    let config = Config {
        nickname: "alice".to_owned(),
        transport,
        delivery: Delivery::ReliableOrdered,
        give_up: Duration::from_secs(600),
        shown: Vec::new(),
    };
    let addresses = SERVER[..servers].iter().map(|it| (*it).into()).collect();
    Session::new(config, addresses, [1; 32], at(0))
}

/// Address and time in milliseconds of each join or connection.
fn tries(session: &mut Session, until: u64) -> Vec<(u64, usize)> {
    let mut tries = Vec::new();
    let mut now = 0;
    while now < until {
        session.handle_timeout(at(now));
        let mut buffer = Vec::new();
        let joins: Vec<_> =
            std::iter::from_fn(|| session.poll_transmit(&mut buffer, at(now))).collect();
        let connects = std::iter::from_fn(|| session.poll_event()).filter_map(|event| {
            let Event::Connect(to) = event else { return None };
            Some(to)
        });
        for to in joins.into_iter().chain(connects) {
            let index = SERVER.iter().position(|it| to == SocketAddr::from(*it)).unwrap();
            tries.push((now, index));
        }
        let Some(next) = session.poll_timeout() else { break };
        now = crate::time::micros(next.since(at(0).mono)).div_ceil(1_000).max(now + 1);
    }
    tries
}

fn hint(kind: Kind) -> Obstacle {
    Obstacle { kind, local: false }
}

#[test]
fn addresses_are_tried_in_rounds() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let tried = tries(&mut session(transport, 3), 700);
        assert_eq!(tried, [(0, 0), (250, 1), (500, 2)], "{transport:?}");
    }
    let tried = tries(&mut session(Transport::Udp, 3), 2_000);
    assert_eq!(tried[3..], [(750, 0), (1_000, 1), (1_250, 2), (1_750, 0)]);
    let tried = tries(&mut session(Transport::Udp, 1), 60_000);
    let times: Vec<_> = tried.into_iter().map(|(at, _)| at).collect();
    assert_eq!(times[..5], [0, 250, 750, 1_500, 2_250]);
    assert_eq!((times.len(), times.last()), (12, Some(&7_500)), "no server answers");
    // Connection attempts end when the kernel's SYN retransmissions do.
    let tried = tries(&mut session(Transport::Tcp, 2), 3_000);
    assert_eq!(tried, [(0, 0), (250, 1), (2_250, 0), (2_500, 1)]);
}

/// A join takes seconds to leave on such a path, and more would only wait behind it.
#[test]
fn a_caller_that_waits_long_joins_at_long_pauses_with_one_cookie() {
    let mut session = session(Transport::Udp, 1);
    session.set_join_timeout(Duration::from_secs(384));
    assert_eq!(tries(&mut session, 30_000), [(0, 0), (12_000, 0), (24_000, 0)]);
    let attempt = session.attempt.as_mut().unwrap();
    attempt.challenged(attempt.nonce, [7; 20], SERVER[0].into(), false, at(30_000).mono);
    let mut buffer = Vec::new();
    for now in [30_000, 42_000, 54_000] {
        assert!(session.poll_transmit(&mut buffer, at(now - 1)).is_none());
        assert!(session.poll_transmit(&mut buffer, at(now)).is_some());
        let datagram = Datagram::decode(&buffer).unwrap();
        let Some(Frame::Join(join)) = datagram.frames().next() else { unreachable!() };
        assert_eq!(join.cookie, [7; 20], "after {now} ms");
    }
}

/// Joins and look-ups in ten minutes, over UDP and TCP.
#[test]
fn joins_and_look_ups_back_off_while_a_server_is_dead() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut session = session(transport, 1);
        session.look_first();
        session.attempt = None;
        session.begin_attempt(First::Same, at(0));
        let (mut joins, mut searches, mut now) = (vec![], vec![], 0);
        while !session.is_closed() {
            session.handle_timeout(at(now));
            let mut buffer = Vec::new();
            while session.poll_transmit(&mut buffer, at(now)).is_some() {
                joins.push(now);
            }
            while let Some(event) = session.poll_event() {
                match event {
                    Event::Connect(to) => {
                        joins.push(now);
                        session.handle_obstacle(to, hint(Kind::Refused), at(now));
                    }
                    Event::Resolve => {
                        searches.push(now);
                        session.set_addresses(vec![SERVER[0].into()], at(now));
                    }
                    _ => {}
                }
            }
            let Some(next) = session.poll_timeout() else { break };
            now = crate::time::micros(next.since(at(0).mono)).div_ceil(1_000).max(now + 1);
        }
        assert_eq!(now, 600_000, "the time to give up");
        assert_eq!(searches[..5], [0, 5_000, 15_000, 35_000, 75_000], "{transport:?}");
        let rare = searches[4..].windows(2).all(|pair| pair[1] - pair[0] == 40_000);
        assert!(rare && searches.len() == 18, "{searches:?}");
        assert!(
            joins.iter().filter(|at| **at < 2_000).count() >= 3,
            "frequent at first: {joins:?}"
        );
        let pauses: Vec<_> = joins.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(pauses[8..].iter().all(|it| *it <= 8_000), "{pauses:?}");
        let last_minute = joins.iter().filter(|at| **at >= 540_000).count();
        assert!((7..=17).contains(&last_minute), "{last_minute} in a minute, {transport:?}");
    }
}

#[test]
fn an_address_with_an_obstacle_costs_no_time() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut session = session(transport, 3);
        assert_eq!(tries(&mut session, 1), [(0, 0)]);
        session.handle_obstacle(SERVER[0].into(), hint(Kind::Refused), at(10));
        session.handle_timeout(at(10));
        let mut buffer = Vec::new();
        let next = match transport {
            Transport::Udp => session.poll_transmit(&mut buffer, at(10)),
            Transport::Tcp | Transport::Quic | Transport::Web => match session.poll_event() {
                Some(Event::Connect(to)) => Some(to),
                _ => None,
            },
        };
        assert_eq!(next, Some(SERVER[1].into()), "{transport:?}");
        // A repeated error changes nothing, so a forger cannot speed a client up.
        session.handle_obstacle(SERVER[0].into(), hint(Kind::Refused), at(11));
        assert_eq!(session.poll_transmit(&mut buffer, at(11)), None);
    }
}

#[test]
fn a_first_join_ends_at_once_only_if_no_address_is_reachable() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut session = session(transport, 2);
        let local = Obstacle { kind: Kind::Unreachable, local: true };
        session.handle_obstacle(SERVER[0].into(), local, at(0));
        session.handle_obstacle(SERVER[1].into(), hint(Kind::Unreachable), at(0));
        assert!(!session.is_closed());
        let told = std::iter::from_fn(|| session.poll_event()).collect::<Vec<_>>();
        let [Event::Status { notice }] = &told[..] else { panic!("{told:?}") };
        assert!(notice.to_string().contains("unreachable"), "{notice}");
        session.handle_obstacle(SERVER[1].into(), local, at(1));
        let told: Vec<_> = std::iter::from_fn(|| session.poll_event()).collect();
        let [Event::Error { notice }, Event::Closed { reason }] = &told[..] else {
            panic!("{told:?}")
        };
        assert!(notice.to_string().contains("no route"), "{notice}");
        assert_eq!(*reason, CloseReason::Unreachable);
    }
}

#[test]
fn the_first_address_that_answers_is_joined() {
    let mut session = session(Transport::Udp, 3);
    let mut buffer = Vec::new();
    assert_eq!(session.poll_transmit(&mut buffer, at(0)), Some(SERVER[0].into()));
    let nonce = session.attempt.as_ref().unwrap().nonce;
    assert_eq!(session.poll_transmit(&mut buffer, at(250)), Some(SERVER[1].into()));
    for (ms, server, cookie) in [(260, 1, [1; 20]), (261, 0, [2; 20])] {
        let mut bytes = Vec::new();
        let mut writer = DatagramWriter::new(&mut bytes);
        writer.push(&Frame::Challenge { nonce, cookie });
        writer.finish(&Header { flags: Flags::FROM_SERVER, ..Header::default() });
        session.handle_datagram(SERVER[server].into(), &bytes, at(ms));
        let to = session.poll_transmit(&mut buffer, at(ms));
        assert_eq!(to, (server == 1).then_some(SERVER[1].into()));
    }
    assert_eq!(session.poll_transmit(&mut buffer, at(510)), Some(SERVER[1].into()));
}

#[test]
fn a_discovered_room_is_searched_before_its_old_address_is_tried() {
    for elsewhere in [0, 1] {
        let mut session = session(Transport::Udp, 1);
        session.look_first();
        session.attempt = None;
        session.begin_attempt(First::Same, at(0));
        assert_eq!(session.poll_event(), Some(Event::Resolve));
        let mut buffer = Vec::new();
        assert_eq!(session.poll_transmit(&mut buffer, at(1_000)), None);
        session.set_addresses(vec![SERVER[elsewhere].into()], at(1_000));
        let to = session.poll_transmit(&mut buffer, at(1_000));
        assert_eq!(to, Some(SERVER[elsewhere].into()));
    }
    let mut slow = session(Transport::Udp, 1);
    slow.look_first();
    slow.attempt = None;
    slow.begin_attempt(First::Same, at(0));
    let to = slow.poll_transmit(&mut Vec::new(), at(3_000));
    assert_eq!(to, Some(SERVER[0].into()));
}

#[test]
fn new_addresses_are_tried_at_once() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut session = session(transport, 1);
        assert_eq!(tries(&mut session, 1), [(0, 0)]);
        assert!(!session.set_addresses(vec![SERVER[0].into()], at(10)));
        assert!(session.set_addresses(vec![SERVER[2].into()], at(10)));
        session.handle_timeout(at(10));
        let mut buffer = Vec::new();
        let next = match transport {
            Transport::Udp => session.poll_transmit(&mut buffer, at(10)),
            Transport::Tcp | Transport::Quic | Transport::Web => {
                assert_eq!(session.poll_event(), Some(Event::Disconnect));
                match session.poll_event() {
                    Some(Event::Connect(to)) => Some(to),
                    _ => None,
                }
            }
        };
        assert_eq!(next, Some(SERVER[2].into()), "{transport:?}");
    }
}

/// Number of joins in three seconds at a server that answers each with new cookies.
#[test]
fn a_flood_of_cookies_draws_one_immediate_join() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let start = Timestamp::from_micros(1_000_000);
    let mut attempt = Attempt::first(&mut rng, start);
    let server: SocketAddr = ([10, 0, 0, 1], 2428).into();
    let targets = Targets::new(vec![server]);
    let (mut joins, mut bytes) = (vec![], vec![]);
    for millis in 0..3_000_u64 {
        let mono = start + Duration::from_millis(millis);
        let now = Now { mono, wall: crate::time::WallTime(0) };
        if attempt.poll_transmit(&mut bytes, Join::default(), &targets, now).is_some() {
            joins.push(millis);
        }
        let cookie = std::array::from_fn(|i| millis.to_be_bytes()[i % 8]);
        attempt.challenged(attempt.nonce, cookie, server, false, mono);
    }
    assert_eq!(joins, [0, 1, 251, 751, 1_501, 2_251]);
}
