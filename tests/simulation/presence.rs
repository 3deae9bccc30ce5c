//! A crowd joins and leaves while clients talk and datagrams are lost. The members that each client
//! knows have to be those that the server knows; `checks.rs` checks this at every step and at the
//! end.

use crate::dice::Dice;
use crate::network::Impairment;
use crate::scenarios::{MODES, NAMES, SECOND, all_join, recover, say};
use crate::world::World;
use std::time::Duration;

/// Clients that join besides those in the room from the beginning.
const CROWD: usize = 40;
/// A group of clients joins within this time.
const TOGETHER: Duration = Duration::from_millis(3);

pub(crate) fn crowd(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = World::new(seed, Impairment::NONE, verbose);
    world.make_room(CROWD + NAMES.len());
    world.tcp = if dice.chance(300) { 400 } else { 0 };
    for name in &NAMES[..3] {
        world.start_client(name, MODES[dice.below(3)], &[]);
    }
    all_join(&mut world);
    if dice.chance(700) {
        world.network.impairment = Impairment::random(&mut dice);
    }
    let mut number = 0;
    while number < CROWD {
        for _ in 0..(1 + dice.below(12)).min(CROWD - number) {
            world.start_client(&format!("guest{number}"), MODES[dice.below(3)], &[]);
            number += 1;
            if dice.chance(300) {
                let pause = dice.within(TOGETHER);
                world.run_for(pause);
            }
        }
        for _ in 0..dice.below(6) {
            let longest = if dice.chance(500) { TOGETHER } else { SECOND };
            let pause = dice.within(longest);
            world.run_for(pause);
            let index = dice.below(world.clients.len());
            match dice.below(10) {
                0..4 => say(&mut world, &mut dice, index),
                4..8 => leave_some(&mut world, &mut dice),
                8 => world.kill_client(index),
                _ => world.break_off(index),
            }
        }
    }
    recover(&mut world);
    for index in 0..world.clients.len() {
        world.with_client(index, |session, _, now| session.leave(now));
    }
    world.run_for(2 * SECOND);
    let hub = world.server.hub.as_ref().unwrap();
    assert_eq!((hub.sessions(), hub.nicknames().count()), (0, 0));
    world.network.trace
}

/// Some leave at once, even before they have joined.
fn leave_some(world: &mut World, dice: &mut Dice) {
    for index in 0..world.clients.len() {
        if world.clients[index].running && dice.chance(150) {
            world.with_client(index, |session, _, now| session.leave(now));
        }
    }
}
