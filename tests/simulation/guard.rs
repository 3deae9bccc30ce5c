//! Limits of the server under any input: it amplifies nothing towards an unvalidated address, and
//! its memory is bounded.

use chatagram::hub::Hub;
use chatagram::protocol::limits::MAX_QUEUE_BYTES;
use chatagram::protocol::{Datagram, Flags, Frame, Join};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// The datagram that the hub is answering.
#[derive(Clone, Copy, Debug)]
struct Question {
    from: SocketAddr,
    bytes: usize,
    from_server: bool,
}

/// Checks everything that the server sends and keeps.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    /// Most sessions that may be joined or closing.
    pub(crate) most_sessions: usize,
    /// Addresses at which a datagram of the server arrived.
    reached: BTreeSet<SocketAddr>,
    /// Those of them that have returned a value only the receiver can know.
    proven: BTreeSet<SocketAddr>,
    question: Option<Question>,
    answered: bool,
}

impl Guard {
    /// Watches a server that takes at most `most_sessions` sessions.
    pub(crate) fn of_room(most_sessions: usize) -> Self {
        Self { most_sessions, ..Self::default() }
    }

    /// Records that a datagram of the server arrived at a client's address.
    pub(crate) fn reached(&mut self, address: SocketAddr) {
        self.reached.insert(address);
    }

    /// Records a datagram that reaches the server.
    pub(crate) fn received(&mut self, from: SocketAddr, bytes: &[u8]) {
        let from_server = bytes.get(3).is_some_and(|flags| flags & Flags::FROM_SERVER.0 != 0);
        self.question = Some(Question { from, bytes: bytes.len(), from_server });
        self.answered = false;
        let answers = |frame| {
            matches!(frame, Frame::Join(Join { cookie: [_, ..], .. }) | Frame::PathResponse(_))
        };
        if self.reached.contains(&from)
            && !self.proven.contains(&from)
            && Datagram::decode(bytes).is_ok_and(|datagram| datagram.frames().any(answers))
        {
            self.proven.insert(from);
        }
    }

    /// Ends the handling of that datagram.
    pub(crate) fn done(&mut self) {
        self.question = None;
    }

    /// Checks a datagram that the server sends. An unvalidated address gets at most one datagram,
    /// no larger, and only in direct answer to its own. A datagram of a server is never answered.
    pub(crate) fn sent(&mut self, to: SocketAddr, bytes: &[u8]) {
        let question = self.question;
        assert!(question.is_none_or(|it| !it.from_server), "a reply is replied to: {question:?}");
        assert!(!to.ip().is_multicast() && to.port() != 0, "{to} is not one");
        if self.proven.contains(&to) {
            return;
        }
        let modest = question.is_some_and(|it| it.from == to && bytes.len() <= it.bytes);
        let first = !std::mem::replace(&mut self.answered, true);
        let length = bytes.len();
        assert!(modest && first, "{to} has proven nothing and gets {length} bytes: {question:?}");
    }

    /// Checks the bounds of the server's memory.
    pub(crate) fn hub(&self, hub: &Hub) {
        assert!(hub.sessions() <= self.most_sessions, "{} sessions", hub.sessions());
        let most = hub.sessions() * (MAX_QUEUE_BYTES + 2_000);
        assert!(hub.queued_bytes() <= most, "{} bytes are queued", hub.queued_bytes());
    }
}
