//! The receive buffer: datagrams of one system call, until they are read.

use super::canonical;
use crate::path::{Local, Path};
use std::net::SocketAddr;

/// Limit on the messages of one system call. Each may hold several datagrams of one sender.
pub(super) const SLOTS: usize = if cfg!(target_os = "linux") { 32 } else { 1 };
/// Size of a message's slot, bytes: the limit of UDP (RFC 768), so no datagram is truncated. The
/// kernel coalesces datagrams of one sender up to this size. Pages that are never written cost no
/// memory.
pub(super) const SLOT_LEN: usize = 65_536;

/// A receive buffer with the datagrams not yet read. It belongs to one socket until it is empty.
#[derive(Debug)]
pub struct Incoming {
    slots: Box<[u8]>,
    messages: Vec<Message>,
    /// Index of the next message, and the offset in it.
    next: usize,
    offset: usize,
}

/// One or more consecutive datagrams of one sender.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    /// The local end as reported by the system.
    pub(super) local: Local,
    pub(super) from: SocketAddr,
    /// Total length, bytes.
    pub(super) length: usize,
    /// Length of each datagram but the last, which may be shorter.
    pub(super) segment: usize,
}

impl Default for Incoming {
    fn default() -> Self {
        Self {
            slots: vec![0; SLOTS * SLOT_LEN].into_boxed_slice(),
            messages: Vec::with_capacity(SLOTS),
            next: 0,
            offset: 0,
        }
    }
}

impl Incoming {
    /// Returns true if all datagrams have been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.next >= self.messages.len()
    }

    /// The next datagram and its path.
    pub(super) fn next(&mut self) -> Option<(Path, &[u8])> {
        let Message { local, from, length, segment } = *self.messages.get(self.next)?;
        let start = self.offset;
        let end = length.min(start + segment.max(1));
        let slot = self.next * SLOT_LEN;
        (self.next, self.offset) =
            if end >= length { (self.next + 1, 0) } else { (self.next, end) };
        Some((Path { local, remote: canonical(from) }, &self.slots[slot + start..slot + end]))
    }

    /// Clears the buffer and returns its slots and its list of messages.
    pub(super) fn room(&mut self) -> (&mut [u8], &mut Vec<Message>) {
        self.messages.clear();
        (self.next, self.offset) = (0, 0);
        (&mut self.slots, &mut self.messages)
    }

    /// Returns true if the last call received fewer messages than fit.
    pub(super) fn is_short(&self) -> bool {
        self.messages.len() < SLOTS
    }
}
