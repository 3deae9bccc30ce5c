//! The statistics of a run and of a condition. Pure: rows in, numbers out, no files and no clock.
//!
//! | statistic | method |
//! |---|---|
//! | sent | messages × receivers: all rows that are neither duplicates nor unsaid |
//! | unsaid | verdict `lost` without `sent_us`: the session had no room before the run ended |
//! | delivered, lost | rows of *sent* with that verdict; shares are always of *sent* |
//! | latency | `delivered_us - intended_us`: a stalled sender cannot hide its stall |
//! | percentiles | nearest rank: the value at rank ⌈p·n⌉ of the n delivered |
//! | reordered | type-P-reordered (RFC 4737 §3), in the order of delivery |
//! | jitter | RFC 3550 §6.4.1 from the first *pair* of arrivals of a flow; mean of all estimates |
//! | held | delivered ≥ 1 ms after arrival, by the order of the reader's link (head-of-line) |
//! | held at the server | delivered, and held ≥ 1 ms by its link's order, from `server.csv` |
//! | loss runs | consecutive lost numbers of a flow: the loss periods of RFC 3357 §5 |
//! | retransmitted, redundant | of the links of all peers: again after a loss, and ahead of any |
//! | bytes on the wire | into the emulated network, both ways; without one, through the links |
//! | tainted | one of the machine's faults below, in a run or in one beside it |
//! | fused, cut, crashed, hung | of programs, from `program` in `run.json` |
//! | interval | for the median over repetitions, by order statistics (the sign test) |
//!
//! The machine's faults: lateness of the senders or the router over 5 ms at the 99th percentile,
//! steal over 5 %, or a spread of `unreliable` (p99 - p50 - 2 · jitter) over 10 ms. An interval has
//! its coverage beside it, at least 95 % from six repetitions on; below three there is none.
//!
//! A flow is one sender and one receiver. All times of a run are on one monotonic clock: a step of
//! the wall clock changes no statistic.

use super::record::{Conduct, Record, RunInfo, Verdict};
use super::variant::Variant;
use crate::percentile::nearest_rank;
use serde::Serialize;
use std::collections::BTreeMap;

mod estimate;
mod setting;
mod taint;
#[cfg(test)]
mod tests;

pub use estimate::{ENOUGH, Estimate, Interval};
use setting::Differing;
pub use setting::Setting;
pub use taint::{Taint, taints};

/// Threshold of *held*: a shorter delay between arrival and delivery is processing time of the
/// event loop, not ordering.
pub(super) const HELD_FROM_US: u64 = 1_000;

/// Below this number of deliveries, the 99th percentile rests on fewer than five messages.
const FEW: usize = 500;

/// The statistics of a run, or of all runs of a condition together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Messages × receivers, without those unsaid.
    pub sent: u64,
    /// Messages × receivers that the sender's session did not take before the run ended.
    pub unsaid: u64,
    /// Sent messages shown to the receiver's user.
    pub delivered: u64,
    /// Sent messages never shown.
    pub lost: u64,
    /// Repeated deliveries.
    pub duplicated: u64,
    /// Messages delivered after a later one (RFC 4737).
    pub reordered: u64,
    /// The median latency in milliseconds, by nearest rank; `None` without a delivery.
    pub p50_ms: Option<f64>,
    /// The 95th percentile of latency, in the same way.
    pub p95_ms: Option<f64>,
    /// The 99th percentile of latency, in the same way.
    pub p99_ms: Option<f64>,
    /// The largest latency; `None` without a delivery.
    pub max_ms: Option<f64>,
    /// The mean of RFC 3550's jitter estimates, in milliseconds; `None` without a pair.
    pub jitter_ms: Option<f64>,
    /// Messages that ordering held at the reader for 1 ms or more.
    pub held: u64,
    /// The 99th percentile of their hold times, in milliseconds.
    pub hold_p99_ms: Option<f64>,
    /// Delivered messages that ordering held at the server for 1 ms or more; `None` if that was not
    /// recorded, as over TCP.
    pub server_held: Option<u64>,
    /// The 99th percentile of their hold times, in milliseconds.
    pub server_hold_p99_ms: Option<f64>,
    /// Loss runs: consecutive lost messages (RFC 3357).
    pub loss_runs: u64,
    /// The length of the longest loss run, in messages.
    pub loss_run_max: u64,
    /// Messages retransmitted by the peers' links; `None` over TCP, where the kernel retransmits.
    pub retransmitted: Option<u64>,
    /// Copies of messages that the peers' links sent ahead of a loss; `None` over TCP.
    pub redundant: Option<u64>,
    /// Bytes on the wire per byte of text; `None` if either was not counted.
    pub wire_per_text: Option<f64>,
    /// Other faults of a program; `None` for a mode of this crate.
    pub faults: Option<Faults>,
}

/// Faults of a program other than lost, repeated and reordered messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Messages printed on one line with a message before them.
    pub fused: u64,
    /// Messages printed without their end, or in several lines.
    pub cut: u64,
    /// Processes that ended before their run did.
    pub crashed: u64,
    /// Clients that ran, but had stopped.
    pub hung: u64,
}

impl Faults {
    fn of(conduct: &Conduct) -> Self {
        let Conduct { fused, cut, .. } = *conduct;
        Self { fused, cut, crashed: conduct.crashed(), hung: conduct.hung() }
    }

    fn add(self, other: Self) -> Self {
        Self {
            fused: self.fused.saturating_add(other.fused),
            cut: self.cut.saturating_add(other.cut),
            crashed: self.crashed + other.crashed,
            hung: self.hung + other.hung,
        }
    }
}

impl Summary {
    /// Share of sent messages delivered, 0 to 1; `None` if nothing was sent.
    #[must_use]
    pub fn delivery(&self) -> Option<f64> {
        share(self.delivered, self.sent)
    }

    /// Share of *delivered* messages that were held, 0 to 1.
    #[must_use]
    pub fn held_share(&self) -> Option<f64> {
        share(self.held, self.delivered)
    }

    /// Share of *delivered* messages that were held at the server, 0 to 1.
    #[must_use]
    pub fn server_held_share(&self) -> Option<f64> {
        share(self.server_held?, self.delivered)
    }

    /// The mean length of a loss run, in messages.
    #[must_use]
    pub fn loss_run_mean(&self) -> Option<f64> {
        share(self.lost, self.loss_runs)
    }
}

/// The sum of the known numbers.
fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        (a, b) => a.or(b),
    }
}

/// `part / whole`; `None` if `whole` is 0.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The measurements of a run, which can be merged into those of a condition.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    counts: Summary,
    /// Ascending, in microseconds.
    latencies: Vec<u64>,
    holds: Vec<u64>,
    /// `None` if no wait at the server is known.
    server_holds: Option<Vec<u64>>,
    jitter_sum: f64,
    jitter_pairs: u64,
    wire_bytes: u64,
    text_bytes: u64,
}

impl Measured {
    /// Measures a run.
    #[must_use]
    pub fn new(records: &[Record], info: &RunInfo) -> Self {
        let mut it = Self { text_bytes: info.text_bytes, ..Self::default() };
        it.wire_bytes = match &info.network {
            Some(network) => network.up.bytes.saturating_add(network.down.bytes),
            None => info.links.totals.sent_bytes.saturating_add(info.links.totals.received_bytes),
        };
        if info.mode.transport() == "udp" {
            it.counts.retransmitted = Some(info.links.totals.retransmitted);
            it.counts.redundant = Some(info.links.totals.redundant);
        }
        it.counts.faults = info.program.as_ref().map(Faults::of);
        let mut flows = BTreeMap::<_, Vec<&Record>>::new();
        for record in records {
            match record.verdict {
                Verdict::Duplicate => it.counts.duplicated += 1,
                _ => flows.entry((&record.sender, &record.receiver)).or_default().push(record),
            }
        }
        for flow in flows.into_values() {
            it.add_flow(flow);
        }
        it.latencies.sort_unstable();
        it.holds.sort_unstable();
        it.server_holds.iter_mut().for_each(|it| it.sort_unstable());
        it
    }

    fn add_flow(&mut self, mut flow: Vec<&Record>) {
        let counts = &mut self.counts;
        let rows = flow.len();
        flow.retain(|it| !it.is_unsaid());
        counts.unsaid += (rows - flow.len()) as u64;
        counts.sent += flow.len() as u64;
        flow.sort_by_key(|it| it.id);
        for run in flow.chunk_by(|a, b| a.verdict == b.verdict && b.id - a.id <= 1) {
            if run[0].verdict == Verdict::Lost {
                counts.lost += run.len() as u64;
                counts.loss_runs += 1;
                counts.loss_run_max = counts.loss_run_max.max(run.len() as u64);
            }
        }
        flow.retain(|it| it.verdict == Verdict::Delivered);
        counts.delivered += flow.len() as u64;
        for record in &flow {
            let Some(delivered) = record.delivered_us else { continue };
            self.latencies.push(delivered.saturating_sub(record.intended_us));
            let held = delivered.saturating_sub(record.arrived_us.unwrap_or(delivered));
            if held >= HELD_FROM_US {
                self.holds.push(held);
            }
            if let Some(held) = record.server_held_us {
                let holds = self.server_holds.get_or_insert_default();
                holds.extend(Some(held).filter(|it| *it >= HELD_FROM_US));
            }
        }
        // Deliveries in the same microsecond count in the order of their numbers, not of their
        // rows.
        flow.sort_by_key(|it| (it.delivered_us, it.id));
        let mut next = 0;
        for record in &flow {
            counts.reordered += u64::from(record.id < next);
            next = next.max(record.id.saturating_add(1));
        }
        self.add_jitter(flow);
    }

    /// RFC 3550 §6.4.1: "in order of arrival (not necessarily in sequence)".
    fn add_jitter(&mut self, mut flow: Vec<&Record>) {
        flow.sort_by_key(|it| (it.arrived_us, it.id));
        let transits =
            flow.iter().filter_map(|it| Some(it.arrived_us? as f64 - it.sent_us? as f64));
        let (mut last, mut estimate) = (None, 0.0);
        for transit in transits {
            if let Some(last) = last {
                let difference: f64 = transit - last;
                estimate += (difference.abs() - estimate) / 16.0;
                self.jitter_sum += estimate;
                self.jitter_pairs += 1;
            }
            last = Some(transit);
        }
    }

    /// Merges the measurements of another run of the same condition.
    pub fn merge(&mut self, other: &Self) {
        let (mine, its) = (&mut self.counts, &other.counts);
        mine.sent += its.sent;
        mine.unsaid += its.unsaid;
        mine.delivered += its.delivered;
        mine.lost += its.lost;
        mine.duplicated += its.duplicated;
        mine.reordered += its.reordered;
        mine.loss_runs += its.loss_runs;
        mine.loss_run_max = mine.loss_run_max.max(its.loss_run_max);
        mine.retransmitted = sum(mine.retransmitted, its.retransmitted);
        mine.redundant = sum(mine.redundant, its.redundant);
        mine.faults = match (mine.faults, its.faults) {
            (Some(a), Some(b)) => Some(a.add(b)),
            (a, b) => a.or(b),
        };
        self.latencies.extend_from_slice(&other.latencies);
        self.latencies.sort_unstable();
        self.holds.extend_from_slice(&other.holds);
        self.holds.sort_unstable();
        if let Some(holds) = &other.server_holds {
            let mine = self.server_holds.get_or_insert_default();
            mine.extend_from_slice(holds);
            mine.sort_unstable();
        }
        self.jitter_sum += other.jitter_sum;
        self.jitter_pairs += other.jitter_pairs;
        self.wire_bytes = self.wire_bytes.saturating_add(other.wire_bytes);
        self.text_bytes = self.text_bytes.saturating_add(other.text_bytes);
    }

    /// The statistics.
    pub fn summary(&self) -> Summary {
        let ms = |percent| nearest_rank(&self.latencies, percent).map(to_ms);
        Summary {
            p50_ms: ms(50),
            p95_ms: ms(95),
            p99_ms: ms(99),
            max_ms: ms(100),
            jitter_ms: (self.jitter_pairs > 0)
                .then(|| self.jitter_sum / self.jitter_pairs as f64 / 1e3),
            held: self.holds.len() as u64,
            hold_p99_ms: nearest_rank(&self.holds, 99).map(to_ms),
            server_held: self.server_holds.as_ref().map(|it| it.len() as u64),
            server_hold_p99_ms: nearest_rank(self.server_holds.as_deref().unwrap_or(&[]), 99)
                .map(to_ms),
            wire_per_text: share(self.wire_bytes, self.text_bytes).filter(|it| *it > 0.0),
            ..self.counts.clone()
        }
    }

    /// Returns true if so few messages were delivered that fewer than five lie above the 99th
    /// percentile.
    #[must_use]
    pub fn has_few(&self) -> bool {
        self.latencies.len() < FEW
    }

    /// All latencies, in microseconds, ascending.
    #[must_use]
    pub fn latencies(&self) -> &[u64] {
        &self.latencies
    }

    /// The time in milliseconds within which this percentage of the *sent* messages was delivered;
    /// `None` if too many were lost.
    pub fn within(&self, percent: u64) -> Option<f64> {
        let rank = usize::try_from((self.counts.sent * percent).div_ceil(100)).ok()?;
        self.latencies.get(rank.checked_sub(1)?).copied().map(to_ms)
    }
}

fn to_ms(micros: u64) -> f64 {
    micros as f64 / 1e3
}

/// A share in whole billionths as a percentage: 0.07 is 7, not 7.000000000000001.
#[must_use]
pub fn percent(share: f64) -> f64 {
    (share * 1e9).round() / 1e7
}

/// All repetitions of one mode under one setting.
#[derive(Clone, Debug)]
pub struct Group {
    /// The shared parameters.
    pub setting: Setting,
    /// The condition, and every other parameter in which the settings differ.
    pub title: String,
    /// The mode and its settings.
    pub variant: Variant,
    /// Indices into the grouped list of runs, by repetition.
    pub runs: Vec<usize>,
    /// The merged measurements of all repetitions.
    pub measured: Measured,
    /// Number of repetitions that the machine spoiled.
    pub tainted: usize,
    /// Their statistics.
    pub summary: Summary,
    /// The share delivered, over repetitions.
    pub delivery: Option<Estimate>,
    /// The 99th percentile of latency in milliseconds, over repetitions.
    pub p99_ms: Option<Estimate>,
}

impl Group {
    /// The figures with intervals, and their names.
    #[must_use]
    pub fn figures(&self) -> [(&'static str, Option<&Estimate>); 2] {
        [("share delivered", self.delivery.as_ref()), ("p99", self.p99_ms.as_ref())]
    }

    /// Returns true if the interval of each figure is at most that wide. A figure without a value,
    /// such as the latency of nothing, has no interval to be narrow.
    #[must_use]
    pub fn is_within(&self, percent: f64) -> bool {
        self.figures().iter().filter_map(|it| it.1).all(|it| it.is_within(percent))
    }
}

/// Groups runs by setting and variant, in the order of both.
#[must_use]
pub fn group(runs: &[(&RunInfo, &Measured)]) -> Vec<Group> {
    let taints = taints(runs);
    let mut keys: Vec<(Setting, Variant, Vec<usize>)> = vec![];
    for (at, (info, _)) in runs.iter().enumerate() {
        let (setting, variant) = (Setting::of(info), Variant::of(info));
        match keys.iter_mut().find(|it| it.0 == setting && it.1 == variant) {
            Some(known) => known.2.push(at),
            None => keys.push((setting, variant, vec![at])),
        }
    }
    keys.sort_by(|a, b| {
        let modes = || a.1.mode.order().cmp(&b.1.mode.order());
        a.0.order(&b.0).then_with(modes).then_with(|| a.1.cmp(&b.1))
    });
    let settings: Vec<Setting> = keys.iter().map(|it| it.0.clone()).collect();
    let differing = Differing::among(&settings);
    let summed = keys.into_iter().map(|(setting, variant, mut members)| {
        members.sort_by_key(|&at| (runs[at].0.repetition, at));
        let mut measured = Measured::default();
        let (mut deliveries, mut p99s) = (vec![], vec![]);
        for &at in &members {
            let summary = runs[at].1.summary();
            deliveries.extend(summary.delivery());
            p99s.extend(summary.p99_ms);
            measured.merge(runs[at].1);
        }
        let (delivery, p99_ms) = (Estimate::of(&deliveries), Estimate::of(&p99s));
        let summary = measured.summary();
        let title = setting.title(&differing);
        let tainted = members.iter().filter(|&&at| !taints[at].is_empty()).count();
        Group {
            setting,
            title,
            variant,
            runs: members,
            measured,
            tainted,
            summary,
            delivery,
            p99_ms,
        }
    });
    summed.collect()
}
