//! What differs among the runs of one trial, which all meet the same lost packets.

use super::record::{Mode, RunInfo};
use crate::link::Copies;
use serde::Serialize;
use std::fmt;

/// A mode, and how it is set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Variant {
    /// The transport and delivery mode.
    #[serde(flatten)]
    pub mode: Mode,
    /// Copies of each message; always [`Copies::Auto`] in a mode without copies.
    pub redundancy: Copies,
}

impl Variant {
    /// The variant of a run.
    #[must_use]
    pub fn of(info: &RunInfo) -> Self {
        Self::new(info.mode, info.redundancy)
    }

    /// A mode with this number of copies, if it has any.
    #[must_use]
    pub fn new(mode: Mode, redundancy: Copies) -> Self {
        let redundancy = if mode.has_copies() { redundancy } else { Copies::Auto };
        Self { mode, redundancy }
    }
}

impl fmt::Display for Variant {
    /// The part of a run's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mode, redundancy } = self;
        match redundancy {
            Copies::Auto => write!(f, "{mode}"),
            Copies::Fixed(copies) => write!(f, "{mode}-copies{copies}"),
        }
    }
}
