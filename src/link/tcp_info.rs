//! The kernel's report about a TCP connection: `TCP_INFO` and `TCP_CONGESTION` of tcp(7). The
//! socket reads it; the core only passes it on.

use serde::{Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// The kernel's figures of one TCP connection. `None` where the kernel has no such figure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpInfo {
    /// Smoothed round-trip time (RFC 6298).
    pub rtt: Option<Duration>,
    /// Its mean deviation.
    pub rttvar: Option<Duration>,
    /// Segments with data sent, retransmissions included.
    pub sent: Option<u64>,
    /// Segments retransmitted.
    pub retransmitted: Option<u64>,
    /// Segments in flight that the kernel takes for lost now.
    pub lost: Option<u64>,
    /// Segments with data received.
    pub received: Option<u64>,
    /// Congestion window, segments.
    pub congestion_window: Option<u64>,
    /// Rate at which the other end acknowledged data, bytes per second.
    pub delivery_rate: Option<u64>,
    /// Congestion control.
    pub congestion_control: Option<CongestionControl>,
}

/// The kernel's name of a congestion control, such as `cubic`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CongestionControl {
    /// `TCP_CA_NAME_MAX` bytes, padded with zeros.
    name: [u8; 16],
}

/// A text that names no congestion control.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is no name of a congestion control: such as cubic, reno or bbr")]
pub struct BadCongestionControl {
    name: String,
}

impl CongestionControl {
    /// The name, 1 to 15 characters.
    #[must_use]
    pub fn name(&self) -> &str {
        let end = self.name.iter().position(|byte| *byte == 0).unwrap_or(self.name.len());
        str::from_utf8(&self.name[..end]).unwrap_or_default()
    }
}

impl std::str::FromStr for CongestionControl {
    type Err = BadCongestionControl;

    /// Takes letters, digits, `_` and `-`, of which the kernel's names consist.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut name = [0; 16];
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if text.is_empty() || text.len() >= name.len() || !text.bytes().all(known) {
            let name = crate::protocol::clean(crate::protocol::clip(text, 40)).into_owned();
            return Err(BadCongestionControl { name });
        }
        name[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { name })
    }
}

impl fmt::Display for CongestionControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for CongestionControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for CongestionControl {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_a_congestion_control_are_taken() {
        for name in ["cubic", "reno", "bbr", "a_name-15-chars"] {
            assert_eq!(name.parse::<CongestionControl>().unwrap().to_string(), name);
        }
        for name in ["", "sixteen-letters-", "cubic reno", "bbr\n", "б", "../bbr"] {
            let error = name.parse::<CongestionControl>().unwrap_err().to_string();
            assert!(crate::protocol::is_clean(&error), "{error}");
        }
    }
}
