//! Encodes and decodes the frames that carry messages without bincode, to the same bytes. Nearly
//! all frames are of this kind, and bincode spends its time on single fields.

use crate::protocol::frame::Frame;

/// Numbers of the frames that carry messages.
pub(super) const ONCE: u8 = 2;
pub(super) const UNORDERED: u8 = 3;
pub(super) const ORDERED: u8 = 4;
/// From this number on, bincode's varint is this byte and two more bytes.
pub(super) const LONG: u8 = 251;

/// The encoded fields before a message in its frame, as bincode writes them.
pub(in crate::protocol) struct MessageHead {
    bytes: [u8; 7],
    pub(super) used: usize,
}

impl MessageHead {
    pub(super) fn new(tag: u8, id: Option<u16>, length: usize) -> Self {
        let mut head = Self { bytes: [tag; 7], used: 1 };
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        for number in id.into_iter().chain([length]) {
            // One byte below LONG, otherwise LONG and two (bincode's varint).
            if number < u16::from(LONG) {
                head.bytes[head.used] = number as u8;
                head.used += 1;
            } else {
                head.bytes[head.used] = LONG;
                head.bytes[head.used + 1..head.used + 3].copy_from_slice(&number.to_be_bytes());
                head.used += 3;
            }
        }
        head
    }

    pub(in crate::protocol) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.used]
    }
}

/// The head of a [`Frame::Once`] with a message of `length` bytes.
pub(in crate::protocol) fn once_head(length: usize) -> MessageHead {
    MessageHead::new(ONCE, None, length)
}

/// Decodes the first [`Frame::Once`]; returns its message and the rest.
pub(in crate::protocol) fn read_once(frames: &[u8]) -> Option<(&[u8], &[u8])> {
    match read_message_frame(frames)? {
        (Frame::Once { payload }, behind) => Some((payload, behind)),
        _ => None,
    }
}

/// Decodes the first frame, if it carries a message in the encoding of [`MessageHead`]; returns it
/// with the rest. bincode decodes anything else, or says why not.
pub(super) fn read_message_frame(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let (tag, mut rest) = bytes.split_first()?;
    let id = match *tag {
        ONCE => 0,
        UNORDERED | ORDERED => read_number(&mut rest)?,
        _ => return None,
    };
    let length = read_number(&mut rest)?;
    let (payload, behind) = rest.split_at_checked(length.into())?;
    let frame = match *tag {
        ONCE => Frame::Once { payload },
        UNORDERED => Frame::Unordered { id, payload },
        _ => Frame::Ordered { id, payload },
    };
    Some((frame, behind))
}

/// Decodes a number in its one valid encoding.
fn read_number(bytes: &mut &[u8]) -> Option<u16> {
    let (number, rest) = match *bytes {
        [LONG, high, low, rest @ ..] => (u16::from_be_bytes([*high, *low]), rest),
        [number, rest @ ..] if *number < LONG => (u16::from(*number), rest),
        _ => return None,
    };
    let shortest = number >= u16::from(LONG) || bytes[0] < LONG;
    *bytes = rest;
    shortest.then_some(number)
}
