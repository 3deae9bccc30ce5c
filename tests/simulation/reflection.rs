//! Servers that receive each other's datagrams.

use crate::attacks;
use crate::dice::Dice;
use crate::scenarios::SECOND;
use crate::world::EXPIRY;
use chatagram::hub::{self, Capacity, Hub, Past, Path};
use chatagram::protocol::Header;
use chatagram::time::{Now, Timestamp, WallTime};

/// Runs two servers; each datagram of one is delivered to the other.
pub(crate) fn two_servers(seed: u64) {
    let mut dice = Dice::new(seed);
    let now = Now { mono: Timestamp::ZERO, wall: WallTime(1) };
    let capacity = Capacity { peers: 16, peers_per_ip: 16, expiry: EXPIRY };
    let mut hubs = [0, 1].map(|_| {
        let (room, heartbeat) = ("lab".to_owned(), 2 * SECOND);
        let config = hub::Config {
            room,
            heartbeat,
            capacity,
            replay: 10,
            limit: None,
            discovery: Some(2428),
        };
        Hub::new(config, Past::default(), dice.seed(), now)
    });
    let path = Path::routed(0, ([10, 0, 0, 1], 2428).into());
    let mut answered = 0;
    for _ in 0..200 {
        let mut bytes = if dice.chance(200) {
            attacks::noise(&mut dice)
        } else {
            attacks::forgery(Header { session: 77, ..Header::default() }, &mut dice)
        };
        let mut turn = dice.below(2);
        for round in 0.. {
            assert!(round < 2, "the servers answer each other");
            hubs[turn].handle_datagram(path, &bytes, now);
            if hubs[turn].poll_transmit(&mut bytes, now).is_none() {
                break;
            }
            assert_eq!(hubs[turn].poll_transmit(&mut Vec::new(), now), None);
            answered += 1;
            turn = 1 - turn;
        }
    }
    assert!(answered > 50, "{answered} of 200 were worth an answer: too few to say anything");
}
