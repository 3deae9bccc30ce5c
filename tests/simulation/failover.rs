//! Clients that know several servers of a room, or one that lists the others, and go from a lost
//! server to another.

use crate::cast::Client;
use crate::dice::Dice;
use crate::network::Impairment;
use crate::rooms::{everybody, recover, say};
use crate::scenarios::{MODES, NAMES, SECOND};
use crate::shared::World;
use crate::world::GIVE_UP;
use chatagram::client::session::Condition;
use chatagram::protocol::{Delivery, LeaveReason};

const SERVERS: usize = 3;

/// Troubles between clients and servers, between servers and the engine, and of the servers, again
/// and again. Everybody is back each time, and no line is lost, doubtful or shown twice.
pub(crate) fn wander(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let modes = [0; 4].map(|_| MODES[1 + dice.below(2)]);
    let mut world = everybody(SERVERS, modes, seed, verbose);
    world.duplicates = dice.below(200) as u64;
    for _ in 0..3 {
        let Impairment { loss, duplicate, delay, jitter, .. } = Impairment::random(&mut dice);
        world.network.impairment =
            Impairment { loss: loss / 3, duplicate, delay, jitter, corrupt: 0 };
        for _ in 0..=dice.below(10) {
            trouble(&mut world, &mut dice);
            let pause = dice.within(3 * SECOND);
            world.run_for(pause);
        }
        calm(&mut world);
    }
    recover(&mut world);
    for client in &world.clients {
        let record = &client.record;
        assert!(client.running, "{} is lost", record.tag);
        assert_eq!(record.reported, 0, "{} doubts a line", record.tag);
    }
    world.network.trace
}

fn trouble(world: &mut World, dice: &mut Dice) {
    let (client, host) = (dice.below(4), dice.below(SERVERS));
    match dice.below(100) {
        0..45 => {
            for _ in 0..=dice.below(4) {
                say(world, client);
            }
        }
        45..60 => {
            let way = dice.below(3);
            let ends = [world.clients[client].address, world.hosts[host].address];
            if way != 0 {
                world.network.apart.insert(ends);
            }
            if way != 1 {
                world.network.apart.insert([ends[1], ends[0]]);
            }
        }
        60..68 => world.network.apart.clear(),
        68..75 => world.cut(host),
        75..82 => world.heal(host),
        82..90 => world.kill_host(host),
        90..97 => start(world, host),
        _ => {
            let engine = world.engine.clone();
            world.stop_engine();
            world.run_for(dice.within(4 * SECOND));
            world.start_engine(engine);
        }
    }
}

fn start(world: &mut World, host: usize) {
    if world.hosts[host].hub.is_none() {
        world.start_host(host);
    }
}

/// The troubles end, and everybody is back.
fn calm(world: &mut World) {
    world.network.apart.clear();
    world.network.impairment = Impairment::NONE;
    for host in 0..SERVERS {
        world.heal(host);
        start(world, host);
    }
    world.run_until("everybody is back", GIVE_UP, |world| {
        let back =
            |it: &Client| it.session.condition() == Condition::Here && it.session.is_settled();
        world.clients.iter().all(back)
    });
}

/// A server dies while lines of its clients wait there, some of them for the engine, and does not
/// come back. The lines reach all others, and its clients are back within ten seconds.
pub(crate) fn dies_with_lines(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = everybody(SERVERS, [Delivery::ReliableOrdered; 4], seed, verbose);
    // A server learns of later ones when it renews its lease.
    world.run_for(3 * SECOND);
    let address = world.clients[dice.below(4)].session.server().unwrap();
    let host = world.hosts.iter().position(|it| it.address == address).unwrap();
    let is_there = |it: &Client| it.session.server() == Some(address);
    let there: Vec<_> = (0..4).filter(|it| is_there(&world.clients[*it])).collect();
    if dice.chance(500) {
        world.cut(host);
    }
    for _ in 0..5 {
        there.iter().for_each(|index| assert!(say(&mut world, *index)));
        let pause = dice.within(SECOND / 5);
        world.run_for(pause);
    }
    world.kill_host(host);
    there.iter().for_each(|index| assert!(say(&mut world, *index)));
    world.run_until("its clients are back", 10 * SECOND, |world| {
        there.iter().all(|it| world.clients[*it].record.welcomes == 2)
    });
    recover(&mut world);
    for client in &world.clients {
        assert!(client.running && client.record.reported == 0, "{}", client.record.tag);
    }
    assert_eq!(world.lines(), there.len() * 6, "lines in the log");
    world.network.trace
}

/// A client joins a server that has just begun, and that dies at once: the client goes on at one
/// of the others.
pub(crate) fn early(seed: u64, verbose: bool) -> u64 {
    let mut world = everybody(2, [Delivery::ReliableOrdered; 4], seed, verbose);
    let (host, client) = (world.hosts.len(), world.clients.len());
    world.add_host();
    world.start_client_at(NAMES[4], Delivery::ReliableOrdered, host);
    world
        .run_until("it has joined", 2 * SECOND, |world| world.clients[client].session.is_settled());
    world.kill_host(host);
    world.run_until("it is back", 10 * SECOND, |world| world.clients[client].record.welcomes == 2);
    recover(&mut world);
    world.network.trace
}

/// A client comes back to a server that has read less of the log than the client has seen
/// elsewhere: nothing is shown twice.
pub(crate) fn behind(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = World::new(2, seed, verbose);
    for (name, host) in NAMES.iter().zip([0, 1, 1]) {
        world.start_client_at(name, Delivery::ReliableOrdered, host);
    }
    world.run_for(3 * SECOND);
    let ends = [world.clients[0].address, world.hosts[0].address];
    let both = [ends, [ends[1], ends[0]]];
    world.cut(0);
    world.network.apart.extend(both);
    world.run_until("it is at the other server", 10 * SECOND, |world| {
        world.clients[0].record.welcomes == 2
    });
    for _ in 0..3 {
        say(&mut world, 1 + dice.below(2));
    }
    world.run_for(SECOND);
    world.network.apart.clear();
    world.with_hub(1, |hub, now| hub.shutdown(LeaveReason::Restart, now));
    let pause = dice.within(6 * SECOND);
    world.run_for(pause);
    world.heal(0);
    world.run_for(2 * SECOND);
    world.kill_host(1);
    world.start_host(1);
    recover(&mut world);
    assert!(world.clients.iter().all(|it| it.running && it.record.reported == 0));
    world.network.trace
}
