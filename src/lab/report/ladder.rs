//! The ladder diagram: each message is a line from its intended time (top) to its delivery
//! (bottom). A lost message is a short stub with a cross. Messages held behind another form a fan.

use super::Finished;
use super::packets::{self, Followed, Packets, Row};
use super::svg::{Plot, Svg, WIDTH, step};
use super::text::{class, count, label, list, ms};
use crate::lab::record::{Record, Verdict};
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
/// Limit on the rows of a flow in the table of packets.
const MAX_ROWS: usize = 40;

/// A message of a flow. Times are microseconds since the run's first message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Message {
    intended: u64,
    delivered: Option<u64>,
    id: u64,
    packets: Packets,
}

impl Message {
    fn new(record: &Record, start: u64, capture: Option<&Followed>) -> Self {
        Self {
            intended: record.intended_us - start,
            delivered: record.delivered_us.map(|it| it.saturating_sub(start)),
            id: record.id,
            packets: Packets::of(record, capture),
        }
    }

    fn latency(&self) -> Option<u64> {
        Some(self.delivered?.saturating_sub(self.intended))
    }

    fn sentence(&self) -> String {
        let took = match self.latency() {
            Some(latency) => format!("took {}", ms(latency as f64 / 1e3)),
            None => "lost".into(),
        };
        format!("message {}: {took}{}", self.id, self.packets.sentence())
    }
}

/// One flow of a run.
struct Flow {
    variant: Variant,
    /// In the order of their intended times.
    messages: Vec<Message>,
    median_us: u64,
    capture: Option<Followed>,
}

impl Flow {
    fn new(run: &Finished) -> Option<Self> {
        let said = |it: &&Record| it.verdict != Verdict::Duplicate && !it.is_unsaid();
        let rows = || run.records.iter().filter(said);
        let start = rows().map(|it| it.intended_us).min()?;
        let (sender, receiver) = rows().map(|it| (&it.sender, &it.receiver)).min()?;
        let capture = Followed::read(run);
        let mut messages: Vec<_> = rows()
            .filter(|it| (&it.sender, &it.receiver) == (sender, receiver))
            .map(|it| Message::new(it, start, capture.as_ref()))
            .collect();
        messages.sort_unstable();
        let mut latencies: Vec<_> = messages.iter().filter_map(Message::latency).collect();
        latencies.sort_unstable();
        let median_us = nearest_rank(&latencies, 50).unwrap_or(0);
        Some(Self { variant: Variant::of(&run.info), messages, median_us, capture })
    }

    /// Returns true for a message that is lost or much later than the median.
    fn is_lost_or_late(&self, message: &Message) -> bool {
        let on_time = self.median_us.saturating_add(self.median_us / 2 + 5_000);
        message.latency().is_none_or(|latency| latency > on_time)
    }

    fn within(&self, (from, to): (u64, u64)) -> &[Message] {
        let at = |moment| self.messages.partition_point(|it| it.intended < moment);
        &self.messages[at(from)..at(to)]
    }

    fn sentence(&self, window: (u64, u64)) -> String {
        let messages = self.within(window);
        let name = label(&self.variant);
        if messages.is_empty() {
            return format!("{name} sent nothing.");
        }
        let lost = messages.iter().filter(|it| it.delivered.is_none()).count();
        let late: Vec<_> = self.late(messages).collect();
        let latest = messages.iter().filter_map(Message::latency).max();
        let Some(latest) = latest.map(|it| ms(it as f64 / 1e3)) else {
            return format!("{name} lost all {}.", messages.len());
        };
        let mut text = match lost {
            0 => format!("{name} lost none of {}", messages.len()),
            _ => format!("{name} lost {lost} of {}", messages.len()),
        };
        if late.is_empty() {
            return text
                + &format!(
                    " and delivered {} within {latest}.",
                    if lost == 0 { "all" } else { "the rest" }
                );
        }
        text += &format!(" and delivered {} late, the slowest after {latest}", late.len());
        let waited = |place: usize| late.iter().filter(|it| it.packets.waited[place]).count();
        let both = late.iter().filter(|it| it.packets.waited.contains(&true)).count();
        let largest_burst = largest_burst(&late);
        if both > 0 {
            let places = [(waited(0), "at the server"), (waited(1), "at the reader")];
            let places =
                places.iter().filter(|it| it.0 > 0).map(|(n, place)| format!("{n} {place}"));
            text += &format!(
                "; {both} of them waited for an earlier one (head-of-line blocking), {}",
                list(&places.collect::<Vec<_>>())
            );
        } else if largest_burst >= 3 {
            text += &format!("; {largest_burst} of them arrived together");
        }
        text + "."
    }

    /// The messages that were delivered late.
    fn late<'a>(&'a self, messages: &'a [Message]) -> impl Iterator<Item = &'a Message> {
        messages.iter().filter(|it| it.delivered.is_some() && self.is_lost_or_late(it))
    }

    /// The lost and late messages, for the table of packets.
    fn rows(&self, window: (u64, u64)) -> impl Iterator<Item = Row<'_>> {
        let messages = self.within(window).iter().filter(|it| self.is_lost_or_late(it));
        messages.take(MAX_ROWS).map(move |it| Row {
            class: class(&self.variant),
            mode: label(&self.variant),
            id: it.id,
            due: (it.intended - window.0) as f64 / 1e3,
            took: it.latency().map(|latency| latency as f64 / 1e3),
            packets: &it.packets,
        })
    }

    fn draw(&self, svg: &mut Svg, plot: &Plot, window: (u64, u64)) {
        let (mut on_time, mut late, mut lost, mut crosses) =
            (String::new(), String::new(), String::new(), String::new());
        let mut all = Vec::new();
        let height = plot.bottom - plot.top;
        for message in self.within(window) {
            let from = (message.intended - window.0) as f64;
            let x1 = plot.at_x(from);
            let (path, x2, y2) = match message.delivered {
                None => {
                    let (x, y) =
                        (plot.at_x(from + self.median_us as f64 * 0.3), plot.top + height * 0.3);
                    let _ = write!(crosses, "M{:.1} {:.1}l8 8m0 -8l-8 8", x - 4.0, y - 4.0);
                    (&mut lost, x, y)
                }
                Some(delivered) => {
                    // Clip a line at the plot's edge without changing its slope.
                    let to = delivered.saturating_sub(window.0) as f64;
                    let part = if to > plot.x.1 { (plot.x.1 - from) / (to - from) } else { 1.0 };
                    let path = if self.is_lost_or_late(message) { &mut late } else { &mut on_time };
                    (path, plot.at_x(to), plot.top + height * part)
                }
            };
            let line = format!("M{x1:.1} {:.1}L{x2:.1} {y2:.1}", plot.top);
            path.push_str(&line);
            all.push((line, message.sentence()));
        }
        let colour = class(&self.variant);
        svg.path(&format!("l faint {colour}"), &on_time);
        svg.path(&format!("l {colour}"), &lost);
        svg.path(&format!("l {colour}"), &late);
        svg.path("x", &crosses);
        all.iter().for_each(|(line, sentence)| svg.tip(line, sentence));
    }
}

/// The largest number of messages delivered in one burst.
fn largest_burst(messages: &[&Message]) -> usize {
    let mut shown: Vec<u64> = messages.iter().filter_map(|it| it.delivered).collect();
    shown.sort_unstable();
    shown.chunk_by(|a, b| b - a <= BURST_US).map(<[u64]>::len).max().unwrap_or(0)
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
    let overhang = flows.iter().flat_map(|it| it.within(window)).filter_map(|it| it.delivered);
    let end = overhang.map(|it| it.saturating_sub(window.0) as f64).fold(length, f64::max);
    let end = end.min(length * 2.0);
    let seconds = |micros: f64| format!("{} s", (micros / 1e4).round() / 100.0);
    let repetition = runs.first().map_or(1, |it| it.info.repetition);
    let title = format!(
        "{} of repetition {repetition}, from {} on: messages, intended (top), delivered (bottom)",
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
        let lost = messages.iter().filter(|it| it.delivered.is_none()).count();
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
    let captures: Vec<_> =
        flows.iter().filter_map(|it| Some((label(&it.variant), it.capture.as_ref()?))).collect();
    let rows: Vec<_> = flows.iter().flat_map(|it| it.rows(window)).collect();
    svg.figure(&format!("Here {}", sentences.join(" "))) + &packets::table(&rows, &captures)
}

/// The first window of this length with the most lost or late messages over all flows.
fn worst_window(flows: &[Flow], length: u64) -> (u64, u64) {
    let mut moments: Vec<u64> = flows
        .iter()
        .flat_map(|flow| flow.messages.iter().filter(|it| flow.is_lost_or_late(it)))
        .map(|it| it.intended)
        .collect();
    moments.sort_unstable();
    let before = |moment| moments.partition_point(|it| *it < moment);
    let last =
        flows.iter().filter_map(|it| it.messages.last()).map(|it| it.intended).max().unwrap_or(0);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::record::Mode;
    use crate::lab::variant::Control;
    use crate::link::Copies;

    #[test]
    fn the_caption_counts_the_messages_that_waited() {
        let message = |id: u64, latency: Option<u64>, waited| Message {
            intended: id * 10_000,
            delivered: latency.map(|it| id * 10_000 + it),
            id,
            packets: Packets { waited, ..Packets::default() },
        };
        let neither = [false; 2];
        let sentence = |late: [(u64, [bool; 2]); 3]| {
            let mut messages: Vec<_> = (0..5).map(|id| message(id, Some(9_000), neither)).collect();
            messages.extend((5..).zip(late).map(|(id, (at, it))| message(id, Some(at), it)));
            messages.push(message(8, None, neither));
            let variant = Variant::new(Mode::Tcp, Copies::Auto, Control::Auto);
            Flow { variant, messages, median_us: 9_000, capture: None }.sentence((0, 90_000))
        };
        let late = "TCP lost 1 of 9 and delivered 3 late, the slowest after 60 ms";
        assert_eq!(
            sentence([(60_000, neither), (50_000, [false, true]), (40_000, [true, true])]),
            format!(
                "{late}; 2 of them waited for an earlier one (head-of-line blocking), \
                 1 at the server and 2 at the reader."
            )
        );
        // All three are delivered at the same moment.
        assert_eq!(
            sentence([(60_000, neither), (50_000, neither), (40_000, neither)]),
            format!("{late}; 3 of them arrived together.")
        );
        assert_eq!(
            sentence([(60_000, neither), (30_000, neither), (25_000, neither)]),
            format!("{late}.")
        );
    }
}
