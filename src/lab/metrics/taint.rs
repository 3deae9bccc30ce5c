//! The faults of the machine that spoil a run: its figures then show the machine, not the network.

use super::{Measured, Setting, to_ms};
use crate::lab::record::{Mode, RunInfo};
use serde::Serialize;
use std::fmt;

/// Limit on the 99th percentile of lateness, of messages and of packets, microseconds.
const LATE_US: u64 = 5_000;
/// Limit on the share of the processors' time that the hypervisor gave to others.
const STEAL: f64 = 0.05;
/// Limit on the spread of a latency that only the network's delay makes, in milliseconds.
const SPREAD_MS: f64 = 10.0;

/// A reason to distrust a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Taint {
    /// Messages were offered to their sessions late.
    Sending {
        /// The 99th percentile of lateness, milliseconds.
        late_ms: f64,
    },
    /// Packets left the emulated network late.
    Router {
        /// The 99th percentile of lateness, milliseconds.
        late_ms: f64,
    },
    /// The hypervisor gave the processors to others.
    Steal {
        /// The share of their time.
        share: f64,
    },
    /// The slowest messages of `unreliable`, which waits for nothing, took much longer than others,
    /// in this run or in one at the same time.
    Spread {
        /// From the median to the 99th percentile of latency, beyond the jitter, milliseconds.
        spread_ms: f64,
    },
}

impl fmt::Display for Taint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sending { late_ms } => {
                write!(f, "messages were sent {late_ms:.1} ms late (99th percentile)")
            }
            Self::Router { late_ms } => {
                write!(f, "packets left the network {late_ms:.1} ms late (99th percentile)")
            }
            Self::Steal { share } => {
                write!(f, "the hypervisor took {:.0} % of the processors' time", share * 100.0)
            }
            Self::Spread { spread_ms } => {
                write!(f, "the latency of unreliable messages spread by {spread_ms:.1} ms")
            }
        }
    }
}

/// The reasons to distrust each of these runs, in their order.
#[must_use]
pub fn taints(runs: &[(&RunInfo, &Measured)]) -> Vec<Vec<Taint>> {
    let spreads: Vec<_> = runs.iter().map(|(info, measured)| spread(info, measured)).collect();
    let settings: Vec<_> = runs.iter().map(|(info, _)| Setting::of(info)).collect();
    let mut found = Vec::new();
    for (at, (info, _)) in runs.iter().enumerate() {
        let mut taints = of_machine(info);
        let beside = |other: usize| {
            runs[other].0.repetition == info.repetition && settings[other] == settings[at]
        };
        let spread = (0..runs.len()).find_map(|other| spreads[other].filter(|_| beside(other)));
        taints.extend(spread.map(|spread_ms| Taint::Spread { spread_ms }));
        found.push(taints);
    }
    found
}

/// The reasons that the run itself recorded.
fn of_machine(info: &RunInfo) -> Vec<Taint> {
    let machine = &info.machine;
    let late = |micros: u64| Some(to_ms(micros)).filter(|_| micros > LATE_US);
    let sending = late(machine.send_late_p99_us).map(|late_ms| Taint::Sending { late_ms });
    let router = machine.router_late_p99_us.and_then(late).map(|late_ms| Taint::Router { late_ms });
    let steal = machine.steal.filter(|it| *it > STEAL).map(|share| Taint::Steal { share });
    [sending, router, steal].into_iter().flatten().collect()
}

/// The spread of an `unreliable` run's latency beyond its jitter, if it is too large. Only a
/// condition without a bandwidth says that nothing but delay and jitter makes the latency: messages
/// wait in the queue of a slow path.
fn spread(info: &RunInfo, measured: &Measured) -> Option<f64> {
    let condition = info.condition.filter(|it| it.bandwidth.is_none())?;
    if info.mode != Mode::Unreliable {
        return None;
    }
    let summary = measured.summary();
    let spread = summary.p99_ms? - summary.p50_ms? - 2.0 * condition.jitter_ms;
    // A message goes up and down, each with its own jitter.
    Some(spread).filter(|spread| *spread > SPREAD_MS)
}
