//! Rooms with clients over UDP and over TCP.

use crate::dice::Dice;
use crate::network::Impairment;
use crate::scenarios::{MODES, NAMES, SECOND, all_join, all_leave, converse, recover, say};
use crate::wires::End;
use crate::world::{EXPIRY, World};
use chatagram::client::session::CloseReason;
use chatagram::protocol::limits::{JOIN_DEADLINE, JOIN_TIMEOUT, MAX_QUEUE_BYTES};
use chatagram::protocol::{Delivery, LeaveReason};
use std::time::Duration;

/// Every delivery mode and both transports in one room, over a bad network.
pub(crate) fn mixed(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let world = room(&mut dice, seed, verbose);
    converse(world, dice)
}

/// A process is stopped or does not read while the others talk a lot.
pub(crate) fn stopped(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = room(&mut dice, seed, verbose);
    world.limit(None); // faster than people type
    all_join(&mut world);
    let victim = dice.below(world.clients.len());
    let deaf = dice.chance(300);
    if deaf {
        world.stall(victim, true)
    } else {
        world.clients[victim].stopped = true
    }
    // Lines of an unreliable speaker could be shed before the victim's queue is full.
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
        all_know_of_the_loss(&world, victim);
    }
    if flooded {
        world.kill_client(victim); // it missed more lines than are replayed
    }
    relieve(&mut world);
    recover(&mut world);
    all_leave(&mut world);
    world.network.trace
}

/// A client sends a lot, and all but the stopped one receive it.
fn talk(world: &mut World, dice: &mut Dice, victim: usize) {
    let count = world.clients.len();
    let speaker = (victim + 1 + dice.below(count - 1)) % count;
    for _ in 0..dice.below(40) {
        say(world, dice, speaker);
    }
    is_heard(world, speaker, victim);
}

/// More than the server queues for one client.
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
    world.run_for(SECOND / 2); // acknowledgments included
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

fn all_know_of_the_loss(world: &World, victim: usize) {
    let name = &world.clients[victim].nickname;
    for (index, client) in world.clients.iter().enumerate().filter(|(index, _)| *index != victim) {
        let departed = client.record.departed.get(name);
        assert_eq!(departed, Some(&LeaveReason::Timeout), "{index} was not told");
    }
}

/// More strangers than the server allows connect and send nothing, or noise; a client still joins.
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
        all_join(&mut world);
    }
    recover(&mut world);
    let held = world.wires.count(|wire| wire.is_held(End::Server) && wire.client.is_none());
    assert_eq!(held, 0, "strangers are still connected");
    world.kill_client(0);
    world.run_for(SECOND);
    let held = world.wires.count(|wire| wire.is_held(End::Server));
    let sessions = world.server.hub.as_ref().unwrap().sessions();
    assert_eq!(sessions, held, "a session has outlived its connection");
    recover(&mut world);
    all_leave(&mut world);
    world.network.trace
}

/// A client gives up a join that the server then admits, because the network is slow. Its name is
/// free once the server knows that the client is gone.
pub(crate) fn given_up(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = World::new(seed, Impairment::NONE, verbose);
    // Over UDP the `Challenge` arrives in time and the `Welcome` does not: a quarter of the way
    // takes longer than a quarter of the join's timeout. Over TCP the network slows down after the
    // connection is established.
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
    all_leave(&mut world);
    world.network.trace
}

/// A random fault of connections or processes.
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

/// Resumes all stopped processes.
pub(crate) fn relieve(world: &mut World) {
    for index in 0..world.clients.len() {
        world.clients[index].stopped = false;
        world.stall(index, false);
    }
}

/// Connects a stranger that never joins.
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

/// Clients over UDP and TCP.
pub(crate) fn room(dice: &mut Dice, seed: u64, verbose: bool) -> World {
    let mut world = World::new(seed, Impairment::NONE, verbose);
    world.tcp = 600;
    for name in &NAMES[..3 + dice.below(3)] {
        world.start_client(name, MODES[dice.below(3)], &[]);
    }
    world
}
