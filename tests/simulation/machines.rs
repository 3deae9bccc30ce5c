//! What befalls a machine rather than the network: its clock is put right or wrong, it sleeps, it sits
//! behind a way on which what is long disappears.

use crate::dice::Dice;
use crate::network::Impairment;
use crate::scenarios::{
    DAY, MODES, NAMES, SECOND, everybody_comes, everybody_leaves, say, say_restart, settle,
};
use crate::transports::{is_heard, room};
use crate::world::{EXPIRY, World};
use chatagram::client::session::CloseReason;
use chatagram::protocol::limits::RESTART_WAIT;
use chatagram::protocol::{Delivery, LeaveReason};

/// Whoever's clock steps by a day to either side, nobody is gone for that, and the ids of lines go on
/// increasing (which the log of the world checks), also over a restart.
pub(crate) fn clocks_step(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = room(&mut dice, seed, verbose);
    everybody_comes(&mut world);
    for round in 0..6 {
        let count = world.clients.len();
        let step = |clock: &mut u64, dice: &mut Dice| {
            *clock = if dice.chance(500) { *clock + DAY } else { *clock - DAY };
        };
        step(&mut world.server.clock.0, &mut dice);
        if dice.chance(500) {
            step(&mut world.clients[dice.below(count)].clock.0, &mut dice);
        }
        for _ in 0..dice.below(4) {
            let speaker = dice.below(count);
            say(&mut world, &mut dice, speaker);
        }
        if round == 3 {
            nobody_left(&world, 1);
            world.kill_server();
            world.start_server();
        }
        // Long enough for all who would fall silent to expire.
        let quiet = EXPIRY * 3 / 2 + dice.within(EXPIRY);
        world.run_for(quiet);
    }
    nobody_left(&world, 2);
    settle(&mut world);
    everybody_leaves(&mut world);
    world.network.trace
}

fn nobody_left(world: &World, welcomes: usize) {
    for client in &world.clients {
        let record = &client.record;
        assert!(record.departed.is_empty(), "{} saw {:?}", record.tag, record.departed);
        assert_eq!(record.welcomes, welcomes, "{} was welcomed anew", record.tag);
    }
}

/// A process is stopped, or its machine sleeps, for longer than the server waits. Woken, it is back in
/// the room within five seconds, whether its clock went on meanwhile or stood still.
pub(crate) fn sleep(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = room(&mut dice, seed, verbose);
    everybody_comes(&mut world);
    let count = world.clients.len();
    for _ in 0..2 {
        let sleeper = dice.below(count);
        let welcomes = world.clients[sleeper].record.welcomes;
        let asleep = world.now;
        world.clients[sleeper].stopped = true;
        world.run_for(EXPIRY + 2 * SECOND);
        for _ in 0..dice.below(6) {
            let speaker = (sleeper + 1 + dice.below(count - 1)) % count;
            say(&mut world, &mut dice, speaker);
            let pause = dice.within(20 * SECOND);
            world.run_for(pause);
        }
        let client = &mut world.clients[sleeper];
        client.stopped = false;
        if dice.chance(500) {
            client.slept += world.now.since(asleep);
            client.wake = client.poll_timeout();
        }
        world.run_until("who slept is back", 5 * SECOND, |world| {
            world.clients[sleeper].record.welcomes > welcomes
        });
        settle(&mut world);
    }
    everybody_leaves(&mut world);
    world.network.trace
}

/// The server's process is stopped, or its machine sleeps, for longer than it waits for anybody, and its socket
/// is full when it goes on. Nobody is gone for that.
pub(crate) fn server_stands_still(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let streams = dice.chance(500);
    let mut world = match streams {
        true => room(&mut dice, seed, verbose),
        false => World::new(seed, Impairment::NONE, verbose),
    };
    if !streams {
        for name in &NAMES[..3 + dice.below(3)] {
            world.start_client(name, MODES[dice.below(3)], &[]);
        }
    }
    everybody_comes(&mut world);
    let count = world.clients.len();
    // A connection that a client has given up for silence is closed when the server goes on.
    let longest = if streams { 13 * SECOND } else { 45 * SECOND };
    for _ in 0..3 {
        world.stop_server(dice.below(40));
        for _ in 0..dice.below(6) {
            let speaker = dice.below(count);
            say(&mut world, &mut dice, speaker);
            let pause = dice.within(longest / 8);
            world.run_for(pause);
        }
        let pause = dice.within(longest / 3);
        world.run_for(pause);
        world.wake_server();
        let pause = SECOND + dice.within(EXPIRY);
        world.run_for(pause);
        for record in world.clients.iter().map(|client| &client.record) {
            assert!(record.departed.is_empty(), "{} saw {:?}", record.tag, record.departed);
        }
    }
    settle(&mut world);
    everybody_leaves(&mut world);
    world.network.trace
}

/// The server says that it restarts. Whoever is told waits for it, up to a minute, delivers what was said
/// meanwhile, and shows nothing twice (which the records check).
pub(crate) fn restart(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = room(&mut dice, seed, verbose);
    world.network.impairment = Impairment::NONE;
    everybody_comes(&mut world);
    let everybody = 0..world.clients.len();
    let talk = |world: &mut World, dice: &mut Dice| {
        for index in everybody.clone() {
            say(world, dice, index);
        }
    };
    talk(&mut world, &mut dice);
    if dice.chance(500) {
        world.run_for(dice.within(SECOND));
    }
    say_restart(&mut world);
    world.run_for(dice.within(10 * SECOND));
    talk(&mut world, &mut dice);
    world.run_for(dice.within(35 * SECOND));
    world.start_server();
    world.run_until("everybody is back", 10 * SECOND, |world| {
        world.clients.iter().all(|client| client.record.welcomes == 2)
    });
    settle(&mut world);
    // Now it does not come back.
    talk(&mut world, &mut dice);
    say_restart(&mut world);
    let told = world.now;
    world.run_until("all have given up", RESTART_WAIT + 2 * SECOND, |world| {
        world.clients.iter().all(|client| !client.running)
    });
    assert!(world.now.since(told) >= RESTART_WAIT - 2 * SECOND, "given up too early");
    assert!(world.clients.iter().all(|it| it.record.closed == Some(CloseReason::Lost)));
    world.network.trace
}

/// Joins, heartbeats and short lines pass, long ones do not. Who is behind that is dropped for not
/// taking what was promised to arrive; nobody else has to wait.
pub(crate) fn narrow(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = World::new(seed, Impairment::NONE, verbose);
    let count = 3 + dice.below(3);
    for name in &NAMES[..count] {
        world.start_client(name, MODES[dice.below(3)], &[]);
    }
    everybody_comes(&mut world);
    let victim = dice.below(count);
    world.network.narrow.insert(world.clients[victim].address, 600);
    let speaker = (victim + 1 + dice.below(count - 1)) % count;
    for second in 0..40 {
        if second == 0 || dice.chance(400) {
            let filling = "x".repeat(600 + dice.below(280));
            world.with_client(speaker, |session, record, now| {
                let text = record.compose("line", &filling);
                if session.say(&text, now).is_err() {
                    record.retract(&text);
                }
            });
            is_heard(&mut world, speaker, victim);
        }
        world.run_for(SECOND);
    }
    let name = world.clients[victim].nickname.clone();
    if world.clients[victim].record.delivery != Delivery::Unreliable {
        let departed = &world.clients[speaker].record.departed;
        assert_eq!(departed.get(&name), Some(&LeaveReason::Timeout), "{name} is still served");
    }
    world.network.narrow.clear();
    settle(&mut world);
    everybody_leaves(&mut world);
    world.network.trace
}
