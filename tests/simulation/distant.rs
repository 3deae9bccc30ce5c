//! The longest path that a plan of the lab accepts, a minute each way, and paths of one and two
//! kilobits a second, on which a `Join` takes seconds to leave. The timeouts are those of the lab's
//! run (`Trial::expiry`, `Trial::heartbeat`, `Load::join`).

use crate::dice::Dice;
use crate::network::{ELSEWHERE, Impairment};
use crate::scenarios::{MODES, NAMES, SECOND, say};
use crate::world::World;
use chatagram::protocol::limits::MAX_DATAGRAM;
use std::time::Duration;

/// Bits of a full datagram with its headers of UDP and IPv4.
const FULL_BITS: u32 = 8 * (MAX_DATAGRAM as u32 + 28);
/// Bits of ten datagrams with a `Join`, as in `Condition::round_trip`.
const QUEUED_BITS: u32 = 8 * 10 * 540;
/// Limits on a join and on a line after it: 30 s and 70 s at 1 kbit/s. Two `Join`s of each client
/// take 17 s, and each client's probe of the path's datagram size 10 s on each way.
const LIMIT_BITS: [u32; 2] = [30_000, 70_000];

/// Clients of each mode over UDP join and talk: every line arrives once, and no session is lost.
pub(crate) fn minute(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = World::new(seed, Impairment::NONE, verbose);
    world.network.impairment.delay = 60 * SECOND;
    let trip = 2 * world.network.impairment.delay;
    world.server.config.heartbeat = trip;
    world.server.config.capacity.expiry = 8 * trip;
    world.start_server();
    let server = world.server.address;
    for (index, mode) in MODES.into_iter().enumerate() {
        world.start_client(NAMES[index], mode, &[]);
        world.with_client(index, |session, _, now| {
            session.set_addresses(vec![server], now);
            session.set_join_timeout(5 * trip);
        });
    }
    // A join takes two round trips.
    world.run_until("all have joined", 3 * trip, |world| {
        world.clients.iter().all(|client| client.record.welcomes == 1)
    });
    // Until an end knows its round trip, it probes ever more rarely: in two minutes fewer than
    // fifty datagrams of each end, joins included.
    world.run_for(trip);
    assert!(world.network.sent < 300, "{} datagrams", world.network.sent);
    for _ in 0..30 {
        let (pause, speaker) = (dice.within(10 * SECOND), dice.below(MODES.len()));
        say(&mut world, &mut dice, speaker);
        world.run_for(pause);
    }
    world.run_for(10 * trip);
    for receiver in 0..MODES.len() {
        let ear = &world.clients[receiver].record;
        assert_eq!((ear.welcomes, ear.reported), (1, 0), "{} lost its session", ear.tag);
        ear.all_settled();
        for sender in (0..MODES.len()).filter(|sender| *sender != receiver) {
            let mouth = &world.clients[sender].record;
            let heard = ear.account(mouth);
            assert_eq!(heard, (mouth.said(), 0), "{} heard of {}", ear.tag, mouth.tag);
        }
    }
    world.network.trace
}

/// Two clients of each mode join, and then a line crosses the path.
pub(crate) fn kilobits(seed: u64, verbose: bool) -> u64 {
    let mut trace: u64 = 0;
    for (mode, bits) in MODES.into_iter().flat_map(|mode| [(mode, 1_000), (mode, 2_000)]) {
        let mut world = World::new(seed, Impairment::NONE, verbose);
        world.network.impairment.delay = Duration::from_millis(25);
        let trip = 2 * (SECOND * QUEUED_BITS / bits);
        world.server.config.heartbeat = trip;
        world.server.config.capacity.expiry = 8 * trip;
        world.start_server();
        let (server, full) = (world.server.address, SECOND * FULL_BITS / bits);
        for end in [server, ELSEWHERE] {
            world.network.bottlenecks.insert(end, (full, world.now));
        }
        for (index, name) in ["alice", "bob"].into_iter().enumerate() {
            world.start_client(name, mode, &[]);
            world.with_client(index, |session, _, now| {
                session.set_addresses(vec![server], now);
                session.set_join_timeout(15 * SECOND + 4 * trip);
            });
        }
        let [join, line] = LIMIT_BITS.map(|limit| SECOND * limit / bits);
        world.run_until("both have joined", join, |world| {
            world.clients.iter().all(|client| client.record.welcomes == 1)
        });
        world.with_client(0, |session, record, now| {
            session.say(&record.compose("line", ""), now).unwrap();
        });
        world.run_until("the line is there", line, |world| {
            let [alice, bob] = [0, 1].map(|index| &world.clients[index].record);
            bob.account(alice) == (1, 0)
        });
        trace = trace.rotate_left(8) ^ world.network.trace;
    }
    trace
}
