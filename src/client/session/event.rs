//! Events of a session for the program around it.

use super::{Notice, PeerReport, ServerCounters, Transport};
use crate::link::{QuicInfo, Stats, TcpInfo};
use crate::protocol::{Delivery, LeaveReason, Mark};
use crate::time::{Now, WallTime};
use std::net::SocketAddr;
use std::time::Duration;

/// An event to show, store or act on. Texts and names in it are clean.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The server admitted this client.
    Welcome {
        /// The nickname as all peers see it.
        nickname: String,
        /// Name of the room.
        room: String,
        /// How many are here, this client included.
        peers: u16,
        /// The session's id.
        session: u64,
        /// The newest line of the log at the join.
        latest: Mark,
        /// Whether it is a rejoin.
        again: bool,
        /// The server's address.
        server: SocketAddr,
        /// Whether it is another server of the room than that of the session before.
        moved: bool,
    },
    /// A line, or a whisper.
    Message {
        /// Epoch and position; a whisper has none.
        mark: Option<Mark>,
        /// The server's wall clock when it was said.
        at: WallTime,
        /// Whose line it is.
        from: String,
        /// The receiver, if this is the echo of this client's own whisper.
        to: Option<String>,
        /// The text.
        text: String,
        /// Whether it is a whisper.
        private: bool,
        /// Head-of-line blocking: how long it waited here for an earlier line.
        held: Duration,
        /// One-way delay from the author's keyboard, microseconds, with the offset of the clocks;
        /// `None` if unknown.
        transit: Option<i64>,
    },
    /// A line from before this client joined, or from its absence.
    History {
        /// Epoch and position.
        mark: Mark,
        /// The server's wall clock when it was said.
        at: WallTime,
        /// Whose line it is.
        from: String,
        /// The text.
        text: String,
    },
    /// Peers that joined before this client.
    Present {
        /// Their names.
        nicknames: Vec<String>,
    },
    /// Peers joined.
    Joined {
        /// Their names, in order.
        nicknames: Vec<String>,
        /// Number of peers with all of them.
        peers: u16,
    },
    /// Peers left.
    Left {
        /// Their names, in order.
        nicknames: Vec<String>,
        /// Number of peers without them.
        peers: u16,
        /// Why.
        reason: LeaveReason,
    },
    /// A peer has another nickname.
    Renamed {
        /// Its nickname before.
        from: String,
        /// Its nickname now.
        to: String,
        /// Whether it is this client.
        own: bool,
    },
    /// The room has another topic.
    Topic {
        /// The text; empty: there is none any more.
        text: String,
    },
    /// Missing lines.
    Gap {
        /// Their sender.
        from: String,
        /// How many.
        missing: u64,
    },
    /// This client's own line is confirmed.
    Confirmed {
        /// Epoch and position, if the server's `Accepted` arrived.
        mark: Option<Mark>,
        /// This machine's wall clock when it was typed.
        at: WallTime,
        /// The text.
        text: String,
    },
    /// This client's own line will not be confirmed. The `Error` that follows says why.
    Undelivered {
        /// The text.
        text: String,
    },
    /// A request of the user failed.
    Error {
        /// The failure, and what to do.
        notice: Notice,
    },
    /// The peers by name, as the server sees them.
    Who {
        /// The server's counters, if it sends them.
        server: Option<ServerCounters>,
        /// The peers, this client included.
        peers: Vec<PeerReport>,
    },
    /// A peer answered a ping.
    Pong {
        /// Its nickname.
        from: String,
        /// Round-trip time through the server to the peer.
        rtt: Duration,
    },
    /// Counters of the link.
    Stats(Box<Report>),
    /// A change of the connection's state.
    Status {
        /// The change.
        notice: Notice,
    },
    /// Asks for a new look-up of the server's addresses.
    Resolve,
    /// Asks for a TCP connection to this address, beside pending ones. The first established one is
    /// kept; the others are dropped.
    Connect(SocketAddr),
    /// Asks to close all connections, pending ones too.
    Disconnect,
    /// The session is over.
    Closed {
        /// Why.
        reason: CloseReason,
    },
}

/// Counters of the link and of its text since the session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The transport of the session.
    pub transport: Transport,
    /// Delivery mode; over TCP without effect.
    pub delivery: Delivery,
    /// The link's counters.
    pub link: Stats,
    /// Datagrams from the server with a wrong checksum.
    pub corrupt: u64,
    /// Datagrams that the local kernel dropped because the receive buffer was full. The driver
    /// fills it in; 0 if unknown.
    pub unread: u64,
    /// The local kernel's report about the TCP connection. The driver fills it in; `None` over
    /// UDP, and if unknown.
    pub tcp: Option<TcpInfo>,
    /// QUIC's report about its connection. The driver fills it in.
    pub quic: Option<QuicInfo>,
    /// Bytes of text said, each counted once.
    pub text_sent: u64,
    /// Bytes of text shown.
    pub text_received: u64,
}

/// State of the connection to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The first join is under way.
    Joining,
    /// The server answers.
    Here,
    /// The server has not been heard for a while.
    Quiet,
    /// The server is lost; attempts to rejoin are under way.
    Lost,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The user left.
    Quit,
    /// The server closed.
    Shutdown,
    /// No server answered the first join.
    Unreachable,
    /// The server was lost and not reached again in time.
    Lost,
    /// The server refused the join.
    Refused,
    /// The moderator removed this client.
    Kicked,
}

/// One-way delay from the author's keyboard. The ends of the range stand for unrelated clocks or an
/// unknown time.
pub(super) fn transit(at: WallTime, upstream: i32, now: Now) -> Option<i64> {
    let known = upstream != i32::MAX && upstream != i32::MIN;
    let transit = now.wall.micros_since(at).saturating_add(i64::from(upstream));
    Some(transit).filter(|transit| known && i32::try_from(*transit).is_ok())
}
