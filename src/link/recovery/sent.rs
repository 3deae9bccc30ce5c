//! A datagram that left: what recovery remembers of it.

use crate::link::contents::Contents;
use crate::link::path_size::Large;
use crate::protocol::limits::BASE_DATAGRAM;
use crate::time::Timestamp;

/// Whether a datagram asks for an acknowledgment, and how long the other end may sit on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::link) enum Asks {
    /// It does not.
    No,
    /// `LAZY_ACK_DELAY`: all in it is sent once.
    Lazily,
    /// `MAX_ACK_DELAY`.
    Soon,
}

#[derive(Debug)]
pub(super) struct Sent {
    pub(super) at: Timestamp,
    pub(super) contents: Contents,
    pub(super) bytes: u16,
    pub(super) asks: Asks,
    pub(super) state: State,
}

/// What is known of a datagram that left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It asks for no acknowledgment: nobody learns what became of it.
    Unasked,
    /// Neither acknowledged nor lost.
    Outstanding,
    /// Acknowledged.
    Acked,
    /// Declared lost. Its acknowledgment may come all the same, if it was only overtaken.
    Lost,
}

/// Keeps the datagram that left last, of those that not every path carries.
pub(super) fn newer(last: &mut Option<Large>, sent: &Sent) {
    let large = Large { at: sent.at, bytes: sent.bytes.into() };
    if large.bytes > BASE_DATAGRAM && last.is_none_or(|last| last.at <= large.at) {
        *last = Some(large);
    }
}
