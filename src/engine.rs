//! The seam to an *engine*: a database that keeps the log of a room and the names in it for several
//! servers. Values only; a driver carries them between the hub and engine.
//!
//! ```text
//!   hub ── Request ──► driver ── script ──► engine
//!   hub ◄── Answer ─── driver ◄── reply, log, mail ──┘
//! ```
//!
//! A line, an arrival or a departure takes effect on every server, the author's too, when the hub
//! reads its [`Entry`] from the log, in order. So all servers show one order, and a reply only
//! refuses a request or says that its entry is durable.
//!
//! The engine carries out each request in one step. It checks, in this order, that the request is
//! of the newest [`Request::attach`] of its server, and that the [`Fence`] in it is of a seat of
//! that server. A request that it has carried out before changes nothing.

use crate::protocol::{LeaveReason, Token};
use crate::registry::Owner;
use crate::room::LineIdentity;
use crate::time::WallTime;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// One run of one server: random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub u64);

/// The fencing number of a seat: the position at which its claim was committed. A later claim of
/// the same name has a larger one, and the engine then refuses requests with the earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub u64);

/// Proves the ownership of a name: the SHA-256 of its token. The token itself never reaches the
/// engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof(pub [u8; 32]);

impl Proof {
    /// The proof of the client with this token.
    #[must_use]
    pub fn of(token: &Token) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// The public part.
    #[must_use]
    pub fn owner(&self) -> Owner {
        let [first, ..] = self.0.as_chunks().0 else { return Owner(0) };
        Owner(u64::from_be_bytes(*first))
    }
}

/// A place in the log, with what identifies the log up to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Epoch of the log.
    pub epoch: u64,
    /// Position of an entry.
    pub position: u64,
    /// The `chain` of that entry.
    pub chain: u64,
}

/// A request to the engine.
#[derive(Clone, Debug)]
pub struct Request {
    /// The server.
    pub server: ServerId,
    /// The number of the `Attach` since which this server sends requests; its own number for
    /// `Attach`.
    pub attach: u64,
    /// Counts the requests of this server. A request that is sent again keeps its number.
    pub number: u64,
    /// The request.
    pub ask: Arc<Ask>,
}

/// A request of a server to the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ask {
    /// Begins or continues to take part. Answered with [`Answer::Attached`].
    Attach {
        /// The last entry that the hub has applied; `None` to begin anew.
        resume: Option<Place>,
        /// The epoch, should a new one begin: larger than that of `resume`, and than all before. A
        /// new one begins if the engine has no log, or not what `resume` names: another `chain`
        /// there, an earlier end, or an earlier epoch.
        epoch: u64,
        /// Addresses of this server for clients.
        addresses: Vec<SocketAddr>,
    },
    /// Renews the lease of this server, and removes the seats of servers that did not renew theirs
    /// for `ENGINE_EXPIRY`. Answered with [`Answer::Renewed`], or with [`Answer::Stale`] if the
    /// engine does not have the entry `read`: it has gone back to an older state.
    Renew {
        /// The last entry that the hub has applied.
        read: Option<Place>,
    },
    /// Claims a name. Committed as [`Change::Joined`], or refused.
    Claim(Claim),
    /// Gives a seat up. Committed as [`Change::Left`].
    Leave {
        /// The seat.
        fence: Fence,
        /// Why.
        reason: LeaveReason,
        /// The number that the next line would have had.
        next: u16,
        /// The engine holds the name for its owner for `NAME_HOLD`.
        hold: bool,
    },
    /// Proposes a line. Committed as [`Change::Said`], unless the log has its identity.
    Say(Said),
    /// Mail for another server. It is sent once.
    Mail(Mail),
}

/// A claim of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The key that decides whether two names are alike.
    pub key: String,
    /// The name.
    pub nickname: String,
    /// Takes the name from an earlier claim with the same proof.
    pub proof: Proof,
    /// The number of the next line.
    pub next: u16,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The seat of its author.
    pub fence: Fence,
    /// Owner and number.
    pub identity: LineIdentity,
    /// When its server received it, for display only.
    pub at: WallTime,
    /// Delay to that server, microseconds, with the offset of the two clocks.
    pub upstream: i32,
    /// The author's name.
    pub from: String,
    /// The text.
    pub text: String,
}

/// Mail from a seat to the server of another seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The seat that it is from.
    pub from: Fence,
    /// The seat that it is for.
    pub to: Fence,
    /// Neither the engine nor the reader's server takes it after this time on the engine's clock,
    /// milliseconds.
    pub until: u64,
    /// Content.
    pub content: Content,
}

/// The content of mail.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// A line for the reader alone. Its server answers with `Receipt`.
    Whisper {
        /// Identifies the receipt.
        number: u64,
        /// As in [`Said`].
        at: WallTime,
        /// As in [`Said`].
        upstream: i32,
        /// The text.
        text: String,
    },
    /// The answer to a whisper.
    Receipt {
        /// As there.
        number: u64,
        /// Whether the reader was there, and the whisper is on its way to it.
        delivered: bool,
    },
    /// Measures the round trip to the reader.
    Ping {
        /// Identifies the pong.
        number: u16,
    },
    /// The answer to a ping.
    Pong {
        /// As there.
        number: u16,
    },
}

/// A claimed name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The position of its claim.
    pub fence: Fence,
    /// The server at which its peer is.
    pub server: ServerId,
    /// As in [`Claim`].
    pub nickname: String,
    /// The public part of the proof.
    pub owner: Owner,
    /// As in [`Claim`].
    pub next: u16,
}

/// An entry of the log. Each position is one more than the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub place: Place,
    /// The `chain` of the entry before it.
    pub before: u64,
    /// The server whose request it is.
    pub server: ServerId,
    /// The number of that request.
    pub request: u64,
    /// The change that it makes.
    pub change: Change,
}

/// The change that an entry makes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The epoch begins: every seat and every line before is gone.
    Began,
    /// A peer joined.
    Joined {
        /// Its seat.
        seat: Seat,
        /// The seat of the same owner that it replaces. Then the peer was in the room already.
        replaces: Option<Fence>,
    },
    /// A peer left.
    Left {
        /// Its seat.
        fence: Fence,
        /// Why.
        reason: LeaveReason,
        /// As in [`Ask::Leave`]; `None` if its server is gone.
        next: Option<u16>,
    },
    /// A line was said.
    Said(Said),
}

/// An answer of the engine, or of the driver, to the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// There is a connection: the hub attaches.
    Up,
    /// There is none any more, or none yet. Nothing of the earlier connection follows.
    Down {
        /// Why, for people.
        why: String,
    },
    /// This server takes part.
    Attached {
        /// Number of the request.
        request: u64,
        /// The engine's clock, milliseconds.
        clock: u64,
        /// As in `Renewed`.
        servers: Vec<ServerEntry>,
        /// Where the log goes on.
        outcome: Attached,
    },
    /// The lease was renewed.
    Renewed {
        /// Number of the request.
        request: u64,
        /// The engine's clock, milliseconds.
        clock: u64,
        /// The servers whose leases are valid, this one too.
        servers: Vec<ServerEntry>,
    },
    /// A request was not of the newest `Attach` of this server, or the log has gone back, or the
    /// epoch changed: attach again.
    Stale {
        /// Number of the request.
        request: u64,
    },
    /// A request was carried out, now or before, and is as durable as configured.
    Kept {
        /// Number of the request.
        request: u64,
    },
    /// The log has a line of this identity already.
    Repeated {
        /// Number of the request.
        request: u64,
        /// Its position.
        position: u64,
    },
    /// A request was refused.
    Refused {
        /// Number of the request.
        request: u64,
        /// Why.
        why: Refused,
    },
    /// The next entry of the log.
    Committed(Entry),
    /// Mail for this server.
    Mail(Mail),
}

/// Where the log goes on after an `Attach`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attached {
    /// Behind the `resume` of the request.
    Continues,
    /// Behind this snapshot.
    Fresh(Snapshot),
}

/// The state of the room at an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// That entry.
    pub place: Place,
    /// All seats, by fence.
    pub seats: Vec<Seat>,
    /// The newest lines, oldest first, with their positions.
    pub lines: Vec<(u64, Said)>,
    /// All lines of the epoch after this position are in `lines`.
    pub floor: u64,
}

/// A server of the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerEntry {
    /// The server.
    pub server: ServerId,
    /// Its addresses for clients.
    pub addresses: Vec<SocketAddr>,
}

/// Why the engine refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// Another owner has the name.
    NameTaken,
    /// The name is held for its owner for this long.
    NameHeld(Duration),
    /// No more seats fit into the room.
    Full,
    /// The seat of the request is gone, or not this server's.
    Fenced,
    /// The seat that the mail is for is gone, or it is too late.
    NotHere,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_depends_on_the_token_and_has_the_owner_of_the_history() {
        let proof = Proof::of(&[7; 16]);
        assert_ne!(proof, Proof::of(&[8; 16]));
        assert_eq!(proof.owner(), Owner::of(&[7; 16]));
    }
}
