//! The send buffer: datagrams to several peers for one system call.

use super::MAX_DATAGRAM;
use crate::path::Path;
use std::ops::Range;

/// Limit on the messages of one system call. Each has one destination and may hold several
/// datagrams. A larger batch gains little and delays its first message.
pub(super) const SLOTS: usize = if cfg!(target_os = "linux") { 8 } else { 1 };
/// Limit on the buffered bytes: copying longer messages costs more than it saves.
const MAX_BYTES: usize = 8 * MAX_DATAGRAM;

/// Limit on the rejected datagrams that are remembered.
const MAX_REFUSED: usize = 64;

/// A send buffer. It belongs to one socket until it is empty.
#[derive(Debug, Default)]
pub struct Outgoing {
    bytes: Vec<u8>,
    messages: Vec<Message>,
    /// Paths on which the kernel rejected a datagram as too large, with its size.
    refused: Vec<(Path, usize)>,
}

/// The buffer has no room for the message.
#[derive(Debug)]
pub(super) struct Full;

/// One or more consecutive datagrams to one peer; each but the last has [`MAX_DATAGRAM`] bytes.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// The remote address is in the form that the socket needs.
    pub(super) path: Path,
    /// The range of its bytes in the buffer.
    pub(super) range: Range<usize>,
}

impl Outgoing {
    /// Returns true if the buffer is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Remembers the newest rejections. A caller that does not read them learns the same from
    /// losses.
    pub(super) fn note_refused(&mut self, refused: Vec<(Path, usize)>) {
        if !refused.is_empty() {
            self.refused.extend(refused);
            let excess = self.refused.len().saturating_sub(MAX_REFUSED);
            self.refused.drain(..excess);
        }
    }

    /// The next path on which the kernel rejected datagrams of this size.
    pub fn poll_refused(&mut self) -> Option<(Path, usize)> {
        self.refused.pop()
    }

    /// Adds a message.
    pub(super) fn push(&mut self, datagrams: &[u8], path: Path) -> Result<(), Full> {
        let start = self.bytes.len();
        if self.messages.len() == SLOTS || start + datagrams.len() > MAX_BYTES {
            return Err(Full);
        }
        self.bytes.extend_from_slice(datagrams);
        self.messages.push(Message { path, range: start..self.bytes.len() });
        Ok(())
    }

    /// The buffered messages and their bytes.
    pub(super) fn messages(&self) -> (&[Message], &[u8]) {
        (&self.messages, &self.bytes)
    }

    /// Empties the buffer after sending.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.bytes.clear();
    }
}
