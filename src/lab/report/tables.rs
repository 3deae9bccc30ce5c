//! `summary.csv`, `summary.json` and the table for the terminal.

use super::text::{label, ms, or_dash, percent};
use super::{Lab, LeftOut};
use crate::lab::metrics::{Estimate, Group, Setting, Summary, Taint};
use crate::lab::record::{Emulation, RunInfo, json_text};
use crate::lab::variant::Variant;
use crate::protocol::clean;
use serde::Serialize;
use std::io;

const COLUMNS: [&str; 55] = [
    "level",
    "name",
    "transport",
    "mode",
    "redundancy",
    "congestion_control",
    "loss",
    "delay_ms",
    "jitter_ms",
    "burst",
    "bandwidth",
    "queue",
    "impair",
    "senders",
    "receivers",
    "rate",
    "size",
    "duration_s",
    "emulation",
    "repetitions",
    "tainted",
    "sent",
    "delivered",
    "lost",
    "unsaid",
    "duplicated",
    "reordered",
    "delivery",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "max_ms",
    "arrival_jitter_ms",
    "held",
    "hold_p99_ms",
    "server_held",
    "server_hold_p99_ms",
    "loss_runs",
    "loss_run_mean",
    "loss_run_max",
    "retransmitted",
    "redundant",
    "wire_per_text",
    "fused",
    "cut",
    "crashed",
    "hung",
    "delivery_median",
    "delivery_low",
    "delivery_high",
    "p99_median_ms",
    "p99_low_ms",
    "p99_high_ms",
    "interval_coverage",
    "interval_width",
];

/// One row per run, and one per condition and mode. Shares are 0 to 1; a missing value is an empty
/// cell.
pub(super) fn csv(lab: &Lab) -> io::Result<Vec<u8>> {
    let mut out = csv::Writer::from_writer(vec![]);
    out.write_record(COLUMNS)?;
    for run in &lab.runs {
        let (setting, summary) = (Setting::of(&run.info), run.measured.summary());
        let variant = Variant::of(&run.info);
        let estimates = [summary.delivery(), summary.p99_ms].map(|it| Estimate::of(it.as_slice()));
        let estimates = estimates.each_ref().map(Option::as_ref);
        out.write_record(row(
            ("run", &run.name),
            &setting,
            &variant,
            (1, usize::from(!run.taints.is_empty())),
            &summary,
            estimates,
        ))?;
    }
    for it in &lab.groups {
        let (name, estimates) = (&it.title, [it.delivery.as_ref(), it.p99_ms.as_ref()]);
        let runs = (it.runs.len(), it.tainted);
        let name = ("condition", name.as_str());
        out.write_record(row(name, &it.setting, &it.variant, runs, &it.summary, estimates))?;
    }
    out.into_inner().map_err(|it| it.into_error())
}

fn row(
    (level, name): (&str, &str),
    setting: &Setting,
    variant: &Variant,
    (repetitions, tainted): (usize, usize),
    it: &Summary,
    estimates: [Option<&Estimate>; 2],
) -> Vec<String> {
    let condition = setting.condition;
    let of_condition =
        |what: fn(&crate::lab::record::Condition) -> f64| optional(condition.as_ref().map(what));
    let mut row = vec![
        level.to_owned(),
        name.to_owned(),
        variant.mode.transport().to_owned(),
        variant.mode.column().to_owned(),
        variant.redundancy.to_string(),
        variant.control.to_string(),
        of_condition(|it| it.loss),
        of_condition(|it| it.delay_ms),
        of_condition(|it| it.jitter_ms),
        of_condition(|it| it.burst),
        optional(condition.and_then(|it| it.bandwidth).map(|it| it as f64)),
        optional(condition.and_then(|it| it.queue).map(f64::from)),
        setting.impair.clone().unwrap_or_default(),
        setting.senders.to_string(),
        setting.receivers.to_string(),
        number(setting.rate),
        setting.size.to_string(),
        number(setting.duration_s),
        setting.emulation.map_or("", Emulation::name).to_owned(),
        repetitions.to_string(),
        tainted.to_string(),
        it.sent.to_string(),
        it.delivered.to_string(),
        it.lost.to_string(),
        it.unsaid.to_string(),
        it.duplicated.to_string(),
        it.reordered.to_string(),
        optional(it.delivery()),
        optional(it.p50_ms),
        optional(it.p95_ms),
        optional(it.p99_ms),
        optional(it.max_ms),
        optional(it.jitter_ms),
        it.held.to_string(),
        optional(it.hold_p99_ms),
        it.server_held.map(|it| it.to_string()).unwrap_or_default(),
        optional(it.server_hold_p99_ms),
        it.loss_runs.to_string(),
        optional(it.loss_run_mean()),
        it.loss_run_max.to_string(),
        it.retransmitted.map(|it| it.to_string()).unwrap_or_default(),
        it.redundant.map(|it| it.to_string()).unwrap_or_default(),
        optional(it.wire_per_text),
    ];
    let faults = it.faults.map(|it| [it.fused, it.cut, it.crashed, it.hung]);
    row.extend((0..4).map(|at| faults.map(|it| it[at].to_string()).unwrap_or_default()));
    // A run's files are untrusted: a spreadsheet or terminal must show them safely.
    row.iter_mut().for_each(|cell| *cell = safe(cell));
    let intervals = estimates.map(|it| it.and_then(|it| it.interval));
    for (estimate, interval) in estimates.iter().zip(intervals) {
        row.push(optional(estimate.map(|it| it.median)));
        row.push(optional(interval.map(|it| it.low)));
        row.push(optional(interval.map(|it| it.high)));
    }
    row.push(optional(intervals[0].map(|it| it.coverage)));
    let widths = estimates.into_iter().flatten().filter_map(Estimate::width);
    row.push(optional(widths.reduce(f64::max)));
    row
}

/// A cell without control characters, and with an apostrophe before a spreadsheet's formula. No
/// number of a row is negative.
pub(crate) fn safe(cell: &str) -> String {
    let formula = if cell.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    format!("{formula}{}", clean(cell))
}

fn optional(value: Option<f64>) -> String {
    value.map(number).unwrap_or_default()
}

/// Up to nine decimals, without trailing zeros.
fn number(value: f64) -> String {
    let text = format!("{value:.9}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[derive(Serialize)]
struct RunRow<'a> {
    name: &'a str,
    info: &'a RunInfo,
    taints: &'a [Taint],
    summary: Summary,
}

#[derive(Serialize)]
struct GroupRow<'a> {
    title: String,
    setting: &'a Setting,
    #[serde(flatten)]
    variant: &'a Variant,
    runs: Vec<&'a str>,
    tainted: usize,
    summary: &'a Summary,
    delivery: Option<&'a Estimate>,
    p99_ms: Option<&'a Estimate>,
}

#[derive(Serialize)]
struct Document<'a> {
    runs: Vec<RunRow<'a>>,
    conditions: Vec<GroupRow<'a>>,
    left_out: &'a [LeftOut],
}

pub(super) fn json(lab: &Lab) -> io::Result<Vec<u8>> {
    let runs = lab.runs.iter().map(|it| RunRow {
        name: &it.name,
        info: &it.info,
        taints: &it.taints,
        summary: it.measured.summary(),
    });
    let conditions = lab.groups.iter().map(|it| GroupRow {
        title: it.title.clone(),
        setting: &it.setting,
        variant: &it.variant,
        runs: it.runs.iter().map(|&at| lab.runs[at].name.as_str()).collect(),
        tainted: it.tainted,
        summary: &it.summary,
        delivery: it.delivery.as_ref(),
        p99_ms: it.p99_ms.as_ref(),
    });
    let document = Document {
        runs: runs.collect(),
        conditions: conditions.collect(),
        left_out: &lab.left_out,
    };
    Ok(json_text(&document)?.into_bytes())
}

/// Tables for the terminal, 78 columns wide unless a label is long: one line per condition and
/// variant, and the faults of programs.
#[must_use]
pub fn terminal_table(groups: &[Group]) -> String {
    let mut out = latencies(groups);
    let mut programs: Vec<_> = groups.iter().filter(|it| it.summary.faults.is_some()).collect();
    programs.sort_by_key(|it| it.variant.mode.order());
    if !programs.is_empty() {
        out += &format!(
            "\n{:<33} {:>5} {:>5} {:>5} {:>7} {:>6} {:>5} {:>5}\n",
            "faults of other programs", "fused", "cut", "twice", "reorder", "lost", "crash", "hung"
        );
    }
    let mut last = None;
    for it in programs {
        if last != Some(&it.variant) {
            out += &format!("{}\n", label(&it.variant));
            last = Some(&it.variant);
        }
        let (s, f) = (&it.summary, it.summary.faults.unwrap_or_default());
        out += &format!(
            "  {:<31} {:>5} {:>5} {:>5} {:>7} {:>6} {:>5} {:>5}\n",
            it.title, f.fused, f.cut, s.duplicated, s.reordered, s.lost, f.crashed, f.hung
        );
    }
    out
}

fn latencies(groups: &[Group]) -> String {
    let mut out = String::new();
    let mut last = None;
    let wide = groups.iter().map(|it| label(&it.variant).len()).fold(22, usize::max);
    for it in groups {
        if last != Some(&it.setting) {
            let first = if last.is_none() { "" } else { "\n" };
            out += &format!(
                "{first}{}\n  {:<wide$} {:>7} {:>9} {:>8} {:>8} {:>8} {:>8}\n",
                it.title.clone(),
                "",
                "sent",
                "delivered",
                "p50",
                "p95",
                "p99",
                "max"
            );
            last = Some(&it.setting);
        }
        let s = &it.summary;
        let [p50, p95, p99, max] =
            [s.p50_ms, s.p95_ms, s.p99_ms, s.max_ms].map(|it| or_dash(it, ms));
        let p99 = if it.measured.has_few() { format!("~ {p99}") } else { p99 };
        out += &format!(
            "  {:<wide$} {:>7} {:>9} {p50:>8} {p95:>8} {p99:>8} {max:>8}{}\n",
            label(&it.variant),
            s.sent,
            or_dash(s.delivery(), percent),
            if it.tainted > 0 { " !" } else { "" },
        );
    }
    if groups.iter().any(|it| it.measured.has_few()) {
        out += "\n~ fewer than five messages are above this percentile\n";
    }
    if groups.iter().any(|it| it.tainted > 0) {
        out += "\n! the machine spoiled at least one of these runs, as named below\n";
    }
    out
}
