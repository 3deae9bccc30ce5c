//! Frames over a byte stream: a preface, then records of a length and one frame (`proto.md` §11.2).
//! The kernel numbers, acknowledges and checks the bytes.

use super::codec::{DecodeError, decode_frame, encode_frame};
use super::frame::Frame;
use super::header::{Flags, MAGIC, VERSION};
use super::limits::MAX_RECORD;

/// Bytes before the first record: magic, version, flags, session.
const PREFACE_LEN: usize = 12;
/// Bytes of a record before its frame: the length of the frame.
pub(crate) const LENGTH_LEN: usize = 2;

/// The first bytes of each end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preface {
    /// The sender.
    pub flags: Flags,
    /// The session in the server's preface; zero in the client's.
    pub session: u64,
}

impl Preface {
    /// The preface as bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; PREFACE_LEN] {
        let mut bytes = [0; PREFACE_LEN];
        bytes[..2].copy_from_slice(&MAGIC.to_be_bytes());
        bytes[2] = VERSION;
        bytes[3] = self.flags.0;
        bytes[4..].copy_from_slice(&self.session.to_be_bytes());
        bytes
    }

    /// Reads a preface.
    ///
    /// # Errors
    /// [`DecodeError`]: wrong magic, another version, unknown flags.
    pub fn decode(bytes: &[u8; PREFACE_LEN]) -> Result<Self, DecodeError> {
        let [m0, m1, version, flags, session @ ..] = *bytes;
        let magic = u16::from_be_bytes([m0, m1]);
        if magic != MAGIC {
            return Err(DecodeError::Magic(magic));
        }
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let flags = Flags(flags);
        if flags.has_unknown() || flags.contains(Flags::ACK) {
            return Err(DecodeError::Flags(flags.0));
        }
        Ok(Self { flags, session: u64::from_be_bytes(session) })
    }
}

/// Appends a frame as a record. A frame too large for a datagram is left out.
pub fn write_record(frame: &Frame<'_>, out: &mut Vec<u8>) -> bool {
    let at = out.len();
    out.extend_from_slice(&[0; LENGTH_LEN]);
    if !encode_frame(frame, out, at + LENGTH_LEN + MAX_RECORD) {
        out.truncate(at);
        return false;
    }
    let length = (out.len() - at - LENGTH_LEN) as u16;
    out[at..at + LENGTH_LEN].copy_from_slice(&length.to_be_bytes());
    true
}

/// Appends an encoded frame as a record.
pub(crate) fn write_encoded_record(frame: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(frame.len() as u16).to_be_bytes());
    out.extend_from_slice(frame);
}

/// Parses a stream into its preface and records, at any segmentation. It buffers at most one
/// record, and checks its length before it allocates.
#[derive(Debug, Default)]
pub struct StreamReader {
    buffer: Vec<u8>,
    past_preface: bool,
}

/// One element of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The preface.
    Preface(Preface),
    /// The frame of a record.
    Frame(Frame<'a>),
}

impl StreamReader {
    /// A reader that continues after a preface and whole records.
    #[must_use]
    pub fn past_preface() -> Self {
        Self { buffer: Vec::new(), past_preface: true }
    }

    /// Consumes bytes of `input` up to the end of an element; `None` when `input` ends first.
    ///
    /// # Errors
    /// [`DecodeError`]: the stream breaks the protocol and cannot be read any further.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Piece<'_>>, DecodeError> {
        if !self.past_preface {
            if !self.fill(PREFACE_LEN, input) {
                return Ok(None);
            }
            let Some(bytes) = self.buffer.first_chunk() else { return Ok(None) };
            let preface = Preface::decode(bytes)?;
            self.past_preface = true;
            self.buffer.clear();
            return Ok(Some(Piece::Preface(preface)));
        }
        if self.is_whole() {
            self.buffer.clear(); // the last call returned it
        }
        if !self.fill(LENGTH_LEN, input) {
            return Ok(None);
        }
        let length = self.record_length();
        if length == 0 || length > MAX_RECORD {
            return Err(DecodeError::TooLong);
        }
        if !self.fill(LENGTH_LEN + length, input) {
            return Ok(None);
        }
        decode_frame(&self.buffer[LENGTH_LEN..]).map(|frame| Some(Piece::Frame(frame)))
    }

    fn is_whole(&self) -> bool {
        self.buffer.len() > LENGTH_LEN && self.buffer.len() == LENGTH_LEN + self.record_length()
    }

    fn record_length(&self) -> usize {
        match self.buffer.first_chunk() {
            Some(length) => usize::from(u16::from_be_bytes(*length)),
            None => 0,
        }
    }

    /// Fills the buffer up to `size` bytes. Returns whether there were enough.
    fn fill(&mut self, size: usize, input: &mut &[u8]) -> bool {
        let wanted = size.saturating_sub(self.buffer.len()).min(input.len());
        let (taken, rest) = input.split_at(wanted);
        if self.buffer.capacity() == 0 {
            // The capacity for the longest record: it never grows.
            self.buffer.reserve_exact(LENGTH_LEN + MAX_RECORD);
        }
        self.buffer.extend_from_slice(taken);
        *input = rest;
        self.buffer.len() >= size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Preface { flags: Flags::FROM_SERVER, session: 7 }.encode().to_vec();
        for payload in payloads {
            assert!(write_record(&Frame::Once { payload }, &mut bytes));
        }
        bytes
    }

    /// All elements of a stream in segments of these sizes.
    fn read(bytes: &[u8], sizes: &[usize]) -> Result<(Option<Preface>, Vec<Vec<u8>>), DecodeError> {
        let (mut reader, mut preface, mut payloads) = (StreamReader::default(), None, Vec::new());
        let mut rest = bytes;
        for size in sizes.iter().copied().chain([usize::MAX]) {
            let (mut piece, later) = rest.split_at(size.min(rest.len()));
            rest = later;
            while let Some(whole) = reader.next(&mut piece)? {
                match whole {
                    Piece::Preface(found) => preface = Some(found),
                    Piece::Frame(Frame::Once { payload }) => payloads.push(payload.to_vec()),
                    Piece::Frame(_) => {}
                }
            }
            assert!(reader.buffer.capacity() <= 4 * MAX_RECORD);
        }
        Ok((preface, payloads))
    }

    proptest! {
        #[test]
        fn the_elements_of_a_stream_do_not_depend_on_its_cuts(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6),
            sizes in prop::collection::vec(0_usize..90, 0..40),
        ) {
            let bytes = stream(&payloads);
            let preface = Preface { flags: Flags::FROM_SERVER, session: 7 };
            prop_assert_eq!(read(&bytes, &sizes), Ok((Some(preface), payloads)));
        }

        #[test]
        fn no_bytes_make_the_reader_panic_or_grow(
            bytes in prop::collection::vec(any::<u8>(), 0..3_000),
            sizes in prop::collection::vec(0_usize..90, 0..40),
        ) {
            let _ = read(&bytes, &sizes);
            let mut known = stream(&[]);
            known.extend(bytes);
            let _ = read(&known, &sizes);
        }
    }

    #[test]
    fn a_length_is_checked_before_its_record_arrives() {
        for length in [0, MAX_RECORD as u16 + 1, u16::MAX] {
            let mut bytes = stream(&[]);
            bytes.extend(length.to_be_bytes());
            assert_eq!(read(&bytes, &[]), Err(DecodeError::TooLong), "{length}");
        }
    }

    #[test]
    fn a_stream_of_another_protocol_or_version_is_refused() {
        assert_eq!(read(b"GET / HTTP/1.1\r\n", &[]), Err(DecodeError::Magic(0x4745)));
        let mut bytes = stream(&[]);
        bytes[2] = 9;
        assert_eq!(read(&bytes, &[]), Err(DecodeError::Version(9)));
    }
}
