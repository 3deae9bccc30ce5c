//! The scenarios: which clients take part, what they send, which faults happen, and how a run ends.

use crate::attacks;
use crate::dice::Dice;
use crate::network::Impairment;
use crate::transports;
use crate::world::{EXPIRY, GIVE_UP, World};
use chatagram::client::session::CloseReason;
use chatagram::hub::Hub;
use chatagram::protocol::{Delivery, LeaveReason};
use std::time::Duration;

pub(crate) const NAMES: [&str; 6] = ["alice", "bob", "carol", "дед", "eve", "王"];
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const DAY: u64 = 86_400_000_000;
pub(crate) const MODES: [Delivery; 3] =
    [Delivery::Unreliable, Delivery::ReliableUnordered, Delivery::ReliableOrdered];

/// All faults together: clients join, talk, roam and crash, servers die, clocks step.
pub(crate) fn anything(tcp: u64, seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = World::new(seed, Impairment::random(&mut dice), verbose);
    world.tcp = tcp;
    for name in &NAMES[..2 + dice.below(3)] {
        world.start_client(name, MODES[dice.below(3)], &[]);
    }
    for _ in 0..60 {
        let pause = dice.within(SECOND);
        world.run_for(pause);
        if dice.chance(tcp / 4) {
            transports::mishap(&mut world, &mut dice)
        } else {
            something_happens(&mut world, &mut dice)
        }
    }
    recover(&mut world);
    if dice.chance(500) {
        all_leave(&mut world)
    } else {
        server_closes(&mut world)
    }
    world.network.trace
}

/// Only a bad network and one delivery mode: every line is accounted for.
pub(crate) fn delivery(mode: Delivery, seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = World::new(seed, Impairment::NONE, verbose);
    let count = 2 + dice.below(3);
    for name in &NAMES[..count] {
        world.start_client(name, mode, &[]);
    }
    converse(world, dice)
}

/// The joined clients talk over a bad network, and leave.
pub(crate) fn converse(mut world: World, mut dice: Dice) -> u64 {
    let count = world.clients.len();
    all_join(&mut world);
    world.network.impairment = Impairment::random(&mut dice);
    for _ in 0..20 {
        let pause = dice.within(SECOND / 2);
        world.run_for(pause);
        let speaker = dice.below(count);
        for _ in 0..=dice.below(4) {
            say(&mut world, &mut dice, speaker);
        }
    }
    recover(&mut world);
    let stayed: Vec<_> = (0..count).filter(|i| world.clients[*i].record.welcomes == 1).collect();
    all_leave(&mut world);
    for receiver in &stayed {
        for sender in stayed.iter().filter(|sender| *sender < receiver) {
            balance(&world, *sender, *receiver);
        }
    }
    world.network.trace
}

/// A path that reorders and loses nothing: every line arrives, and none is reported lost.
pub(crate) fn reordering(mode: Delivery, seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = World::new(seed, Impairment::NONE, verbose);
    for name in &NAMES[..3] {
        world.start_client(name, mode, &[]);
    }
    all_join(&mut world);
    world.network.impairment.jitter = SECOND / 5;
    for _ in 0..200 {
        world.run_for(SECOND / 50);
        say(&mut world, &mut dice, 0);
        if dice.chance(200) {
            say(&mut world, &mut dice, 1);
        }
    }
    world.run_for(40 * SECOND);
    for receiver in 0..3 {
        assert_eq!(world.clients[receiver].record.reported, 0, "called lost, and was not");
        for sender in (0..2).filter(|sender| *sender != receiver) {
            let [sender, receiver] = [sender, receiver].map(|i| &world.clients[i].record);
            assert_eq!(receiver.account(sender), (sender.said(), 0));
        }
    }
    world.network.trace
}

pub(crate) fn all_join(world: &mut World) {
    world.run_until("all clients have joined", 5 * SECOND, |world| {
        world.clients.iter().all(|client| client.record.welcomes == 1)
    });
}

/// Each line of a client that left was either seen or reported missing by every other.
pub(crate) fn balance(world: &World, sender: usize, receiver: usize) {
    let [sender, receiver] = [sender, receiver].map(|index| &world.clients[index].record);
    assert!(receiver.departed.values().all(|reason| *reason == LeaveReason::Quit));
    let (delivered, missing) = receiver.account(sender);
    let sum = delivered + missing;
    let said = sender.said();
    let unreliable = [sender, receiver].iter().any(|r| r.delivery == Delivery::Unreliable);
    // A late unreliable line, among many reliable ones, was first counted missing.
    let exact = world.tcp + world.quic == 0 || !unreliable;
    let heads = format!("{} to {}: {missing} missing", sender.tag, receiver.tag);
    assert!(sum == said || (!exact && sum > said), "{heads}, {delivered} of {said} delivered");
    assert!(unreliable || missing == 0, "{missing} reliable lines are missing");
}

pub(crate) fn something_happens(world: &mut World, dice: &mut Dice) {
    let index = dice.below(world.clients.len());
    match dice.below(100) {
        0..55 => {
            for _ in 0..=dice.below(5) {
                say(world, dice, index);
            }
        }
        55..58 => whisper(world, dice, index),
        58..60 => ask(world, dice, index),
        60..65 => {
            world.clients[index].address = world.new_address();
            world.break_off(index);
        }
        65..72 => {
            let address = world.clients[index].address;
            world.network.cut_off.insert(address);
        }
        72..76 => {
            let pause = dice.within(30 * SECOND);
            world.network.cut_off.insert(world.server.address);
            world.run_for(pause);
            world.network.cut_off.remove(&world.server.address);
        }
        76..82 => world.network.cut_off.clear(),
        82..86 => restart(world, dice),
        86..88 => world.network.impairment = Impairment::random(dice),
        88..91 => jump(world, dice, index),
        91..93 => world.kill_client(index),
        93..95 => {
            world.with_client(index, |session, _, now| session.leave(now));
        }
        95..98 => come(world, dice, index),
        _ => attacks::strangers(world, dice),
    }
}

pub(crate) fn say(world: &mut World, dice: &mut Dice, index: usize) {
    if !world.clients[index].running {
        return;
    }
    let filling = "ё".repeat(if dice.chance(100) { dice.below(450) } else { dice.below(20) });
    // Clients repeat texts.
    let again = dice.chance(400);
    world.with_client(index, |session, record, now| {
        let text = if again {
            record.compose_again(&format!("{} ok", record.tag.clone()))
        } else {
            record.compose("line", &filling)
        };
        if session.say(&text, now).is_err() {
            record.retract(&text);
        }
    });
}

fn whisper(world: &mut World, dice: &mut Dice, index: usize) {
    if !world.clients[index].running {
        return;
    }
    let to = NAMES[dice.below(NAMES.len())];
    world.with_client(index, |session, record, now| {
        let text = record.compose(&format!("whisper to={to};"), "");
        if session.whisper(to, &text, now).is_err() {
            record.retract(&text);
        }
    });
}

fn ask(world: &mut World, dice: &mut Dice, index: usize) {
    if !world.clients[index].running {
        return;
    }
    let to = NAMES[dice.below(NAMES.len())];
    let who = dice.chance(50);
    world.with_client(index, |session, _, now| {
        let _ = if who { session.ask_who(now) } else { session.ping(to, now) };
    });
}

/// The server announces a restart and ends.
pub(crate) fn say_restart(world: &mut World) {
    world.with_hub(|hub, now| hub.shutdown(LeaveReason::Restart, now));
    world.run_until("the server has closed", SECOND + SECOND / 10, |world| {
        world.server.hub.as_ref().is_none_or(Hub::is_finished)
    });
    world.run_for(SECOND / 10); // bytes that the kernel has taken arrive
    world.kill_server();
}

/// The server is killed or closed, and restarts later, perhaps without its history.
fn restart(world: &mut World, dice: &mut Dice) {
    match dice.below(4) {
        0 => world.kill_server(),
        3 => say_restart(world),
        1 => world.server.doomed = true, // by the next line that it logs
        _ => {
            let speaker = dice.below(world.clients.len());
            world.server.doomed = true;
            say(world, dice, speaker);
        }
    }
    let pause = dice.within(20 * SECOND);
    world.run_for(pause);
    if world.server.hub.is_none() {
        if dice.chance(300) {
            world.forget_history();
        }
        world.start_server();
    }
}

/// Steps a wall clock.
fn jump(world: &mut World, dice: &mut Dice, index: usize) {
    let clock =
        if dice.chance(500) { &mut world.server.clock } else { &mut world.clients[index].clock };
    clock.0 = if dice.chance(500) { clock.0 + DAY } else { clock.0 - DAY };
}

/// Starts a process; one that replaces an ended process takes its nickname and cache.
fn come(world: &mut World, dice: &mut Dice, index: usize) {
    let mode = MODES[dice.below(3)];
    let client = &world.clients[index];
    if client.running {
        if world.clients.iter().filter(|client| client.running).count() < NAMES.len() {
            world.start_client(NAMES[dice.below(NAMES.len())], mode, &[]);
        }
        return;
    }
    let shown = &client.record.order;
    let cached = shown[shown.len().saturating_sub(5)..].to_vec();
    let name = client.nickname.clone();
    world.start_client(&name, mode, &cached);
}

/// The network recovers, every living client rejoins, and dead ones expire.
pub(crate) fn recover(world: &mut World) {
    world.network.impairment = Impairment::NONE;
    world.network.cut_off.clear();
    transports::relieve(world);
    world.server.doomed = false;
    if world.server.hub.is_none() {
        world.start_server();
    }
    // Every client learns whether the server knows it; on a dead connection only by silence.
    world.run_for(EXPIRY * 2);
    // A client whose name is taken tries until it gives up.
    world.run_until("all clients have joined or ended", GIVE_UP + 15 * SECOND, |world| {
        let mut live = world.clients.iter().filter(|client| client.running);
        live.all(|client| client.record.welcomes > 0 && client.session.is_settled())
    });
    world.run_for(EXPIRY * 3 / 2);
    let live: Vec<_> = world.clients.iter().filter(|client| client.running).collect();
    let mut names: Vec<_> = live.iter().map(|client| client.record.nickname.as_str()).collect();
    let hub = world.server.hub.as_ref().unwrap();
    let mut registered: Vec<_> = hub.nicknames().collect();
    names.sort_unstable();
    registered.sort_unstable();
    assert_eq!(registered, names, "the registry differs from the living clients");
    assert_eq!(hub.sessions(), names.len(), "sessions are left over");
    assert_eq!(hub.queued_bytes(), 0);
    for client in live {
        client.record.at_rest(&world.log, &names);
    }
}

/// The clients leave one after the other; the others stay long enough to learn what they missed.
pub(crate) fn all_leave(world: &mut World) {
    for index in 0..world.clients.len() {
        if !world.clients[index].running {
            continue;
        }
        world.with_client(index, |session, _, now| session.leave(now));
        world.run_until("the client has left", SECOND, |w| w.clients[index].session.is_closed());
        assert_eq!(world.clients[index].record.closed, Some(CloseReason::Quit));
        world.run_for(2 * SECOND);
    }
    let hub = world.server.hub.as_ref().unwrap();
    assert_eq!((hub.sessions(), hub.nicknames().count()), (0, 0));
}

fn server_closes(world: &mut World) {
    let live: Vec<usize> =
        (0..world.clients.len()).filter(|index| world.clients[*index].running).collect();
    world.with_hub(|hub, now| hub.shutdown(LeaveReason::Shutdown, now));
    let limit = SECOND + SECOND / 10;
    world.run_until("the server has closed", limit, |world| {
        world.server.hub.as_ref().is_some_and(Hub::is_finished)
    });
    world.run_for(SECOND / 10); // bytes that the kernel has taken arrive
    for index in live {
        assert_eq!(world.clients[index].record.closed, Some(CloseReason::Shutdown));
    }
}
