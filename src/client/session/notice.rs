//! The notices of a session to its user: typed, without a language. `words` has their texts. Names
//! and texts in them are clean.

use super::{Event, Obstacle, Session, Transport};
use crate::protocol::{LeaveReason, NameError, Refusal};
use std::net::SocketAddr;

/// Something that the user is told, as a status or as an error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// It has its words already: those of the server, or of the program around the session.
    Worded(String),
    /// The server speaks another version of the protocol.
    OtherVersion {
        /// Its address.
        server: SocketAddr,
        /// Its version.
        version: u8,
    },
    /// The server refuses the join.
    Refused(Denied),
    /// A server refuses the join for now; the client goes on trying.
    NotYet {
        /// The server, if there are several.
        server: Option<SocketAddr>,
        /// Why.
        denied: Denied,
    },
    /// Nothing gets through to this address.
    Obstructed {
        /// The address.
        server: SocketAddr,
        /// The obstacle.
        obstacle: Obstacle,
        /// Whether the client goes on trying.
        again: bool,
    },
    /// No server answers.
    NoAnswer {
        /// The address that was tried last.
        server: SocketAddr,
        /// The transport that a firewall has to let in.
        transport: Transport,
    },
    /// There is no address to join.
    NoAddress,
    /// A server is lost, and others of the room are tried.
    TryingOthers {
        /// The lost one.
        lost: SocketAddr,
        /// Some of the others.
        others: Vec<SocketAddr>,
        /// How many more there are.
        more: usize,
    },
    /// The server does not know the session any more; the client joins again.
    NoSession,
    /// The connection is lost; the client tries again.
    ConnectionLost,
    /// The server answers again.
    Back,
    /// The server acknowledges nothing; the client joins again.
    Stalled {
        /// For how long, if it is known, in seconds.
        seconds: Option<u64>,
    },
    /// The server has not been heard for a while.
    Quiet {
        /// For how long.
        seconds: u64,
    },
    /// The server has not been heard for so long that the client tries again.
    Silent {
        /// For how long.
        seconds: u64,
    },
    /// The server ends the session.
    Closing {
        /// Why.
        reason: LeaveReason,
        /// The server's words.
        detail: String,
    },
    /// The client waits for a server that restarts.
    AwaitingRestart {
        /// How long.
        seconds: u64,
    },
    /// The server has another address.
    Moved {
        /// The address.
        server: SocketAddr,
    },
    /// After a rejoin lines may be missing.
    LinesMissing {
        /// Whether it is because the server has another log.
        other_log: bool,
    },
    /// A line of this client did not get there, or perhaps not.
    Undelivered {
        /// Whom it was for, if it was a whisper.
        to: Option<String>,
        /// Its text.
        text: String,
        /// Its outcome.
        fate: Undelivered,
    },
    /// The server did not pass on a line that the client does not remember.
    Rejected {
        /// The server's words.
        detail: String,
    },
    /// A line that was reported lost arrived.
    ArrivedAfterAll {
        /// Its text.
        text: String,
    },
    /// A whisper to a name that is too long for any peer.
    NameTooLong {
        /// The whisper's text.
        text: String,
    },
    /// A whisper to a peer that is not here.
    NotHere {
        /// The name.
        to: String,
        /// The whisper's text.
        text: String,
    },
    /// The server's rate limit delays lines of this client.
    Paced {
        /// How many.
        lines: usize,
        /// How long, at most.
        seconds: u64,
    },
    /// The server's rate limit allows no question at the moment.
    TooManyQuestions,
    /// Too many pings are unanswered.
    TooManyPings {
        /// How many.
        unanswered: usize,
    },
    /// No peer has the name of a ping.
    NoPeer {
        /// The name.
        name: String,
    },
    /// A ping, or its answer, was lost.
    NoPong {
        /// The name.
        name: String,
        /// How long the client waited.
        seconds: u64,
    },
    /// The server does not answer `/who`.
    NoWho,
    /// This client keeps its nickname.
    NotRenamed(Denied),
    /// `/ignore` of something that is no nickname.
    NotIgnored(NameError),
    /// `/ignore` of this client itself.
    OwnNameNotIgnored,
    /// `/ignore` of an ignored name.
    IgnoredAlready {
        /// The name.
        name: String,
    },
    /// `/ignore` of more names than the client keeps.
    TooManyIgnored {
        /// How many it keeps.
        names: usize,
    },
    /// A name is ignored from now on.
    Ignored {
        /// The name.
        name: String,
    },
    /// A name is not ignored any more.
    Unignored {
        /// The name.
        name: String,
    },
    /// `/unignore` of a name that is not ignored.
    NotIgnoredYet {
        /// The name.
        name: String,
        /// The names that are.
        ignored: Vec<String>,
    },
}

/// A refusal of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Why.
    pub reason: Refusal,
    /// The server's words.
    pub detail: String,
    /// The nickname that this client asked for.
    pub nickname: String,
}

/// The outcome of a line that is not confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// It was lost.
    Lost,
    /// The session ended before it was sent.
    Unsent,
    /// Nobody knows.
    Unconfirmed,
    /// The server did not pass it on, and says why.
    Rejected(String),
}

impl Session {
    /// Tells the user of a change.
    pub(super) fn tell(&mut self, notice: Notice) {
        self.events.push_back(Event::Status { notice });
    }

    /// Tells the user of a failure.
    pub(super) fn complain(&mut self, notice: Notice) {
        self.events.push_back(Event::Error { notice });
    }
}
