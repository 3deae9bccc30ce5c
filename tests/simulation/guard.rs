//! What the server may never do, whatever comes in: send more than it got to an address that has
//! proven nothing, or keep more than it promised.

use chatagram::hub::Hub;
use chatagram::protocol::limits::MAX_QUEUE_BYTES;
use chatagram::protocol::{Datagram, Frame};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// Sessions of those who are here (16 at most) and of those just leaving.
const MAX_SESSIONS: usize = 16;

#[derive(Debug, Default)]
struct Account {
    datagrams_in: u64,
    bytes_in: u64,
    datagrams_out: u64,
    bytes_out: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    /// Somebody received what the server sent there.
    reached: BTreeSet<SocketAddr>,
    /// And gave back what only the one who received it could know.
    proven: BTreeSet<SocketAddr>,
    accounts: BTreeMap<SocketAddr, Account>,
}

impl Guard {
    /// Something the server sent arrived at an address where somebody is.
    pub(crate) fn reached(&mut self, address: SocketAddr) {
        self.reached.insert(address);
    }

    /// A datagram reached the server.
    pub(crate) fn received(&mut self, from: SocketAddr, bytes: &[u8]) {
        let account = self.accounts.entry(from).or_default();
        account.datagrams_in += 1;
        account.bytes_in += bytes.len() as u64;
        let answers =
            |frame| matches!(frame, Frame::Join { cookie: [_, ..], .. } | Frame::PathResponse(_));
        if self.reached.contains(&from)
            && Datagram::decode(bytes).is_ok_and(|datagram| datagram.frames().any(answers))
        {
            self.proven.insert(from);
        }
    }

    /// The server sends a datagram.
    pub(crate) fn sent(&mut self, to: SocketAddr, bytes: &[u8]) {
        let account = self.accounts.entry(to).or_default();
        account.datagrams_out += 1;
        account.bytes_out += bytes.len() as u64;
        let modest =
            account.datagrams_out <= account.datagrams_in && account.bytes_out <= account.bytes_in;
        assert!(modest || self.proven.contains(&to), "{to} has proven nothing and got {account:?}");
    }

    /// What the server keeps is bounded.
    pub(crate) fn hub(&self, hub: &Hub) {
        assert!(hub.sessions() <= MAX_SESSIONS, "{} sessions", hub.sessions());
        let most = hub.sessions() * (MAX_QUEUE_BYTES + 2_000);
        assert!(hub.queued_bytes() <= most, "{} bytes are queued", hub.queued_bytes());
    }
}
