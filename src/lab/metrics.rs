//! The statistics of a run and of a condition: rows in, numbers out, no files and no clock.
//!
//! | statistic | method |
//! |---|---|
//! | sent | messages × receivers: the rows that are not duplicates, without those unsaid |
//! | unsaid | lost and without `sent_us`: the sender's session had no room for the message before the run ended, so no network lost it |
//! | delivered, lost | of those; a share is always of *sent* |
//! | latency | `delivered_us - intended_us`, so a sender that stalls cannot hide it; percentiles by nearest rank: the value at rank ⌈p·n⌉ of the n delivered |
//! | reordered | type-P-reordered (RFC 4737 §3): in the order of delivery, a number below the next expected |
//! | jitter | RFC 3550 §6.4.1 from the first *pair* of arrivals of each flow; the mean of the estimates after each pair |
//! | held | delivered ≥ 1 ms after arrival: what head-of-line blocking in the receiver's session cost; the 99th percentile is of those held |
//! | loss runs | consecutive lost numbers of a flow: the loss periods of RFC 3357 §5 |
//! | bytes on the wire | what entered the emulated network, both ways; without one, what all peers' links sent and received |
//! | confidence | 95 %, Student t, over repetitions; none with one repetition |
//!
//! A flow is a sender and a receiver. All times of a run are on one monotonic clock, so a step of
//! the wall clock touches none of this.

use super::record::{Condition, Mode, Record, RunInfo, Verdict};
use serde::Serialize;
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// A message counts as held from this delay between its arrival and its delivery on: less is the
/// time that a loop takes, not ordering.
pub const HELD_FROM_US: u64 = 1_000;

/// The statistics of a run, or of all runs of a condition together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Messages × receivers.
    pub sent: u64,
    /// The same, of those that the sender's session did not take before the run ended.
    pub unsaid: u64,
    /// Of those, shown to the receiver's user.
    pub delivered: u64,
    /// Of those, never shown.
    pub lost: u64,
    /// Times a message was shown again.
    pub duplicated: u64,
    /// Messages shown after a later one (RFC 4737).
    pub reordered: u64,
    /// The median latency in milliseconds, by nearest rank; none when nothing was delivered.
    pub p50_ms: Option<f64>,
    /// The 95th percentile.
    pub p95_ms: Option<f64>,
    /// The 99th percentile.
    pub p99_ms: Option<f64>,
    /// The largest latency.
    pub max_ms: Option<f64>,
    /// The mean of RFC 3550's estimates, in milliseconds; none without a pair.
    pub jitter_ms: Option<f64>,
    /// Messages that ordering held back for 1 ms or more.
    pub held: u64,
    /// The 99th percentile of how long, in milliseconds.
    pub hold_p99_ms: Option<f64>,
    /// Runs of consecutive lost messages (RFC 3357).
    pub loss_runs: u64,
    /// The length of the longest, in messages.
    pub loss_run_max: u64,
    /// Messages sent again by the peers' links; none over TCP, where the kernel does that.
    pub retransmitted: Option<u64>,
    /// Bytes on the wire for each byte of text; none when either was not counted.
    pub wire_per_text: Option<f64>,
}

impl Summary {
    /// The share of messages delivered, 0 to 1; none when nothing was sent.
    pub fn delivery(&self) -> Option<f64> {
        share(self.delivered, self.sent)
    }

    /// The share of *delivered* messages that were held back, 0 to 1.
    pub fn held_share(&self) -> Option<f64> {
        share(self.held, self.delivered)
    }

    /// The mean length of a loss run, in messages.
    pub fn loss_run_mean(&self) -> Option<f64> {
        share(self.lost, self.loss_runs)
    }
}

/// A part of a whole; none of nothing.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// What a run measured, before it is summed up: several of them make a condition.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    counts: Summary,
    /// Sorted, in microseconds.
    latencies: Vec<u64>,
    holds: Vec<u64>,
    jitter_sum: f64,
    jitter_pairs: u64,
    wire_bytes: u64,
    text_bytes: u64,
}

impl Measured {
    /// Measures a run.
    pub fn new(records: &[Record], info: &RunInfo) -> Self {
        let mut it = Self { text_bytes: info.text_bytes, ..Self::default() };
        it.wire_bytes = match &info.network {
            Some(network) => network.up.bytes.saturating_add(network.down.bytes),
            None => info.links.sent_bytes.saturating_add(info.links.received_bytes),
        };
        it.counts.retransmitted = (info.mode != Mode::Tcp).then_some(info.links.retransmitted);
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
        }
        // Messages shown in the same microsecond are taken in the order of their numbers, whatever
        // the order of the rows.
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

    /// Adds another run of the same condition.
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
        mine.retransmitted = match (mine.retransmitted, its.retransmitted) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (a, b) => a.or(b),
        };
        self.latencies.extend_from_slice(&other.latencies);
        self.latencies.sort_unstable();
        self.holds.extend_from_slice(&other.holds);
        self.holds.sort_unstable();
        self.jitter_sum += other.jitter_sum;
        self.jitter_pairs += other.jitter_pairs;
        self.wire_bytes = self.wire_bytes.saturating_add(other.wire_bytes);
        self.text_bytes = self.text_bytes.saturating_add(other.text_bytes);
    }

    /// The numbers.
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
            wire_per_text: share(self.wire_bytes, self.text_bytes).filter(|it| *it > 0.0),
            ..self.counts.clone()
        }
    }

    /// All latencies in microseconds, ascending.
    pub fn latencies(&self) -> &[u64] {
        &self.latencies
    }

    /// After how many milliseconds this percentage of what was *sent* was there: never, if more
    /// than the rest was lost.
    pub fn within(&self, percent: u64) -> Option<f64> {
        let rank = usize::try_from((self.counts.sent * percent).div_ceil(100)).ok()?;
        self.latencies.get(rank.checked_sub(1)?).copied().map(to_ms)
    }
}

fn to_ms(micros: u64) -> f64 {
    micros as f64 / 1e3
}

/// The percentile of ascending values by nearest rank: the value at rank ⌈p·n/100⌉. It is always a
/// value that occurred.
pub fn nearest_rank(sorted: &[u64], percent: usize) -> Option<u64> {
    sorted.get((sorted.len() * percent).div_ceil(100).checked_sub(1)?).copied()
}

/// A mean over repetitions, and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Half the width of the 95 % confidence interval; none with one repetition.
    pub half: Option<f64>,
}

impl Estimate {
    /// The estimate from one value of each repetition; none without any.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        if values.is_empty() {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n;
        let half = (values.len() > 1).then(|| {
            let squares: f64 = values.iter().map(|it| (it - mean).powi(2)).sum();
            student_t(values.len() - 1) * (squares / (n - 1.0) / n).sqrt()
        });
        Some(Self { mean, half })
    }
}

/// The 97.5 % quantile of Student's t, which a two-sided 95 % interval takes.
pub fn student_t(degrees: usize) -> f64 {
    const TABLE: [f64; 30] = [
        12.706_205, 4.302_653, 3.182_446, 2.776_445, 2.570_582, 2.446_912, 2.364_624, 2.306_004,
        2.262_157, 2.228_139, 2.200_985, 2.178_813, 2.160_369, 2.144_787, 2.131_450, 2.119_905,
        2.109_816, 2.100_922, 2.093_024, 2.085_963, 2.079_614, 2.073_873, 2.068_658, 2.063_899,
        2.059_539, 2.055_529, 2.051_831, 2.048_407, 2.045_230, 2.042_272,
    ];
    match degrees.checked_sub(1) {
        None => f64::INFINITY,
        Some(at) if at < TABLE.len() => TABLE[at],
        Some(_) => {
            // Abramowitz and Stegun 26.7.5, good to six digits from 30 degrees on.
            let (z, n) = (1.959_963_985_f64, degrees as f64);
            let [z3, z5, z7] = [3, 5, 7].map(|power| z.powi(power));
            z + (z3 + z) / (4.0 * n)
                + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * n * n)
                + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * n * n * n)
        }
    }
}

/// What the repetitions of a condition have in common.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// The network; none when `load` met whatever there was.
    pub condition: Option<Condition>,
    /// The text of the impairment, where the condition does not say it.
    pub impair: Option<String>,
    /// How many peers spoke.
    pub senders: u32,
    /// How many listened.
    pub receivers: u32,
    /// Messages a second for each sender.
    pub rate: f64,
    /// Bytes of text in a message.
    pub size: u32,
}

impl Setting {
    /// The setting of a run.
    pub fn of(info: &RunInfo) -> Self {
        Self {
            condition: info.condition,
            impair: info.impair.clone().filter(|_| info.condition.is_none()),
            senders: info.senders,
            receivers: info.receivers,
            rate: info.rate,
            size: info.size,
        }
    }

    /// The condition in words.
    pub fn title(&self) -> String {
        let Some(it) = self.condition else {
            return self.impair.as_ref().map_or("as it was".into(), |it| format!("impaired: {it}"));
        };
        let mut title = format!("{} % loss, {} ms delay", percent(it.loss), it.delay_ms);
        if it.jitter_ms != 0.0 {
            title += &format!(", {} ms jitter", it.jitter_ms);
        }
        if it.burst > 1.0 {
            title += &format!(", bursts of {}", it.burst);
        }
        title
    }
}

/// A share as a percentage without the noise of binary fractions: 0.07 is 7, not 7.000000000000001.
pub fn percent(share: f64) -> f64 {
    (share * 1e6).round() / 1e4
}

/// One mode under one setting, over its repetitions.
#[derive(Clone, Debug)]
pub struct Group {
    /// What they have in common.
    pub setting: Setting,
    /// What carried the messages.
    pub mode: Mode,
    /// The indices of its runs in the list that was grouped, by repetition.
    pub runs: Vec<usize>,
    /// All repetitions together.
    pub measured: Measured,
    /// The same as numbers.
    pub summary: Summary,
    /// The share delivered, by repetition.
    pub delivery: Option<Estimate>,
    /// The 99th percentile of latency in milliseconds, by repetition.
    pub p99_ms: Option<Estimate>,
}

/// Groups the runs of each setting and mode, ordered by setting and then by mode.
pub fn group(runs: &[(&RunInfo, &Measured)]) -> Vec<Group> {
    let mut keys: Vec<(Setting, Mode, Vec<usize>)> = vec![];
    for (at, (info, _)) in runs.iter().enumerate() {
        let setting = Setting::of(info);
        match keys.iter_mut().find(|it| it.0 == setting && it.1 == info.mode) {
            Some(known) => known.2.push(at),
            None => keys.push((setting, info.mode, vec![at])),
        }
    }
    keys.sort_by(|a, b| compare(&a.0, &b.0).then_with(|| place(a.1).cmp(&place(b.1))));
    let summed = keys.into_iter().map(|(setting, mode, mut members)| {
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
        Group { setting, mode, runs: members, measured, summary, delivery, p99_ms }
    });
    summed.collect()
}

fn place(mode: Mode) -> usize {
    Mode::ALL.iter().position(|it| *it == mode).unwrap_or(0)
}

/// Any order will do, as long as it is one, and losses ascend.
fn compare(a: &Setting, b: &Setting) -> std::cmp::Ordering {
    let key = |it: &Setting| {
        let c = it.condition.unwrap_or_default();
        [c.delay_ms, c.jitter_ms, c.burst, it.rate, it.size.into(), it.senders.into(), c.loss]
    };
    let order = key(a).into_iter().zip(key(b)).map(|(a, b)| a.total_cmp(&b));
    order
        .fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
        .then_with(|| a.impair.cmp(&b.impair))
}
