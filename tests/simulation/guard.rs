//! What the server may never do, whatever comes in: send more than it got to an address that has
//! proven nothing, or keep more than it promised.

use chatagram::hub::Hub;
use chatagram::protocol::limits::MAX_QUEUE_BYTES;
use chatagram::protocol::{Datagram, Flags, Frame};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// Sessions of those who are here (16 at most) and of those just leaving.
const MAX_SESSIONS: usize = 16;

/// What the hub was given and is answering.
#[derive(Clone, Copy, Debug)]
struct Question {
    from: SocketAddr,
    bytes: usize,
    from_server: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    /// Somebody received what the server sent there.
    reached: BTreeSet<SocketAddr>,
    /// And gave back what only the one who received it could know.
    proven: BTreeSet<SocketAddr>,
    question: Option<Question>,
    answered: bool,
}

impl Guard {
    /// Something the server sent arrived at an address where somebody is.
    pub(crate) fn reached(&mut self, address: SocketAddr) {
        self.reached.insert(address);
    }

    /// A datagram reaches the server.
    pub(crate) fn received(&mut self, from: SocketAddr, bytes: &[u8]) {
        let from_server = bytes.get(3).is_some_and(|flags| flags & Flags::FROM_SERVER.0 != 0);
        self.question = Some(Question { from, bytes: bytes.len(), from_server });
        self.answered = false;
        let answers =
            |frame| matches!(frame, Frame::Join { cookie: [_, ..], .. } | Frame::PathResponse(_));
        if self.reached.contains(&from)
            && !self.proven.contains(&from)
            && Datagram::decode(bytes).is_ok_and(|datagram| datagram.frames().any(answers))
        {
            self.proven.insert(from);
        }
    }

    /// The server has dealt with it.
    pub(crate) fn done(&mut self) {
        self.question = None;
    }

    /// The server sends a datagram. An address that has proven nothing gets one for each of its own,
    /// no larger, at once or never; what a server sent makes nobody get anything.
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

    /// What the server keeps is bounded.
    pub(crate) fn hub(&self, hub: &Hub) {
        assert!(hub.sessions() <= MAX_SESSIONS, "{} sessions", hub.sessions());
        let most = hub.sessions() * (MAX_QUEUE_BYTES + 2_000);
        assert!(hub.queued_bytes() <= most, "{} bytes are queued", hub.queued_bytes());
    }
}
