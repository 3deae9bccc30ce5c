//! The differences between the runs of one trial, which all meet the same lost packets.

use super::record::{Mode, RunInfo};
use crate::link::{BadCongestionControl, Congestion, CongestionControl, Copies};
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A mode, and how it is set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Variant {
    /// The transport and delivery mode.
    #[serde(flatten)]
    pub mode: Mode,
    /// Copies of each message; always [`Copies::Auto`] in a mode without copies.
    pub redundancy: Copies,
    /// Congestion control of TCP or QUIC; always [`Control::Auto`] over UDP. Of a run: that of its
    /// connections.
    #[serde(rename = "congestion_control")]
    pub control: Control,
}

/// A congestion control in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Control {
    /// CUBIC, or for TCP the machine's if the kernel refuses CUBIC.
    Auto,
    /// This one.
    Named(CongestionControl),
}

impl Variant {
    /// The variant of a run.
    #[must_use]
    pub fn of(info: &RunInfo) -> Self {
        let name = info.congestion_control.as_ref().and_then(|name| name.parse().ok());
        Self::new(info.mode, info.redundancy, name.map_or(Control::Auto, Control::Named))
    }

    /// A mode with those of these settings that it has.
    #[must_use]
    pub fn new(mode: Mode, redundancy: Copies, control: Control) -> Self {
        let redundancy = if mode.has_copies() { redundancy } else { Copies::Auto };
        let is_its = mode.is_steered() && control.is_of(mode);
        let control = if is_its { control } else { Control::Auto };
        Self { mode, redundancy, control }
    }
}

impl Control {
    /// Whether a mode has this congestion control, or none: the kernel's names differ from QUIC's.
    #[must_use]
    pub fn is_of(&self, mode: Mode) -> bool {
        match self {
            Self::Named(name) if mode.is_quic() => Congestion::named(name.name()).is_some(),
            Self::Named(name) if mode == Mode::Tcp => name.name() != Congestion::NewReno.name(),
            _ => true,
        }
    }

    /// QUIC's congestion control.
    #[must_use]
    pub fn of_quic(&self) -> Congestion {
        let named = match self {
            Self::Auto => None,
            Self::Named(name) => Congestion::named(name.name()),
        };
        named.unwrap_or_default()
    }
}

impl fmt::Display for Variant {
    /// The part of a run's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mode, redundancy, control } = self;
        write!(f, "{mode}")?;
        if let Copies::Fixed(copies) = redundancy {
            write!(f, "-copies{copies}")?;
        }
        match control {
            Control::Auto => Ok(()),
            Control::Named(name) => write!(f, "-{name}"),
        }
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Named(name) => name.fmt(f),
        }
    }
}

impl FromStr for Control {
    type Err = BadCongestionControl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "auto" => Ok(Self::Auto),
            name => name.parse().map(Self::Named),
        }
    }
}

impl Serialize for Control {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}
