//! A hub with peers that may do whatever their sessions allow, and strangers that may do anything
//! else, over both transports and in any order.

mod output;

use super::input::Input;
use super::messages::{carrier, delivery, distorted, of_client};
use super::meter::allocated;
use super::{Allowance, LIMIT, is_message, messages, sealed};
use chatagram::hub::{
    Capacity, Config, Destination, Hub, Kept, Limit, LineIdentity, Owner, Past, Path, StreamId,
};
use chatagram::protocol::Mark;
use chatagram::protocol::limits::{JOIN_SIZE, MAX_DATAGRAM, PROBE_SIZE};
use chatagram::protocol::{
    Datagram, DatagramWriter, Flags, Frame, Header, Join, LeaveReason, Piece, Preface,
    StreamReader, write_record,
};
use chatagram::time::{Now, Timestamp, WallTime};
use std::collections::BTreeMap;
use std::time::Duration;

const PEERS: usize = 5;
const MAX_STEPS: usize = 300;
/// Limit on consecutive calls of `handle_timeout` at one time.
const MAX_STALLS: usize = 8;
/// Limit on the datagrams of one step.
const MAX_BURST: usize = 4_000;

pub(crate) fn hub(data: &[u8]) {
    let mut input = Input::new(data);
    let mut stage = Stage::new(&mut input);
    for _ in 0..MAX_STEPS {
        if input.is_over() {
            break;
        }
        stage.act(&mut input);
        stage.settle();
    }
    // Everyone remaining falls silent and expires. The steps are too short for a standstill, which
    // would prolong every expiry.
    for _ in 0..60 {
        stage.pass(Duration::from_secs(1));
        stage.settle();
    }
    assert_eq!((stage.hub.sessions(), stage.hub.queued_bytes()), (0, 0));
}

/// The state of a peer over UDP.
#[derive(Default)]
struct Peer {
    port: u16,
    nonce: u64,
    cookie: Vec<u8>,
    token: Vec<u8>,
    session: u64,
    sequence: u32,
    next: u16,
    received: u32,
}

/// The state of a peer over TCP.
#[derive(Default)]
struct Wire {
    /// Reads the bytes that the hub sends.
    to_hub: StreamReader,
    broken: bool,
    from_hub: StreamReader,
    token: Vec<u8>,
    next: u16,
    /// The kernel accepts no more bytes.
    stuck: bool,
}

impl Wire {
    /// The number of messages in these bytes; `None` if a join is among them.
    fn messages(&mut self, mut bytes: &[u8]) -> Option<usize> {
        let (mut count, mut joins) = (0, false);
        while !self.broken {
            match self.to_hub.next(&mut bytes) {
                Ok(None) => break,
                Ok(Some(Piece::Frame(Frame::Join(_)))) => joins = true,
                Ok(Some(Piece::Frame(frame))) => count += usize::from(is_message(&frame)),
                Ok(Some(Piece::Preface(_))) => {}
                Err(_) => self.broken = true,
            }
        }
        (!joins).then_some(count)
    }
}

struct Stage {
    hub: Hub,
    now: Now,
    peers: Vec<Peer>,
    wires: BTreeMap<StreamId, Wire>,
    next_wire: u64,
    last: Vec<u8>,
    buffer: Vec<u8>,
    nonce: u64,
    allowance: Allowance,
}

/// A line as a history may contain it.
fn kept(index: u64, input: &mut Input<'_>) -> Kept {
    let choice = input.byte();
    let position = if choice & 1 == 0 { index } else { input.number() };
    let identity = LineIdentity { owner: Owner(input.number()), number: index as u16 };
    Kept {
        mark: (choice & 2 == 0).then_some(Mark { epoch: u64::from(choice & 4), position }),
        at: WallTime(input.number()),
        from: "old".into(),
        text: format!("line {index}"),
        identity: (choice & 8 == 0).then_some(identity),
    }
}

impl Stage {
    fn new(input: &mut Input<'_>) -> Self {
        // The 32-bit timestamps wrap during the run.
        let now = Now {
            mono: Timestamp::from_micros((1 << 32) - 5_000_000),
            wall: WallTime(1_800_000_000_000_000),
        };
        let choice = input.byte();
        let lines: Vec<_> = (1..=u64::from(choice % 20)).map(|index| kept(index, input)).collect();
        let intact = lines.len().saturating_sub(usize::from(input.below(4)));
        let past = Past { lines, intact };
        let config = Config {
            room: "lab".to_owned(),
            heartbeat: Duration::from_secs(2),
            capacity: Capacity { peers: 6, peers_per_ip: 5, expiry: Duration::from_secs(10) },
            replay: 10,
            discovery: Some(2428),
            limit: (choice >= 0x80).then_some(Limit::USUAL),
        };
        let peer = |index| Peer { port: 1_000 + index as u16, ..Peer::default() };
        Self {
            hub: Hub::new(config, past, [7; 32], now),
            now,
            peers: (0..PEERS).map(peer).collect(),
            wires: BTreeMap::new(),
            next_wire: 0,
            last: Vec::new(),
            buffer: Vec::new(),
            nonce: 0,
            allowance: Allowance::default(),
        }
    }

    fn act(&mut self, input: &mut Input<'_>) {
        let kind = input.below(20);
        let index = usize::from(input.below(PEERS as u8));
        match kind {
            0 => self.deliver(path(666), &sealed(input.bytes())),
            1 => self.deliver(path(666), input.bytes()),
            2 => self.join(index, input),
            3 => {
                (0..2).for_each(|_| self.join(index, &mut Input::new(&[])));
            }
            4..=6 => {
                let payload = of_client(input);
                let mut next = self.peers[index].next;
                let frame = carrier(input, &payload, &mut next);
                self.peers[index].next = next;
                self.send(index, &[frame]);
            }
            7 => self.send_body(index, input.bytes(), |header| header),
            8 => {
                let body = input.bytes();
                let mut header = self.header(index);
                header = distorted(input, header);
                self.send_body(index, body, |_| header);
            }
            9 => {
                // As many small messages as fit.
                let payload = of_client(input);
                let mut frames = vec![Frame::Heartbeat];
                for _ in 0..input.byte() {
                    frames.push(carrier(input, &payload, &mut self.peers[index].next));
                }
                self.send(index, &frames);
            }
            10 => self.pass(Duration::from_millis(input.number() & 0xfff)),
            11 => self.pass(Duration::from_secs(u64::from(input.below(20)))),
            12 => self.peers[index].port = 1_000 + u16::from(input.below(8)),
            13 => {
                let id = StreamId(self.next_wire);
                self.next_wire += 1;
                self.wires.insert(id, Wire::default());
                self.hub.handle_stream_opened(id, path(2_000 + index as u16), self.now);
                if input.below(4) != 0 {
                    self.join_stream(id, input);
                }
            }
            14 => {
                let bytes = input.bytes();
                self.stream(index, bytes);
            }
            15 => {
                let payload = of_client(input);
                let Some((_, wire)) = self.wires.iter_mut().nth(index) else { return };
                let frame = carrier(input, &payload, &mut wire.next);
                let mut record = Vec::new();
                write_record(&frame, &mut record);
                self.stream(index, &record);
            }
            16 => self.touch_stream(index, input),
            17 => {
                let last = self.last.clone();
                self.deliver(path(1_000 + u16::from(input.below(8))), &last);
            }
            18 => match input.below(4) {
                0 => self.hub.handle_probe(path(9), &sealed(input.bytes()), self.now),
                1 => {
                    let mut bytes = Vec::new();
                    let mut writer = DatagramWriter::new(&mut bytes);
                    writer.push(&Frame::Probe { nonce: input.number() });
                    writer.pad_to(PROBE_SIZE);
                    writer.finish(&Header::default());
                    self.hub.handle_probe(path(9), &bytes, self.now);
                }
                2 => self.hub.warn(&input.text()),
                _ => self.hub.all_clear(&input.text()),
            },
            _ if input.byte() == 0xff => self.hub.shutdown(LeaveReason::Restart, self.now),
            _ => {}
        }
    }

    fn header(&mut self, index: usize) -> Header {
        let peer = &mut self.peers[index];
        peer.sequence = peer.sequence.wrapping_add(1);
        Header {
            flags: if peer.received > 0 { Flags::ACK } else { Flags::default() },
            session: peer.session,
            sequence: peer.sequence,
            acknowledgment: peer.received,
            ack_bitmap: u64::MAX,
            timestamp: self.now.mono.low_bits(),
            ack_delay: 0,
            window: u16::MAX,
        }
    }

    fn send(&mut self, index: usize, frames: &[Frame<'_>]) {
        let header = self.header(index);
        let mut bytes = Vec::new();
        let mut writer = DatagramWriter::new(&mut bytes);
        frames.iter().for_each(|frame| {
            writer.push(frame);
        });
        writer.finish(&header);
        self.deliver(path(self.peers[index].port), &bytes);
    }

    fn send_body(&mut self, index: usize, body: &[u8], change: impl FnOnce(Header) -> Header) {
        let header = change(self.header(index));
        let mut bytes = Vec::new();
        DatagramWriter::new(&mut bytes).finish(&header);
        bytes.extend(body);
        self.deliver(path(self.peers[index].port), &sealed(&bytes));
    }

    fn join(&mut self, index: usize, input: &mut Input<'_>) {
        if input.below(8) != 1 && self.peers[index].cookie.is_empty() {
            self.nonce += 1;
            self.peers[index].nonce = self.nonce;
        }
        let name = input.text();
        let default = format!("peer{index}");
        let peer = &self.peers[index];
        let frame = Frame::Join(Join {
            nonce: peer.nonce,
            cookie: &peer.cookie,
            nickname: if name.is_empty() { &default } else { &name },
            delivery: delivery(input),
            resume: if input.below(2) == 0 { &peer.token } else { &[] },
            epoch: input.number(),
            seen: input.number(),
            next: input.number() as u16,
        });
        let mut bytes = Vec::new();
        let mut writer = DatagramWriter::new(&mut bytes);
        writer.push(&frame);
        writer.pad_to(JOIN_SIZE);
        writer.finish(&Header::default());
        self.deliver(path(self.peers[index].port), &bytes);
        self.settle();
    }

    fn join_stream(&mut self, id: StreamId, input: &mut Input<'_>) {
        self.nonce += 1;
        let (name, default) = (input.text(), format!("wire{}", id.0));
        let mut bytes = Preface { flags: Flags::default(), session: 0 }.encode().to_vec();
        let frame = Frame::Join(Join {
            nonce: self.nonce,
            cookie: &[],
            nickname: if name.is_empty() { &default } else { &name },
            delivery: delivery(input),
            resume: &[],
            epoch: input.number(),
            seen: input.number(),
            next: 0,
        });
        write_record(&frame, &mut bytes);
        if let Some(wire) = self.wires.get_mut(&id) {
            wire.messages(&bytes);
        }
        self.hub.handle_stream_bytes(id, &bytes, self.now);
    }

    fn stream(&mut self, index: usize, bytes: &[u8]) {
        let Some((id, wire)) = self.wires.iter_mut().nth(index) else { return };
        let id = *id;
        let messages = wire.messages(bytes);
        let ((), cost) = allocated(|| self.hub.handle_stream_bytes(id, bytes, self.now));
        if let Some(messages) = messages {
            self.allowance.received(messages);
            self.allowance.spend(cost);
        }
    }

    fn touch_stream(&mut self, index: usize, input: &mut Input<'_>) {
        let Some((id, wire)) = self.wires.iter_mut().nth(index) else { return };
        let id = *id;
        if input.below(3) == 0 {
            self.wires.remove(&id);
            self.hub.handle_stream_closed(id, self.now);
        } else {
            wire.stuck = !wire.stuck;
            if !wire.stuck {
                self.hub.handle_stream_writable(id, self.now);
            }
        }
    }

    fn deliver(&mut self, from: Path, bytes: &[u8]) {
        let ((), cost) = allocated(|| self.hub.handle_datagram(from, bytes, self.now));
        match messages(bytes) {
            None => {}
            // Data outside of any session may cost little.
            _ if !self.is_of_a_session(bytes) => {
                assert!(cost <= LIMIT, "{cost} bytes allocated for a stranger");
            }
            Some(messages) => {
                self.allowance.received(messages);
                self.allowance.spend(cost);
            }
        }
        self.last = bytes.to_vec();
    }

    fn is_of_a_session(&self, bytes: &[u8]) -> bool {
        let Ok(Datagram { header, .. }) = Datagram::decode(bytes) else { return false };
        self.peers.iter().any(|peer| peer.session == header.session && header.session != 0)
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
        self.now.wall.0 += time.as_micros() as u64;
        self.hub.handle_timeout(self.now);
    }

    /// Drains the hub as its contract says, until it has nothing due.
    fn settle(&mut self) {
        for _ in 0..MAX_STALLS {
            self.drain();
            match self.hub.poll_timeout() {
                Some(at) if at <= self.now.mono => self.hub.handle_timeout(self.now),
                _ => return,
            }
        }
        panic!("the hub repeats the same timeout");
    }

    fn drain(&mut self) {
        while let Some(event) = self.hub.poll_event() {
            output::check_event(&event);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        for burst in 0.. {
            assert!(burst < MAX_BURST, "the hub does not stop sending");
            match self.hub.poll_transmit(&mut buffer, self.now) {
                Some(Destination::Datagram(to)) => {
                    buffer.chunks(MAX_DATAGRAM).for_each(|bytes| self.receive(to, bytes));
                }
                Some(Destination::Stream(id)) => self.receive_stream(id, &buffer),
                Some(Destination::Message(..)) => panic!("no client is on QUIC"),
                Some(Destination::Close(id)) => {
                    self.wires.remove(&id);
                }
                None => break,
            }
        }
        self.buffer = buffer;
    }
}

fn path(port: u16) -> Path {
    Path::routed(0, ([10, 0, 0, (port / 1_000) as u8], port).into())
}
