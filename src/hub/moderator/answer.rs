//! The answers to a moderator's orders, and the notices of them to peers: typed, without a
//! language. `words` has the texts; a server has its own.

use crate::protocol::NameError;
use crate::quantity;

/// An answer to the moderator, or a notice to a peer. Texts in it are clean.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// A peer is removed.
    Removed {
        /// Its nickname.
        name: String,
        /// Whether its address stays out too, because nobody else is there.
        address_too: bool,
        /// How long.
        minutes: u64,
        /// Why; may be empty.
        reason: String,
    },
    /// To all: a peer is removed for this reason.
    RemovedFor {
        /// Its nickname.
        name: String,
        /// Why.
        reason: String,
    },
    /// A peer may not speak.
    Muted {
        /// Its nickname.
        name: String,
        /// How long.
        seconds: u64,
    },
    /// To the muted peer.
    YouAreMuted {
        /// How long.
        seconds: u64,
    },
    /// To the muted peer, in answer to a line.
    YouAreStillMuted {
        /// How much longer.
        seconds: u64,
    },
    /// A peer may speak again.
    Unmuted {
        /// Its nickname.
        name: String,
    },
    /// A peer may join again.
    Unbanned {
        /// Its nickname.
        name: String,
    },
    /// The room has another topic, or none.
    Topic(Option<String>),
    /// Nobody new may join. To all as well.
    Locked,
    /// Everybody may join again. To all as well.
    Unlocked,
    /// An order of a peer is not carried out. The reason is another answer.
    NotDone(Box<Answer>),
    /// It is not the host who ordered.
    NotTheHost,
    /// There is no such order.
    NoOrder,
    /// An order for something that is no nickname.
    NoName(NameError),
    /// No peer has the name.
    NoPeer {
        /// The name.
        name: String,
    },
    /// The peer is at another server.
    Elsewhere {
        /// Its nickname.
        name: String,
    },
    /// The peer is the host.
    Host {
        /// Its nickname.
        name: String,
    },
    /// The peer has just left.
    HasLeft {
        /// Its nickname.
        name: String,
    },
    /// The peer is not muted.
    NotMuted {
        /// Its nickname.
        name: String,
    },
    /// The name is not kept out.
    NotBanned {
        /// The name.
        name: String,
    },
    /// A time that is none.
    NoTime(quantity::Error),
    /// A time that is zero or too long.
    TimeTooLong,
    /// A topic without a text.
    NoTopic,
    /// A topic that is too long.
    TopicTooLong {
        /// Its length.
        bytes: usize,
    },
}
