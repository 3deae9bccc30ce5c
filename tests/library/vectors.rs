//! The golden vectors: `tests/vectors/*.txt` hold datagrams as bytes and their meaning, for this
//! implementation and others. `CHATAGRAM_BLESS=1` writes them anew; a difference then is a change
//! of the protocol.

use crate::catalogue::checksummed;
use crate::format::{Golden, bless, flag_names, frame_line, is_current, written_again};
use crate::{catalogue, format};
use chatagram::protocol::limits::MAX_DATAGRAM;
use chatagram::protocol::{
    ClientMessage, Datagram, DatagramWriter, DecodeError, Delivery, Flags, Frame, HEADER_LEN,
    Header, Join, LeaveReason, LiveLine, Part, PastLine, Refusal, RollEntry, RollWriter, Say,
    ServerList, ServerMessage, Welcome, Whisper, decode_message, encode_message,
};
use proptest::prelude::*;
use std::fmt::Write;

/// The vectors of all files.
fn golden() -> Vec<Golden> {
    bless(&catalogue::groups(), meaning);
    let groups = catalogue::groups();
    let vectors: Vec<_> = groups.iter().flat_map(|group| format::read(group.file)).collect();
    assert!(vectors.len() > 60, "only {} vectors", vectors.len());
    vectors
}

/// The meaning of a datagram as a stable text: a line for the header and for each frame.
fn meaning(bytes: &[u8]) -> String {
    let datagram = match Datagram::decode(bytes) {
        Ok(datagram) => datagram,
        Err(DecodeError::Checksum { found, computed }) => {
            return format!(
                "rejected Checksum {{ found: {found:#010x}, computed: {computed:#010x} }}"
            );
        }
        Err(error) => return format!("rejected {error:?}"),
    };
    let Header {
        flags,
        session,
        sequence,
        acknowledgment,
        ack_bitmap,
        timestamp,
        ack_delay,
        window,
    } = datagram.header;
    let from_server = flags.contains(Flags::FROM_SERVER);
    let mut text = format!(
        "header {{ flags: [{}], session: {session:#018x}, sequence: {sequence}, \
         acknowledgment: {acknowledgment}, ack_bitmap: {ack_bitmap:#018x}, \
         timestamp: {timestamp}, ack_delay: {ack_delay}, window: {window} }}",
        flag_names(flags)
    );
    for frame in datagram.frames() {
        write!(text, "\n{}", frame_line(&frame, from_server)).unwrap();
    }
    text
}

/// Encodes again what the decoder read from the datagram.
fn rewritten(bytes: &[u8]) -> Vec<u8> {
    let datagram = Datagram::decode(bytes).unwrap();
    let mut again = Vec::new();
    let mut writer = DatagramWriter::new(&mut again);
    let from_server = datagram.header.flags.contains(Flags::FROM_SERVER);
    for frame in datagram.frames() {
        assert!(written_again(frame, from_server, |frame| writer.push(frame)));
    }
    writer.finish(&datagram.header);
    again
}

#[test]
fn the_files_hold_what_this_implementation_writes_and_reads() {
    let groups = catalogue::groups();
    bless(&groups, meaning);
    for group in &groups {
        assert!(is_current(group, meaning), "{}.txt is out of date", group.file);
    }
}

#[test]
fn every_vector_has_the_meaning_of_its_file() {
    for vector in golden() {
        assert_eq!(meaning(&vector.bytes), vector.meaning, "{}", vector.name);
        if vector.is_valid() {
            assert_eq!(rewritten(&vector.bytes), vector.bytes, "{}", vector.name);
        }
    }
}

#[test]
fn every_kind_of_frame_message_and_error_has_a_vector() {
    let all: String = golden().iter().map(|vector| format!("\n{}", vector.meaning)).collect();
    let frames = "Padding Heartbeat Once Unordered Ordered Join Challenge Refused PathChallenge \
                  PathResponse Reset";
    for frame in frames.split_whitespace() {
        assert!(all.contains(&format!("\n{frame}")), "no {frame}");
    }
    let messages = "Say Whisper Leave Deliver Welcome Present History Joined Left Line Accepted \
                    Whispered NotHere Notice Closing Slow Rename Renamed NotRenamed \
                    Moderate Topic Rejected";
    for message in messages.split_whitespace() {
        assert!(all.contains(&format!(": {message}")), "no {message}");
    }
    let errors = "TooShort TooLong Magic Version Checksum Flags Malformed NotCanonical";
    for error in errors.split_whitespace() {
        assert!(all.contains(&format!("rejected {error}")), "no {error}");
    }
}

#[test]
fn the_largest_line_fits_whatever_its_numbers() {
    for name in ["line-largest", "whisper-largest"] {
        let vector = golden().into_iter().find(|vector| vector.name == name).unwrap();
        assert!(vector.bytes.len() <= MAX_DATAGRAM, "{name}: {} bytes", vector.bytes.len());
        assert!(vector.bytes.len() > 1_160, "{name} is not at its largest");
    }
}

#[test]
fn every_truncation_of_a_valid_vector_is_rejected() {
    for vector in golden().iter().filter(|vector| vector.is_valid()) {
        for length in 0..vector.bytes.len() {
            assert!(
                Datagram::decode(&vector.bytes[..length]).is_err(),
                "{} at {length}",
                vector.name
            );
        }
    }
}

#[test]
fn every_flipped_bit_in_a_valid_vector_is_detected() {
    for vector in golden().iter().filter(|vector| vector.is_valid()) {
        let mut bytes = vector.bytes.clone();
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Datagram::decode(&bytes).is_err(), "{}, bit {bit}", vector.name);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

/// An attacker can correct the checksum. Then only a truncation between two frames is valid.
#[test]
fn a_truncation_with_a_correct_checksum_passes_between_frames_only() {
    for vector in golden().iter().filter(|vector| vector.is_valid()) {
        let mut boundaries = vec![HEADER_LEN];
        let mut writer_buffer = Vec::new();
        let mut writer = DatagramWriter::new(&mut writer_buffer);
        for frame in Datagram::decode(&vector.bytes).unwrap().frames() {
            writer.push(&frame);
            boundaries.push(writer.len());
        }
        for length in HEADER_LEN..vector.bytes.len() {
            let cut = checksummed(vector.bytes[..length].to_vec());
            let expected = boundaries.contains(&length);
            assert_eq!(Datagram::decode(&cut).is_ok(), expected, "{} at {length}", vector.name);
        }
    }
}

/// Values from which `frame`, `client` and `server` make any frame or message.
#[derive(Clone, Debug)]
struct Parts {
    kind: u8,
    a: u64,
    b: u32,
    c: i32,
    d: u16,
    e: u16,
    small: u8,
    bytes: Vec<u8>,
    text: String,
    name: String,
    roll: RollWriter,
}

prop_compose! {
    fn parts()(
        kind: u8,
        a in prop_oneof![
            any::<u64>(),
            0..300_u64,
            Just(0xffff),
            Just(0x1_0000),
            Just(0xffff_ffff),
            Just(0x1_0000_0000),
        ],
        b in prop_oneof![any::<u32>(), 0..300_u32, Just(0xffff), Just(0x1_0000)],
        c in prop_oneof![any::<i32>(), -200..200_i32],
        d in prop_oneof![any::<u16>(), 0..300_u16],
        e in prop_oneof![any::<u16>(), 0..300_u16],
        small: u8,
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        text in "\\PC{0,90}",
        name in "\\PC{0,40}",
    ) -> Parts {
        let mut roll = RollWriter::default();
        for peer in (0..small % 40).map(u16::from) {
            roll.push(&RollEntry { peer: d.wrapping_mul(peer), nickname: &name, next: e ^ peer });
        }
        Parts { kind, a, b, c, d, e, small, bytes, text, name, roll }
    }
}

impl Parts {
    fn delivery(&self) -> Delivery {
        use Delivery::{ReliableOrdered, ReliableUnordered, Unreliable};
        [Unreliable, ReliableUnordered, ReliableOrdered][usize::from(self.small) % 3]
    }

    fn reason(&self) -> LeaveReason {
        use LeaveReason::{Flood, Quit, Restart, Shutdown, Timeout};
        [Quit, Timeout, Shutdown, Flood, Restart][usize::from(self.small) % 5]
    }

    fn array<const N: usize>(&self) -> [u8; N] {
        std::array::from_fn(|i| self.a.rotate_left(i as u32 * 7) as u8)
    }

    fn frame(&self) -> Frame<'_> {
        let refusals = [
            Refusal::Version,
            Refusal::NameNotAllowed,
            Refusal::NameTaken,
            Refusal::RoomFull,
            Refusal::TooManyFromAddress,
            Refusal::ShuttingDown,
            Refusal::Unavailable,
            Refusal::Locked,
            Refusal::Kicked,
        ];
        let (nonce, id, payload) = (self.a, self.d, &*self.bytes);
        let (index, count, ordered) = (self.e, self.d, self.small.is_multiple_of(2));
        match self.kind % 14 {
            11 => Frame::Part { id, ordered, part: Part { index, count, payload } },
            12 => Frame::OncePart { number: id, part: Part { index, count, payload } },
            0 => Frame::Padding(payload),
            1 => Frame::Heartbeat,
            2 => Frame::Once { payload },
            3 => Frame::Unordered { id, payload },
            4 => Frame::Ordered { id, payload },
            5 => Frame::Join(Join {
                nonce,
                cookie: payload,
                nickname: &self.name,
                delivery: self.delivery(),
                resume: self.text.as_bytes(),
                epoch: self.a,
                seen: u64::from(self.b),
                next: self.e,
            }),
            6 => Frame::Challenge { nonce, cookie: self.array() },
            7 => {
                let reason = refusals[usize::from(self.small) % refusals.len()];
                Frame::Refused { nonce, reason, detail: &self.text }
            }
            8 => Frame::PathChallenge(self.array()),
            9 => Frame::PathResponse(self.array()),
            _ => Frame::Reset,
        }
    }

    fn client(&self) -> ClientMessage<'_> {
        let (number, sent, to, text) = (self.d, self.a, &*self.name, &*self.text);
        match self.kind % 5 {
            0 => ClientMessage::Say(Say { number, sent, text }),
            1 => ClientMessage::Whisper(Whisper { number, sent, to, text }),
            2 => ClientMessage::Leave { next: number },
            3 => ClientMessage::Rename { nickname: to },
            _ => ClientMessage::Deliver(self.delivery()),
        }
    }

    fn server(&self) -> ServerMessage<'_> {
        let (id, upstream, peer, number) = (self.a, self.c, self.d, self.e);
        let (at, own) = (u64::from(self.b), self.small.is_multiple_of(2));
        let (from, text) = (&*self.name, &*self.text);
        let (nickname, to, peers, reason) = (from, from, number, self.reason());
        let roll = self.roll.roll();
        match self.kind % 14 {
            0 => ServerMessage::Welcome(Welcome {
                nonce: id,
                peer,
                token: self.array(),
                nickname,
                room: text,
                heartbeat_ms: self.b,
                expiry_ms: self.b / 2,
                burst: number,
                rate: peer,
                peers,
                replay: number,
                complete: self.small % 2 == 1,
                epoch: self.a,
                latest: self.small.into(),
                newest: number,
                taken: &self.bytes,
                sure: self.small % 3 == 1,
            }),
            1 => ServerMessage::Present { roll },
            2 => ServerMessage::History(PastLine { position: id, at, own, number, from, text }),
            3 => ServerMessage::Joined { peers, roll },
            4 => ServerMessage::Left { peers, reason, roll },
            5 => ServerMessage::Line(LiveLine {
                position: id,
                at,
                upstream,
                peer,
                number,
                from,
                text,
            }),
            6 => ServerMessage::Accepted { number, position: id },
            7 => ServerMessage::Whisper { at, upstream, peer, from, text },
            8 => ServerMessage::Whispered { number, at, to, text },
            9 => ServerMessage::NotHere { number, to },
            10 => ServerMessage::Notice { text },
            11 => ServerMessage::Slow { wait_ms: number },
            13 => ServerMessage::Renamed { peer, from, to },
            12 => {
                let entries = &self.bytes[..self.bytes.len() / 18 * 18];
                ServerMessage::Servers { servers: ServerList::parse(entries).unwrap() }
            }
            _ => ServerMessage::Closing { reason, detail: text },
        }
    }

    fn header(&self) -> Header {
        Header {
            flags: Flags(self.small % 4),
            session: self.a,
            sequence: self.b,
            acknowledgment: self.b.rotate_left(9),
            ack_bitmap: self.a.rotate_left(13),
            timestamp: self.c as u32,
            ack_delay: self.d,
            window: self.e,
        }
    }
}

proptest! {
    #[test]
    fn frames_survive_encoding_and_decoding(
        head in parts(),
        parts in proptest::collection::vec(parts(), 0..12),
        size in 0..=MAX_DATAGRAM,
    ) {
        let mut bytes = Vec::new();
        let mut writer = DatagramWriter::new(&mut bytes);
        let written: Vec<_> =
            parts.iter().map(Parts::frame).filter(|frame| writer.push(frame)).collect();
        let before = writer.len();
        writer.pad_to(size);
        let header = head.header();
        writer.finish(&header);
        prop_assert!(bytes.len() >= before && bytes.len() <= MAX_DATAGRAM);
        let read = Datagram::decode(&bytes).unwrap();
        prop_assert_eq!(read.header, header);
        let frames: Vec<_> = read.frames().collect();
        prop_assert_eq!(&frames[..written.len()], &written[..]);
        let mut rest = frames[written.len()..].iter();
        prop_assert!(rest.all(|frame| matches!(frame, Frame::Padding(_))));
        prop_assert_eq!(checksummed(bytes.clone()), bytes);
    }

    #[test]
    fn messages_survive_encoding_and_decoding(parts in parts()) {
        let bytes = encode_message(&parts.client());
        prop_assert_eq!(decode_message(&bytes), Ok(parts.client()));
        let bytes = encode_message(&parts.server());
        prop_assert_eq!(decode_message(&bytes), Ok(parts.server()));
    }

    #[test]
    fn a_message_with_a_byte_more_or_less_is_rejected(parts in parts(), extra: u8) {
        for mut bytes in [encode_message(&parts.client()), encode_message(&parts.server())] {
            bytes.push(extra);
            prop_assert!(decode_message::<ClientMessage<'_>>(&bytes) != Ok(parts.client()));
            prop_assert!(decode_message::<ServerMessage<'_>>(&bytes) != Ok(parts.server()));
        }
        let bytes = encode_message(&parts.server());
        let short = &bytes[..bytes.len() - 1];
        prop_assert!(decode_message::<ServerMessage<'_>>(short).is_err());
    }

    #[test]
    fn random_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..MAX_DATAGRAM + 50),
    ) {
        prop_assert!(Datagram::decode(&bytes).is_err());
        let _ = decode_message::<ClientMessage<'_>>(&bytes);
        let _ = decode_message::<ServerMessage<'_>>(&bytes);
    }

    /// The checks of the header have passed, so this tests the frames.
    #[test]
    fn random_bodies_never_panic_and_are_canonical_if_accepted(
        head in parts(),
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            proptest::collection::vec(prop_oneof![0..12_u8, 250..=255_u8], 0..60),
        ],
    ) {
        let mut bytes = Vec::new();
        DatagramWriter::new(&mut bytes).finish(&head.header());
        bytes.extend_from_slice(&body);
        let bytes = checksummed(bytes);
        match Datagram::decode(&bytes) {
            Ok(_) => {
                let _ = meaning(&bytes);
                prop_assert_eq!(rewritten(&bytes), bytes);
            }
            Err(error) => prop_assert!(matches!(
                error,
                DecodeError::Malformed(at) | DecodeError::NotCanonical(at)
                    if (HEADER_LEN..bytes.len()).contains(&at)
            )),
        }
    }

    #[test]
    fn a_changed_byte_in_the_body_never_yields_a_non_canonical_datagram(
        parts in proptest::collection::vec(parts(), 1..4),
        at: prop::sample::Index,
        value: u8,
    ) {
        let mut bytes = Vec::new();
        let mut writer = DatagramWriter::new(&mut bytes);
        let _ = parts.iter().map(|parts| writer.push(&parts.frame())).count();
        writer.finish(&parts[0].header());
        prop_assume!(bytes.len() > HEADER_LEN);
        let at = HEADER_LEN + at.index(bytes.len() - HEADER_LEN);
        bytes[at] = value;
        let bytes = checksummed(bytes);
        if Datagram::decode(&bytes).is_ok() {
            prop_assert_eq!(rewritten(&bytes), bytes);
        }
    }
}
