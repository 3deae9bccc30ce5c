//! Writes one datagram: frames first, then header and checksum.

use super::message_frame::{MessageHead, ONCE, ORDERED, UNORDERED, read_once};
use super::{CHECKSUM, checksum, encode_into};
use crate::protocol::frame::Frame;
use crate::protocol::header::{HEADER_LEN, Header};
use crate::protocol::limits::MAX_DATAGRAM;

/// Writes one datagram at the end of a buffer: frames first, the header when its fields are known.
#[derive(Debug)]
pub struct DatagramWriter<'b> {
    buffer: &'b mut Vec<u8>,
    start: usize,
    limit: usize,
}

impl<'b> DatagramWriter<'b> {
    /// Starts a datagram in `buffer`, which is cleared.
    pub fn new(buffer: &'b mut Vec<u8>) -> Self {
        buffer.clear();
        Self::after(buffer)
    }

    /// Starts a datagram after the contents of `buffer`.
    pub fn after(buffer: &'b mut Vec<u8>) -> Self {
        Self::limited(buffer, MAX_DATAGRAM)
    }

    /// Like [`Self::after`], for a datagram of at most `limit` bytes, at most [`MAX_DATAGRAM`].
    pub fn limited(buffer: &'b mut Vec<u8>, limit: usize) -> Self {
        let start = buffer.len();
        buffer.resize(start + HEADER_LEN, 0);
        Self { buffer, start, limit: limit.min(MAX_DATAGRAM) }
    }

    /// Appends a frame if it fits. Returns whether it did.
    pub fn push(&mut self, frame: &Frame<'_>) -> bool {
        match *frame {
            Frame::Once { payload } => self.push_message(ONCE, None, payload),
            Frame::Unordered { id, payload } => self.push_message(UNORDERED, Some(id), payload),
            Frame::Ordered { id, payload } => self.push_message(ORDERED, Some(id), payload),
            _ => encode_into(frame, self.buffer, self.start + self.limit),
        }
    }

    /// Appends encoded [`Frame::Once`]s, as many as fit.
    ///
    /// # Errors
    /// The number that fitted, if not all did.
    pub(crate) fn push_frames(&mut self, frames: &[u8]) -> Result<(), usize> {
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

    /// Whether the datagram has no frame yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == HEADER_LEN
    }

    /// Largest size of the datagram.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Size so far, with the header.
    #[must_use]
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

    /// Writes the header and the checksum, which completes the datagram.
    pub fn finish(self, header: &Header) {
        let datagram = &mut self.buffer[self.start..];
        if let Some(head) = datagram.first_chunk_mut::<HEADER_LEN>() {
            header.write(head);
        }
        let crc = checksum(datagram);
        datagram[CHECKSUM].copy_from_slice(&crc.to_be_bytes());
    }
}
