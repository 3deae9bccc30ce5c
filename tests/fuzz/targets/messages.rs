//! Messages and headers that the input chooses.

use super::input::Input;
use chatagram::protocol::limits::PART_SIZE;
use chatagram::protocol::{
    About, ClientMessage, Delivery, Flags, Frame, Header, LeaveReason, LiveLine, Part, PastLine,
    Refusal, RollEntry, RollWriter, Say, ServerCounters, ServerList, ServerMessage, Transport,
    Welcome, Whisper, decode_message, encode_message,
};
use std::net::{Ipv6Addr, SocketAddr};

pub(super) fn delivery(input: &mut Input<'_>) -> Delivery {
    Delivery::ALL[usize::from(input.below(3))]
}

/// A client's message, or any bytes in its place.
pub(super) fn of_client(input: &mut Input<'_>) -> Vec<u8> {
    let kind = input.below(8);
    let (number, sent) = (input.number() as u16, input.number());
    let (to, text) = match kind {
        0 => (String::new(), input.text()),
        1 => (input.text(), input.text()),
        5 => (input.text(), String::new()),
        _ => Default::default(),
    };
    encode_message(&match kind {
        0 => ClientMessage::Say(Say { number, sent, text: &text }),
        1 => ClientMessage::Whisper(Whisper { number, sent, to: &to, text: &text }),
        2 => ClientMessage::Leave { next: number },
        3 => ClientMessage::Deliver(delivery(input)),
        4 => ClientMessage::Who { number },
        5 => ClientMessage::Ping { number, to: &to },
        6 => ClientMessage::Pong { peer: input.word(), number },
        _ if input.below(4) == 0 => {
            let text = input.text();
            return encode_message(&if text.starts_with('.') {
                ClientMessage::Moderate { order: &text }
            } else {
                ClientMessage::Rename { nickname: &text }
            });
        }
        _ => return input.bytes().to_vec(),
    })
}

/// A server's message, or any bytes in its place.
pub(super) fn of_server(input: &mut Input<'_>, nonce: u64) -> Vec<u8> {
    let kind = input.below(19);
    let (id, number) = (input.number(), input.number() as u16);
    let peer = u16::from(input.byte());
    let (at, own) = (id, number % 2 == 1);
    let (name, text) = (input.text(), input.text());
    let (from, nickname, to, upstream) = (&*name, &*name, &*name, number.into());
    let reason =
        [LeaveReason::Quit, LeaveReason::Timeout, LeaveReason::Shutdown, LeaveReason::Restart]
            [usize::from(peer) % 4];
    let (next, peers, text) = (number, peer, &*text);
    let mut roll = RollWriter::default();
    for step in 0..id % 4 {
        roll.push(&RollEntry { peer: peer.wrapping_add(step as u16), nickname, next });
    }
    let mut list = Vec::new();
    encode_message(&match kind {
        0 => ServerMessage::Welcome(Welcome {
            nonce,
            peer,
            token: [7; 16],
            nickname,
            room: text,
            heartbeat_ms: input.number() as u32,
            expiry_ms: input.number() as u32,
            burst: number,
            rate: number,
            peers: input.number() as u16,
            replay: input.number() as u16,
            complete: input.below(2) == 0,
            epoch: input.number(),
            latest: id,
            newest: number,
            taken: name.as_bytes(),
            sure: input.below(2) == 0,
        }),
        1 => ServerMessage::Present { roll: roll.roll() },
        2 => ServerMessage::History(PastLine { position: id, at, own, number, from, text }),
        3 => ServerMessage::Joined { peers, roll: roll.roll() },
        4 => ServerMessage::Left { peers, reason, roll: roll.roll() },
        5 => ServerMessage::Line(LiveLine { position: id, at, upstream, peer, number, from, text }),
        6 => ServerMessage::Accepted { number, position: id },
        7 => ServerMessage::Whisper { at, upstream, peer, from, text },
        8 => ServerMessage::Whispered { number, at, to, text },
        9 => ServerMessage::NotHere { number, to },
        10 => ServerMessage::Notice { text },
        11 => ServerMessage::Closing { reason, detail: text },
        12 => ServerMessage::About(About {
            number,
            left: input.number() as u16,
            peer,
            nickname,
            transport: if input.below(2) == 0 { Transport::Udp } else { Transport::Tcp },
            delivery: delivery(input),
            rtt_us: input.number() as u32,
            silent_ms: input.number() as u32,
            sent: id,
            lost: input.number(),
            received: input.number(),
            missing: input.number(),
        }),
        13 => ServerMessage::Pinged { peer, number },
        14 => ServerMessage::Ponged { number, from },
        15 => ServerMessage::Slow { wait_ms: number },
        16 => ServerMessage::Counters {
            number,
            server: ServerCounters {
                received: id,
                alien: input.number(),
                other_version: input.number(),
                corrupt: input.number(),
                malformed: input.number(),
                unknown_session: input.number(),
                unread: input.number(),
                refused: input.number(),
                left_out: input.number(),
            },
        },
        17 => {
            let addresses: Vec<_> = (0..input.below(20)).map(|_| address(input)).collect();
            ServerMessage::Servers { servers: ServerList::encode(&addresses, &mut list) }
        }
        _ if text.starts_with(',') => ServerMessage::Topic { text },
        _ if text.starts_with(';') => {
            ServerMessage::Rejected { number, private: own, detail: text }
        }
        _ if text.starts_with('.') => {
            ServerMessage::NotRenamed { reason: Refusal::NameTaken, detail: text }
        }
        _ if input.below(2) == 0 => ServerMessage::Renamed { peer, from, to: text },
        _ => return input.bytes().to_vec(),
    })
}

/// An address of any kind.
fn address(input: &mut Input<'_>) -> SocketAddr {
    let [a, b] = input.word().to_be_bytes();
    let port = input.word();
    match input.below(4) {
        0 => ([a, b, 0, 1], port).into(),
        1 => ([10, 0, a, b], port).into(),
        2 => ([a, b, b, a], port).into(),
        _ => (Ipv6Addr::new(u16::from_be_bytes([a, b]), 0, 0, 0, 0, 0, 0, 1), port).into(),
    }
}

/// The frame that carries a message. A reliable one mostly has the next id.
pub(super) fn carrier<'a>(input: &mut Input<'_>, payload: &'a [u8], next: &mut u16) -> Frame<'a> {
    let kind = input.byte();
    let id = if kind & 0x80 == 0 {
        *next = next.wrapping_add(1);
        next.wrapping_sub(1)
    } else {
        next.wrapping_add(input.number() as u16)
    };
    // A part of the message, which a correct sender may never send.
    let (index, count) = (u16::from(kind >> 2 & 3), u16::from(kind >> 4 & 3));
    let part = payload.chunks(PART_SIZE).nth(index.into()).unwrap_or(payload);
    match kind & 3 {
        0 if kind & 0x40 != 0 => {
            *next = id;
            Frame::OncePart { number: id, part: Part { index, count, payload: part } }
        }
        ordered @ 1..=2 if kind & 0x40 != 0 => {
            Frame::Part { id, ordered: ordered == 2, part: Part { index, count, payload: part } }
        }
        0 => {
            *next = id;
            Frame::Once { payload }
        }
        1 => Frame::Unordered { id, payload },
        _ => Frame::Ordered { id, payload },
    }
}

/// A header with wrong fields.
pub(super) fn distorted(input: &mut Input<'_>, header: Header) -> Header {
    Header {
        flags: Flags(input.byte() & 3),
        session: header.session,
        sequence: header.sequence.wrapping_add(input.number() as u32),
        acknowledgment: input.number() as u32,
        ack_bitmap: input.number(),
        timestamp: input.number() as u32,
        ack_delay: input.word(),
        window: input.word(),
    }
}

/// Asserts that `payload` is a server's message whose texts are clean.
pub(super) fn assert_server_message(payload: &[u8]) {
    let texts: &[&str] = match decode_message(payload).unwrap() {
        ServerMessage::Welcome(Welcome { nickname, room, .. }) => &[nickname, room],
        ServerMessage::Present { roll }
        | ServerMessage::Joined { roll, .. }
        | ServerMessage::Left { roll, .. } => {
            return roll.entries().for_each(|entry| super::assert_clean(entry.nickname));
        }
        ServerMessage::About(About { nickname, .. }) => &[nickname],
        ServerMessage::History(PastLine { from, text, .. })
        | ServerMessage::Line(LiveLine { from, text, .. })
        | ServerMessage::Whisper { from, text, .. } => &[from, text],
        ServerMessage::Whispered { to, text, .. } => &[to, text],
        ServerMessage::NotHere { to, .. } => &[to],
        ServerMessage::Notice { text } => &[text],
        ServerMessage::Closing { detail, .. } => &[detail],
        ServerMessage::Ponged { from, .. } => &[from],
        ServerMessage::Renamed { from, to, .. } => &[from, to],
        ServerMessage::NotRenamed { detail, .. } | ServerMessage::Rejected { detail, .. } => {
            &[detail]
        }
        ServerMessage::Topic { text } => &[text],
        ServerMessage::Accepted { .. }
        | ServerMessage::Pinged { .. }
        | ServerMessage::Slow { .. }
        | ServerMessage::Counters { .. }
        | ServerMessage::Servers { .. } => &[],
        message => panic!("unchecked: {message:?}"),
    };
    texts.iter().for_each(|text| super::assert_clean(text));
}
