//! The ladder diagram: each message is a line from its intended time (top) to its delivery
//! (bottom). A lost message is a short stub with a cross. Messages held behind another form a fan.

use super::Finished;
use super::svg::{Plot, Svg, WIDTH, step};
use super::text::{class, count, label, ms};
use crate::lab::record::{Mode, Record, Verdict};
use crate::lab::variant::Variant;
use crate::percentile::nearest_rank;
use std::fmt::Write;

/// Limits on the part of a run that is drawn: microseconds and messages.
const WINDOW_US: u64 = 1_500_000;
const MAX_MESSAGES: f64 = 150.0;
/// Windows start at multiples of this, microseconds.
const GRID_US: u64 = 50_000;
/// Deliveries at most this far apart count as one burst, microseconds.
const BURST_US: u64 = 2_000;

/// One flow of a run.
struct Flow {
    variant: Variant,
    /// Intended and delivered time since the run's first message, ordered.
    messages: Vec<(u64, Option<u64>)>,
    median_us: u64,
}

impl Flow {
    fn new(run: &Finished) -> Option<Self> {
        let said = |it: &&Record| it.verdict != Verdict::Duplicate && !it.is_unsaid();
        let rows = || run.records.iter().filter(said);
        let start = rows().map(|it| it.intended_us).min()?;
        let (sender, receiver) = rows().map(|it| (&it.sender, &it.receiver)).min()?;
        let mut messages: Vec<_> = rows()
            .filter(|it| (&it.sender, &it.receiver) == (sender, receiver))
            .map(|it| (it.intended_us - start, it.delivered_us.map(|t| t.saturating_sub(start))))
            .collect();
        messages.sort_unstable();
        let mut latencies: Vec<_> =
            messages.iter().filter_map(|it| Some(it.1?.saturating_sub(it.0))).collect();
        latencies.sort_unstable();
        let median_us = nearest_rank(&latencies, 50).unwrap_or(0);
        Some(Self { variant: Variant::of(&run.info), messages, median_us })
    }

    /// Returns true for a message that is lost or much later than the median.
    fn is_lost_or_late(&self, (said, shown): (u64, Option<u64>)) -> bool {
        let on_time = self.median_us.saturating_add(self.median_us / 2 + 5_000);
        shown.is_none_or(|shown| shown.saturating_sub(said) > on_time)
    }

    fn within(&self, (from, to): (u64, u64)) -> &[(u64, Option<u64>)] {
        let at = |moment| self.messages.partition_point(|it| it.0 < moment);
        &self.messages[at(from)..at(to)]
    }

    fn sentence(&self, window: (u64, u64)) -> String {
        let messages = self.within(window);
        let name = label(&self.variant);
        if messages.is_empty() {
            return format!("{name} sent nothing.");
        }
        let lost = messages.iter().filter(|it| it.1.is_none()).count();
        let late =
            messages.iter().filter(|it| it.1.is_some() && self.is_lost_or_late(**it)).count();
        let latest = messages.iter().filter_map(|it| Some(it.1?.saturating_sub(it.0))).max();
        let Some(latest) = latest.map(|it| ms(it as f64 / 1e3)) else {
            return format!("{name} lost all {}.", messages.len());
        };
        let mut text = match lost {
            0 => format!("{name} lost none of {}", messages.len()),
            _ => format!("{name} lost {lost} of {}", messages.len()),
        };
        if late == 0 {
            return text
                + &format!(
                    " and delivered {} within {latest}.",
                    if lost == 0 { "all" } else { "the rest" }
                );
        }
        text += &format!(" and delivered {late} late, the slowest after {latest}");
        let largest_burst = self.largest_burst(messages);
        if largest_burst >= 3 {
            text += &format!("; {largest_burst} of them arrived in one burst");
            if matches!(self.variant.mode, Mode::ReliableOrdered | Mode::Tcp) {
                text += ", held behind a lost message (head-of-line blocking)";
            }
        }
        text + "."
    }

    /// The largest number of late messages delivered in one burst.
    fn largest_burst(&self, messages: &[(u64, Option<u64>)]) -> usize {
        let late = messages.iter().filter(|it| self.is_lost_or_late(**it));
        let mut shown: Vec<u64> = late.filter_map(|it| it.1).collect();
        shown.sort_unstable();
        shown.chunk_by(|a, b| b - a <= BURST_US).map(<[u64]>::len).max().unwrap_or(0)
    }

    fn draw(&self, svg: &mut Svg, plot: &Plot, window: (u64, u64)) {
        let (mut on_time, mut late, mut lost, mut crosses) =
            (String::new(), String::new(), String::new(), String::new());
        let height = plot.bottom - plot.top;
        for &message in self.within(window) {
            let from = (message.0 - window.0) as f64;
            let x1 = plot.at_x(from);
            let Some(shown) = message.1 else {
                let (x, y) =
                    (plot.at_x(from + self.median_us as f64 * 0.3), plot.top + height * 0.3);
                let _ = write!(lost, "M{x1:.1} {:.1}L{x:.1} {y:.1}", plot.top);
                let _ = write!(crosses, "M{:.1} {:.1}l8 8m0 -8l-8 8", x - 4.0, y - 4.0);
                continue;
            };
            // Clip a line at the plot's edge without changing its slope.
            let to = shown.saturating_sub(window.0) as f64;
            let part = if to > plot.x.1 { (plot.x.1 - from) / (to - from) } else { 1.0 };
            let path = if self.is_lost_or_late(message) { &mut late } else { &mut on_time };
            let (x2, y2) = (plot.at_x(to), plot.top + height * part);
            let _ = write!(path, "M{x1:.1} {:.1}L{x2:.1} {y2:.1}", plot.top);
        }
        let colour = class(&self.variant);
        svg.path(&format!("l faint {colour}"), &on_time);
        svg.path(&format!("l {colour}"), &lost);
        svg.path(&format!("l {colour}"), &late);
        svg.path("x", &crosses);
    }
}

/// The ladder of these runs, one per mode; empty if none of them has a message.
pub(super) fn figure(runs: &[&Finished]) -> String {
    const ROW: f64 = 72.0;
    const GAP: f64 = 30.0;
    let flows: Vec<Flow> = runs.iter().copied().filter_map(Flow::new).collect();
    if flows.is_empty() {
        return String::new();
    }
    let rate = runs.iter().map(|it| it.info.rate).fold(0.0, f64::max);
    let length =
        if rate > 0.0 { WINDOW_US.min((MAX_MESSAGES / rate * 1e6) as u64) } else { WINDOW_US };
    let window = worst_window(&flows, length.max(1_000));
    let length = (window.1 - window.0) as f64;
    let overhang = flows.iter().flat_map(|it| it.within(window)).filter_map(|it| it.1);
    let end = overhang.map(|it| it.saturating_sub(window.0) as f64).fold(length, f64::max);
    let end = end.min(length * 2.0);
    let seconds = |micros: f64| format!("{} s", (micros / 1e4).round() / 100.0);
    let repetition = runs.first().map_or(1, |it| it.info.repetition);
    let title = format!(
        "{} of repetition {repetition}, from {} on: each line a message, intended (top) to \
         delivered (bottom)",
        seconds(length),
        seconds(window.0 as f64)
    );
    let height = 40.0 + flows.len() as f64 * (ROW + GAP) + 44.0;
    let mut svg = Svg::new(height, &title);
    let mut plot =
        Plot { left: 8.0, right: WIDTH - 8.0, top: 0.0, bottom: 0.0, x: (0.0, end), y: (0.0, 1.0) };
    for (at, flow) in flows.iter().enumerate() {
        plot.top = 40.0 + at as f64 * (ROW + GAP) + 18.0;
        plot.bottom = plot.top + ROW;
        let messages = flow.within(window);
        let lost = messages.iter().filter(|it| it.1.is_none()).count();
        let name =
            format!("{}: {}, {lost} lost", label(&flow.variant), count(messages.len(), "message"));
        svg.text((plot.left, plot.top - 6.0), &class(&flow.variant), "start", &name);
        for y in [plot.top, plot.bottom] {
            svg.line("g", (plot.left, y), (plot.right, y));
        }
        flow.draw(&mut svg, &plot, window);
    }
    let tick = step(end, 8.0);
    for at in 0..=(end / tick) as u32 {
        let at = f64::from(at) * tick;
        let x = plot.at_x(at).clamp(plot.left + 8.0, plot.right - 18.0);
        svg.text((x, plot.bottom + 20.0), "", "middle", &format!("{}", (at / 1e3).round()));
    }
    plot.name_x(&mut svg, "time in milliseconds");
    let sentences: Vec<_> = flows.iter().map(|it| it.sentence(window)).collect();
    svg.figure(&format!("Here {}", sentences.join(" ")))
}

/// The first window of this length with the most lost or late messages over all flows.
fn worst_window(flows: &[Flow], length: u64) -> (u64, u64) {
    let mut moments: Vec<u64> = flows
        .iter()
        .flat_map(|flow| flow.messages.iter().filter(|it| flow.is_lost_or_late(**it)))
        .map(|it| it.0)
        .collect();
    moments.sort_unstable();
    let before = |moment| moments.partition_point(|it| *it < moment);
    let last = flows.iter().filter_map(|it| it.messages.last()).map(|it| it.0).max().unwrap_or(0);
    // Start on the grid, a little before a lost or late message, and early enough to fill the
    // window.
    let latest = last.saturating_sub(length).div_ceil(GRID_US).saturating_mul(GRID_US);
    let starts =
        moments.iter().map(|it| (it.saturating_sub(length / 8) / GRID_US * GRID_US).min(latest));
    let best = starts.max_by_key(|&start| {
        (before(start.saturating_add(length)) - before(start), u64::MAX - start)
    });
    let start = best.unwrap_or(0);
    (start, start.saturating_add(length))
}
