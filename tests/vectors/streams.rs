//! The golden vectors of streams as values.

use crate::format::{Group, Vector, vector};
use chatagram::protocol::{
    ClientMessage, Delivery, Flags, Frame, Join, LiveLine, Preface, Refusal, RollEntry, RollWriter,
    Say, ServerMessage, Welcome, encode_message, write_record,
};

const SESSION: u64 = 0x0123_4567_89ab_cdef;
const NONCE: u64 = 0x1122_3344_5566_7788;
/// 2026-01-31T12:00:00Z in microseconds.
const NOON: u64 = 1_769_860_800_000_000;
/// The epoch of a log.
const EPOCH: u64 = 0xfeed_0000_1234_5678;
const CLIENT: Preface = Preface { flags: Flags(0), session: 0 };
const SERVER: Preface = Preface { flags: Flags::FROM_SERVER, session: SESSION };
const NO_SESSION: Preface = Preface { flags: Flags::FROM_SERVER, session: 0 };

/// The group of stream vectors.
pub(crate) fn group() -> Group {
    let mut vectors = valid();
    vectors.extend(invalid());
    Group {
        file: "streams",
        about: "Streams of TCP, from their first byte, in one direction each (section 11.2).",
        vectors,
    }
}

fn stream(preface: Preface, frames: &[Frame<'_>]) -> Vec<u8> {
    let mut bytes = preface.encode().to_vec();
    for frame in frames {
        assert!(write_record(frame, &mut bytes), "{frame:?} does not fit");
    }
    bytes
}

fn join() -> Frame<'static> {
    Frame::Join(Join {
        nonce: NONCE,
        cookie: &[],
        nickname: "alice",
        delivery: Delivery::ReliableOrdered,
        resume: &[],
        epoch: 0,
        seen: 0,
        next: 0,
    })
}

fn welcome() -> Vec<u8> {
    encode_message(&ServerMessage::Welcome(Welcome {
        nonce: NONCE,
        peer: 0,
        token: *b"a resuming token",
        nickname: "alice",
        room: "chatagram",
        heartbeat_ms: 2_000,
        expiry_ms: 10_000,
        burst: 0,
        rate: 0,
        peers: 2,
        replay: 0,
        complete: true,
        epoch: EPOCH,
        latest: 7,
        newest: 0,
        taken: &[],
        sure: true,
    }))
}

fn line(position: u64, upstream: i32, peer: u16, number: u16, from: &str, text: &str) -> Vec<u8> {
    let at = if position == u64::MAX { position } else { NOON + position };
    encode_message(&ServerMessage::Line(LiveLine {
        position,
        at,
        upstream,
        peer,
        number,
        from,
        text,
    }))
}

fn valid() -> Vec<Vector> {
    let once = |payload| Frame::Once { payload };
    let refused = Frame::Refused {
        nonce: NONCE,
        reason: Refusal::NameTaken,
        detail: "the nickname alice is in use",
    };
    let welcome = welcome();
    let say = encode_message(&ClientMessage::Say(Say { number: 0, sent: NOON, text: "hello" }));
    let leave = encode_message(&ClientMessage::Leave { next: 1 });
    let mut roll = RollWriter::default();
    roll.push(&RollEntry { peer: 1, nickname: "bob", next: u16::MAX });
    let present = encode_message(&ServerMessage::Present { roll: roll.roll() });
    let accepted = encode_message(&ServerMessage::Accepted { number: 0, position: 8 });
    let (first, second) =
        (line(9, 1_500, 1, u16::MAX, "bob", "one"), line(10, 9, 1, 0, "bob", "two"));
    let wide_name = "\u{10400}".repeat(29) + "\u{10f0}";
    let largest = line(u64::MAX, i32::MIN, u16::MAX, u16::MAX, &wide_name, &"x".repeat(1_000));
    vec![
        vector("stream-nothing", "A preface of which no byte came yet.", vec![]),
        vector(
            "stream-join",
            "A client's first bytes: its preface, and a Join without a cookie and padding.",
            stream(CLIENT, &[join()]),
        ),
        vector(
            "stream-welcome",
            "The server's, if it lets the client in: the session, and Welcome.",
            stream(SERVER, &[once(&welcome)]),
        ),
        vector(
            "stream-refused",
            "The server's, if it does not: session zero, and why. Then it hangs up.",
            stream(NO_SESSION, &[refused]),
        ),
        vector(
            "stream-preface-only",
            "The server's, to anything that is no Join of its version. Then it hangs up.",
            stream(NO_SESSION, &[]),
        ),
        vector(
            "stream-heartbeat",
            "The smallest record, with a frame of one byte.",
            stream(CLIENT, &[join(), Frame::Heartbeat]),
        ),
        vector(
            "stream-client",
            "All that a client sent that said one line.",
            stream(CLIENT, &[join(), once(&say), Frame::Heartbeat, once(&leave)]),
        ),
        vector(
            "stream-server",
            "Several records. Messages may come in Ordered and Unordered frames too.",
            stream(
                SERVER,
                &[
                    once(&welcome),
                    once(&present),
                    once(&accepted),
                    Frame::Heartbeat,
                    Frame::Ordered { id: 9, payload: &first },
                    Frame::Unordered { id: 300, payload: &second },
                ],
            ),
        ),
        vector(
            "stream-unreadable-message",
            "A message that is none is ignored; the stream goes on.",
            stream(CLIENT, &[join(), once(b"\xc8\x00"), Frame::Heartbeat]),
        ),
        vector(
            "stream-largest-line",
            "The largest line fits, with every number at its longest: a frame of 1,157 bytes.",
            stream(SERVER, &[once(&welcome), once(&largest)]),
        ),
        vector(
            "stream-largest-record",
            "A frame of 1,160 bytes, and a record after it.",
            stream(CLIENT, &[join(), Frame::Padding(&[0xa5; 1_156]), Frame::Heartbeat]),
        ),
    ]
}

fn invalid() -> Vec<Vector> {
    let changed = |at: usize, value: u8| {
        let mut bytes = stream(CLIENT, &[join()]);
        bytes[at] = value;
        bytes
    };
    // A `Join`, then these bytes.
    let then = |rest: &[u8]| [&*stream(CLIENT, &[join()]), rest].concat();
    vec![
        vector(
            "stream-garbage",
            "What another protocol sends.",
            b"GET / HTTP/1.1\r\nHost: example.invalid\r\n\r\n".to_vec(),
        ),
        vector("stream-magic", "The second byte is g.", changed(1, b'g')),
        vector("stream-version", "Version 2, all else right.", changed(2, 2)),
        vector("stream-flag-ack", "ACK is set.", changed(3, 0b10)),
        vector("stream-flag-unknown", "The bit 0x04 is set.", changed(3, 0b100)),
        vector(
            "stream-length-0",
            "A record of nothing. TooLong is the name for all lengths that are not 1 to 1,160.",
            then(b"\x00\x00"),
        ),
        vector(
            "stream-length-1161",
            "A length of 1,161 is enough to hang up, before any of the frame comes.",
            then(b"\x04\x89"),
        ),
        vector("stream-length-65535", "The same with the largest length.", then(b"\xff\xff")),
        vector("stream-two-frames", "A record with two Heartbeats.", then(b"\x00\x02\x01\x01")),
        vector(
            "stream-frame-truncated",
            "A Once of five bytes in a record that has room for three. The Heartbeat that follows\n\
             is not read.",
            then(b"\x00\x05\x02\x05abc\x00\x01\x01"),
        ),
        vector("stream-frame-unknown", "No frame has the number 11.", then(b"\x00\x01\x0b")),
        vector(
            "stream-tag-not-canonical",
            "A Heartbeat's number in three bytes.",
            then(b"\x00\x03\xfb\x00\x01"),
        ),
        vector(
            "stream-length-not-canonical",
            "A Once of two bytes, its length written in three.",
            then(b"\x00\x06\x02\xfb\x00\x02\x02\x00"),
        ),
    ]
}
