//! Joins over TCP that wait for the engine.

use crate::engine::Engine;
use chatagram::engine::{Answer, Change};
use chatagram::hub::{Capacity, Config, Destination, Hub, Path, Shared, StreamId};
use chatagram::protocol::{Delivery, Flags, Frame, Join, Preface, write_record};
use chatagram::time::{Now, Timestamp, WallTime};
use std::time::Duration;

const NOW: Now = Now { mono: Timestamp::from_micros(1_000_000), wall: WallTime(1_000_000) };

fn hub() -> Hub {
    let expiry = Duration::from_secs(10);
    let config = Config {
        room: "lab".to_owned(),
        heartbeat: expiry / 5,
        capacity: Capacity { peers: 8, peers_per_ip: 8, expiry },
        replay: 10,
        limit: None,
        discovery: None,
    };
    Hub::shared(config, Shared { addresses: Vec::new() }, [1; 32], NOW)
}

/// The engine answers everything that the hub asks. Returns what the log has.
fn settle(hub: &mut Hub, engine: &mut Engine) -> Vec<Change> {
    while let Some(request) = hub.poll_engine(NOW) {
        let read = engine.position();
        let outcome = engine.execute(&request, 1_000);
        hub.handle_engine(outcome.answer, NOW);
        for entry in engine.after(read).to_vec() {
            hub.handle_engine(Answer::Committed(entry), NOW);
        }
    }
    engine.entries.iter().map(|entry| entry.change.clone()).collect()
}

/// The bytes of a client: its join, and a heartbeat before it has an answer.
fn join(nonce: u64, nickname: &str) -> Vec<u8> {
    let mut bytes = Preface { flags: Flags::default(), session: 0 }.encode().to_vec();
    let delivery = Delivery::ReliableOrdered;
    let (cookie, resume, epoch, seen, next): (&[u8], &[u8], _, _, _) = (&[], &[], 0, 0, 0);
    let join = Join { nonce, cookie, nickname, delivery, resume, epoch, seen, next };
    write_record(&Frame::Join(join), &mut bytes);
    write_record(&Frame::Heartbeat, &mut bytes);
    bytes
}

/// The connections that the hub writes to, and those that it closes.
fn drain(hub: &mut Hub) -> (Vec<StreamId>, Vec<StreamId>) {
    while hub.poll_event().is_some() {}
    let (mut written, mut closed, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(to) = hub.poll_transmit(&mut bytes, NOW) {
        match to {
            Destination::Stream(id) => written.push(id),
            Destination::Close(id) => closed.push(id),
            Destination::Datagram(_) | Destination::Message(..) => {}
        }
    }
    (written, closed)
}

pub(crate) fn over_streams() {
    let (mut hub, mut engine) = (hub(), Engine::default());
    hub.handle_engine(Answer::Up, NOW);
    settle(&mut hub, &mut engine);
    let [alice, bob, again] = [1, 2, 3].map(StreamId);
    for (stream, nonce, name) in [(alice, 1, "alice"), (bob, 2, "bob")] {
        let path = Path::routed(0, ([10, 0, 0, 2], 1_000 + nonce as u16).into());
        hub.handle_stream_opened(stream, path, NOW);
        hub.handle_stream_bytes(stream, &join(nonce, name), NOW);
        assert!(!hub.reads(stream), "nothing more is read before the engine has answered");
    }
    assert_eq!(drain(&mut hub), (vec![], vec![]));
    hub.handle_stream_closed(bob, NOW);
    let log = settle(&mut hub, &mut engine);
    assert!(hub.reads(alice));
    assert_eq!(hub.nicknames().collect::<Vec<_>>(), ["alice"]);
    assert_eq!(drain(&mut hub), (vec![alice], vec![bob]));
    let joined = log.iter().filter(|change| matches!(change, Change::Joined { .. })).count();
    let left = log.iter().filter(|change| matches!(change, Change::Left { .. })).count();
    assert_eq!(joined - left, 1, "{log:?}");
    // Another client has no chance at the name, and hears why.
    hub.handle_stream_opened(again, Path::routed(0, ([10, 0, 0, 3], 1).into()), NOW);
    hub.handle_stream_bytes(again, &join(3, "a1ice"), NOW);
    settle(&mut hub, &mut engine);
    assert_eq!(drain(&mut hub), (vec![again], vec![again]));
    assert_eq!(hub.counters().refusals.iter().sum::<u64>(), 1);
}
