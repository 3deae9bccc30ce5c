//! The bandwidth of a network in a plan.

use crate::quantity::{self, RATES, largest, write_amount};
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Bits per second, or unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bandwidth(Option<u64>);

impl Bandwidth {
    /// No limit.
    pub const UNLIMITED: Self = Self(None);

    /// Bits per second; `None` without a limit.
    #[must_use]
    pub const fn bits(self) -> Option<u64> {
        self.0
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("off"),
            Some(bits) => write_amount(f, bits, largest(bits, &RATES)),
        }
    }
}

impl FromStr for Bandwidth {
    type Err = quantity::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "off" => Ok(Self::UNLIMITED),
            text => quantity::bit_rate(text).map(|bits| Self(Some(bits))),
        }
    }
}

impl Serialize for Bandwidth {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Bits per second with their unit, such as `2mbit`.
pub(in crate::lab) fn bits(bits: u64) -> impl fmt::Display {
    Bandwidth(Some(bits))
}
