//! Counters: datagrams received, datagrams answered without a session, and the totals of all links.

use super::Hub;
use crate::link::{Stats, Totals};
use crate::protocol::{Refusal, ServerCounters, Transport};

/// Counters of the hub since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Those that the server sends to clients that ask. Of another protocol means: the magic or the
    /// size is wrong. The kernel knows of those that it dropped; [`Hub::set_unread`] tells the hub.
    pub wire: ServerCounters,
    /// Bytes of the datagrams received.
    pub received_bytes: u64,
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
    /// Times a peer was asked to wait: it had reached its limit, or the readers theirs.
    pub slowed: u64,
    /// Peers dropped because they exceeded their limit and did not wait.
    pub flooders: u64,
    /// Peers that the moderator removed.
    pub kicked: u64,
    /// Lines and whispers of muted peers, which were not passed on.
    pub muted: u64,
}

impl Counters {
    /// The number of reasons to refuse a join.
    pub const REASONS: usize = Refusal::Kicked as usize + 1;

    pub(super) fn note_refusal(&mut self, reason: Refusal) {
        self.wire.refused += 1;
        self.refusals[reason as usize] += 1;
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
    /// Active peers over QUIC.
    pub quic_peers: u64,
    /// Links over QUIC: bytes and frames within its packets.
    pub quic: Totals,
    /// Active peers over WebSockets.
    pub web_peers: u64,
    /// Links over WebSockets: bytes and frames within their messages.
    pub web: Totals,
}

impl Tally {
    fn of(&mut self, transport: Transport) -> (&mut u64, &mut Totals) {
        match transport {
            Transport::Udp => (&mut self.udp_peers, &mut self.udp),
            Transport::Tcp => (&mut self.tcp_peers, &mut self.tcp),
            Transport::Quic => (&mut self.quic_peers, &mut self.quic),
            Transport::Web => (&mut self.web_peers, &mut self.web),
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
        let wire = ServerCounters { left_out: self.outgoing.left_out, ..self.counters.wire };
        Counters { wire, slowed: self.outgoing.slowed, ..self.counters }
    }

    /// Tells how many datagrams the kernel has dropped so far because the receive buffer was full.
    pub fn set_unread(&mut self, unread: u64) {
        self.counters.wire.unread = unread;
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
