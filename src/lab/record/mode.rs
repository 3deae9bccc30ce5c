//! How the messages of a run travel: a transport and delivery mode of this crate, or a program.

use super::error::{InvalidName, RowError, UnknownMode};
use crate::client::session::Transport;
use crate::protocol::Delivery;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The longest name of a program, in bytes.
pub(super) const MAX_NAME: usize = 24;
/// The column `transport` of a program, which may use any.
const PROGRAM: &str = "program";

/// A transport and, over UDP, a delivery mode; or a program under test.
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
    /// QUIC; each message in a QUIC datagram.
    QuicUnreliable,
    /// QUIC; each message in a stream of its own.
    QuicReliableUnordered,
    /// QUIC; all messages in one stream.
    QuicReliableOrdered,
    /// A chat of another author, under this name.
    Program(ProgramName),
}

/// A [`Mode`] in `run.json`: the two columns of the rows.
#[derive(Serialize, Deserialize)]
struct Columns {
    transport: String,
    mode: String,
}

impl Mode {
    /// All modes of this crate, in the order of reports.
    pub const ALL: [Self; 7] = [
        Self::Unreliable,
        Self::ReliableOrdered,
        Self::ReliableUnordered,
        Self::Tcp,
        Self::QuicUnreliable,
        Self::QuicReliableOrdered,
        Self::QuicReliableUnordered,
    ];

    /// The modes of a plan that names none.
    pub const USUAL: [Self; 4] =
        [Self::Unreliable, Self::ReliableOrdered, Self::ReliableUnordered, Self::Tcp];

    /// The mode of a client with these settings.
    #[must_use]
    pub const fn new(transport: Transport, delivery: Delivery) -> Self {
        match (transport, delivery) {
            (Transport::Tcp | Transport::Web, _) => Self::Tcp,
            (Transport::Udp, Delivery::Unreliable) => Self::Unreliable,
            (Transport::Udp, Delivery::ReliableUnordered) => Self::ReliableUnordered,
            (Transport::Udp, Delivery::ReliableOrdered) => Self::ReliableOrdered,
            (Transport::Quic, Delivery::Unreliable) => Self::QuicUnreliable,
            (Transport::Quic, Delivery::ReliableUnordered) => Self::QuicReliableUnordered,
            (Transport::Quic, Delivery::ReliableOrdered) => Self::QuicReliableOrdered,
        }
    }

    /// The settings of a client for this mode; `None` for a program.
    #[must_use]
    pub const fn settings(self) -> Option<(Transport, Delivery)> {
        Some(match self {
            Self::Unreliable => (Transport::Udp, Delivery::Unreliable),
            Self::ReliableUnordered => (Transport::Udp, Delivery::ReliableUnordered),
            Self::ReliableOrdered => (Transport::Udp, Delivery::ReliableOrdered),
            Self::Tcp => (Transport::Tcp, Delivery::ReliableOrdered),
            Self::QuicUnreliable => (Transport::Quic, Delivery::Unreliable),
            Self::QuicReliableUnordered => (Transport::Quic, Delivery::ReliableUnordered),
            Self::QuicReliableOrdered => (Transport::Quic, Delivery::ReliableOrdered),
            Self::Program(_) => return None,
        })
    }

    /// Whether QUIC carries the messages.
    #[must_use]
    pub const fn is_quic(self) -> bool {
        matches!(
            self,
            Self::QuicUnreliable | Self::QuicReliableUnordered | Self::QuicReliableOrdered
        )
    }

    /// Whether a run can choose the congestion control.
    #[must_use]
    pub const fn is_steered(self) -> bool {
        matches!(self, Self::Tcp) || self.is_quic()
    }

    /// Whether messages travel in copies: they are repaired, and not by the kernel.
    #[must_use]
    pub const fn has_copies(self) -> bool {
        matches!(self, Self::ReliableUnordered | Self::ReliableOrdered)
    }

    /// The name in lists and plans: `unreliable`, …, `tcp`, or that of the program.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Tcp => "tcp",
            Self::QuicUnreliable => "quic-unreliable",
            Self::QuicReliableUnordered => "quic-reliable-unordered",
            Self::QuicReliableOrdered => "quic-reliable-ordered",
            other => other.column(),
        }
    }

    /// The column `transport`: `udp`, `tcp`, `quic` or `program`.
    #[must_use]
    pub const fn transport(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Program(_) => PROGRAM,
            it if it.is_quic() => "quic",
            _ => "udp",
        }
    }

    /// The column `mode`: the delivery mode, also for TCP, or the name of the program.
    #[must_use]
    pub fn column(&self) -> &str {
        match self {
            Self::Unreliable | Self::QuicUnreliable => "unreliable",
            Self::ReliableUnordered | Self::QuicReliableUnordered => "reliable-unordered",
            Self::ReliableOrdered | Self::QuicReliableOrdered | Self::Tcp => "reliable-ordered",
            Self::Program(name) => name.as_str(),
        }
    }

    /// The program's name, if it is a program.
    #[must_use]
    pub const fn program(self) -> Option<ProgramName> {
        match self {
            Self::Program(name) => Some(name),
            _ => None,
        }
    }

    /// The order of reports: this crate's modes as in [`Self::ALL`], then programs by name.
    #[must_use]
    pub fn order(&self) -> (usize, Self) {
        (Self::ALL.iter().position(|it| it == self).unwrap_or(Self::ALL.len()), *self)
    }

    /// The inverse of [`Self::transport`] and [`Self::column`].
    pub(super) fn from_columns(transport: &str, mode: &str) -> Result<Self, RowError> {
        let program =
            if transport == PROGRAM { mode.parse().ok().map(Self::Program) } else { None };
        Self::ALL
            .into_iter()
            .find(|it| it.transport() == transport && it.column() == mode)
            .or(program)
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

/// The name of a program: letters, digits, `-` and `_`. It is part of the names of directories.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProgramName {
    /// Filled up with zeros.
    bytes: [u8; MAX_NAME],
}

impl ProgramName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.bytes.iter().position(|byte| *byte == 0).unwrap_or(MAX_NAME);
        std::str::from_utf8(&self.bytes[..end]).unwrap_or_default()
    }
}

impl FromStr for ProgramName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let mut bytes = [0; MAX_NAME];
        let fits = bytes.get_mut(..text.len()).filter(|to| !to.is_empty());
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        match fits {
            Some(to) if text.bytes().all(plain) && text.parse::<Mode>().is_err() => {
                to.copy_from_slice(text.as_bytes());
                Ok(Self { bytes })
            }
            _ => Err(InvalidName(text.to_owned())),
        }
    }
}

impl TryFrom<String> for ProgramName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<ProgramName> for String {
    fn from(name: ProgramName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Debug for ProgramName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_survives_its_two_columns() {
        let name = |text: &str| text.parse().map(Mode::Program);
        let programs = ["a", "my-chat_2", "a-name-of-24-characters-"].map(|it| name(it).unwrap());
        for mode in Mode::ALL.into_iter().chain(programs) {
            assert_eq!(Mode::from_columns(mode.transport(), mode.column()), Ok(mode));
        }
        for wrong in ["", "tcp", "reliable-ordered", "a b", "../x", "a-name-of-25-characters--"] {
            assert!(name(wrong).is_err(), "{wrong}");
            assert!(Mode::from_columns("program", wrong).is_err(), "{wrong}");
        }
    }
}
