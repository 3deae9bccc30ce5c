//! Scenarios of a room with several servers.

use crate::cast::Client;
use crate::dice::Dice;
use crate::engine::Engine;
use crate::network::Impairment;
use crate::scenarios::{MODES, NAMES, SECOND};
use crate::shared::World;
use crate::world::{EXPIRY, GIVE_UP};
use chatagram::client::session::CloseReason;
use chatagram::protocol::Delivery;
use std::time::Duration;

/// Longer than any of a server's times without contact.
const LONG: Duration = SECOND.saturating_mul(60);
/// Time in which people are told what became of the engine.
const TOLD: Duration = SECOND.saturating_mul(5);

/// All faults together: servers are cut off from the engine and die, the engine restarts, also
/// empty, and clients come, talk and go. `engine_forgets` has the engine with an old state.
pub(crate) fn anything(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = World::new(2 + dice.below(2), seed, verbose);
    for name in &NAMES[..2 + dice.below(3)] {
        world.start_client(name, MODES[dice.below(3)], &[]);
    }
    world.duplicates = if dice.chance(300) { dice.below(200) as u64 } else { 0 };
    if dice.chance(500) {
        let Impairment { loss, delay, jitter, .. } = Impairment::random(&mut dice);
        world.network.impairment = Impairment { loss: loss / 2, delay, jitter, ..Impairment::NONE };
    }
    for _ in 0..40 {
        let pause = dice.within(SECOND);
        world.run_for(pause);
        something_happens(&mut world, &mut dice);
    }
    recover(&mut world);
    world.network.trace
}

fn something_happens(world: &mut World, dice: &mut Dice) {
    let index = dice.below(world.clients.len());
    let host = dice.below(world.hosts.len());
    match dice.below(100) {
        0..55 => {
            for _ in 0..=dice.below(4) {
                say(world, index);
            }
        }
        55..62 => whisper(world, dice, index),
        62..65 => ask(world, dice, index),
        65..70 => world.cut(host),
        70..76 => world.heal(host),
        76..80 => {
            world.kill_host(host);
            let pause = dice.within(2 * EXPIRY);
            world.run_for(pause);
            world.start_host(host);
        }
        80..84 => {
            world.stop_engine();
            let pause = dice.within(LONG / 2);
            world.run_for(pause);
            let forgets = dice.chance(250);
            let engine = if forgets { Engine::default() } else { world.engine.clone() };
            world.start_engine(engine);
        }
        84..88 => {
            let pause = dice.within(LONG);
            world.run_for(pause);
        }
        88..91 => world.kill_client(index),
        91..93 if world.clients[index].running => {
            world.with_client(index, |session, _, now| session.leave(now));
        }
        _ => come(world, dice, index),
    }
}

/// A client says a line. Returns whether its session took it.
pub(crate) fn say(world: &mut World, index: usize) -> bool {
    if !world.clients[index].running {
        return false;
    }
    world.with_client(index, |session, record, now| {
        let text = record.compose("line", "");
        let taken = session.say(&text, now).is_ok();
        if !taken {
            record.retract(&text);
        }
        taken
    })
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
    let who = dice.chance(500);
    world.with_client(index, |session, _, now| {
        let _ = if who { session.ask_who(now) } else { session.ping(to, now) };
    });
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
    let cached = client.record.order.clone();
    let name = client.nickname.clone();
    world.start_client(&name, mode, &cached);
}

/// The engine and the network recover, and everybody is back.
pub(crate) fn recover(world: &mut World) {
    world.network.impairment = Impairment::NONE;
    for index in 0..world.hosts.len() {
        world.heal(index);
    }
    world.run_for(2 * EXPIRY);
    world.run_until("all clients have joined or ended", GIVE_UP + LONG, |world| {
        let mut live = world.clients.iter().filter(|client| client.running);
        live.all(|client| client.record.welcomes > 0 && client.session.is_settled())
    });
    world.run_for(LONG);
    world.check_rest();
}

/// Everybody joins, and talks across the servers.
pub(crate) fn everybody(servers: usize, modes: [Delivery; 4], seed: u64, verbose: bool) -> World {
    let mut world = World::new(servers, seed, verbose);
    for (name, mode) in NAMES.iter().zip(modes) {
        world.start_client(name, mode, &[]);
    }
    world.run_until("all clients have joined", 5 * SECOND, |world| {
        world.clients.iter().all(|client| client.record.present.len() == 4)
    });
    world
}

/// Clients race for one name at all servers: one has it, and it has it at each moment.
pub(crate) fn race(seed: u64, verbose: bool) -> u64 {
    let mut world = World::new(3, seed, verbose);
    for _ in 0..4 {
        let name = ["bob", "BOB", "b0b"][world.dice.below(3)];
        world.start_client(name, MODES[2], &[]);
    }
    world.run_for(LONG / 4);
    let (winners, losers): (Vec<_>, Vec<_>) = world.clients.iter().partition(|it| it.running);
    assert_eq!(winners.len(), 1);
    for loser in losers {
        assert_eq!(loser.record.closed, Some(CloseReason::Refused), "{}", loser.record.tag);
    }
    world.network.trace
}

/// A server is cut off for a minute. Its peers are told within five seconds; nobody is lost, and
/// no line.
pub(crate) fn cut_off(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = everybody(2, [Delivery::ReliableOrdered; 4], seed, verbose);
    let host = dice.below(2);
    let names: Vec<_> = world.hosts[host].hub.iter().flat_map(|hub| hub.nicknames()).collect();
    let names: Vec<_> = names.into_iter().map(str::to_owned).collect();
    let pause = dice.within(3 * SECOND);
    world.run_for(pause);
    world.cut(host);
    for index in 0..4 {
        say(&mut world, index);
    }
    world.run_for(TOLD);
    for client in world.clients.iter().filter(|client| names.contains(&client.nickname)) {
        let told = client.record.told.iter().any(|text| text.contains("no contact"));
        assert!(told, "{} was not told", client.nickname);
    }
    world.run_for(55 * SECOND);
    recover(&mut world);
    assert!(world.clients.iter().all(|client| client.running));
    world.network.trace
}

/// The engine is away for half a minute: everybody is told, nobody is removed, and each line
/// arrives.
pub(crate) fn engine_away(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let modes = [0; 4].map(|_| MODES[dice.below(3)]);
    let mut world = everybody(3, modes, seed, verbose);
    world.stop_engine();
    let mut said = usize::from(say(&mut world, dice.below(4)));
    world.run_for(TOLD);
    assert!(all_told(&world, "no contact"));
    for _ in 0..8 {
        said += usize::from(say(&mut world, dice.below(4)));
        let pause = dice.within(6 * SECOND);
        world.run_for(pause.min(3 * SECOND));
    }
    let engine = world.engine.clone();
    world.start_engine(engine);
    world.run_until("the lines are confirmed", 2 * SECOND, |world| {
        world.clients.iter().all(|client| client.session.is_settled())
    });
    recover(&mut world);
    assert!(world.clients.iter().all(|client| client.record.welcomes == 1), "a session ended");
    // While its server lives, a line in `Once` reaches the log too.
    assert_eq!(world.lines(), said);
    world.network.trace
}

/// The engine comes back without its newest entries, or without any, also under connections that
/// last: all clients are told that lines may be missing, and go on.
pub(crate) fn engine_forgets(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = everybody(3, [Delivery::ReliableOrdered; 4], seed, verbose);
    world.run_for(3 * SECOND);
    // This server has read nothing that will be lost.
    let behind = dice.chance(300).then(|| {
        let first = world.clients[0].session.server().unwrap();
        let other = world.hosts.iter().position(|host| host.address != first).unwrap();
        world.cut(other);
        other
    });
    let old = if dice.chance(500) { Engine::default() } else { world.engine.clone() };
    for _ in 0..=dice.below(8) {
        say(&mut world, 0);
        world.run_for(SECOND / 2);
    }
    if dice.chance(500) {
        world.stop_engine();
        let pause = dice.within(LONG / 2);
        world.run_for(pause);
    }
    world.start_engine(old);
    // The log may grow again to where the servers have read it.
    for _ in 0..if behind.is_none() { dice.below(20) } else { 0 } {
        say(&mut world, 0);
        world.run_for(SECOND / 20);
    }
    if let Some(behind) = behind {
        world.run_for(dice.within(SECOND));
        world.heal(behind);
    }
    // A server that was cut off has to notice that first.
    let limit = if behind.is_some() { 2 * TOLD } else { TOLD };
    world.run_until("all are told", limit, |world| all_told(world, "may be missing"));
    recover(&mut world);
    for client in &world.clients {
        assert!(client.running && client.record.welcomes >= 2, "{}", client.record.tag);
    }
    say(&mut world, 0);
    recover(&mut world);
    world.network.trace
}

fn all_told(world: &World, words: &str) -> bool {
    let told = |client: &Client| client.record.told.iter().any(|text| text.contains(words));
    world.clients.iter().all(told)
}

/// Whispers, pings and questions work between servers.
pub(crate) fn across(seed: u64, verbose: bool) -> u64 {
    let mut world = everybody(2, [Delivery::ReliableOrdered; 4], seed, verbose);
    for index in 0..4 {
        for to in &NAMES[..4] {
            world.with_client(index, |session, record, now| {
                let text = record.compose(&format!("whisper to={to};"), "");
                session.whisper(to, &text, now).unwrap();
                assert!(session.ping(to, now));
            });
        }
        world.with_client(index, |session, _, now| assert!(session.ask_who(now)));
        world.run_for(2 * SECOND);
        let record = &world.clients[index].record;
        record.all_settled();
        assert_eq!(record.reported, 0, "a whisper had no reader");
        assert_eq!((record.pongs, record.who), (4, 4));
    }
    world.network.trace
}

/// A client leaves, or its server dies, and joins at another server with its token.
pub(crate) fn server_dies(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = everybody(3, [Delivery::ReliableOrdered; 4], seed, verbose);
    for _ in 0..3 {
        for index in 0..4 {
            say(&mut world, index);
        }
        world.run_for(dice.within(SECOND / 10));
        let host = dice.below(3);
        world.kill_host(host);
        world.run_for(dice.within(3 * SECOND));
        world.start_host(host);
        world.run_for(LONG / 2);
    }
    recover(&mut world);
    assert!(world.clients.iter().all(|client| client.running), "a client is lost");
    world.network.trace
}
