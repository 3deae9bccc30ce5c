//! What all links together have seen: of the sessions that are, and of those that were. Without the
//! latter a total would go down whenever somebody leaves.

use super::{Hub, Peer};
use crate::link::Stats;
use crate::protocol::Transport;

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Over UDP.
    pub udp: Carried,
    /// Over TCP. What its kernels do about loss they keep to themselves.
    pub tcp: Carried,
}

/// What one transport has carried within sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// How many are here over it now.
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
    /// Datagrams skipped on the way here, of those who are here now. A late one is missing no more.
    pub missing: u64,
    /// Datagrams received again.
    pub duplicated: u64,
    /// Datagrams that came after one sent later.
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

    /// A session is over: what it counted stays.
    pub(super) fn keep(&mut self, peer: &Peer) {
        self.of(peer.transport()).add(&peer.link.stats());
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
    /// What all links have seen until now. It looks at every peer: for who asks now and then.
    pub fn tally(&self) -> Tally {
        let mut tally = self.ended;
        for peer in self.peers.values() {
            let stats = peer.link.stats();
            let carried = tally.of(peer.transport());
            carried.add(&stats);
            carried.missing += stats.received_missing;
            carried.peers += u64::from(peer.closing.is_none());
        }
        tally
    }
}
