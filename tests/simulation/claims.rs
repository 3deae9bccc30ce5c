//! Joins that wait for the engine.

use crate::engine::Engine;
use chatagram::client::session::{self, Event, Session, Transport};
use chatagram::engine::{Answer, Change};
use chatagram::hub::{Capacity, Config, Destination, Hub, Path, Shared, StreamId};
use chatagram::protocol::limits::{MAX_CLAIMS, MAX_DATAGRAM, SILENT};
use chatagram::protocol::{Delivery, Flags, Frame, Join, Preface, write_record};
use chatagram::time::{Now, Timestamp, WallTime};
use std::time::Duration;

const NOW: Now = Now { mono: Timestamp::from_micros(1_000_000), wall: WallTime(1_000_000) };

const SERVER: ([u8; 4], u16) = ([10, 0, 0, 1], 2428);

fn hub(peers: usize) -> Hub {
    let expiry = Duration::from_secs(10);
    let config = Config {
        room: "lab".to_owned(),
        heartbeat: expiry / 5,
        capacity: Capacity { peers, peers_per_ip: 8, expiry },
        replay: 10,
        limit: None,
        discovery: None,
    };
    Hub::shared(config, Shared { addresses: Vec::new() }, [1; 32], NOW)
}

/// The engine answers everything that the hub asks. Returns what the log has.
fn settle(hub: &mut Hub, engine: &mut Engine, now: Now) -> Vec<Change> {
    while let Some(request) = hub.poll_engine(now) {
        let read = engine.position();
        let outcome = engine.execute(&request, 1_000);
        hub.handle_engine(outcome.answer, now);
        for entry in engine.after(read).to_vec() {
            hub.handle_engine(Answer::Committed(entry), now);
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
    let (mut hub, mut engine) = (hub(8), Engine::default());
    hub.handle_engine(Answer::Up, NOW);
    settle(&mut hub, &mut engine, NOW);
    let [alice, bob, again] = [1, 2, 3].map(StreamId);
    for (stream, nonce, name) in [(alice, 1, "alice"), (bob, 2, "bob")] {
        let path = Path::routed(0, ([10, 0, 0, 2], 1_000 + nonce as u16).into());
        hub.handle_stream_opened(stream, path, NOW);
        hub.handle_stream_bytes(stream, &join(nonce, name), NOW);
        assert!(!hub.reads(stream), "nothing more is read before the engine has answered");
    }
    assert_eq!(drain(&mut hub), (vec![], vec![]));
    hub.handle_stream_closed(bob, NOW);
    let log = settle(&mut hub, &mut engine, NOW);
    assert!(hub.reads(alice));
    assert_eq!(hub.nicknames().collect::<Vec<_>>(), ["alice"]);
    assert_eq!(drain(&mut hub), (vec![alice], vec![bob]));
    let joined = log.iter().filter(|change| matches!(change, Change::Joined { .. })).count();
    let left = log.iter().filter(|change| matches!(change, Change::Left { .. })).count();
    assert_eq!(joined - left, 1, "{log:?}");
    // Another client has no chance at the name, and hears why.
    hub.handle_stream_opened(again, Path::routed(0, ([10, 0, 0, 3], 1).into()), NOW);
    hub.handle_stream_bytes(again, &join(3, "a1ice"), NOW);
    settle(&mut hub, &mut engine, NOW);
    assert_eq!(drain(&mut hub), (vec![again], vec![again]));
    assert_eq!(hub.counters().refusals.iter().sum::<u64>(), 1);
}

/// A client that joins a hub over UDP or TCP.
struct Joiner {
    session: Session,
    path: Path,
    stream: Option<StreamId>,
    outcome: Option<Event>,
    statuses: Vec<String>,
}

impl Joiner {
    fn new(number: u16) -> Self {
        let transport = [Transport::Udp, Transport::Tcp][usize::from(number % 2)];
        let config = session::Config {
            nickname: format!("n{number}"),
            transport,
            delivery: Delivery::ReliableOrdered,
            give_up: Duration::ZERO,
            shown: Vec::new(),
        };
        let [high, low] = number.to_be_bytes();
        let seed = [high ^ 0x55, low].repeat(16).try_into().unwrap();
        let session = Session::new(config, vec![SERVER.into()], seed, NOW);
        let path = Path::routed(0, ([10, 1, high, low], 1_000).into());
        Self { session, path, stream: None, outcome: None, statuses: Vec::new() }
    }

    /// Does what is due, and passes on what it has to say.
    fn turn(&mut self, hub: &mut Hub, streams: &mut u64, now: Now) {
        self.session.handle_timeout(now);
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Connect(server) => {
                    *streams += 1;
                    let stream = StreamId(*streams);
                    self.stream = Some(stream);
                    hub.handle_stream_opened(stream, self.path, now);
                    self.session.handle_connected(server, now);
                }
                Event::Disconnect => {
                    self.stream.take().inspect(|it| hub.handle_stream_closed(*it, now));
                }
                event @ (Event::Welcome { .. } | Event::Closed { .. } | Event::Error { .. }) => {
                    self.outcome.get_or_insert(event);
                }
                Event::Status { notice } => self.statuses.push(notice.to_string()),
                _ => {}
            }
        }
        let mut bytes = Vec::new();
        if let Some(stream) = self.stream
            && self.session.poll_stream_transmit(&mut bytes, now)
        {
            hub.handle_stream_bytes(stream, &bytes, now);
            self.session.handle_stream_writable(now);
        }
        while self.session.poll_transmit(&mut bytes, now).is_some() {
            let datagrams = bytes.chunks(MAX_DATAGRAM);
            datagrams.for_each(|it| hub.handle_datagram(self.path, it, now));
        }
    }

    fn hear(&mut self, to: Destination, bytes: &[u8], now: Now) {
        match to {
            Destination::Datagram(path) if path == self.path => {
                let datagrams = bytes.chunks(MAX_DATAGRAM);
                datagrams.for_each(|it| self.session.handle_datagram(SERVER.into(), it, now));
            }
            Destination::Stream(id) if Some(id) == self.stream => {
                self.session.handle_stream_bytes(bytes, now);
            }
            Destination::Close(id) if Some(id) == self.stream => {
                self.stream = None;
                self.session.handle_disconnected(now);
            }
            _ => {}
        }
    }
}

/// More clients than may wait join while the engine takes its time: all are let in.
pub(crate) fn of_a_crowd() {
    let (mut hub, mut engine) = (hub(MAX_CLAIMS + 200), Engine::default());
    hub.handle_engine(Answer::Up, NOW);
    settle(&mut hub, &mut engine, NOW);
    let mut crowd: Vec<_> = (0..MAX_CLAIMS as u16 + 100).map(Joiner::new).collect();
    let (mut now, mut streams) = (NOW, 0);
    let end = NOW.mono + Duration::from_secs(5);
    while crowd.iter().any(|it| it.outcome.is_none()) {
        assert!(now.mono < end, "{} joined", hub.sessions());
        now.mono = now.mono + Duration::from_millis(5);
        for joiner in &mut crowd {
            joiner.turn(&mut hub, &mut streams, now);
        }
        hub.handle_timeout(now);
        // One answer takes a second.
        if NOW.mono + Duration::from_secs(1) < now.mono {
            settle(&mut hub, &mut engine, now);
        }
        while hub.poll_event().is_some() {}
        let mut bytes = Vec::new();
        while let Some(to) = hub.poll_transmit(&mut bytes, now) {
            crowd.iter_mut().for_each(|it| it.hear(to, &bytes, now));
            hub.handle_taken(to, now);
        }
    }
    for joiner in &crowd {
        let outcome = joiner.outcome.as_ref();
        assert!(matches!(outcome, Some(Event::Welcome { .. })), "{:?}: {outcome:?}", joiner.path);
    }
    assert_eq!(hub.counters().refusals.iter().sum::<u64>(), 0);
}

/// A client over TCP that goes on to talk stays while its lines wait for the engine.
pub(crate) fn of_a_talker() {
    let (mut hub, mut engine) = (hub(8), Engine::default());
    hub.handle_engine(Answer::Up, NOW);
    settle(&mut hub, &mut engine, NOW);
    let mut talker = Joiner::new(1);
    let (mut now, mut streams, mut said) = (NOW, 0, 0);
    while now.mono < NOW.mono + 2 * SILENT {
        now.mono = now.mono + Duration::from_millis(10);
        if talker.outcome.is_none() {
            settle(&mut hub, &mut engine, now);
        } else if now.mono.as_micros().is_multiple_of(500_000) {
            said += 1;
            talker.session.say("hello", now).unwrap();
        }
        talker.turn(&mut hub, &mut streams, now);
        hub.handle_timeout(now);
        while hub.poll_event().is_some() {}
        let mut bytes = Vec::new();
        while let Some(to) = hub.poll_transmit(&mut bytes, now) {
            talker.hear(to, &bytes, now);
            hub.handle_taken(to, now);
        }
    }
    let quiet = talker.statuses.iter().any(|text| text.contains("server quiet"));
    assert!(!quiet && streams == 1, "{streams} connections: {:?}", talker.statuses);
    assert!(hub.proposed_lines() > said / 2, "of {said} lines {} wait", hub.proposed_lines());
}
