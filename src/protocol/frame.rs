//! Frames: the statements of one end about the session. The order of the variants is their number
//! on the wire; new ones go at the end. `proto.md` §5 has the same table.
//!
//! All fields borrow from the datagram: decoding allocates nothing, whatever length a datagram
//! claims.

use super::limits::{MAX_MESSAGE, MAX_PARTS, PART_SIZE};
use super::mark::Mark;
use serde::{Deserialize, Serialize, Serializer};

/// Join cookie: proof that the client receives at its source address. The server derives it from
/// its secret and the address, and stores nothing (RFC 4987 §3.6). 4 bytes of time, 16 of
/// HMAC-SHA-256.
pub type Cookie = [u8; 20];
/// Path cookie: proof that a peer receives at its new address. It is small enough to answer a
/// heartbeat with.
pub type PathCookie = [u8; 8];
/// Token: proves ownership of a nickname when a client rejoins.
pub type Token = [u8; 16];

/// Delivery mode of chat lines in one direction of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery {
    /// Each line is sent once; the receiver counts and shows losses.
    Unreliable,
    /// Retransmitted until acknowledged, delivered on arrival.
    ReliableUnordered,
    /// Retransmitted until acknowledged, delivered in order.
    #[default]
    ReliableOrdered,
}

impl Delivery {
    /// All modes, in the order of their numbers on the wire.
    pub const ALL: [Self; 3] = [Self::Unreliable, Self::ReliableUnordered, Self::ReliableOrdered];

    /// The name in options and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreliable => "unreliable",
            Self::ReliableUnordered => "reliable-unordered",
            Self::ReliableOrdered => "reliable-ordered",
        }
    }
}

/// Transport of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// UDP datagrams; this protocol adds reliability and order.
    #[default]
    Udp,
    /// A TCP connection; the kernel adds reliability and order.
    Tcp,
    /// A QUIC connection; QUIC adds reliability, order in each stream, and encryption.
    Quic,
    /// A WebSocket of the server's page: the bytes of a TCP connection.
    Web,
}

impl Transport {
    /// The name in options and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Quic => "quic",
            Self::Web => "web",
        }
    }
}

/// Why a server refuses a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Refusal {
    /// The server speaks another version: the one in this datagram's header.
    Version,
    /// The nickname is empty, too long, or has characters that names cannot have.
    NameNotAllowed,
    /// The nickname, or one that looks like it, is in use.
    NameTaken,
    /// The room is full (`--max-peers`).
    RoomFull,
    /// The IP address has as many peers as it may have.
    TooManyFromAddress,
    /// The server is closing.
    ShuttingDown,
    /// The server cannot admit anybody for now: it has no contact with the room's other servers.
    Unavailable,
    /// The moderator lets nobody new in.
    Locked,
    /// The moderator removed a client with this name, or from this address.
    Kicked,
}

/// One frame. `proto.md` §5 says which end may send it, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Frame<'a> {
    /// 0: padding. Receivers ignore its bytes.
    Padding(#[serde(serialize_with = "as_bytes")] &'a [u8]),
    /// 1: asks for an acknowledgment, as a sign of life.
    Heartbeat,
    /// 2: a message sent once.
    Once {
        /// A message, encoded.
        #[serde(borrow, serialize_with = "as_bytes")]
        payload: &'a [u8],
    },
    /// 3: a reliable message, delivered on arrival.
    Unordered {
        /// Counts the reliable messages of this direction, modulo 2^16, from 0.
        id: u16,
        /// A message, encoded.
        #[serde(serialize_with = "as_bytes")]
        payload: &'a [u8],
    },
    /// 4: a reliable message, delivered after all with smaller ids.
    Ordered {
        /// Counts the reliable messages of this direction, modulo 2^16, from 0.
        id: u16,
        /// A message, encoded.
        #[serde(serialize_with = "as_bytes")]
        payload: &'a [u8],
    },
    /// 5: a client asks to join. Session zero.
    Join(#[serde(borrow)] Join<'a>),
    /// 6: the server's answer to an address that is not validated yet. Session zero.
    Challenge {
        /// The nonce of the `Join`.
        nonce: u64,
        /// The client returns it unchanged.
        cookie: Cookie,
    },
    /// 7: the server refuses the join. Session zero.
    Refused {
        /// The nonce of the `Join`.
        nonce: u64,
        /// The reason, for programs.
        reason: Refusal,
        /// The reason and what to do, for people.
        detail: &'a str,
    },
    /// 8: asks the peer of a session to prove that it receives at its new address.
    PathChallenge(PathCookie),
    /// 9: returns the cookie of a `PathChallenge`.
    PathResponse(PathCookie),
    /// 10: the server has no such session. The header names that session.
    Reset,
    /// 11: looks for servers nearby, at the discovery port. Session zero.
    Probe {
        /// Chosen by the client at random.
        nonce: u64,
    },
    /// 12: a server answers a `Probe`. Session zero.
    Found {
        /// The nonce of the `Probe`.
        nonce: u64,
        /// Random number of the server process: answers with the same number come from one server.
        server: u64,
        /// Port for joins, at the source address of this answer.
        port: u16,
        /// Number of peers in the room.
        peers: u16,
        /// Name of the room.
        room: &'a str,
    },
    /// 13: a part of a reliable message that does not fit into one datagram of this path.
    Part {
        /// The id of the whole message, as in `Unordered` and `Ordered`.
        id: u16,
        /// Whether the message is delivered as an `Ordered` one.
        ordered: bool,
        /// The part.
        #[serde(borrow)]
        part: Part<'a>,
    },
    /// 14: a part of a message sent once.
    OncePart {
        /// Counts the messages of this direction sent once in parts, modulo 2^16.
        number: u16,
        /// The part.
        #[serde(borrow)]
        part: Part<'a>,
    },
}

/// A client's request to join.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join<'a> {
    /// Chosen by the client at random for this attempt.
    pub nonce: u64,
    /// Empty in the first join; then the cookie of `Challenge`.
    #[serde(serialize_with = "as_bytes")]
    pub cookie: &'a [u8],
    /// The name asked for, as typed.
    pub nickname: &'a str,
    /// How the client wants chat lines delivered to it.
    pub delivery: Delivery,
    /// Empty, or the token of an earlier `Welcome`, to take that name back.
    #[serde(serialize_with = "as_bytes")]
    pub resume: &'a [u8],
    /// Epoch of the log in the client's last session; 0 in a first join.
    pub epoch: u64,
    /// Position up to which the client has all lines of that log.
    pub seen: u64,
    /// Number of the client's next line.
    pub next: u16,
}

impl Join<'_> {
    /// The line up to which the client has all; epoch 0 in a first join.
    #[must_use]
    pub fn seen(&self) -> Mark {
        Mark { epoch: self.epoch, position: self.seen }
    }
}

/// A part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part<'a> {
    /// Index of the part, from 0.
    pub index: u16,
    /// Number of parts.
    pub count: u16,
    /// `PART_SIZE` bytes of the message; the rest in the last part.
    #[serde(serialize_with = "as_bytes")]
    pub payload: &'a [u8],
}

impl Part<'_> {
    /// Whether the part is cut as [`PART_SIZE`] and [`MAX_MESSAGE`] require.
    #[must_use]
    pub(crate) fn is_sound(&self) -> bool {
        let (index, count) = (usize::from(self.index), usize::from(self.count));
        let length = self.payload.len();
        if !(2..=MAX_PARTS).contains(&count) || index >= count {
            return false;
        }
        if index + 1 < count {
            return length == PART_SIZE;
        }
        (1..=PART_SIZE).contains(&length) && index * PART_SIZE + length <= MAX_MESSAGE
    }
}

/// Serializes bytes as serde does for slices, but not byte by byte; the encoding is the same.
pub(super) fn as_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}
