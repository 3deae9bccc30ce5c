//! Servers with several addresses: clients join at any of them, and the preferred address changes.

use crate::attacks::of_server;
use crate::dice::Dice;
use crate::network::{Impairment, Packet};
use crate::scenarios::{MODES, NAMES, SECOND, all_join, all_leave, balance, recover, say};
use crate::world::World;
use chatagram::link::PATH_CHALLENGE_LEN;
use chatagram::protocol::Frame;
use std::net::SocketAddr;
use std::time::Duration;

/// Limit on how long an address is gone: an idle server does not notice, and its clients would
/// expire.
const ABSENCE: Duration = Duration::from_secs(5);

/// A server with three addresses, and clients at each of them.
fn multihomed(seed: u64, verbose: bool, dice: &mut Dice) -> World {
    let mut world = World::new(seed, Impairment::NONE, verbose);
    world.server.others = [3, 4].map(|n| ([10, 0, 0, n], 2428).into()).to_vec();
    for name in &NAMES[..2 + dice.below(3)] {
        world.start_client(name, MODES[dice.below(3)], &[]);
    }
    all_join(&mut world);
    world
}

/// The preferred address changes, addresses disappear and return, and clients move. No session and
/// no line is lost.
pub(crate) fn addresses_change(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = multihomed(seed, verbose, &mut dice);
    // Not both at once: if neither side knows the other's address, only a new join helps.
    let clients_move = dice.chance(500);
    let mut gone = None;
    for _ in 0..40 {
        let pause = dice.within(SECOND / 2);
        world.run_for(pause);
        let back = gone.take_if(|(_, until)| *until <= world.now);
        world.server.others.extend(back.map(|(address, _)| address));
        match dice.below(6) {
            0 => world.server.prefer(dice.below(world.server.others.len())),
            1 if gone.is_none() && !clients_move => {
                let address = world.server.others.swap_remove(dice.below(2));
                gone = Some((address, world.now + dice.within(ABSENCE)));
            }
            2 if clients_move => {
                let index = dice.below(world.clients.len());
                world.clients[index].address = world.new_address();
            }
            _ => {}
        }
        for index in 0..world.clients.len() {
            say(&mut world, &mut dice, index);
        }
    }
    world.server.others.extend(gone.map(|(address, _)| address));
    recover(&mut world);
    for client in &world.clients {
        assert_eq!(client.record.welcomes, 1, "{} lost its session", client.record.tag);
    }
    let count = world.clients.len();
    all_leave(&mut world);
    for receiver in 0..count {
        (0..receiver).for_each(|sender| balance(&world, sender, receiver));
    }
    world.network.trace
}

/// An attacker that knows the sessions, but does not receive at the server's address, claims from
/// other addresses to be the server. The client probes with no more bytes than it received, and
/// does not move.
pub(crate) fn impostors(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = multihomed(seed, verbose, &mut dice);
    world.tape = Some(Vec::new());
    for turn in 0..40 {
        let index = dice.below(world.clients.len());
        say(&mut world, &mut dice, index);
        let victim = &world.clients[dice.below(world.clients.len())];
        let (to, session) = (victim.address, victim.record.session.unwrap());
        let from: SocketAddr = ([66, 6, 6, 6], dice.below(3) as u16 + 1).into();
        let response = Frame::PathResponse(std::array::from_fn(|_| dice.roll() as u8));
        let challenge = Frame::PathChallenge(std::array::from_fn(|_| dice.roll() as u8));
        let frames = [Frame::Heartbeat, Frame::Reset, response, challenge];
        for frame in &frames[..1 + dice.below(frames.len())] {
            let size = PATH_CHALLENGE_LEN + 1 - dice.below(3);
            let bytes = of_server(session, 1_000_000 + turn, size, &[*frame]);
            let before = world.network.bytes;
            world.deliver(&Packet { from, to, bytes: bytes.clone() });
            let answered = world.network.bytes - before;
            assert!(answered <= bytes.len() as u64, "{answered} bytes for {}", bytes.len());
        }
        let pause = dice.within(SECOND / 4);
        world.run_for(pause);
    }
    recover(&mut world);
    for client in &world.clients {
        assert_eq!(client.record.welcomes, 1, "{} lost its session", client.record.tag);
    }
    all_leave(&mut world);
    world.network.trace
}
