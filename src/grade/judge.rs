//! Judges: from a trace to a finding. No I/O, and no clock but the trace's.

pub(super) mod acknowledging;
pub(super) mod form;
pub(super) mod joining;
pub(super) mod model;
pub(super) mod optional;
pub(super) mod staying;
pub(super) mod talking;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use super::case::Case;
use super::trace::{Event, Trace};
use crate::decode;
use std::time::Duration;

/// A fault: what was seen, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) seen: String,
    pub(super) expected: String,
    /// Places in the trace of the datagrams in question.
    pub(super) places: Vec<usize>,
    /// The machine may be the reason: the client waited for a processor that long.
    pub(super) busy: bool,
    /// There was nothing to judge.
    pub(super) vacant: bool,
}

/// No fault, or one.
pub(super) type Finding = Result<(), Fault>;

/// Judges one criterion in one scenario.
pub(super) type Judge = fn(&Trace, &Case) -> Finding;

impl Fault {
    pub(super) fn new(seen: impl Into<String>, expected: impl Into<String>) -> Self {
        let (seen, expected) = (seen.into(), expected.into());
        Self { seen, expected, places: Vec::new(), busy: false, vacant: false }
    }

    /// Nothing was to be judged, because the client sent nothing in a session.
    pub(super) fn no_session(trace: &Trace) -> Self {
        let expected = "an acknowledgment of each datagram with a frame other than Padding";
        Self { vacant: true, ..absent(trace, "no datagram in the session", expected) }
    }

    /// With a datagram in question.
    pub(super) fn at(mut self, place: usize) -> Self {
        self.places.push(place);
        self
    }

    /// A fault in what was due `from`, and came at `to` or not until then. The machine is the
    /// reason if the client waited for a processor most of that time: a client that could run and
    /// did not is itself late.
    pub(super) fn late(self, trace: &Trace, from: Duration, to: Duration) -> Self {
        self.delayed(trace, from, to, to.saturating_sub(from) * 3 / 4)
    }

    /// A fault that a delay `by` so much between these moments would explain.
    pub(super) fn delayed(self, trace: &Trace, from: Duration, to: Duration, by: Duration) -> Self {
        Self { busy: trace.waits.between(from, to) >= by, ..self }
    }

    /// The datagrams in question, decoded.
    pub(super) fn evidence(&self, trace: &Trace) -> Vec<String> {
        let show = |place: &usize| {
            let entry = trace.entries.get(*place)?;
            let (way, bytes) = match &entry.event {
                Event::Up { bytes, .. } => ("client to server", bytes),
                Event::Down { bytes } | Event::Forged { bytes } => ("server to client", bytes),
                Event::Stream { .. } => ("client to server over TCP", &trace.stream()),
                _ => return None,
            };
            let decoded = match &entry.event {
                Event::Stream { .. } => decode::stream(bytes),
                _ => decode::datagram(bytes),
            };
            let text = decoded.text;
            Some(format!("{} ms, {way}, {} bytes\n{text}", entry.at.as_millis(), bytes.len()))
        };
        self.places.iter().filter_map(show).collect()
    }
}

/// Judges a plan's scenario: each step that waits was met.
pub(super) fn own(trace: &Trace, _: &Case) -> Finding {
    let expected = "all steps of the scenario, each once and in order";
    let fault = trace.entries.iter().find_map(|entry| match &entry.event {
        Event::Missed { what, late: true } => Some(absent(trace, what, expected)),
        Event::Missed { what, late: false } => Some(Fault::new(what, expected)),
        _ => None,
    });
    fault.map_or(Ok(()), Err)
}

/// A fault unless this holds.
pub(super) fn expect(holds: bool, seen: impl FnOnce() -> String, expected: &str) -> Finding {
    if holds { Ok(()) } else { Err(Fault::new(seen(), expected)) }
}

/// The fault of something that did not occur: with the client's last words, if it has ended.
pub(super) fn absent(trace: &Trace, what: &str, expected: &str) -> Fault {
    let seen = match (trace.end(), trace.last_words()) {
        (Some(_), Some(words)) => format!("{what}; the client ended: {words}"),
        _ => what.to_owned(),
    };
    // A program that has ended was not too slow.
    Fault { busy: trace.starved && trace.end().is_none(), ..Fault::new(seen, expected) }
}

/// The first fault that the machine does not explain, or else the first one.
pub(super) fn worst(faults: impl IntoIterator<Item = Fault>) -> Finding {
    let mut first = None;
    for fault in faults {
        if !fault.busy {
            return Err(fault);
        }
        first.get_or_insert(fault);
    }
    first.map_or(Ok(()), Err)
}

pub(super) fn ms(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}
