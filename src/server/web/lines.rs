//! What becomes of lines, as JSON for the board.

use crate::hub::{Observations, Outcome, Said, Sighting};
use serde::Serialize;
use std::time::Duration;

/// The lines said since the last message, and what became of lines.
#[derive(Serialize)]
#[serde(tag = "type", rename = "lines")]
pub(super) struct Lines<'a> {
    said: Vec<SaidRow<'a>>,
    shown: Vec<Shown>,
    lost: Vec<Lost>,
    again: Vec<Again>,
    #[serde(skip_serializing_if = "is_zero")]
    left_out: u64,
}

#[derive(Serialize)]
struct SaidRow<'a> {
    position: u64,
    at_us: u64,
    peer: u16,
    name: &'a str,
    text: &'a str,
}

#[derive(Serialize)]
struct Shown {
    position: u64,
    peer: u16,
    after_ms: f64,
    sends: u32,
    certain: bool,
}

#[derive(Serialize)]
struct Lost {
    position: u64,
    peer: u16,
}

#[derive(Serialize)]
struct Again {
    position: u64,
    peer: u16,
    after_ms: f64,
}

impl<'a> Lines<'a> {
    pub(super) fn new(seen: &'a Observations) -> Self {
        let said = |Said { position, at, peer, from, text }: &'a Said| SaidRow {
            position: *position,
            at_us: at.0,
            peer: *peer,
            name: from,
            text,
        };
        let said = seen.said.iter().map(said).collect();
        let (shown, lost, again) = Default::default();
        let mut lines = Self { said, shown, lost, again, left_out: seen.left_out };
        for Sighting { position, peer, after, outcome } in seen.sightings.iter().copied() {
            let after_ms = millis(after);
            match outcome {
                Outcome::Shown { sends, certain } => {
                    lines.shown.push(Shown { position, peer, after_ms, sends, certain });
                }
                Outcome::Lost => lines.lost.push(Lost { position, peer }),
                Outcome::Again => lines.again.push(Again { position, peer, after_ms }),
            }
        }
        lines
    }
}

/// Milliseconds to a tenth: the board draws no finer.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 10.0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
