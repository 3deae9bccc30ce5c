//! The record of a datagram that left.

use crate::link::contents::Contents;
use crate::link::path_size::Large;
use crate::protocol::limits::BASE_DATAGRAM;
use crate::time::Timestamp;

/// Whether a datagram is ack-eliciting, and how long the other end may delay the acknowledgment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::link) enum Asks {
    /// Not ack-eliciting.
    No,
    /// `LAZY_ACK_DELAY`: nothing in it is retransmitted.
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

/// State of a datagram that left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not ack-eliciting: its fate is unknown.
    Unasked,
    /// Neither acknowledged nor lost.
    Outstanding,
    /// Acknowledged.
    Acked,
    /// Declared lost. A late acknowledgment can still come.
    Lost,
}

/// Keeps the later departure, of datagrams larger than [`BASE_DATAGRAM`].
pub(super) fn newer(last: &mut Option<Large>, sent: &Sent) {
    let large = Large { at: sent.at, bytes: sent.bytes.into() };
    if large.bytes > BASE_DATAGRAM && last.is_none_or(|last| last.at <= large.at) {
        *last = Some(large);
    }
}
