//! Bytes to datagrams and back. The one place that knows bincode and CRC-32.
//!
//! bincode 2.0.1, serde, big-endian, variable-length integers. It is trusted with nothing: the
//! datagram's length is checked before it runs, every type borrows (nothing is allocated for a
//! claimed length), and what it decoded must encode to the very same bytes, so there is exactly
//! one way to write a datagram. Frames that carry messages are most of them, and are written and
//! read without it; tests hold that it would do the same.

use super::frame::Frame;
use super::header::{Flags, HEADER_LEN, Header, MAGIC, VERSION};
use super::limits::MAX_DATAGRAM;
use bincode::config::{BigEndian, Configuration, Limit, Varint};
use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use serde::{Deserialize, Serialize};

/// Room for most messages, so that few have to be moved while they are written.
const USUAL_MESSAGE: usize = 128;
/// The numbers of the frames that carry messages.
const ONCE: u8 = 2;
const UNORDERED: u8 = 3;
const ORDERED: u8 = 4;
/// From this number on, bincode's varint is this byte and two more.
const LONG: u8 = 251;
const CHECKSUM: std::ops::Range<usize> = 4..8;
const BINCODE: Configuration<BigEndian, Varint, Limit<MAX_DATAGRAM>> =
    bincode::config::standard().with_big_endian().with_limit();

/// Why a datagram, or a message in it, is not one. Such a datagram is counted and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Shorter than a header.
    #[error("{0} bytes are too few for a header of {HEADER_LEN}")]
    TooShort(usize),
    /// Longer than any datagram of this protocol.
    #[error("more than the {MAX_DATAGRAM} bytes a datagram may have")]
    TooLong,
    /// The first two bytes are not `CG`.
    #[error("the magic is {0:#06x}, not {MAGIC:#06x}: not this protocol")]
    Magic(u16),
    /// The datagram was damaged on the way.
    #[error("the checksum is {found:#010x}, but the bytes give {computed:#010x}: damaged")]
    Checksum {
        /// In the header.
        found: u32,
        /// Of the bytes.
        computed: u32,
    },
    /// Another version of the protocol.
    #[error("version {0}, not {VERSION}")]
    Version(u8),
    /// A flag that version 1 does not define.
    #[error("flags {0:#04x}: a bit is set that version {VERSION} does not define")]
    Flags(u8),
    /// No frame, or no message, begins here.
    #[error("what begins at byte {0} is not a frame or message of this protocol")]
    Malformed(usize),
    /// The frame or message could have been written otherwise, so it was not written by this rule.
    #[error("what begins at byte {0} is not in its one valid encoding")]
    NotCanonical(usize),
}

/// A datagram that is valid as a whole: its checksum is right and every frame in it decodes.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// The fixed part.
    pub header: Header,
    body: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Checks and reads a datagram. Allocates nothing, whatever the bytes claim.
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
        // `Datagram::decode` went through all of them, so an error is the end and nothing else.
        let (frame, behind) = read_frame(self.rest).ok()?;
        self.rest = behind;
        Some(frame)
    }
}

/// Reads the message a frame carries; it must fill the payload.
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

/// Writes a message for a frame to carry.
pub fn encode_message<M: Serialize>(message: &M) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL_MESSAGE);
    encode_message_into(message, &mut bytes);
    bytes
}

/// The same in place of what `bytes` held before.
pub fn encode_message_into<M: Serialize>(message: &M, bytes: &mut Vec<u8>) {
    bytes.clear();
    // Numbers, texts and bytes always encode. What is too long for a datagram, the link refuses.
    if bincode::serde::encode_into_std_write(message, bytes, BINCODE).is_err() {
        bytes.clear();
    }
}

/// Reads one frame that must fill `bytes`.
pub(super) fn decode_frame(bytes: &[u8]) -> Result<Frame<'_>, DecodeError> {
    match read_frame(bytes)? {
        (frame, []) => Ok(frame),
        (_, behind) => Err(DecodeError::Malformed(bytes.len() - behind.len())),
    }
}

/// Appends one frame unless `out` would grow past `limit`; says whether it did.
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

/// A value at the front of some bytes.
pub(super) struct Read<T> {
    pub(super) value: T,
    pub(super) used: usize,
    /// Whether these are the bytes that encoding gives.
    pub(super) canonical: bool,
}

/// Reads a value, however it is written.
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

/// Compares what is written with what is expected, instead of keeping it.
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

/// Appends `value` unless `out` would grow past `limit`; says whether it did.
pub(super) fn encode_into<T: Serialize>(value: &T, out: &mut Vec<u8>, limit: usize) -> bool {
    let start = out.len();
    let written = bincode::serde::encode_into_std_write(value, out, BINCODE);
    if written.is_err() || out.len() > limit {
        out.truncate(start);
        return false;
    }
    true
}

/// CRC-32 (ISO 3309, as in Ethernet) of everything but the checksum itself.
fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes[..CHECKSUM.start]);
    crc.update(&bytes[CHECKSUM.end..]);
    crc.finalize()
}

/// What stands before a message in its frame: what bincode would write, which a test holds. Nearly all frames are
/// messages, and most of the work of writing or reading them is to look at each of their fields.
pub(super) struct MessageHead {
    bytes: [u8; 7],
    used: usize,
}

impl MessageHead {
    fn new(tag: u8, id: Option<u16>, length: usize) -> Self {
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

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.used]
    }
}

/// What stands before a message of so many bytes in the frame that carries it once.
pub(super) fn once_head(length: usize) -> MessageHead {
    MessageHead::new(ONCE, None, length)
}

/// The message in the first of such frames, and what is behind it.
pub(super) fn read_once(frames: &[u8]) -> Option<(&[u8], &[u8])> {
    match read_message_frame(frames)? {
        (Frame::Once { payload }, behind) => Some((payload, behind)),
        _ => None,
    }
}

/// The first frame and what is behind it.
fn read_frame(bytes: &[u8]) -> Result<(Frame<'_>, &[u8]), DecodeError> {
    if let Some(read) = read_message_frame(bytes) {
        return Ok(read);
    }
    decode_one(bytes).map(|(frame, used)| (frame, &bytes[used..]))
}

/// The first frame, if it carries a message and is written as [`MessageHead`] writes it, and what is behind it. Of
/// anything else bincode has to say what it is, or what is wrong with it.
fn read_message_frame(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
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

/// A number in its one valid encoding.
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

/// Builds one datagram at the end of a buffer: frames first, the header when its fields are known.
#[derive(Debug)]
pub struct DatagramWriter<'b> {
    buffer: &'b mut Vec<u8>,
    start: usize,
    limit: usize,
}

impl<'b> DatagramWriter<'b> {
    /// Starts over in `buffer`.
    pub fn new(buffer: &'b mut Vec<u8>) -> Self {
        buffer.clear();
        Self::after(buffer)
    }

    /// Starts behind what is in `buffer`.
    pub fn after(buffer: &'b mut Vec<u8>) -> Self {
        Self::limited(buffer, MAX_DATAGRAM)
    }

    /// The same for a datagram of at most `limit` bytes, which [`MAX_DATAGRAM`] bounds.
    pub fn limited(buffer: &'b mut Vec<u8>, limit: usize) -> Self {
        let start = buffer.len();
        buffer.resize(start + HEADER_LEN, 0);
        Self { buffer, start, limit: limit.min(MAX_DATAGRAM) }
    }

    /// Adds a frame if it fits; says whether it did.
    pub fn push(&mut self, frame: &Frame<'_>) -> bool {
        match *frame {
            Frame::Once { payload } => self.push_message(ONCE, None, payload),
            Frame::Unordered { id, payload } => self.push_message(UNORDERED, Some(id), payload),
            Frame::Ordered { id, payload } => self.push_message(ORDERED, Some(id), payload),
            _ => encode_into(frame, self.buffer, self.start + self.limit),
        }
    }

    /// Adds frames that carry messages once, as they are, or as many of them as fit.
    ///
    /// # Errors
    /// How many did fit, when that was not all.
    pub fn push_frames(&mut self, frames: &[u8]) -> Result<(), usize> {
        let room = self.limit.saturating_sub(self.len());
        if frames.len() <= room {
            self.buffer.extend_from_slice(frames);
            return Ok(());
        }
        let (mut rest, mut count) = (frames, 0);
        while let Some((_, after)) = read_once(rest)
            && frames.len() - after.len() <= room
        {
            (rest, count) = (after, count + 1);
        }
        self.buffer.extend_from_slice(&frames[..frames.len() - rest.len()]);
        Err(count)
    }

    fn push_message(&mut self, tag: u8, id: Option<u16>, message: &[u8]) -> bool {
        let head = MessageHead::new(tag, id, message.len());
        let fits = self.len() + head.used + message.len() <= self.limit;
        if fits {
            self.buffer.extend_from_slice(head.as_slice());
            self.buffer.extend_from_slice(message);
        }
        fits
    }

    /// Whether there is no frame yet.
    pub fn is_empty(&self) -> bool {
        self.len() == HEADER_LEN
    }

    /// Bytes that the datagram may have.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes so far, the header included.
    pub fn len(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Pads the datagram with a [`Frame::Padding`] to at least `size` bytes.
    pub fn pad_to(&mut self, size: usize) {
        const ZEROS: [u8; MAX_DATAGRAM] = [0; MAX_DATAGRAM];
        // A tag, then a length: one byte below 251, otherwise three (bincode's varint).
        let missing = size.saturating_sub(self.len());
        let content = match missing {
            0 => return,
            1..=252 => missing.saturating_sub(2),
            _ => (missing - 4).max(251),
        };
        self.push(&Frame::Padding(&ZEROS[..content.min(MAX_DATAGRAM)]));
    }

    /// Writes the header and the checksum: the datagram is complete.
    pub fn finish(self, header: &Header) {
        let datagram = &mut self.buffer[self.start..];
        if let Some(head) = datagram.first_chunk_mut::<HEADER_LEN>() {
            header.write(head);
        }
        let crc = checksum(datagram);
        datagram[CHECKSUM].copy_from_slice(&crc.to_be_bytes());
    }
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

/// What stands where a header's fields stand, whether the datagram is accepted or not. For people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The first two bytes.
    pub magic: u16,
    /// The version.
    pub version: u8,
    /// The checksum in the header.
    pub found: u32,
    /// The checksum of the bytes.
    pub computed: u32,
    /// The other fields.
    pub header: Header,
}

impl Head {
    /// Reads the first 40 bytes, if there are as many.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let head = bytes.first_chunk::<HEADER_LEN>()?;
        Some(Self {
            magic: u16::from_be_bytes([head[0], head[1]]),
            version: head[2],
            found: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            computed: checksum(bytes),
            header: Header::read(head),
        })
    }
}

/// What can be said of a datagram of any version: the fields that never move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invariant {
    /// Which version it is.
    pub version: u8,
    /// Whether a server sent it.
    pub from_server: bool,
}

impl Invariant {
    /// Reads the first four bytes, if they are this protocol's.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let head = bytes.first_chunk::<4>()?;
        (u16::from_be_bytes([head[0], head[1]]) == MAGIC).then(|| Self {
            version: head[2],
            from_server: Flags(head[3]).contains(Flags::FROM_SERVER),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_where_bincode_reads_them_and_as_it_does() {
        // Where a number may be one byte or three, wrongly three, or of a length that there is not.
        const BYTES: [u8; 6] = [0, 1, LONG - 1, LONG, LONG + 1, 255];
        for tag in ONCE..=ORDERED {
            for case in 0..BYTES.len().pow(6) {
                let head = (0..6).map(|at| BYTES[case / BYTES.len().pow(at) % BYTES.len()]);
                let mut whole = vec![tag];
                whole.extend(head.chain([7; 300]));
                for length in [1, 3, 7, 257, whole.len()] {
                    let bytes = &whole[..length];
                    let read = read_message_frame(bytes)
                        .map(|(frame, behind)| (frame, bytes.len() - behind.len()));
                    assert_eq!(read, decode_one(bytes).ok(), "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn messages_are_written_as_bincode_writes_them_and_as_long_as_they_fit() {
        const BYTES: [u8; MAX_DATAGRAM] = [7; MAX_DATAGRAM];
        for length in 0..MAX_DATAGRAM {
            let payload = &BYTES[..length];
            for id in [0, 250, 251, 255, 256, 32_767, u16::MAX] {
                let frames = [
                    Frame::Once { payload },
                    Frame::Unordered { id, payload },
                    Frame::Ordered { id, payload },
                ];
                for frame in frames {
                    let mut expected = vec![0; HEADER_LEN];
                    let fits = encode_into(&frame, &mut expected, MAX_DATAGRAM);
                    let mut bytes = Vec::new();
                    assert_eq!(DatagramWriter::new(&mut bytes).push(&frame), fits, "{length}");
                    assert_eq!(bytes, expected, "{length} {id}");
                }
            }
        }
    }
}
