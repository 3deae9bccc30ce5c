//! QUIC v1 (RFC 9000) with the frames of this protocol (`proto.md` §11.3). quinn-proto numbers,
//! acknowledges, retransmits and encrypts; rustls makes the keys.
//!
//! ```text
//!   hub, session     bytes of a stream, and messages outside of it
//!   net::quic        connections: which stream or QUIC datagram carries what
//!   quinn-proto      packets, as values
//!   net::Datagrams   UDP, and the impairment
//! ```
//!
//! It is sans-IO, as the core is: time is an argument, [`Quic::poll_transmit`] hands out datagrams,
//! and its tests run in virtual time. It is not part of the core, because its crates bring
//! cryptography and read the system's random numbers.
//!
//! # What carries what
//!
//! | message | carrier |
//! |---|---|
//! | joins, presence, whispers, history, receipts | the stream that the client opens, as over TCP |
//! | a line, `reliable-ordered` | the same stream |
//! | a line, `reliable-unordered` | a unidirectional stream of its own |
//! | a line, `unreliable` | a QUIC datagram (RFC 9221), or a stream of its own if it is too long |
//!
//! # Decisions
//!
//! Hub and session see a connection as they see one of TCP, with messages beside the stream. They
//! decide which client joins, is read, and is dropped. This module decides only what a kernel
//! decides for TCP: how many handshakes are under way, and when an address has to prove itself.
//!
//! # Bounds
//!
//! - `MAX_UNJOINED` handshakes; one more ends the oldest. Above `QUIC_RETRY_ABOVE`, a client proves
//!   its address with a Retry (RFC 9000 §8.1.2). At most `QUIC_HANDSHAKES` begin in a second; a
//!   Retry begins none.
//! - Of a connection: one stream of the client, `MESSAGE_WINDOW` streams with messages, each of at
//!   most `MAX_RECORD` bytes, and fixed windows for what is unread and unacknowledged.
//! - 0-RTT is off: it can be replayed (RFC 8446 §8). Resumption is off with it.
//!
//! # Trust
//!
//! The server makes a certificate when it starts, and the client takes any. So an eavesdropper
//! learns nothing, but an attacker between the two can be both: the trust is that of UDP and TCP
//! here.
//!
//! In a private room (`proto.md` §11.4) the server has a key that it keeps. The client takes that
//! key alone, and each end proves that it knows the room's secret before the connection counts as
//! open: hub and session see nothing of it, and a stranger nothing of them.

#[cfg(feature = "quic")]
mod clock;
#[cfg(feature = "quic")]
mod connection;
#[cfg(feature = "quic")]
mod endpoint;
#[cfg(feature = "quic")]
mod guard;
#[cfg(feature = "quic")]
mod keys;
#[cfg(not(feature = "quic"))]
mod none;
#[cfg(feature = "quic")]
mod proof;
#[cfg(feature = "quic")]
mod tls;

#[cfg(feature = "quic")]
pub use endpoint::Quic;
#[cfg(feature = "quic")]
pub use keys::ServerKey;
#[cfg(not(feature = "quic"))]
pub use none::{Quic, ServerKey};

use crate::link::Congestion;
use crate::path::Path;
use crate::protocol::MAGIC;
use std::fmt;
use std::time::Duration;

/// Application protocol (RFC 7301) of a connection.
pub const ALPN: &[u8] = b"chatagram/1";
/// Label of the key that binds a proof to its connection (RFC 8446 §7.5).
#[cfg(feature = "quic")]
const EXPORTER: &[u8] = b"EXPORTER-chatagram-private-room";
/// Ids of connections begin here, above every index of a socket.
pub const FIRST_ID: u64 = (usize::MAX / 4) as u64;

/// The settings of an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// A connection without a packet from the other end for this long is lost.
    pub idle: Duration,
    /// Congestion control.
    pub congestion: Congestion,
}

/// Why there is no QUIC.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuicError {
    /// The feature is missing.
    #[error("this build has no QUIC: cargo install --features quic")]
    NotBuilt,
    /// QUIC cannot connect to this address.
    #[error("{0}")]
    Address(String),
    /// Keys or certificate could not be made.
    #[error("QUIC has no keys: {0}")]
    Keys(String),
}

/// Why a connection did not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server has another key than the ticket says.
    OtherKey,
    /// The other end does not take the proof of the secret, or missed one.
    Refused,
    /// Any other reason.
    Other(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherKey => "the server's key is not that of the ticket",
            Self::Refused => "the proof of the secret is wrong",
            Self::Other(why) => why,
        })
    }
}

/// An event of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client's handshake is complete.
    Opened(u64, Path),
    /// The handshake of [`Quic::connect`] is complete.
    Connected(u64),
    /// The connection did not open, or the other end says that it is none for this client.
    Failed(u64, Failure),
    /// [`Quic::read`] has something.
    Readable(u64),
    /// All bytes of [`Quic::write`] were taken.
    Written(u64),
    /// The message of [`Quic::send_message`] was taken.
    MessageTaken(u64),
    /// The other end has another address, from which it has sent the newest packet.
    Moved(u64, Path),
}

/// The result of [`Quic::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The buffer holds the next bytes of the stream.
    Bytes,
    /// The buffer holds a message that came beside the stream.
    Message,
    /// Nothing now.
    Nothing,
    /// The other end sends no more.
    End,
}

/// Whether a datagram is QUIC's: the fixed bit is set (RFC 9000 §17.2, §17.3.1), and it does not
/// begin with the magic of this protocol. No connection id of an end begins with the second byte
/// of the magic, so no short header does either.
#[must_use]
pub fn is_quic(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first & 0x40 != 0)
        && !datagram.starts_with(&MAGIC.to_be_bytes())
}

#[cfg(all(test, feature = "quic"))]
mod tests;
