//! What a session tells the program around it.

use super::{PeerReport, ServerReport, Transport};
use crate::link::Stats;
use crate::protocol::{Delivery, LeaveReason, Mark};
use crate::time::WallTime;
use std::net::SocketAddr;
use std::time::Duration;

/// Something to show, to remember or to do. Texts and names in it are clean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server let this client in.
    Welcome {
        /// The name as everybody sees it.
        nickname: String,
        /// What the room is called.
        room: String,
        /// How many are here, this client included.
        peers: u16,
        /// The session's id.
        session: u64,
        /// The newest line of the log when this client came.
        latest: Mark,
        /// A session broke off before: this is a return.
        again: bool,
    },
    /// A line, or a whisper.
    Message {
        /// Names the line; a whisper has no name.
        mark: Option<Mark>,
        /// The server's wall clock when it was said.
        at: WallTime,
        /// Whose line it is.
        from: String,
        /// The recipient of this client's own whisper, of which this is the echo.
        to: Option<String>,
        /// What was said.
        text: String,
        /// Whether nobody else got it.
        private: bool,
        /// How long it waited here for an earlier one.
        held: Duration,
        /// From its author's keyboard to here, microseconds, as far as the clocks agree; `None`
        /// where they do not at all, or the author did not say.
        transit: Option<i64>,
    },
    /// A line said before this client came, or while it was away.
    History {
        /// Names the line.
        mark: Mark,
        /// The server's wall clock when it was said.
        at: WallTime,
        /// Whose line it is.
        from: String,
        /// What was said.
        text: String,
    },
    /// Peers that were here before this client came.
    Present {
        /// Their names.
        nicknames: Vec<String>,
    },
    /// Peers came.
    Joined {
        /// Their names, in order.
        nicknames: Vec<String>,
        /// How many are here with all of them.
        peers: u16,
    },
    /// Peers went.
    Left {
        /// Their names, in order.
        nicknames: Vec<String>,
        /// How many are here without any of them.
        peers: u16,
        /// Why.
        reason: LeaveReason,
    },
    /// Lines that will not come.
    Gap {
        /// Whose.
        from: String,
        /// How many.
        missing: u64,
    },
    /// This client's own line is in the room.
    Confirmed {
        /// Its name, where the server's word for it arrived.
        mark: Option<Mark>,
        /// This machine's wall clock when it was typed.
        at: WallTime,
        /// What was said.
        text: String,
    },
    /// Something the user asked for did not work.
    Error {
        /// What, and what to do.
        message: String,
    },
    /// Who is here, by name, as the server sees them.
    Who {
        /// What the server says of itself, if it does.
        server: Option<ServerReport>,
        /// This client included.
        peers: Vec<PeerReport>,
    },
    /// A peer answered a ping.
    Pong {
        /// Who.
        from: String,
        /// From here through the server to the peer, and back.
        rtt: Duration,
    },
    /// What the link has seen so far.
    Stats(Box<Report>),
    /// How things are.
    Status {
        /// For people.
        text: String,
    },
    /// The server's addresses should be looked up again.
    Resolve,
    /// A TCP connection to this address is wanted, beside those that are being made. The first one that
    /// is there is kept and told of; the others are dropped.
    Connect(SocketAddr),
    /// All TCP connections, those being made too, are of no more use.
    Disconnect,
    /// The session is over for good.
    Closed {
        /// Why.
        reason: CloseReason,
    },
}

/// What the link has seen since the session began, and what of it was text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// What carries the session.
    pub transport: Transport,
    /// How chat lines travel over UDP.
    pub delivery: Delivery,
    /// The link's counters.
    pub link: Stats,
    /// Datagrams from the server that were damaged on the way.
    pub corrupt: u64,
    /// Datagrams that this machine's kernel dropped, for the receive buffer was full. The session
    /// cannot know it: 0 where nobody says.
    pub unread: u64,
    /// Bytes of text said, each counted once.
    pub text_sent: u64,
    /// Bytes of text shown.
    pub text_received: u64,
}

/// How the session stands with its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The first join is under way.
    Joining,
    /// All is well.
    Here,
    /// The server has not been heard for a while.
    Quiet,
    /// The server is gone, and is looked for.
    Lost,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The user left.
    Quit,
    /// The server closed.
    Shutdown,
    /// Nobody answered the first join.
    Unreachable,
    /// The server was lost and did not come back in time.
    Lost,
    /// The server did not let this client in.
    Refused,
}
