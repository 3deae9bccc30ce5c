//! Clients change their names while others join, leave, crash, roam and take the same names, over a
//! bad network and restarts of the server. `checks.rs` checks at every step that each client knows
//! the others by the names that they have.

use crate::dice::Dice;
use crate::network::Impairment;
use crate::scenarios::{MODES, NAMES, SECOND, all_leave, recover, something_happens};
use crate::transports;
use crate::world::World;

/// Names that clients want: those of others, some that look like them, and one that is impossible.
const WANTED: [&str; 9] =
    ["alice", "ALICE", "a1ice", "bob", "rob", "carol", "eve", "王", "two words"];

pub(crate) fn anything(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = World::new(seed, Impairment::random(&mut dice), verbose);
    world.tcp = if dice.chance(500) { 400 } else { 0 };
    for name in &NAMES[..2 + dice.below(4)] {
        world.start_client(name, MODES[dice.below(3)], &[]);
    }
    for _ in 0..80 {
        let longest = if dice.chance(500) { SECOND } else { SECOND / 50 };
        let pause = dice.within(longest);
        world.run_for(pause);
        match dice.below(10) {
            0..5 => rename(&mut world, &mut dice),
            5 if world.tcp > 0 => transports::mishap(&mut world, &mut dice),
            _ => something_happens(&mut world, &mut dice),
        }
    }
    recover(&mut world);
    all_leave(&mut world);
    world.network.trace
}

pub(crate) fn rename(world: &mut World, dice: &mut Dice) {
    let index = dice.below(world.clients.len());
    if world.clients[index].running {
        let name = WANTED[dice.below(WANTED.len())];
        world.with_client(index, |session, record, now| {
            record.may_be_called(name);
            session.rename(name, now);
        });
    }
}
