//! The machine's effects on a run, beside those of the network.

use serde::{Deserialize, Serialize};

/// How late the machine was in a run. Times are microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// How late messages were offered to their sessions: the 99th percentile.
    pub send_late_p99_us: u64,
    /// The largest such lateness.
    pub send_late_max_us: u64,
    /// How late packets left the emulated network: the 99th percentile; `None` without one.
    pub router_late_p99_us: Option<u64>,
    /// The largest such lateness.
    pub router_late_max_us: Option<u64>,
    /// The share of the processors' time that the hypervisor gave to others; `None` if the system
    /// does not tell.
    pub steal: Option<f64>,
}
