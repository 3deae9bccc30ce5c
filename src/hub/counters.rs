//! Counters: datagrams received, datagrams answered without a session, and the totals of all links.

use super::Hub;
use crate::link::{Stats, Totals};
use crate::protocol::{Refusal, ServerCounters, Transport};

/// Counters of the hub since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Datagrams received, of any kind.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Datagrams of another protocol: the magic or the size is wrong.
    pub alien: u64,
    /// Datagrams of another version.
    pub other_version: u64,
    /// Datagrams with a wrong checksum.
    pub corrupt: u64,
    /// Datagrams with a right checksum and wrong contents.
    pub malformed: u64,
    /// Datagrams of a session that does not exist.
    pub unknown_session: u64,
    /// Datagrams that the kernel dropped because the receive buffer was full. The hub cannot know
    /// it; [`Hub::set_unread`] tells it.
    pub unread: u64,
    /// Datagrams sent to addresses without a session: challenges, refusals and the like.
    pub answers: u64,
    /// Their bytes.
    pub answer_bytes: u64,
    /// Sessions begun.
    pub joins: u64,
    /// Lines said to the room.
    pub lines: u64,
    /// Challenges sent.
    pub challenges: u64,
    /// Refusals sent, by the number of their reason.
    pub refusals: [u64; Self::REASONS],
    /// Messages that the full queue of a slow peer refused.
    pub left_out: u64,
    /// Times a peer was asked to wait: it had reached its limit, or the readers theirs.
    pub slowed: u64,
    /// Peers dropped because they exceeded their limit and did not wait.
    pub flooders: u64,
}

impl Counters {
    /// The number of reasons to refuse a join.
    pub const REASONS: usize = Refusal::Unavailable as usize + 1;

    /// Refusals sent, for any reason.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refusals.iter().sum()
    }

    /// The counters that the server sends to clients.
    pub(crate) fn to_wire(self) -> ServerCounters {
        ServerCounters {
            received: self.received,
            alien: self.alien,
            other_version: self.other_version,
            corrupt: self.corrupt,
            malformed: self.malformed,
            unknown_session: self.unknown_session,
            unread: self.unread,
            refused: self.refused(),
            left_out: self.left_out,
        }
    }
}

/// Totals of all links, of present and of past sessions: no total decreases when a peer leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Active peers over UDP.
    pub udp_peers: u64,
    /// Active peers over TCP.
    pub tcp_peers: u64,
    /// Links over UDP. `missing` counts present peers only: a late datagram is missing no more.
    pub udp: Totals,
    /// Links over TCP. The kernels do not show losses.
    pub tcp: Totals,
}

impl Tally {
    fn of(&mut self, transport: Transport) -> (&mut u64, &mut Totals) {
        match transport {
            Transport::Udp => (&mut self.udp_peers, &mut self.udp),
            Transport::Tcp => (&mut self.tcp_peers, &mut self.tcp),
        }
    }

    /// Keeps the counters of a session that is gone.
    pub(super) fn keep(&mut self, transport: Transport, stats: Stats) {
        *self.of(transport).1 += &Stats { received_missing: 0, ..stats };
    }
}

impl Hub {
    /// The counters so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let (left_out, slowed) = (self.outgoing.left_out, self.outgoing.slowed);
        Counters { left_out, slowed, ..self.counters }
    }

    /// Tells how many datagrams the kernel has dropped so far because the receive buffer was full.
    pub fn set_unread(&mut self, unread: u64) {
        self.counters.unread = unread;
    }

    /// The totals of all links so far. It visits every peer: call it now and then.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut tally = self.ended;
        for peer in self.peers.iter() {
            let (peers, totals) = tally.of(peer.transport());
            *peers += u64::from(!peer.is_closing());
            *totals += &peer.link.stats();
        }
        tally
    }
}
