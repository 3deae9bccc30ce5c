//! Clients that send a lot: some respect the rate limit and lose nothing, others do not and are
//! dropped. The effect of both on other clients is measured in virtual time.

use crate::dice::Dice;
use crate::network::{Impairment, Packet};
use crate::scenarios::{MODES, NAMES, SECOND, all_join, all_leave, recover};
use crate::wires::End;
use crate::world::World;
use chatagram::hub::Limit;
use chatagram::protocol::limits::FLOOD_TOLERANCE;
use chatagram::protocol::{
    ClientMessage, DatagramWriter, Delivery, Frame, Header, LeaveReason, Say, encode_message,
    write_record,
};
use std::time::Duration;

/// Number of lines of the pasted page.
const PAGE: u64 = 300;
const MILLISECOND: Duration = Duration::from_millis(1);

/// A client pastes a page. All lines arrive once, in order over a network that keeps it, and no
/// faster than the rate limit.
pub(crate) fn page(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = World::new(seed, Impairment::NONE, verbose);
    world.tcp = if dice.chance(300) { 1_000 } else { 0 };
    let mode = MODES[dice.below(3)];
    for name in &NAMES[..2] {
        world.start_client(name, mode, &[]);
    }
    all_join(&mut world);
    let bad = world.tcp > 0 || mode != Delivery::Unreliable;
    if bad && dice.chance(500) {
        world.network.impairment = Impairment::random(&mut dice);
    }
    let in_order = !bad || world.clients[1].record.delivery == Delivery::ReliableOrdered;
    let begun = world.now;
    for _ in 0..PAGE {
        while !talk(&mut world, 0, "") {
            world.run_for(SECOND / 10);
        }
    }
    recover(&mut world);
    let [writer, reader] = [0, 1].map(|index| &world.clients[index].record);
    assert_eq!((writer.said(), world.log.lines.len() as u64), (PAGE, PAGE), "not whole");
    let whole = reader.account(writer) == (PAGE, 0);
    assert!(whole || writer.welcomes + reader.welcomes > 2, "{:?}", reader.account(writer));
    assert!(!in_order || reader.order.is_sorted(), "not in order");
    let last = world.log.lines.last().unwrap().at;
    let first = world.log.lines.first().unwrap().at;
    let shortest = 1_000_000 * (PAGE - 1 - 20) / 10 - 1_000_000;
    // The server tolerates this much bunching by the network.
    assert!(bad || last.0 - first.0 >= shortest, "faster than allowed");
    assert!(world.now.since(begun) >= Duration::from_micros(shortest));
    all_leave(&mut world);
    world.network.trace
}

/// All clients talk without pause over a network that stalls again and again and then delivers
/// everything at once. A client that respects the limit is never dropped.
pub(crate) fn talkative(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = World::new(seed, Impairment::NONE, verbose);
    world.tcp = 400;
    for name in &NAMES[..2 + dice.below(2)] {
        world.start_client(name, MODES[dice.below(3)], &[]);
    }
    all_join(&mut world);
    world.network.impairment = Impairment::random(&mut dice);
    let mut stuck = 0;
    for _ in 0..120 {
        for index in 0..world.clients.len() {
            while world.clients[index].running && talk(&mut world, index, "") {}
            if dice.chance(30) {
                ask(&mut world, &mut dice, index);
            }
        }
        world.run_for(SECOND / 10);
        // The server stops, then receives everything at once.
        if stuck == 0 && dice.chance(60) {
            stuck = 1 + dice.below(80);
            world.network.held_until = world.now + SECOND / 10 * stuck as u32;
            world.stall_all(true);
        } else if stuck > 0 {
            stuck -= 1;
            world.stall_all(stuck > 0);
        }
    }
    world.stall_all(false);
    recover(&mut world);
    for client in &world.clients {
        let reasons = || client.record.departed.values();
        assert!(
            reasons().all(|reason| *reason != LeaveReason::Flood),
            "a client within its limit was dropped"
        );
    }
    all_leave(&mut world);
    world.network.trace
}

fn ask(world: &mut World, dice: &mut Dice, index: usize) {
    let to = NAMES[dice.below(NAMES.len())];
    let what = dice.below(3);
    let mode = world.clients[index].session.delivery();
    world.with_client(index, |session, _, now| match what {
        0 => {
            session.ask_who(now);
        }
        1 => {
            for _ in 0..9 {
                session.ping(to, now);
            }
        }
        _ => session.set_delivery(mode, now),
    });
}

/// Sends a line, if the session takes it.
fn talk(world: &mut World, index: usize, filling: &str) -> bool {
    world.with_client(index, |session, record, now| {
        let text = record.compose("line", filling);
        let taken = session.say(&text, now).is_ok();
        if !taken {
            record.retract(&text);
        }
        taken
    })
}

/// The activity beside two talking clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    /// A client that only listens.
    Nothing,
    /// A client that sends as much as its socket takes, and rejoins when it is dropped.
    Flood,
    /// A stopped client process.
    Standstill,
}

/// The transit times between two clients beside some activity. Without a limit they send enough to
/// fill the queue of a stopped client before it is dropped.
pub(crate) fn latencies(beside: Beside, limited: bool, tcp: bool, seed: u64) -> Vec<i64> {
    let impairment = Impairment { delay: 20 * MILLISECOND, ..Impairment::NONE };
    let mut world = World::new(seed, impairment, false);
    world.tcp = if tcp { 1_000 } else { 0 };
    let (pause, length) = if limited { (4, 100) } else { (1, 900) };
    if !limited {
        world.limit(None);
    }
    for name in &NAMES[..3] {
        world.start_client(name, Delivery::ReliableOrdered, &[]);
        let last = world.clients.len() - 1;
        world.clients[last].clock = world.server.clock; // equal clocks give exact transit times
    }
    all_join(&mut world);
    let third = 2;
    let mut number = 0;
    for turn in 0..1_200 {
        match beside {
            Beside::Flood if turn % 4 == 1 => {
                (0..50).for_each(|_| shout(&mut world, third, &mut number))
            }
            Beside::Standstill if turn == 100 => {
                world.clients[third].stopped = true;
                world.stall(third, true);
            }
            _ => {}
        }
        if turn % pause == 0 {
            for index in 0..2 {
                assert!(talk(&mut world, index, &"x".repeat(length)));
            }
        }
        world.run_for(25 * MILLISECOND);
    }
    world.run_for(SECOND);
    let [alice, bob] = [0, 1].map(|index| &world.clients[index].record);
    let all = (1_200 / pause, 0);
    assert_eq!((alice.account(bob), bob.account(alice)), (all, all));
    let name = NAMES[third];
    let gone = alice.departed.get(name).copied();
    match beside {
        Beside::Nothing => assert_eq!(gone, None),
        Beside::Flood => {
            assert_eq!(gone, Some(LeaveReason::Flood));
            // A line of the flood takes four tokens.
            let most = (u64::from(Limit::USUAL.burst()) + FLOOD_TOLERANCE as u64) / 4;
            let (heard, _) = alice.account(&world.clients[third].record);
            assert!((most..most + 150).contains(&heard), "{heard} lines of the flood arrived");
        }
        Beside::Standstill => assert_eq!(gone, Some(LeaveReason::Timeout)),
    }
    let hub = world.server.hub.as_ref().unwrap();
    assert_eq!(hub.queued_bytes(), 0);
    let both = [alice.latencies(bob), bob.latencies(alice)];
    both.into_iter().flatten().copied().collect()
}

/// Without a limit, some clients send half a megabyte as fast as their transport takes it, and one
/// receiver has a bottleneck. All of it arrives there, and short lines of others do not wait for
/// it.
pub(crate) fn bulk(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = World::new(seed, Impairment::NONE, verbose);
    world.limit(None);
    let (slow, modest, fast) = (0, 1, 2);
    for (index, name) in NAMES[..4 + dice.below(3)].iter().enumerate() {
        // Connections have buffers of random size, and small ones are slow.
        world.tcp = if [modest, fast].contains(&index) { 0 } else { 500 };
        let reliable = MODES[1 + dice.below(2)];
        let mode = if index > fast && dice.chance(300) { Delivery::Unreliable } else { reliable };
        world.start_client(name, mode, &[]);
        let last = world.clients.len() - 1;
        world.clients[last].clock = world.server.clock;
    }
    all_join(&mut world);
    let senders: Vec<_> = (fast + 1..world.clients.len()).collect();
    // 1,200 bytes in 12 ms are 0.8 Mbit/s, and so are 8,000 in 80 ms.
    if let Some((_, wire)) = world.wires.of(slow) {
        wire.widen(8_000);
    }
    let address = world.clients[slow].address;
    world.network.bottlenecks.insert(address, (12 * MILLISECOND, world.now));
    let each = 500 / senders.len() as u64;
    for turn in 0.. {
        let left: Vec<_> = senders.iter().copied().filter(|s| said(&world, *s) < each).collect();
        if left.is_empty() {
            break;
        }
        for sender in left {
            while said(&world, sender) < each && talk(&mut world, sender, &"x".repeat(900)) {}
        }
        if turn % 20 == 0 {
            assert!(talk(&mut world, modest, ""));
        }
        world.stall(slow, turn % 8 != 0);
        world.run_for(10 * MILLISECOND);
        assert!(turn < 60_000, "they do not get on");
    }
    world.stall(slow, false);
    recover(&mut world);
    let records: Vec<_> = world.clients.iter().map(|client| &client.record).collect();
    for (index, record) in records.iter().enumerate() {
        assert!(record.departed.is_empty() && record.welcomes == 1, "{index} lost a peer");
    }
    for sender in &senders {
        for reader in [slow, modest, fast] {
            let said = world.log.lines.iter().filter(|line| line.from == NAMES[*sender]).count();
            assert_eq!(records[reader].account(records[*sender]).0, said as u64);
            let unreliable = world.clients[*sender].session.delivery() == Delivery::Unreliable;
            assert!(unreliable || said as u64 == each, "{said} of {each}");
        }
    }
    let waits = records[fast].latencies(records[modest]);
    assert!(waits.iter().all(|wait| *wait < 500_000), "short lines waited: {waits:?}");
    all_leave(&mut world);
    world.network.trace
}

/// All clients send long lines at once, more than the queue to one client holds. The server drops
/// no client, and all lines arrive: with and without a limit, also over connections with buffers of
/// 100 bytes.
pub(crate) fn together(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = World::new(seed, Impairment::NONE, verbose);
    world.tcp = 300;
    let limited = dice.chance(300);
    let lines = if limited { 10 } else { 60 };
    if !limited {
        world.limit(None);
    }
    for name in &NAMES {
        world.start_client(name, MODES[1 + dice.below(2)], &[]);
    }
    all_join(&mut world);
    for round in 1..=2 {
        for index in 0..world.clients.len() {
            while said(&world, index) < round * lines {
                assert!(talk(&mut world, index, &"x".repeat(900)));
            }
        }
        recover(&mut world);
    }
    let records: Vec<_> = world.clients.iter().map(|client| &client.record).collect();
    for reader in &records {
        assert!(reader.departed.is_empty() && reader.welcomes == 1, "{} lost a peer", reader.tag);
        for writer in records.iter().filter(|writer| writer.tag != reader.tag) {
            assert_eq!(reader.account(writer), (2 * lines, 0), "{} to {}", writer.tag, reader.tag);
        }
    }
    all_leave(&mut world);
    world.network.trace
}

fn said(world: &World, index: usize) -> u64 {
    world.clients[index].record.said()
}

/// Sends a line past a session that would have waited.
fn shout(world: &mut World, index: usize, number: &mut u32) {
    let client = &mut world.clients[index];
    let text = client.record.compose("flood", &"x".repeat(900));
    let message = ClientMessage::Say(Say { number: *number as u16, sent: 0, text: &text });
    let payload = encode_message(&message);
    let id = *number as u16;
    *number += 1;
    if world.tcp > 0 {
        let mut record = Vec::new();
        write_record(&Frame::Once { payload: &payload }, &mut record);
        let open = world.wires.of(index).filter(|(_, wire)| wire.announced);
        let ready = open.and_then(|(id, wire)| wire.is_clear(End::Server).then_some(id));
        if let Some(wire) = ready {
            world.write(wire, End::Server, &record);
        }
        return;
    }
    let client = &world.clients[index];
    let Some(session) = client.record.session else { return };
    let mut bytes = Vec::new();
    let mut writer = DatagramWriter::new(&mut bytes);
    writer.push(&Frame::Ordered { id, payload: &payload });
    let sequence = 1_000_000 + *number;
    writer.finish(&Header { session, sequence, ..Header::default() });
    let packet = Packet { from: client.address, to: world.server.address, bytes };
    world.deliver(&packet);
}

/// The percentile by nearest rank.
pub(crate) fn percentile(sorted: &[i64], percent: usize) -> i64 {
    sorted[(sorted.len() * percent).div_ceil(100) - 1]
}
