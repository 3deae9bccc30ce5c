//! Faults of machines rather than of the network: clock steps, sleep, and paths that silently drop
//! large datagrams.

use crate::dice::Dice;
use crate::network::Impairment;
use crate::scenarios::{
    DAY, MODES, NAMES, SECOND, all_join, all_leave, balance, recover, say, say_restart,
};
use crate::transports::room;
use crate::world::{EXPIRY, World};
use chatagram::client::session::CloseReason;
use chatagram::protocol::limits::{BASE_DATAGRAM, MAX_DATAGRAM, RESTART_WAIT};

/// A wall clock steps by a day either way: no client expires, and the ids of lines increase (the
/// log checks this), even across a restart.
pub(crate) fn clocks_step(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = room(&mut dice, seed, verbose);
    all_join(&mut world);
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
            assert_all_joined(&world, 1);
            world.kill_server();
            world.start_server();
        }
        // Longer than the expiry.
        let quiet = EXPIRY * 3 / 2 + dice.within(EXPIRY);
        world.run_for(quiet);
    }
    assert_all_joined(&world, 2);
    recover(&mut world);
    all_leave(&mut world);
    world.network.trace
}

fn assert_all_joined(world: &World, welcomes: usize) {
    for client in &world.clients {
        let record = &client.record;
        assert!(record.departed.is_empty(), "{} saw {:?}", record.tag, record.departed);
        assert_eq!(record.welcomes, welcomes, "{} was welcomed anew", record.tag);
    }
}

/// A client process is stopped, or its machine sleeps, for longer than the expiry. It is back in
/// the room within five seconds of waking, whether or not its monotonic clock advanced.
pub(crate) fn sleep(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = room(&mut dice, seed, verbose);
    all_join(&mut world);
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
        world.run_until("the client that slept is back", 5 * SECOND, |world| {
            world.clients[sleeper].record.welcomes > welcomes
        });
        recover(&mut world);
    }
    all_leave(&mut world);
    world.network.trace
}

/// The server process is stopped, or its machine sleeps, for longer than the expiry, with a full
/// socket when it continues. No client is lost.
pub(crate) fn server_stands_still(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let streams = dice.chance(500);
    let mut world = if streams {
        room(&mut dice, seed, verbose)
    } else {
        World::new(seed, Impairment::NONE, verbose)
    };
    if !streams {
        for name in &NAMES[..3 + dice.below(3)] {
            world.start_client(name, MODES[dice.below(3)], &[]);
        }
    }
    all_join(&mut world);
    let count = world.clients.len();
    // A connection that a client has given up is closed when the server continues.
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
    recover(&mut world);
    all_leave(&mut world);
    world.network.trace
}

/// The server announces a restart. Clients wait for it up to a minute, then deliver their pending
/// lines and show nothing twice (the records check this).
pub(crate) fn restart(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = room(&mut dice, seed, verbose);
    world.network.impairment = Impairment::NONE;
    all_join(&mut world);
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
    world.run_until("all clients are back", 10 * SECOND, |world| {
        world.clients.iter().all(|client| client.record.welcomes == 2)
    });
    recover(&mut world);
    // This time it does not return.
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

/// Every path has its own MTU in each direction, from the IPv4 minimum to the largest datagram,
/// which sometimes changes, without ICMP. No session ends, and no reliable line is missing.
pub(crate) fn narrow(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = World::new(seed, Impairment::NONE, verbose);
    let count = 2 + dice.below(4);
    for (index, name) in NAMES[..count].iter().enumerate() {
        world.start_client(name, MODES[dice.below(3)], &[]);
        change_width(&mut world, &mut dice, index);
    }
    all_join(&mut world);
    world.network.impairment.loss = if dice.chance(300) { dice.below(100) as u64 } else { 0 };
    for _ in 0..30 {
        let pause = dice.within(2 * SECOND);
        world.run_for(pause);
        let index = dice.below(count);
        if dice.chance(200) {
            change_width(&mut world, &mut dice, index);
        }
        let speaker = dice.below(count);
        for _ in 0..=dice.below(3) {
            let filling = "x".repeat(dice.below(950));
            world.with_client(speaker, |session, record, now| {
                let text = record.compose("line", &filling);
                if session.say(&text, now).is_err() {
                    record.retract(&text);
                }
            });
        }
    }
    recover(&mut world);
    assert!(world.clients.iter().all(|client| client.record.welcomes == 1), "a session ended");
    all_leave(&mut world);
    for receiver in 0..count {
        (0..receiver).for_each(|sender| balance(&world, sender, receiver));
    }
    world.network.trace
}

fn change_width(world: &mut World, dice: &mut Dice, index: usize) {
    let mut width = || match dice.below(4) {
        0 => BASE_DATAGRAM,
        1 => MAX_DATAGRAM,
        _ => BASE_DATAGRAM + dice.below(MAX_DATAGRAM - BASE_DATAGRAM),
    };
    world.network.narrow.insert(world.clients[index].address, [width(), width()]);
}
