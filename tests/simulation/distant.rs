//! A path of a minute each way, the longest that a plan of the lab accepts. The server's timeouts
//! are those of the lab's run (`Trial::expiry` and `Trial::heartbeat`).

use crate::dice::Dice;
use crate::network::Impairment;
use crate::scenarios::{MODES, NAMES, SECOND, say};
use crate::world::World;

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
