//! Encodes and decodes datagrams. The only user of bincode, and with the history of CRC-32.
//!
//! bincode 2.0.1 with serde, big-endian, variable-length integers. Input is untrusted: the length
//! of the datagram is checked first, all types borrow (nothing is allocated for a claimed length),
//! and a decoded value must encode to the same bytes, so each datagram has exactly one encoding.
//! Most frames carry messages; `message_frame` encodes them without bincode, to the same bytes.

mod head;
mod message_frame;
#[cfg(test)]
mod tests;
mod writer;

pub use head::Head;
pub(crate) use head::Invariant;
use message_frame::read_message_frame;
pub(super) use message_frame::{once_head, read_once};
pub use writer::DatagramWriter;

use super::frame::Frame;
use super::header::{HEADER_LEN, Header, MAGIC, VERSION};
use super::limits::MAX_DATAGRAM;
use bincode::config::{BigEndian, Configuration, Limit, Varint};
use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use serde::{Deserialize, Serialize};

/// Initial capacity; most messages fit without growth.
const USUAL_MESSAGE: usize = 128;
const CHECKSUM: std::ops::Range<usize> = 4..8;
const BINCODE: Configuration<BigEndian, Varint, Limit<MAX_DATAGRAM>> =
    bincode::config::standard().with_big_endian().with_limit();

/// Why a datagram or message is invalid. Such a datagram is counted and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Shorter than a header.
    #[error("{0} bytes are too few for a header of {HEADER_LEN}")]
    TooShort(usize),
    /// Longer than any datagram of this protocol.
    #[error("more than the {MAX_DATAGRAM} bytes a datagram may have")]
    TooLong,
    /// The magic is not `CG`.
    #[error("the magic is {0:#06x}, not {MAGIC:#06x}: not this protocol")]
    Magic(u16),
    /// The checksum does not match: damaged in transit.
    #[error("the checksum is {found:#010x}, but the bytes give {computed:#010x}: damaged")]
    Checksum {
        /// The checksum in the header.
        found: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
    /// Another version of the protocol.
    #[error("version {0}, not {VERSION}")]
    Version(u8),
    /// A flag that version 1 does not define.
    #[error("flags {0:#04x}: a bit is set that version {VERSION} does not define")]
    Flags(u8),
    /// No frame or message begins here.
    #[error("no frame or message of this protocol begins at byte {0}")]
    Malformed(usize),
    /// Not in the one valid encoding.
    #[error("the frame or message at byte {0} is not in its one valid encoding")]
    NotCanonical(usize),
}

/// A valid datagram: the checksum matches and every frame decodes.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// The header.
    pub header: Header,
    body: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Decodes and checks a datagram. Allocates nothing.
    ///
    /// # Errors
    /// The first rule of `proto.md` §8 that the bytes break, in that order.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let Some((head, body)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(DecodeError::TooShort(bytes.len()));
        };
        if bytes.len() > MAX_DATAGRAM {
            return Err(DecodeError::TooLong);
        }
        let magic = u16::from_be_bytes([head[0], head[1]]);
        if magic != MAGIC {
            return Err(DecodeError::Magic(magic));
        }
        let found = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let computed = checksum(bytes);
        if found != computed {
            return Err(DecodeError::Checksum { found, computed });
        }
        if head[2] != VERSION {
            return Err(DecodeError::Version(head[2]));
        }
        let header = Header::read(head);
        if header.flags.has_unknown() {
            return Err(DecodeError::Flags(header.flags.0));
        }
        let mut rest = body;
        while !rest.is_empty() {
            let at = bytes.len() - rest.len();
            rest = read_frame(rest).map_err(|error| error.moved(at))?.1;
        }
        Ok(Self { header, body })
    }

    /// The frames, in order.
    #[must_use]
    pub fn frames(&self) -> Frames<'a> {
        Frames { rest: self.body }
    }
}

/// The frames of a [`Datagram`].
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        // `Datagram::decode` has checked all frames, so an error is the end.
        let (frame, behind) = read_frame(self.rest).ok()?;
        self.rest = behind;
        Some(frame)
    }
}

/// Decodes the message of a frame; it must fill the payload.
///
/// # Errors
/// [`DecodeError::Malformed`] or [`DecodeError::NotCanonical`].
pub fn decode_message<'a, M: Deserialize<'a> + Serialize>(
    payload: &'a [u8],
) -> Result<M, DecodeError> {
    match decode_one(payload)? {
        (message, used) if used == payload.len() => Ok(message),
        (_, used) => Err(DecodeError::Malformed(used)),
    }
}

/// Encodes a message, for a frame to carry.
pub fn encode_message<M: Serialize>(message: &M) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL_MESSAGE);
    encode_message_into(message, &mut bytes);
    bytes
}

/// Like [`encode_message`], into `bytes`, which is overwritten.
pub(crate) fn encode_message_into<M: Serialize>(message: &M, bytes: &mut Vec<u8>) {
    bytes.clear();
    // Numbers, texts and bytes always encode. The link refuses a message too long for a datagram.
    if bincode::serde::encode_into_std_write(message, bytes, BINCODE).is_err() {
        bytes.clear();
    }
}

/// Decodes one frame, which must fill `bytes`.
pub(crate) fn decode_frame(bytes: &[u8]) -> Result<Frame<'_>, DecodeError> {
    match read_frame(bytes)? {
        (frame, []) => Ok(frame),
        (_, behind) => Err(DecodeError::Malformed(bytes.len() - behind.len())),
    }
}

/// Appends a frame unless `out` would exceed `limit`. Returns whether it fitted.
pub(super) fn encode_frame(frame: &Frame<'_>, out: &mut Vec<u8>, limit: usize) -> bool {
    encode_into(frame, out, limit)
}

fn decode_one<'a, T: Deserialize<'a> + Serialize>(
    bytes: &'a [u8],
) -> Result<(T, usize), DecodeError> {
    match read_one(bytes)? {
        Read { value, used, canonical: true } => Ok((value, used)),
        Read { .. } => Err(DecodeError::NotCanonical(0)),
    }
}

/// A decoded value.
pub(super) struct Read<T> {
    pub(super) value: T,
    pub(super) used: usize,
    /// Whether the bytes are the canonical encoding.
    pub(super) canonical: bool,
}

/// Decodes a value, canonical or not.
pub(super) fn read_one<'a, T: Deserialize<'a> + Serialize>(
    bytes: &'a [u8],
) -> Result<Read<T>, DecodeError> {
    let (value, used) = bincode::serde::borrow_decode_from_slice(bytes, BINCODE)
        .map_err(|_| DecodeError::Malformed(0))?;
    let mut again = Again { expected: &bytes[..used], same: true };
    let written = bincode::serde::encode_into_writer(&value, &mut again, BINCODE);
    let canonical = written.is_ok() && again.same && again.expected.is_empty();
    Ok(Read { value, used, canonical })
}

/// A writer that compares the output with the expected bytes.
struct Again<'a> {
    expected: &'a [u8],
    same: bool,
}

impl Writer for &mut Again<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        match self.expected.strip_prefix(bytes) {
            Some(rest) => self.expected = rest,
            None => self.same = false,
        }
        Ok(())
    }
}

/// Appends `value` unless `out` would exceed `limit`. Returns whether it fitted.
pub(super) fn encode_into<T: Serialize>(value: &T, out: &mut Vec<u8>, limit: usize) -> bool {
    let start = out.len();
    let written = bincode::serde::encode_into_std_write(value, out, BINCODE);
    if written.is_err() || out.len() > limit {
        out.truncate(start);
        return false;
    }
    true
}

/// CRC-32 (ISO 3309, as in Ethernet) of all bytes but the checksum.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes[..CHECKSUM.start]);
    crc.update(&bytes[CHECKSUM.end..]);
    crc.finalize()
}

/// Decodes the first frame; returns it with the rest.
fn read_frame(bytes: &[u8]) -> Result<(Frame<'_>, &[u8]), DecodeError> {
    if let Some(read) = read_message_frame(bytes) {
        return Ok(read);
    }
    decode_one(bytes).map(|(frame, used)| (frame, &bytes[used..]))
}

impl DecodeError {
    fn moved(self, by: usize) -> Self {
        match self {
            Self::Malformed(at) => Self::Malformed(at + by),
            Self::NotCanonical(at) => Self::NotCanonical(at + by),
            other => other,
        }
    }
}
