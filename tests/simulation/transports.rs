//! What can happen to a room that some are in over UDP and others over TCP.

use crate::dice::Dice;
use crate::network::Impairment;
use crate::scenarios::{
    MODES, NAMES, SECOND, converse, everybody_comes, everybody_leaves, say, settle,
};
use crate::wires::End;
use crate::world::{EXPIRY, World};
use chatagram::client::session::CloseReason;
use chatagram::protocol::limits::{JOIN_DEADLINE, JOIN_TIMEOUT, MAX_QUEUE_BYTES};
use chatagram::protocol::{Delivery, LeaveReason};
use std::time::Duration;

/// Every delivery and both transports in one room, and nothing but a bad network.
pub(crate) fn mixed(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let world = room(&mut dice, seed, verbose);
    converse(world, dice)
}

/// Somebody's process stands still, or does not read, while the others talk a lot.
pub(crate) fn stopped(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = room(&mut dice, seed, verbose);
    world.limit(None); // they talk faster than people do
    everybody_comes(&mut world);
    let victim = dice.below(world.clients.len());
    let deaf = dice.chance(300);
    match deaf {
        true => world.stall(victim, true),
        false => world.clients[victim].stopped = true,
    }
    // Of who sends each line once, some would be shed while the others' queues are looked at.
    let speaker = usize::from(victim == 0);
    let reliable = world.clients[speaker].record.delivery != Delivery::Unreliable;
    let flooded = dice.chance(100) && reliable;
    if flooded {
        (0..4).for_each(|_| flood(&mut world, victim));
    }
    for _ in 0..6 {
        world.run_for(5 * SECOND - SECOND / 6);
        talk(&mut world, &mut dice, victim);
    }
    if !deaf {
        everybody_knows_of_the_loss(&world, victim);
    }
    if flooded {
        world.kill_client(victim); // it missed more than anybody is told again
    }
    relieve(&mut world);
    settle(&mut world);
    everybody_leaves(&mut world);
    world.network.trace
}

/// Somebody says a lot, and soon all but the one who stands still have it.
fn talk(world: &mut World, dice: &mut Dice, victim: usize) {
    let count = world.clients.len();
    let speaker = (victim + 1 + dice.below(count - 1)) % count;
    for _ in 0..dice.below(40) {
        say(world, dice, speaker);
    }
    is_heard(world, speaker, victim);
}

/// More than the server keeps for one peer.
fn flood(world: &mut World, victim: usize) {
    let speaker = usize::from(victim == 0);
    let filling = "x".repeat(880);
    for _ in 0..100 {
        world.with_client(speaker, |session, record, now| {
            let text = record.compose("line", &filling);
            assert_eq!(session.say(&text, now), Ok(()));
        });
    }
    is_heard(world, speaker, victim);
    world.run_for(SECOND / 2); // and acknowledged
    let queued = world.server.hub.as_ref().unwrap().queued_bytes();
    assert!(queued <= MAX_QUEUE_BYTES + 2_000, "{queued} bytes are kept for one peer");
}

fn is_heard(world: &mut World, speaker: usize, victim: usize) {
    let count = world.clients.len();
    let before = world.clients[speaker].record.said();
    world.run_until("the others have heard it", 5 * SECOND, |world| {
        let sender = &world.clients[speaker].record;
        let others = (0..count).filter(|index| ![victim, speaker].contains(index));
        others.map(|index| world.clients[index].record.account(sender)).all(|(heard, missing)| {
            assert_eq!(missing, 0);
            heard == before
        })
    });
}

fn everybody_knows_of_the_loss(world: &World, victim: usize) {
    let name = &world.clients[victim].nickname;
    for (index, client) in world.clients.iter().enumerate().filter(|(index, _)| *index != victim) {
        let departed = client.record.departed.get(name);
        assert_eq!(departed, Some(&LeaveReason::Timeout), "{index} was not told");
    }
}

/// More strangers than the server keeps connect and say nothing, or nonsense; somebody comes all the
/// same.
pub(crate) fn crowd(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = World::new(seed, Impairment::NONE, verbose);
    world.tcp = 1_000;
    for name in &NAMES[..2] {
        for _ in 0..dice.below(100) {
            stranger(&mut world, &mut dice);
        }
        let pause = dice.within(5 * SECOND);
        world.run_for(pause);
        world.start_client(name, MODES[dice.below(3)], &[]);
        everybody_comes(&mut world);
    }
    settle(&mut world);
    let held = world.wires.count(|wire| wire.is_held(End::Server) && wire.client.is_none());
    assert_eq!(held, 0, "strangers are still connected");
    world.kill_client(0);
    world.run_for(SECOND);
    let held = world.wires.count(|wire| wire.is_held(End::Server));
    let sessions = world.server.hub.as_ref().unwrap().sessions();
    assert_eq!(sessions, held, "a session has outlived its connection");
    settle(&mut world);
    everybody_leaves(&mut world);
    world.network.trace
}

/// Somebody gives up joining and is let in after that, so slow is the network. Its name is free for the
/// next one once the server knows that it is gone.
pub(crate) fn given_up(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = World::new(seed, Impairment::NONE, verbose);
    // Over UDP the `Challenge` comes in time and the `Welcome` does not, a quarter of the way being longer than
    // a quarter of the patience. Over TCP the network gets slow once the connection is there.
    let tcp = dice.chance(500);
    world.tcp = if tcp { 1_000 } else { 0 };
    let (least, range) = if tcp { (600, 400) } else { (3_760, 100) };
    let delay = Duration::from_millis((least + dice.below(range)) as u64);
    world.network.impairment.delay = delay;
    world.start_client(NAMES[0], MODES[dice.below(3)], &[]);
    if tcp {
        world.run_for(delay * 3 / 2);
        world.network.impairment.delay = JOIN_TIMEOUT;
    }
    world.run_until("it gives up", JOIN_DEADLINE + SECOND / 10, |world| {
        world.clients[0].record.closed == Some(CloseReason::Unreachable)
    });
    world.network.impairment = Impairment::NONE;
    world.run_for(5 * SECOND);
    let hub = world.server.hub.as_ref().unwrap();
    assert_eq!(hub.counters().joins, 1, "it was let in");
    world.run_until("the server knows", EXPIRY, |world| {
        world.server.hub.as_ref().unwrap().sessions() == 0
    });
    world.start_client(NAMES[0], MODES[dice.below(3)], &[]);
    world.run_until("the next one is in", SECOND, |world| world.clients[1].record.welcomes == 1);
    everybody_leaves(&mut world);
    world.network.trace
}

/// Something happens that only happens to connections, or to processes.
pub(crate) fn mishap(world: &mut World, dice: &mut Dice) {
    let index = dice.below(world.clients.len());
    match dice.below(6) {
        0 | 1 => world.break_off(index),
        2 => world.stall(index, true),
        3 => world.clients[index].stopped = true,
        4 => relieve(world),
        _ => stranger(world, dice),
    }
}

/// Whoever stood still or did not read does so again.
pub(crate) fn relieve(world: &mut World) {
    for index in 0..world.clients.len() {
        world.clients[index].stopped = false;
        world.stall(index, false);
    }
}

/// Somebody who never joins connects.
fn stranger(world: &mut World, dice: &mut Dice) {
    let id = world.connect(None, world.server.address);
    let mut bytes: Vec<u8> = (0..dice.below(40)).map(|_| dice.roll() as u8).collect();
    if dice.chance(700)
        && let Some(preface) = bytes.first_chunk_mut::<12>()
    {
        *preface = *b"CG\x01\x00\0\0\0\0\0\0\0\0";
    }
    if dice.chance(600) {
        world.write(id, End::Server, &bytes);
    }
}

/// Some people, over UDP and TCP.
pub(crate) fn room(dice: &mut Dice, seed: u64, verbose: bool) -> World {
    let mut world = World::new(seed, Impairment::NONE, verbose);
    world.tcp = 600;
    for name in &NAMES[..3 + dice.below(3)] {
        world.start_client(name, MODES[dice.below(3)], &[]);
    }
    world
}
