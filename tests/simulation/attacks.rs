//! Attackers that can forge the source address of a datagram: they send well-formed forgeries and
//! replay overheard datagrams. They see all traffic and block none of it.

use crate::dice::Dice;
use crate::network::{Impairment, Packet};
use crate::scenarios::{MODES, NAMES, SECOND, all_join, all_leave, recover, say};
use crate::wires::End;
use crate::world::World;
use chatagram::hub::Hub;
use chatagram::protocol::limits::{JOIN_SIZE, PROBE_SIZE};
use chatagram::protocol::{
    ClientMessage, Datagram, DatagramWriter, Flags, Frame, Header, Join, encode_message,
};
use std::net::SocketAddr;
use std::time::Duration;

/// Datagrams from addresses without a client: noise, forgeries and replays.
pub(crate) fn strangers(world: &mut World, dice: &mut Dice) {
    let mut from: SocketAddr = ([66, 6, 6, 6], dice.below(20) as u16 + 1).into();
    if dice.chance(50) {
        from = ([239, 255, 67, 71], 2429).into();
    }
    for _ in 0..=dice.below(20) {
        let to = world.server.address;
        match dice.below(10) {
            0 | 1 => world.deliver(&Packet { from, to, bytes: noise(dice) }),
            2..6 => {
                if let Some(overheard) = world.network.any_under_way(dice) {
                    let bytes = overheard.bytes.clone();
                    world.deliver(&Packet { from, to, bytes });
                }
            }
            6 => world.probe(&Packet { from, to, bytes: probe(dice) }),
            _ => {
                let overheard = world.network.any_under_way(dice);
                let header =
                    overheard.and_then(|it| Some(Datagram::decode(&it.bytes).ok()?.header));
                let bytes = forgery(header.unwrap_or_default(), dice);
                world.deliver(&Packet { from, to, bytes });
            }
        }
    }
}

/// Random bytes that resemble a datagram.
pub(crate) fn noise(dice: &mut Dice) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..dice.below(600)).map(|_| dice.roll() as u8).collect();
    if let Some(head) = bytes.first_chunk_mut::<4>() {
        *head = [b'C', b'G', dice.below(3) as u8, dice.below(4) as u8];
    }
    bytes
}

fn probe(dice: &mut Dice) -> Vec<u8> {
    let size = if dice.chance(700) { PROBE_SIZE } else { dice.below(PROBE_SIZE) };
    datagram(0, 0, size, &[Frame::Probe { nonce: dice.roll() }])
}

/// A datagram that is correct except for values that the attacker cannot know. It is based on an
/// overheard one.
pub(crate) fn forgery(overheard: Header, dice: &mut Dice) -> Vec<u8> {
    let cookie: [u8; 20] = std::array::from_fn(|_| dice.roll() as u8);
    let join = Frame::Join(Join {
        nonce: dice.roll(),
        cookie: &cookie[..20 * dice.below(2)],
        nickname: NAMES[dice.below(NAMES.len())],
        resume: &cookie[..16 * dice.below(2)],
        ..Join::default()
    });
    let size = if dice.chance(700) { JOIN_SIZE } else { dice.below(JOIN_SIZE) };
    match dice.below(4) {
        0 => datagram(0, 0, size, &[join]),
        1 => of_version_two(datagram(0, 0, size, &[join])),
        2 => datagram(dice.roll(), dice.roll() as u32, dice.below(60), &[Frame::Heartbeat]),
        _ => {
            let leave = encode_message(&ClientMessage::Leave { next: 0 });
            let response = Frame::PathResponse(std::array::from_fn(|i| cookie[i]));
            let message = Frame::Ordered { id: dice.below(20) as u16, payload: &leave };
            let sequence = overheard.sequence.wrapping_add(1_000);
            datagram(overheard.session, sequence, dice.below(60), &[response, message])
        }
    }
}

fn datagram(session: u64, sequence: u32, size: usize, frames: &[Frame<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = DatagramWriter::new(&mut bytes);
    frames.iter().for_each(|frame| assert!(writer.push(frame)));
    writer.pad_to(size);
    writer.finish(&Header { session, sequence, ..Header::default() });
    bytes
}

/// A forgery in the name of the server.
pub(crate) fn of_server(session: u64, sequence: u32, size: usize, frames: &[Frame<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = DatagramWriter::new(&mut bytes);
    frames.iter().for_each(|frame| assert!(writer.push(frame)));
    writer.pad_to(size);
    let flags = Flags::FROM_SERVER;
    writer.finish(&Header { flags, session, sequence, ..Header::default() });
    bytes
}

/// A datagram with the next version number and a correct checksum.
fn of_version_two(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[2] = 2;
    let crc = bytes[..4].iter().chain(&bytes[8..]).fold(u32::MAX, |crc, byte| {
        let shift = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1));
        (0..8).fold(crc ^ u32::from(*byte), shift)
    });
    bytes[4..8].copy_from_slice(&(!crc).to_be_bytes());
    bytes
}

/// Replays every datagram that has arrived: while its sender is joined, after it has left, and
/// while another client has its name. No replay has an effect.
pub(crate) fn replayed(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = World::new(seed, Impairment::NONE, verbose);
    world.tape = Some(Vec::new());
    let count = 2 + dice.below(2);
    for name in &NAMES[..count] {
        world.start_client(name, MODES[dice.below(3)], &[]);
    }
    all_join(&mut world);
    world.network.impairment = Impairment::random(&mut dice);
    talk(&mut world, &mut dice);
    world.network.impairment = Impairment::NONE;
    world.run_for(SECOND);
    let mover = dice.below(count);
    world.clients[mover].address = world.new_address();
    // The new address is validated with the next heartbeat, and lost frames are retransmitted.
    world.run_until("everything has arrived", 60 * SECOND, |world| {
        let settled = world.clients.iter().all(|client| client.session.is_settled());
        settled && world.server.hub.as_ref().is_some_and(|hub| hub.queued_bytes() == 0)
    });
    world.run_for(6 * SECOND);
    repeat(&mut world, &mut dice);
    recover(&mut world);
    all_leave(&mut world);
    repeat(&mut world, &mut dice);
    for (index, name) in NAMES[..count].iter().enumerate() {
        let address = world.clients[index].address;
        world.start_client(name, MODES[dice.below(3)], &[]);
        world.clients[count + index].address = address;
    }
    world.run_until("they are in again", 5 * SECOND, |world| {
        world.clients[count..].iter().all(|client| client.session.is_settled())
    });
    world.run_for(6 * SECOND);
    repeat(&mut world, &mut dice);
    recover(&mut world);
    all_leave(&mut world);
    world.network.trace
}

/// Replays the bytes of each connection over another one: while its client is joined, and after it
/// has left. No replay admits a client.
pub(crate) fn recorded(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = World::new(seed, Impairment::NONE, verbose);
    world.tcp = 1_000;
    let count = 2 + dice.below(2);
    for name in &NAMES[..count] {
        world.start_client(name, MODES[dice.below(3)], &[]);
    }
    all_join(&mut world);
    talk(&mut world, &mut dice);
    recover(&mut world);
    connect_again(&mut world, &mut dice);
    recover(&mut world);
    all_leave(&mut world);
    connect_again(&mut world, &mut dice);
    world.network.trace
}

/// Sends all bytes ever written to the server once more, in pieces or whole.
fn connect_again(world: &mut World, dice: &mut Dice) {
    let tapes: Vec<_> = world.written.values().cloned().collect();
    let (events, sessions) = (world.events, world.server.hub.as_ref().map(Hub::sessions));
    for tape in tapes {
        let stranger = world.connect(None, world.server.address);
        for piece in tape.chunks(1 + dice.below(tape.len())) {
            world.write(stranger, End::Server, piece);
            world.run_for(Duration::from_millis(dice.below(20) as u64));
        }
        world.written.remove(&stranger);
    }
    world.run_for(SECOND);
    assert_eq!(world.events, events, "a recorded connection had consequences");
    assert_eq!(world.server.hub.as_ref().map(Hub::sessions), sessions);
}

fn talk(world: &mut World, dice: &mut Dice) {
    for _ in 0..6 {
        let pause = dice.within(SECOND / 2);
        world.run_for(pause);
        let speaker = dice.below(world.clients.len());
        say(world, dice, speaker);
    }
}

/// Replays an overheard datagram from its own or from another source address.
fn repeat(world: &mut World, dice: &mut Dice) {
    let tape = world.tape.take().unwrap();
    let (events, sessions) = (world.events, world.server.hub.as_ref().map(Hub::sessions));
    for _ in 0..tape.len() {
        let mut packet = tape[dice.below(tape.len())].clone();
        if dice.chance(300) {
            packet.from = ([66, 6, 6, 6], dice.below(20) as u16 + 1).into();
        }
        if packet.to != world.server.address && dice.chance(500) {
            packet.to = world.clients[dice.below(world.clients.len())].address;
        }
        let before = world.network.bytes;
        world.deliver(&packet);
        let answered = world.network.bytes - before;
        assert!(answered <= packet.bytes.len() as u64, "{answered} bytes in answer to {packet:?}");
        let pause = dice.within(Duration::from_millis(10));
        world.run_for(pause);
    }
    assert_eq!(world.events, events, "a repetition had consequences");
    assert_eq!(world.server.hub.as_ref().map(Hub::sessions), sessions);
    world.tape = Some(tape);
}
