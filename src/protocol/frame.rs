//! Frames: what one end tells the other about the conversation itself. The order of the variants
//! is their number on the wire and may only grow at the end. `proto.md` §5 is the same table.
//!
//! Everything borrows from the datagram: decoding allocates nothing, whatever a length claims.

use serde::{Deserialize, Serialize, Serializer};

/// Proof that an address answered: made by the server from its secret and the address, kept by
/// nobody (RFC 4987 §3.6 for the idea). 4 bytes of time, 16 of HMAC-SHA-256.
pub type Cookie = [u8; 20];
/// Proof that the new address of a session's other end answered, small enough to answer a heartbeat with.
pub type PathCookie = [u8; 8];
/// Lets the owner of a nickname, and no one else, take it back.
pub type Token = [u8; 16];

/// How chat lines travel in one direction of one session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery {
    /// Each line is sent once; what is lost is counted and shown.
    Unreliable,
    /// Retransmitted until acknowledged, handed on as it arrives.
    ReliableUnordered,
    /// Retransmitted until acknowledged, handed on in the order it was sent.
    #[default]
    ReliableOrdered,
}

impl Delivery {
    /// All modes, in the order of their numbers on the wire.
    pub const ALL: [Self; 3] = [Self::Unreliable, Self::ReliableUnordered, Self::ReliableOrdered];
}

/// What carries a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// Datagrams, and what this protocol makes of them.
    #[default]
    Udp,
    /// A connection, and what the kernel makes of it.
    Tcp,
}

/// Why a server does not let somebody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The server speaks another version: the one in this datagram's header.
    Version,
    /// The nickname is empty, too long, or has characters that names cannot have.
    NameNotAllowed,
    /// The nickname, or one that looks like it, is in use.
    NameTaken,
    /// `--max-peers` are here.
    RoomFull,
    /// Too many peers came from this IP address.
    TooManyFromAddress,
    /// The server is closing.
    ShuttingDown,
}

/// One frame. See `proto.md` §5 for who may send which, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame<'a> {
    /// 0: makes a datagram larger. Its bytes mean nothing.
    Padding(#[serde(serialize_with = "as_bytes")] &'a [u8]),
    /// 1: asks for an acknowledgment, and so for a sign of life.
    Heartbeat,
    /// 2: a message sent once.
    Once {
        /// A message, encoded.
        #[serde(borrow, serialize_with = "as_bytes")]
        payload: &'a [u8],
    },
    /// 3: a message sent until acknowledged, handed on at once.
    Unordered {
        /// Counts the reliable messages of this direction, modulo 2^16, from 0.
        id: u16,
        /// A message, encoded.
        #[serde(serialize_with = "as_bytes")]
        payload: &'a [u8],
    },
    /// 4: a message sent until acknowledged, handed on after all those with smaller ids.
    Ordered {
        /// Counts the reliable messages of this direction, modulo 2^16, from 0.
        id: u16,
        /// A message, encoded.
        #[serde(serialize_with = "as_bytes")]
        payload: &'a [u8],
    },
    /// 5: a client asks to be let in. Session zero.
    Join {
        /// Chosen by the client at random for this attempt.
        nonce: u64,
        /// Empty in the first join; then what `Challenge` brought.
        #[serde(serialize_with = "as_bytes")]
        cookie: &'a [u8],
        /// The name asked for, as typed.
        nickname: &'a str,
        /// How the client wants chat lines delivered to it.
        delivery: Delivery,
        /// Empty, or the token of an earlier `Welcome`, to take that name back.
        #[serde(serialize_with = "as_bytes")]
        resume: &'a [u8],
        /// The log of the client's last session; 0 if it was not here before.
        epoch: u64,
        /// The position in that log up to which it has all lines.
        seen: u64,
        /// The number its next line will have.
        next: u16,
    },
    /// 6: the server's only answer to an address it has not heard from. Session zero.
    Challenge {
        /// The join's.
        nonce: u64,
        /// To be sent back unchanged.
        cookie: Cookie,
    },
    /// 7: the server does not let the client in. Session zero.
    Refused {
        /// The join's.
        nonce: u64,
        /// Why, for programs.
        reason: Refusal,
        /// Why, and what to do, for people.
        detail: &'a str,
    },
    /// 8: a known session came by a new path; is the other end there?
    PathChallenge(PathCookie),
    /// 9: yes.
    PathResponse(PathCookie),
    /// 10: the server knows no such session. Carries that session in the header.
    Reset,
    /// 11: is there a server? To everybody near, at the port for that. Session zero.
    Probe {
        /// Chosen by the client at random.
        nonce: u64,
    },
    /// 12: here is one. Session zero.
    Found {
        /// The probe's.
        nonce: u64,
        /// Drawn by the server when it started: a server with several addresses is one.
        server: u64,
        /// Where it takes joins, at the address this came from.
        port: u16,
        /// How many are in the room.
        peers: u16,
        /// What the room is called.
        room: &'a str,
    },
    /// 13: a piece of a reliable message that does not fit into one datagram of this path.
    Part {
        /// The id of the whole message, as in `Unordered` and `Ordered`.
        id: u16,
        /// Whether the whole is handed on as `Ordered` would be.
        ordered: bool,
        /// Which piece, from 0.
        index: u16,
        /// How many pieces there are.
        count: u16,
        /// `PART_SIZE` bytes of the message; in the last piece, what is left of it.
        #[serde(serialize_with = "as_bytes")]
        payload: &'a [u8],
    },
    /// 14: a piece of a message sent once.
    OncePart {
        /// Counts the messages of this direction that were sent once in pieces, modulo 2^16.
        number: u16,
        /// As in `Part`.
        index: u16,
        /// As in `Part`.
        count: u16,
        /// As in `Part`.
        #[serde(serialize_with = "as_bytes")]
        payload: &'a [u8],
    },
}

/// As serde's own way for slices, but not byte by byte: the bytes are the same.
pub(super) fn as_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}
