//! Datagrams on their way from the kernel to whoever reads them: as many as one system call brings.

use super::canonical;
use crate::path::{Local, Path};
use std::net::SocketAddr;

/// Messages read by one system call at most. Each may be several datagrams of one sender.
pub(super) const SLOTS: usize = if cfg!(target_os = "linux") { 32 } else { 1 };
/// Bytes of one message at most: what UDP can carry (RFC 768), so nothing is ever cut. The kernel
/// joins datagrams of one sender up to this. Pages of it that nothing was written to cost nothing.
pub(super) const SLOT_LEN: usize = 65_536;

/// A reader's buffer, with what was read and not yet handed on. It belongs to one socket until it is
/// empty.
#[derive(Debug)]
pub struct Incoming {
    slots: Box<[u8]>,
    messages: Vec<Message>,
    /// The message that is next, and where in it.
    next: usize,
    offset: usize,
}

/// One or more datagrams of one sender, one after another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    /// What the system says about the end where it came in.
    pub(super) local: Local,
    pub(super) from: SocketAddr,
    /// Bytes in all.
    pub(super) length: usize,
    /// Bytes of each datagram but the last, which may have less.
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
    /// Whether all that was read has been handed on.
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

    /// Room to read into, and a list for what came; what was there is gone.
    pub(super) fn room(&mut self) -> (&mut [u8], &mut Vec<Message>) {
        self.messages.clear();
        (self.next, self.offset) = (0, 0);
        (&mut self.slots, &mut self.messages)
    }

    /// Whether what was read last is all there was.
    pub(super) fn is_short(&self) -> bool {
        self.messages.len() < SLOTS
    }
}
