//! The tables of one condition: what the messages met, and what the transports did about it.

use super::text::{class, count, escape, label, list, ms, or_dash, percent, wide};
use crate::lab::metrics::{Estimate, Group};
use crate::lab::record::Mode;

/// Both tables and the sentences below them.
pub(super) fn all(groups: &[Group]) -> String {
    let outcomes = table("Delivery and latency", &OUTCOMES, groups, spoiled, outcome);
    let means = table("Waits, repairs and bytes", &MEANS, groups, |_| String::new(), means);
    outcomes + &intervals(groups) + &means + congestion(groups) + &repairs(groups)
}

const OUTCOMES: [&str; 11] = [
    "sent",
    "delivered",
    "lost",
    "longest loss run",
    "duplicated",
    "reordered",
    "p50",
    "p95",
    "p99",
    "max",
    "jitter",
];

fn outcome(it: &Group) -> Vec<String> {
    let s = &it.summary;
    vec![
        match s.unsaid {
            0 => s.sent.to_string(),
            unsaid => format!("{}\n{unsaid} unsaid", s.sent),
        },
        or_dash(s.delivery(), percent) + &interval(it.delivery.as_ref(), percent),
        s.lost.to_string(),
        s.loss_run_max.to_string(),
        s.duplicated.to_string(),
        s.reordered.to_string(),
        or_dash(s.p50_ms, ms),
        or_dash(s.p95_ms, ms),
        (if it.measured.has_few() { "~ " } else { "" }).to_owned()
            + &or_dash(s.p99_ms, ms)
            + &interval(it.p99_ms.as_ref(), ms),
        or_dash(s.max_ms, ms),
        or_dash(s.jitter_ms, ms),
    ]
}

const MEANS: [&str; 5] = [
    "waited at the server",
    "waited at the reader",
    "retransmitted",
    "copies sent ahead",
    "wire bytes per byte of text",
];

fn means(it: &Group) -> Vec<String> {
    let s = &it.summary;
    let held = |share, hold| match (it.variant.mode, share, hold) {
        (Mode::Tcp, ..) => "in the kernel".into(),
        (mode, ..) if mode.is_quic() => "in QUIC".into(),
        // The wait inside another program is unknown.
        (Mode::Program(_), ..) => "–".into(),
        (_, Some(share), Some(hold)) => format!("{}, p99 {}", percent(share), ms(hold)),
        (_, share, _) => or_dash(share, percent),
    };
    vec![
        held(s.server_held_share(), s.server_hold_p99_ms),
        held(s.held_share(), s.hold_p99_ms),
        match (it.variant.mode, s.retransmitted) {
            (Mode::Tcp, _) => "in the kernel".into(),
            (mode, _) if mode.is_quic() => "in QUIC".into(),
            (_, sent_again) => or_dash(sent_again, |it| it.to_string()),
        },
        match (it.variant.mode, s.redundant) {
            (mode, _) if mode == Mode::Tcp || mode.is_quic() => "none".into(),
            (_, copies) => or_dash(copies, |it| it.to_string()),
        },
        or_dash(s.wire_per_text, |it| format!("{it:.2}")),
    ]
}

/// The mark of a mode of which the machine spoiled runs.
fn spoiled(it: &Group) -> String {
    match it.tainted {
        0 => String::new(),
        spoiled => format!("<br><small>! {spoiled} of {} spoiled</small>", it.runs.len()),
    }
}

fn table(
    name: &str,
    heads: &[&str],
    groups: &[Group],
    mark: fn(&Group) -> String,
    cells: fn(&Group) -> Vec<String>,
) -> String {
    let mut out = format!("{}<table>\n<thead><tr><th scope=\"col\"></th>", wide(name));
    for head in heads {
        out += &format!("<th scope=\"col\">{head}</th>");
    }
    out += "</tr></thead>\n<tbody>\n";
    for it in groups {
        out += &format!(
            "<tr><th scope=\"row\" class=\"{}\">{}{}</th>",
            class(&it.variant),
            escape(&label(&it.variant)),
            mark(it)
        );
        for cell in cells(it) {
            // Cells contain only numbers and words of this file. A line feed stands for `<br>`.
            out += &format!("<td>{}</td>", escape(&cell).replace('\n', "<br>"));
        }
        out += "</tr>\n";
    }
    out + "</tbody></table></div>\n"
}

/// The median and the interval over repetitions, on new lines, unless all gave the same.
fn interval(estimate: Option<&Estimate>, show: impl Fn(f64) -> String) -> String {
    let Some(estimate) = estimate else { return String::new() };
    let interval = estimate.interval.filter(|it| it.low < it.high);
    let text = |it: crate::lab::metrics::Interval| {
        format!("\nmedian {}\n{} to {}", show(estimate.median), show(it.low), show(it.high))
    };
    interval.map(text).unwrap_or_default()
}

/// The meaning of the small figures and marks of the first table.
fn intervals(groups: &[Group]) -> String {
    let estimates = groups.iter().flat_map(|it| it.figures().into_iter().filter_map(|it| it.1));
    let intervals = estimates.filter_map(|it| it.interval.filter(|of| of.low < of.high));
    let coverage = intervals.map(|it| it.coverage).reduce(f64::min);
    let mut notes = Vec::new();
    if let Some(coverage) = coverage {
        notes.push(format!(
            "Below a figure of all repetitions together: the median of their own figures, and its \
             interval with a coverage of {:.0} %.",
            coverage * 100.0
        ));
    }
    if groups.iter().any(|it| it.measured.has_few()) {
        notes.push("~: fewer than five messages are above this percentile.".to_owned());
    }
    match notes.join(" ") {
        none if none.is_empty() => none,
        notes => format!("<p class=\"note\">{}</p>\n", escape(&notes)),
    }
}

/// A note for comparisons of QUIC's datagrams with those of UDP.
fn congestion(groups: &[Group]) -> &'static str {
    let quic = groups.iter().any(|it| it.variant.mode == Mode::QuicUnreliable);
    let note = "<p class=\"note\">QUIC's datagrams wait for its congestion window; those of UDP \
                unreliable leave at once, whatever the network loses.</p>\n";
    if quic { note } else { "" }
}

/// A sentence with the number of copies, which repair most losses before they are known, and of
/// retransmissions.
fn repairs(groups: &[Group]) -> String {
    let said = groups.iter().filter(|it| it.variant.mode.has_copies()).map(|it| {
        let s = &it.summary;
        let copies = count(s.redundant.unwrap_or(0) as usize, "copy");
        let again = count(s.retransmitted.unwrap_or(0) as usize, "message");
        format!("{} sent {copies} ahead of a loss and {again} again after one", label(&it.variant))
    });
    match list(&said.collect::<Vec<_>>()) {
        none if none.is_empty() => none,
        said => format!(
            "<p class=\"note\">{}. A loss that a copy repairs needs no retransmission. The bytes \
             on the wire include the copies.</p>\n",
            escape(&said)
        ),
    }
}
