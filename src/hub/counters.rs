//! What the hub counts: what came in and was answered without a session, and what all links
//! carried.

use super::Hub;
use crate::link::Stats;
use crate::protocol::{Refusal, ServerCounters, Transport};

/// What came in and could not be used, or was answered without a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    pub const REASONS: usize = Refusal::ShuttingDown as usize + 1;

    /// Refusals sent, for any reason.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refusals.iter().sum()
    }

    /// What clients are told of them.
    pub(super) fn to_wire(self) -> ServerCounters {
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

/// What all links have carried: of the sessions that are, and of those that were, so that no total
/// goes down when a peer leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Over UDP.
    pub udp: Carried,
    /// Over TCP. What the kernels do about loss is not visible here.
    pub tcp: Carried,
}

/// What one transport has carried within sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Active peers.
    pub peers: u64,
    /// Datagrams sent; over TCP frames.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Datagrams or frames received, each counted once.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Datagrams sent that were found lost.
    pub lost: u64,
    /// Datagrams of present peers that were skipped on the way here. A late one is missing no more.
    pub missing: u64,
    /// Datagrams received again.
    pub duplicated: u64,
    /// Datagrams received after one that was sent later.
    pub reordered: u64,
    /// Messages sent again because they were lost.
    pub retransmitted: u64,
    /// Messages sent again before anything was known to be lost.
    pub redundant: u64,
}

impl Tally {
    fn of(&mut self, transport: Transport) -> &mut Carried {
        match transport {
            Transport::Udp => &mut self.udp,
            Transport::Tcp => &mut self.tcp,
        }
    }

    /// A session is gone: what it counted stays.
    pub(super) fn keep(&mut self, transport: Transport, stats: &Stats) {
        self.of(transport).add(stats);
    }
}

impl Carried {
    fn add(&mut self, stats: &Stats) {
        self.sent += stats.sent;
        self.sent_bytes += stats.sent_bytes;
        self.received += stats.received;
        self.received_bytes += stats.received_bytes;
        self.lost += stats.sent_lost;
        self.duplicated += stats.duplicated;
        self.reordered += stats.reordered;
        self.retransmitted += stats.retransmitted;
        self.redundant += stats.redundant;
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

    /// What all links have carried so far. It visits every peer: call it now and then.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut tally = self.ended;
        for peer in self.peers.iter() {
            let stats = peer.link.stats();
            let carried = tally.of(peer.transport());
            carried.add(&stats);
            carried.missing += stats.received_missing;
            carried.peers += u64::from(!peer.is_closing());
        }
        tally
    }
}
