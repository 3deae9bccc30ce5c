//! Plots of delivery over time and of a statistic against loss.

use super::svg::{Plot, Svg, WIDTH, floor, step};
use super::text::{class, label, list, ms, percent};
use crate::lab::metrics::{self, Estimate, Group};
use std::fmt::Write;

/// Width of a label's characters in bold, on average.
const CHARACTER: f64 = 8.1;
/// Room for `100 %` beside the vertical axis at 16 pixels, in a font as wide as DejaVu Sans.
const LEFT: f64 = 66.0;

/// The right edge of a plot, which leaves space for the labels: at least for those of the modes.
fn right(groups: &[&Group]) -> f64 {
    let lengths = groups.iter().map(|it| label(&it.variant).chars().count());
    let longest = lengths.max().unwrap_or(0) as f64 * CHARACTER;
    WIDTH - (longest + 8.0).clamp(186.0, 300.0)
}

/// The share of *sent* messages delivered within t.
pub(super) fn within(groups: &[&Group]) -> String {
    let sent: Vec<_> = groups.iter().filter(|it| it.summary.sent > 0).collect();
    let latencies = || sent.iter().flat_map(|it| it.measured.latencies().iter().copied());
    let (Some(least), Some(most)) = (latencies().min(), latencies().max()) else {
        return "<p>No message was delivered, so there is no latency to draw.</p>\n".into();
    };
    // A logarithmic axis has no 0: draw less than 0.1 ms at 0.1 ms.
    let log = |micros: f64| micros.max(100.0).log10();
    let ceilings = sent.iter().filter_map(|it| it.summary.delivery());
    let bottom = floor(ceilings.fold(1.0, f64::min));
    let mut svg = Svg::new(310.0, "Share of all messages sent that were delivered within t");
    let plot = Plot {
        left: LEFT,
        right: right(groups),
        top: 36.0,
        bottom: 256.0,
        // Show at least about a decade, so that a few microseconds do not look large.
        x: (log(least as f64 * 0.8), log((most as f64 * 1.25).max(least as f64 * 8.0))),
        y: (bottom, 1.0),
    };
    for tick in 0..=5 {
        let share = bottom + (1.0 - bottom) * f64::from(tick) / 5.0;
        plot.tick_y(&mut svg, share, &format!("{} %", metrics::percent(share).round()));
    }
    log_ticks(&mut svg, &plot);
    plot.name_x(&mut svg, "latency t in milliseconds, logarithmic");
    let mut labels = vec![];
    for group in &sent {
        let (mut path, mut previous, mut end) = (String::new(), f64::MIN, plot.bottom);
        let all = group.measured.latencies();
        for (rank, micros) in (1..).zip(all) {
            let x = plot.at_x(log(*micros as f64));
            let share = f64::from(rank) / group.summary.sent as f64;
            if share < bottom {
                continue;
            }
            if path.is_empty() {
                let _ = write!(path, "M{x:.1} {:.1}", plot.bottom);
            }
            // One step per half pixel: more would not be visible.
            if x - previous >= 0.5 || rank as usize == all.len() {
                end = plot.at_y(share);
                let _ = write!(path, "H{x:.1}V{end:.1}");
                previous = x;
            }
        }
        if !path.is_empty() {
            let _ = write!(path, "H{:.1}", plot.right);
        }
        svg.path(&format!("l thick {}", class(&group.variant)), &path);
        labels.push((end, class(&group.variant), label(&group.variant)));
    }
    plot.labels(&mut svg, labels);
    svg.figure(&within_sentence(&sent))
}

fn log_ticks(svg: &mut Svg, plot: &Plot) {
    let decades = plot.x.1 - plot.x.0;
    let factors: &[u32] = if decades > 2.5 { &[1] } else { &[1, 2, 5] };
    let mut previous = f64::MIN;
    for power in 2..=10 {
        for &factor in factors {
            let micros = f64::from(factor) * 10_f64.powi(power);
            let at = micros.log10();
            if at >= plot.x.0 && at <= plot.x.1 && plot.at_x(at) - previous > 26.0 {
                previous = plot.at_x(at);
                plot.tick_x(svg, at, &format!("{}", micros / 1e3));
            }
        }
    }
}

fn within_sentence(groups: &[&&Group]) -> String {
    let (mut reached, mut stopped) = (vec![], vec![]);
    for it in groups {
        let name = label(&it.variant);
        match (it.measured.within(99), it.summary.delivery()) {
            (Some(at), _) => reached.push(format!("{} over {name}", ms(at))),
            (None, share) => {
                stopped.push(format!("{name} ends at {}", percent(share.unwrap_or(0.0))));
            }
        }
    }
    let mut text = String::new();
    if !reached.is_empty() {
        text = format!("99 % of what was sent was delivered within {}.", list(&reached));
    }
    if !stopped.is_empty() {
        if !text.is_empty() {
            text.push(' ');
        }
        text += &format!("{}: the rest was lost.", list(&stopped));
    }
    text
}

/// A statistic with an interval over repetitions.
pub(super) enum Measure {
    /// The share delivered.
    Delivery,
    /// The 99th percentile of latency.
    P99,
}

impl Measure {
    fn of<'a>(&self, group: &'a Group) -> Option<&'a Estimate> {
        match self {
            Self::Delivery => group.delivery.as_ref(),
            Self::P99 => group.p99_ms.as_ref(),
        }
    }

    fn show(&self, value: f64) -> String {
        match self {
            Self::Delivery => percent(value),
            Self::P99 => ms(value),
        }
    }
}

/// Plots a statistic against loss, for groups that differ only in loss and mode.
pub(super) fn against_loss(groups: &[&Group], measure: &Measure) -> String {
    let points: Vec<(f64, &Group, &Estimate)> = groups
        .iter()
        .filter_map(|it| Some((it.setting.condition?.loss, *it, measure.of(it)?)))
        .collect();
    let mut losses: Vec<f64> = points.iter().map(|it| it.0).collect();
    losses.sort_by(f64::total_cmp);
    losses.dedup();
    let (Some(&least), Some(&most)) = (losses.first(), losses.last()) else {
        return String::new();
    };
    let low = |it: &Estimate| it.values.iter().copied().fold(f64::MAX, f64::min);
    let high = |it: &Estimate| it.values.iter().copied().fold(0.0, f64::max);
    let (title, y) = match measure {
        Measure::P99 => {
            let top = points.iter().map(|it| high(it.2)).fold(1.0, f64::max);
            ("99th percentile of latency, in milliseconds, against loss", (0.0, top * 1.05))
        }
        Measure::Delivery => {
            let lowest = points.iter().map(|it| low(it.2)).fold(1.0, f64::min);
            ("Share of messages delivered, against loss", (floor(lowest), 1.0))
        }
    };
    let mut svg = Svg::new(290.0, title);
    let plot =
        Plot { left: LEFT, right: right(groups), top: 36.0, bottom: 236.0, x: (least, most), y };
    let tick = step(y.1 - y.0, 5.0);
    for at in 0..=((y.1 - y.0) / tick + 1e-6) as u32 {
        let at = y.0 + f64::from(at) * tick;
        let text = match measure {
            Measure::P99 => format!("{}", metrics::percent(at / 100.0)),
            Measure::Delivery => format!("{} %", metrics::percent(at)),
        };
        plot.tick_y(&mut svg, at, &text);
    }
    let mut previous = f64::MIN;
    for &loss in losses.iter().filter(|_| least < most) {
        if plot.at_x(loss) - previous > 30.0 {
            previous = plot.at_x(loss);
            plot.tick_x(&mut svg, loss, &format!("{} %", metrics::percent(loss)));
        }
    }
    plot.name_x(&mut svg, "share of packets lost, each way");
    let (mut labels, mut changes) = (vec![], vec![]);
    let mut variants: Vec<_> = points.iter().map(|it| &it.1.variant).collect();
    variants.sort_by_key(|it| (it.mode.order(), it.redundancy, it.control));
    variants.dedup();
    for variant in variants {
        let colour = &class(variant);
        let mut path = String::new();
        let mut own: Vec<_> = points.iter().filter(|it| it.1.variant == *variant).collect();
        own.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (loss, _, estimate) in &own {
            let (x, at) = (plot.at_x(*loss), plot.at_y(estimate.median));
            let _ = write!(path, "{}{x:.1} {at:.1}", if path.is_empty() { 'M' } else { 'L' });
            svg.dot(colour, (x, at));
            // At the right edge the other side has the labels.
            let beside = if *loss < most { 9.0 } else { -9.0 };
            for value in &estimate.values {
                svg.small_dot(colour, (x + beside, plot.at_y(*value)));
            }
            if let Some(interval) = estimate.interval {
                let [top, bottom] = [interval.high, interval.low].map(|it| plot.at_y(it));
                let bar = format!(
                    "M{x:.1} {top:.1}V{bottom:.1}M{:.1} {top:.1}h8M{:.1} {bottom:.1}h8",
                    x - 4.0,
                    x - 4.0
                );
                svg.path(&format!("l {colour}"), &bar);
            }
        }
        svg.path(&format!("l thick {colour}"), &path);
        if let (Some(first), Some(last)) = (own.first(), own.last()) {
            labels.push((plot.at_y(last.2.median), colour.clone(), label(variant)));
            let [from, to] = [first, last].map(|it| measure.show(it.2.median));
            let change = if from == to {
                format!("stayed at {to}")
            } else {
                format!("went from {from} to {to}")
            };
            match changes.iter_mut().find(|it: &&mut (String, Vec<String>)| it.0 == change) {
                Some(same) => same.1.push(label(variant)),
                None => changes.push((change, vec![label(variant)])),
            }
        }
    }
    plot.labels(&mut svg, labels);
    let what = match measure {
        Measure::P99 => "the 99th percentile of latency",
        Measure::Delivery => "the share delivered",
    };
    let coverage = points.iter().filter_map(|it| Some(it.2.interval?.coverage)).reduce(f64::min);
    let bars = match coverage {
        Some(coverage) => format!(
            "Small points are repetitions, large ones their medians. Bars are intervals by order \
             statistics, which cover the median with {:.0} %.",
            coverage * 100.0
        ),
        None => "Small points are repetitions: too few for an interval.".to_owned(),
    };
    let changes: Vec<_> =
        changes.into_iter().map(|it| format!("{} over {}", it.0, list(&it.1))).collect();
    let changes = changes.join("; it ");
    let [least, most] = [least, most].map(metrics::percent);
    svg.figure(&format!("From {least} % to {most} % loss, {what} {changes}. {bars}"))
}
