//! A client of a hostile server, over either transport, whose user goes on typing.

use super::input::Input;
use super::messages::{carrier, delivery, distorted, of_server};
use super::meter::allocated;
use super::{Allowance, assert_clean, is_message, messages, sealed};
use chatagram::client::Format;
use chatagram::client::session::{Config, Event, Session, Transport};
use chatagram::protocol::Mark;
use chatagram::protocol::limits::MAX_DATAGRAM;
use chatagram::protocol::{
    Datagram, DatagramWriter, Flags, Frame, Header, Join, Piece, Preface, Refusal, StreamReader,
    write_record,
};
use chatagram::time::{Now, Timestamp, WallTime};
use std::net::SocketAddr;
use std::time::Duration;

const MAX_STEPS: usize = 300;
const MAX_STALLS: usize = 8;
const MAX_BURST: usize = 2_000;
const SESSION: u64 = 7;

pub(crate) fn client(data: &[u8]) {
    let mut input = Input::new(data);
    let mut stage = Stage::new(&mut input);
    stage.settle();
    for _ in 0..MAX_STEPS {
        if input.is_over() {
            break;
        }
        stage.act(&mut input);
        stage.settle();
    }
    // Whatever happened, the user can leave.
    stage.session.leave(stage.now);
    stage.settle();
    stage.pass(Duration::from_secs(2));
    stage.settle();
    assert!(stage.session.is_closed());
}

struct Stage {
    session: Session,
    transport: Transport,
    now: Now,
    nonce: u64,
    sequence: u32,
    next: u16,
    received: u32,
    /// The client's connection, if it has one.
    wire: Option<StreamReader>,
    wants: bool,
    buffer: Vec<u8>,
    allowance: Allowance,
    /// Bytes that all typed lines may allocate: all are due again after each rejoin.
    said_again: usize,
}

fn server() -> SocketAddr {
    ([10, 0, 0, 1], 2428).into()
}

impl Stage {
    fn new(input: &mut Input<'_>) -> Self {
        let now = Now {
            mono: Timestamp::from_micros((1 << 32) - 5_000_000),
            wall: WallTime(1_800_000_000_000_000),
        };
        let transport = if input.below(3) == 0 { Transport::Tcp } else { Transport::Udp };
        let config = Config {
            nickname: "alice".to_owned(),
            transport,
            delivery: delivery(input),
            give_up: Duration::from_secs(60),
            shown: [1, 2].map(|position| Mark { epoch: 1, position }).to_vec(),
        };
        Self {
            session: Session::new(config, vec![server()], [7; 32], now),
            transport,
            now,
            nonce: 0,
            sequence: 0,
            next: 0,
            received: 0,
            wire: None,
            wants: false,
            buffer: Vec::new(),
            allowance: Allowance::default(),
            said_again: 0,
        }
    }

    fn act(&mut self, input: &mut Input<'_>) {
        match input.below(16) {
            0 => self.bytes(&sealed(input.bytes())),
            1 => self.bytes(input.bytes()),
            2 => self.welcome(input),
            3..=7 => {
                let payload = of_server(input, self.nonce);
                let mut next = self.next;
                let frame = carrier(input, &payload, &mut next);
                self.next = next;
                self.frames(&[frame]);
            }
            8 => self.body(input.bytes(), |header| header),
            9 => {
                let body = input.bytes();
                let header = self.header();
                let header = distorted(input, header);
                self.body(body, |_| header);
            }
            10 => self.pass(Duration::from_millis(input.number() & 0xfff)),
            11 => self.pass(Duration::from_secs(u64::from(input.below(20)))),
            12 => self.user(input),
            13 => {
                let (kind, detail) = (input.below(7), input.text());
                let cookie = [kind; 20];
                self.frames(&[match kind {
                    0 => Frame::Refused {
                        nonce: self.nonce,
                        reason: Refusal::NameTaken,
                        detail: &detail,
                    },
                    1 => Frame::Refused {
                        nonce: self.nonce,
                        reason: Refusal::RoomFull,
                        detail: &detail,
                    },
                    2 => Frame::Reset,
                    3 => Frame::PathChallenge([7; 8]),
                    4 => Frame::Challenge { nonce: self.nonce, cookie },
                    5 => Frame::PathResponse([7; 8]),
                    _ => Frame::Heartbeat,
                }]);
            }
            14 => self.handshake(input),
            _ => {
                self.wire = None;
                self.session.handle_disconnected(self.now);
            }
        }
    }

    fn user(&mut self, input: &mut Input<'_>) {
        let (kind, text) = (input.below(8), input.text());
        // The line waits in the session, in pieces, each of which becomes a message.
        self.allowance.received(1 + text.len() / 250);
        self.said_again += 1_024 + 2 * text.len();
        match kind {
            0..=2 => {
                let _ = self.session.say(&text, self.now);
            }
            3 => {
                let _ = self.session.whisper("bob", &text, self.now);
            }
            4 => {
                self.session.ask_who(self.now);
            }
            5 => {
                self.session.ping(&text, self.now);
            }
            6 => self.session.set_delivery(delivery(input), self.now),
            _ if input.byte() == 0xff => self.session.leave(self.now),
            _ => {}
        }
    }

    /// The beginning of a session, more or less correct.
    fn welcome(&mut self, input: &mut Input<'_>) {
        (self.sequence, self.next) = (0, 1);
        let payload =
            of_server(&mut Input::new(&[0, 0x10, 0, 0, 0, 3, b'b', b'o', b'b']), self.nonce);
        if self.transport == Transport::Tcp && input.below(4) != 0 {
            let preface = Preface { flags: Flags::FROM_SERVER, session: SESSION };
            self.bytes(&preface.encode());
        }
        self.frames(&[Frame::Ordered { id: 0, payload: &payload }]);
    }

    /// Frames of session zero, or any preface.
    fn handshake(&mut self, input: &mut Input<'_>) {
        let flags = Flags(input.byte() & 3);
        if self.transport == Transport::Tcp {
            let preface = Preface { flags, session: input.number() };
            return self.bytes(&preface.encode());
        }
        let detail = input.text();
        let mut bytes = Vec::new();
        let mut writer = DatagramWriter::new(&mut bytes);
        writer.push(&match input.below(3) {
            0 => Frame::Challenge { nonce: self.nonce, cookie: [9; 20] },
            1 => Frame::Refused { nonce: self.nonce, reason: Refusal::RoomFull, detail: &detail },
            _ => Frame::Reset,
        });
        writer.finish(&Header { flags, ..Header::default() });
        self.bytes(&bytes);
    }

    fn header(&mut self) -> Header {
        self.sequence = self.sequence.wrapping_add(1);
        Header {
            flags: if self.received > 0 { Flags(3) } else { Flags::FROM_SERVER },
            session: SESSION,
            sequence: self.sequence,
            acknowledgment: self.received,
            ack_bitmap: u64::MAX,
            timestamp: self.now.mono.low_bits(),
            ack_delay: 0,
            window: u16::MAX,
        }
    }

    fn frames(&mut self, frames: &[Frame<'_>]) {
        let mut bytes = Vec::new();
        if self.transport == Transport::Tcp {
            frames.iter().for_each(|frame| {
                write_record(frame, &mut bytes);
            });
        } else {
            let header = self.header();
            let mut writer = DatagramWriter::new(&mut bytes);
            frames.iter().for_each(|frame| {
                writer.push(frame);
            });
            writer.finish(&header);
        }
        self.bytes(&bytes);
    }

    fn body(&mut self, body: &[u8], change: impl FnOnce(Header) -> Header) {
        if self.transport == Transport::Tcp {
            let length = (body.len() as u16).to_be_bytes();
            return self.bytes(&[&length, body].concat());
        }
        let header = change(self.header());
        let mut bytes = Vec::new();
        DatagramWriter::new(&mut bytes).finish(&header);
        bytes.extend(body);
        self.bytes(&sealed(&bytes));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if self.transport == Transport::Tcp {
            if self.wire.is_some() {
                let session = &mut self.session;
                let ((), cost) = allocated(|| session.handle_stream_bytes(bytes, self.now));
                // No record is shorter, and an earlier one may be incomplete.
                self.allowance.received(bytes.len() / 4 + 1);
                self.allowance.spend(cost.saturating_sub(self.said_again));
            }
            return;
        }
        let ((), cost) = allocated(|| self.session.handle_datagram(server(), bytes, self.now));
        if let Some(messages) = messages(bytes) {
            self.allowance.received(messages);
            self.allowance.spend(cost.saturating_sub(self.said_again));
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
        self.now.wall.0 += time.as_micros() as u64;
        self.session.handle_timeout(self.now);
    }

    fn settle(&mut self) {
        for _ in 0..MAX_STALLS {
            self.drain();
            if std::mem::take(&mut self.wants) {
                self.wire = Some(StreamReader::default());
                self.session.handle_connected(server(), self.now);
                self.drain();
            }
            match self.session.poll_timeout() {
                Some(at) if at <= self.now.mono => self.session.handle_timeout(self.now),
                _ => return,
            }
        }
        panic!("the session repeats the same timeout: {:?}", self.session);
    }

    fn drain(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for burst in 0.. {
            assert!(burst < MAX_BURST, "the session does not stop sending");
            if self.session.poll_transmit(&mut buffer, self.now).is_some() {
                for bytes in buffer.chunks(MAX_DATAGRAM) {
                    let datagram = Datagram::decode(bytes).unwrap();
                    assert!(!datagram.header.flags.contains(Flags::FROM_SERVER));
                    if datagram.header.session == SESSION {
                        self.received = datagram.header.sequence;
                    }
                    datagram.frames().for_each(|frame| self.hear(&frame));
                }
            } else if self.session.poll_stream_transmit(&mut buffer, self.now) {
                let Some(mut wire) = self.wire.take() else { continue };
                let mut bytes = &buffer[..];
                while let Some(piece) = wire.next(&mut bytes).unwrap() {
                    if let Piece::Frame(frame) = piece {
                        self.hear(&frame);
                    }
                }
                self.wire = Some(wire);
                self.session.handle_stream_writable(self.now);
            } else {
                break;
            }
        }
        self.buffer = buffer;
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Connect(to) => {
                    assert_eq!(to, server());
                    self.wire = None;
                    self.wants = true;
                }
                Event::Disconnect => self.wire = None,
                event => check_event(&event),
            }
        }
    }

    fn hear(&mut self, frame: &Frame<'_>) {
        self.allowance.sent(usize::from(is_message(frame)));
        if let Frame::Join(Join { nonce, .. }) = *frame {
            self.nonce = nonce;
        }
    }
}

/// Checks the output for terminals and programs. A notice is one line, whatever its text.
fn check_event(event: &Event) {
    if let Some(text) = Format::Text.plain(event) {
        let lines = match event {
            Event::Who { peers, server } => peers.len() + 1 + usize::from(server.is_some()),
            Event::Stats(_) => 4,
            _ => 1,
        };
        assert_eq!(text.split('\n').count(), lines, "{text:?}");
        text.split('\n').for_each(assert_clean);
    }
    if let Some(object) = Format::Json.plain(event) {
        let objects = match event {
            Event::Present { nicknames }
            | Event::Joined { nicknames, .. }
            | Event::Left { nicknames, .. } => nicknames.len(),
            _ => 1,
        };
        assert_eq!(object.split('\n').count(), objects, "{object:?}");
        object.split('\n').for_each(assert_clean);
    }
    if let Event::Confirmed { text, .. } = event {
        assert_clean(text);
    }
}
