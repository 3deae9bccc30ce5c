//! QUIC's report about a connection. The transport knows it; the core only passes it on.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// The congestion control of QUIC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Congestion {
    /// RFC 9002 §7.
    NewReno,
    /// RFC 9438.
    #[default]
    Cubic,
    /// BBR, version 1.
    Bbr,
}

impl Congestion {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NewReno, Self::Cubic, Self::Bbr];

    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// The name in options and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewReno => "new-reno",
            Self::Cubic => "cubic",
            Self::Bbr => "bbr",
        }
    }
}

impl fmt::Display for Congestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The figures of one QUIC connection at one end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuicInfo {
    /// Smoothed round-trip time (RFC 9002 §5.3).
    pub rtt: Duration,
    /// Packets sent.
    pub sent: u64,
    /// Packets declared lost (RFC 9002 §6).
    pub lost: u64,
    /// UDP datagrams received.
    pub received: u64,
    /// Times a message for a QUIC datagram replaced older ones, which the congestion window had
    /// kept from leaving.
    pub left_out: u64,
    /// Congestion window, bytes.
    pub congestion_window: u64,
    /// Congestion control.
    pub congestion: Congestion,
}
