//! The seven fuzz targets: functions of an input, from `cargo fuzz` (`fuzz_targets/`) or from the
//! corpora (`tests/memory/fuzz_corpora.rs`). Each fails by panicking.
//!
//! | target | the input is |
//! |---|---|
//! | `datagram` | a datagram |
//! | `stream` | a stream, and where it is cut |
//! | `history` | a history file |
//! | `hub` | the actions of peers and strangers, step by step |
//! | `client` | the actions of a possibly hostile server, step by step |
//! | `ticket` | the text of a ticket |
//! | `websocket` | a request to the page, or the frames of a WebSocket, and where they are cut |

// A target fails by panicking. A fuzzing binary uses one of the seven.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs)]

use chatagram::protocol::{Datagram, Frame, Join};

mod client;
mod datagram;
mod history;
mod hub;
mod input;
mod messages;
pub(crate) mod meter;
mod stream;
mod ticket;
#[cfg(feature = "web")]
mod websocket;

pub(crate) use client::client;
pub(crate) use datagram::datagram;
pub(crate) use history::history;
pub(crate) use hub::hub;
pub(crate) use stream::stream;
pub(crate) use ticket::ticket;
#[cfg(feature = "web")]
pub(crate) use websocket::websocket;

/// A fuzz target.
type Target = fn(&[u8]);

/// All targets, by the names of their corpora.
pub(crate) const TARGETS: &[(&str, Target)] = &[
    ("datagram", datagram),
    ("stream", stream),
    ("history", history),
    ("hub", hub),
    ("client", client),
    ("ticket", ticket),
    #[cfg(feature = "web")]
    ("websocket", websocket),
];

/// Asserts that `text` has no character that controls a terminal or breaks a line. Its table is
/// independent of the code under test.
pub(crate) fn assert_clean(text: &str) {
    let bad = text.chars().find(|ch| {
        matches!(
            ch,
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}'
                | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
    });
    assert_eq!(bad, None, "{text:?}");
}

/// Limit of the bytes that handling a datagram or a piece of a stream may allocate.
pub(crate) const LIMIT: usize = 4_096;
/// Bytes allocated for an acknowledged message: two entries of a list whose capacity doubles.
const SETTLED: usize = 128;

/// Bytes that the traffic of a session so far may still allocate. Each received message may cost as
/// much as a datagram, because one that completes the order releases those that waited for it. Each
/// sent message may cost a little when it is acknowledged.
#[derive(Default)]
pub(crate) struct Allowance(usize);

impl Allowance {
    pub(crate) fn received(&mut self, messages: usize) {
        self.0 += messages * LIMIT;
    }

    pub(crate) fn sent(&mut self, messages: usize) {
        self.0 += messages * SETTLED;
    }

    pub(crate) fn spend(&mut self, cost: usize) {
        let over = cost.saturating_sub(LIMIT);
        assert!(over <= self.0, "{cost} bytes above the allowance");
        self.0 -= over;
    }
}

/// The number of messages, or parts of messages, in a datagram; 0 if it does not decode. `None` if
/// it has a join with a proven address, which is answered with the members and the recent lines.
pub(crate) fn messages(bytes: &[u8]) -> Option<usize> {
    let Ok(datagram) = Datagram::decode(bytes) else { return Some(0) };
    let joins = |frame| matches!(frame, Frame::Join(Join { cookie, .. }) if !cookie.is_empty());
    (!datagram.frames().any(joins)).then(|| datagram.frames().filter(is_message).count())
}

pub(crate) fn is_message(frame: &Frame<'_>) -> bool {
    matches!(
        frame,
        Frame::Once { .. }
            | Frame::Unordered { .. }
            | Frame::Ordered { .. }
            | Frame::Part { .. }
            | Frame::OncePart { .. }
    )
}

/// The checksum of `proto.md` §3, computed bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        let shift = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1));
        (0..8).fold(crc ^ u32::from(*byte), shift)
    })
}

/// The same bytes with a correct magic, version and checksum, which no fuzzer guesses.
pub(crate) fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 8 {
        bytes[..3].copy_from_slice(b"CG\x01");
        let covered = [&bytes[..4], &bytes[8..]].concat();
        bytes[4..8].copy_from_slice(&crc32(&covered).to_be_bytes());
    }
    bytes
}
