//! The mode of a run: its transport and its delivery mode.

use super::{RowError, UnknownMode};
use crate::client::session::Transport;
use crate::protocol::Delivery;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A transport and, over UDP, a delivery mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Columns", into = "Columns")]
pub enum Mode {
    /// UDP; each message is sent once.
    Unreliable,
    /// UDP with retransmission, delivered on arrival.
    ReliableUnordered,
    /// UDP with retransmission, delivered in order.
    ReliableOrdered,
    /// The kernel's TCP.
    Tcp,
}

/// A [`Mode`] in `run.json`: the two columns of the rows.
#[derive(Serialize, Deserialize)]
struct Columns {
    transport: String,
    mode: String,
}

impl Mode {
    /// All modes, in the order of reports.
    pub const ALL: [Self; 4] =
        [Self::Unreliable, Self::ReliableOrdered, Self::ReliableUnordered, Self::Tcp];

    /// The mode of a client with these settings.
    #[must_use]
    pub const fn new(transport: Transport, delivery: Delivery) -> Self {
        match (transport, delivery) {
            (Transport::Tcp, _) => Self::Tcp,
            (Transport::Udp, Delivery::Unreliable) => Self::Unreliable,
            (Transport::Udp, Delivery::ReliableUnordered) => Self::ReliableUnordered,
            (Transport::Udp, Delivery::ReliableOrdered) => Self::ReliableOrdered,
        }
    }

    /// The settings of a client for this mode.
    #[must_use]
    pub const fn settings(self) -> (Transport, Delivery) {
        match self {
            Self::Unreliable => (Transport::Udp, Delivery::Unreliable),
            Self::ReliableUnordered => (Transport::Udp, Delivery::ReliableUnordered),
            Self::ReliableOrdered => (Transport::Udp, Delivery::ReliableOrdered),
            Self::Tcp => (Transport::Tcp, Delivery::ReliableOrdered),
        }
    }

    /// Whether messages travel in copies: they are repaired, and not by the kernel.
    #[must_use]
    pub const fn has_copies(self) -> bool {
        matches!(self, Self::ReliableUnordered | Self::ReliableOrdered)
    }

    /// The name in lists and plans: `unreliable`, …, `tcp`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            other => other.column(),
        }
    }

    /// The column `transport`: `udp` or `tcp`.
    #[must_use]
    pub const fn transport(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            _ => "udp",
        }
    }

    /// The column `mode`: the delivery mode, also for TCP.
    #[must_use]
    pub const fn column(self) -> &'static str {
        match self {
            Self::Unreliable => "unreliable",
            Self::ReliableUnordered => "reliable-unordered",
            Self::ReliableOrdered | Self::Tcp => "reliable-ordered",
        }
    }

    /// The inverse of [`Self::transport`] and [`Self::column`].
    pub(super) fn from_columns(transport: &str, mode: &str) -> Result<Self, RowError> {
        Self::ALL
            .into_iter()
            .find(|it| it.transport() == transport && it.column() == mode)
            .ok_or_else(|| RowError::UnknownMode { transport: transport.into(), mode: mode.into() })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        let found = Self::ALL.into_iter().find(|it| it.name() == text);
        found.ok_or_else(|| UnknownMode(text.to_owned()))
    }
}

impl TryFrom<Columns> for Mode {
    type Error = RowError;

    fn try_from(columns: Columns) -> Result<Self, RowError> {
        Self::from_columns(&columns.transport, &columns.mode)
    }
}

impl From<Mode> for Columns {
    fn from(mode: Mode) -> Self {
        Self { transport: mode.transport().to_owned(), mode: mode.column().to_owned() }
    }
}
