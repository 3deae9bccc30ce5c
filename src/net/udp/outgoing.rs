//! Datagrams on their way to the kernel: as many as one system call takes, to as many peers.

use super::MAX_DATAGRAM;
use crate::path::Path;
use std::ops::Range;

/// Messages sent by one system call at most. Each is for one peer, and may be several datagrams. More would gain
/// little, and the first of them would wait until the last is written.
pub(super) const SLOTS: usize = if cfg!(target_os = "linux") { 8 } else { 1 };
/// Bytes that wait at most: to copy what is longer costs more than it saves.
const ROOM: usize = 8 * MAX_DATAGRAM;

/// Refused datagrams that are remembered.
const MAX_REFUSED: usize = 64;

/// A writer's buffer, with what is to be sent. It belongs to one socket until it is empty.
#[derive(Debug, Default)]
pub struct Outgoing {
    bytes: Vec<u8>,
    messages: Vec<Message>,
    /// What the kernel would not send because it is too large, by its path, and how large that is.
    refused: Vec<(Path, usize)>,
}

/// One or more datagrams to one peer, one after another: each of [`MAX_DATAGRAM`] bytes but the last.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// The remote address is spelled as the socket needs it.
    pub(super) path: Path,
    /// Where its bytes are.
    pub(super) place: Range<usize>,
}

impl Outgoing {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Keeps the newest of these: who does not ask for them learns it from what is lost.
    pub(super) fn note_refused(&mut self, refused: Vec<(Path, usize)>) {
        if !refused.is_empty() {
            self.refused.extend(refused);
            let excess = self.refused.len().saturating_sub(MAX_REFUSED);
            self.refused.drain(..excess);
        }
    }

    /// A path on which the kernel refuses datagrams as large as this.
    pub fn poll_refused(&mut self) -> Option<(Path, usize)> {
        self.refused.pop()
    }

    /// Adds a message if there is room; says whether there was.
    pub(super) fn push(&mut self, datagrams: &[u8], path: Path) -> bool {
        let start = self.bytes.len();
        let fits = self.messages.len() < SLOTS && start + datagrams.len() <= ROOM;
        if fits {
            self.bytes.extend_from_slice(datagrams);
            self.messages.push(Message { path, place: start..self.bytes.len() });
        }
        fits
    }

    /// What waits, and the bytes of it.
    pub(super) fn messages(&self) -> (&[Message], &[u8]) {
        (&self.messages, &self.bytes)
    }

    /// All of it was sent.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.bytes.clear();
    }
}
