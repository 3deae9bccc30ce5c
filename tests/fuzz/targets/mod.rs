//! What the five fuzz targets do with an input, whoever chose it: `cargo fuzz` (`fuzz_targets/`), or the
//! corpora in an ordinary test (`tests/fuzz_corpora.rs`). Each fails by panicking.
//!
//! | target | the input is |
//! |---|---|
//! | `datagram` | a datagram |
//! | `stream` | a stream, and where it is cut |
//! | `history` | a history file |
//! | `hub` | what peers and strangers do, step by step |
//! | `client` | what a server does that may be hostile, step by step |

// What cannot go on fails: that is what these are for. A binary needs one of the five.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs)]

use chatagram::protocol::{Datagram, Frame};

mod client;
mod datagram;
mod history;
mod hub;
mod input;
mod messages;
#[path = "../../allocation/meter.rs"]
mod meter;
mod stream;

pub(crate) use client::client;
pub(crate) use datagram::datagram;
pub(crate) use history::history;
pub(crate) use hub::hub;
pub(crate) use stream::stream;

/// What is done with an input.
type Target = fn(&[u8]);

/// All of them, by the names of their corpora.
pub(crate) const TARGETS: [(&str, Target); 5] = [
    ("datagram", datagram),
    ("stream", stream),
    ("history", history),
    ("hub", hub),
    ("client", client),
];

/// Fails unless nothing in `text` steers a terminal or breaks a line. A table of its own: what is
/// promised is checked without the code that keeps the promise.
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

/// What handling a datagram or a piece of a stream may allocate.
pub(crate) const LIMIT: usize = 4_096;
/// What it costs to hear that a message has arrived: two places in a list that doubles.
const SETTLED: usize = 128;

/// What a session's own traffic so far may still allocate: each message that came as much as a datagram
/// may, for one that is in order sets those free that waited for it; and a little for each message sent,
/// which an acknowledgment settles.
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
        assert!(over <= self.0, "{cost} bytes allocated at once");
        self.0 -= over;
    }
}

/// The messages, or parts of them, in a datagram; none in one that does not decode, and no number for a join that proves
/// its sender's address: it is told who is here and what was said.
pub(crate) fn messages(bytes: &[u8]) -> Option<usize> {
    let Ok(datagram) = Datagram::decode(bytes) else { return Some(0) };
    let joins = |frame| matches!(frame, Frame::Join { cookie, .. } if !cookie.is_empty());
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

/// The checksum of `proto.md` §3, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        let shift = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1));
        (0..8).fold(crc ^ u32::from(*byte), shift)
    })
}

/// The same bytes with what no fuzzer guesses: the magic, the version and the checksum.
pub(crate) fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 8 {
        bytes[..3].copy_from_slice(b"CG\x01");
        let covered = [&bytes[..4], &bytes[8..]].concat();
        bytes[4..8].copy_from_slice(&crc32(&covered).to_be_bytes());
    }
    bytes
}
