//! The faults of programs under test: a table, and an example of each.

use super::text::{class, count, escape, label, list, mode_label, wide};
use super::{Finished, Lab};
use crate::lab::metrics::Group;
use crate::lab::record::{Conduct, Mode};

/// Limit on the lines quoted from a program's error output: its last ones.
const MAX_QUOTED: usize = 12;

/// The section, or nothing without programs.
pub(super) fn section(lab: &Lab) -> String {
    let mut groups: Vec<_> = lab.groups.iter().filter(|it| it.summary.faults.is_some()).collect();
    if groups.is_empty() {
        return String::new();
    }
    groups.sort_by_key(|it| it.variant.mode.order());
    let mut out =
        "<section>\n<h2>Faults of other programs</h2>\n<p>Counts over all repetitions. In the \
         middle of each run the lab kills one more client of the program, as when a user closes \
         the window.</p>\n"
            .to_owned();
    out += &table(&groups);
    for groups in groups.chunk_by(|a, b| a.variant == b.variant) {
        out += &program(lab, groups);
    }
    out + "</section>\n"
}

fn table(groups: &[&Group]) -> String {
    let heads =
        ["fused", "cut", "printed twice", "out of order", "lost", "unsaid", "crashed", "hung"];
    let mut out = wide("Table of faults") + "<table>\n<thead><tr><td></td>";
    for head in heads {
        out += &format!("<th scope=\"col\">{head}</th>");
    }
    out += "</tr></thead>\n<tbody>\n";
    for it in groups {
        let (s, f) = (&it.summary, it.summary.faults.unwrap_or_default());
        out += &format!(
            "<tr><th scope=\"row\"><span class=\"{}\">{}</span>, {}</th>",
            class(&it.variant),
            label(&it.variant),
            escape(&it.title)
        );
        for count in
            [f.fused, f.cut, s.duplicated, s.reordered, s.lost, s.unsaid, f.crashed, f.hung]
        {
            let class = if count > 0 { " class=\"bad\"" } else { "" };
            out += &format!("<td{class}>{count}</td>");
        }
        out += "</tr>\n";
    }
    out + "</tbody></table></div>\n"
}

/// One program: its faults in a sentence, examples, and its commands.
fn program(lab: &Lab, groups: &[&Group]) -> String {
    let Some(first) = groups.first() else { return String::new() };
    let runs: Vec<_> = groups.iter().flat_map(|it| &it.runs).map(|at| &lab.runs[*at]).collect();
    let conducts: Vec<_> =
        runs.iter().filter_map(|it| Some((*it, it.info.program.as_ref()?))).collect();
    let mut out = format!(
        "<h3 class=\"{}\">{}</h3>\n<p>{}</p>\n<dl>",
        class(&first.variant),
        label(&first.variant),
        escape(&sentence(first.variant.mode, groups, &conducts))
    );
    let quote = |text: &str| format!("<q>{}</q>", escape(text));
    let example = |of: fn(&Conduct) -> Option<&String>| {
        conducts.iter().find_map(|it| of(it.1)).map(|it| quote(it))
    };
    let ends = conducts.iter().find_map(|(run, it)| Some((run, it.ended.first()?)));
    let ended = ends.map(|(run, it)| {
        let at = it.at_us as f64 / 1e6;
        escape(&format!("{} of {}: {}, {at:.1} s after the beginning", it.who, run.name, it.how))
    });
    let unheard = conducts.iter().find(|it| !it.1.unheard.is_empty()).map(|(run, it)| {
        escape(&format!("{} had received nothing from {}", run.name, list(&it.unheard)))
    });
    // The server's errors explain more than those of the clients. It is the last in the list.
    let errors = conducts.iter().find_map(|(run, it)| Some((run, it.errors.last()?)));
    let errors = errors.map(|(run, it)| {
        let lines: Vec<_> = it.text.lines().collect();
        let last = &lines[lines.len().saturating_sub(MAX_QUOTED)..];
        let who = escape(&format!("{} of {}", it.who, run.name));
        format!("{who}<pre class=\"q\">{}</pre>", escape(&last.join("\n")))
    });
    let commands = conducts.first().map(|(_, it)| {
        let server = it.program.server.as_ref().map(|it| quote(it.as_str()) + "<br>");
        server.unwrap_or_default() + &quote(it.program.client.as_str())
    });
    for (name, value) in [
        ("fused", example(|it| it.fused_sample.as_ref())),
        ("cut", example(|it| it.cut_sample.as_ref())),
        ("ended early", ended),
        ("at the start", unheard),
        ("error output", errors),
        ("commands", commands),
    ] {
        if let Some(value) = value {
            out += &format!("<dt>{name}</dt><dd>{value}</dd>");
        }
    }
    out + "</dl>\n"
}

fn sentence(mode: Mode, groups: &[&Group], conducts: &[(&Finished, &Conduct)]) -> String {
    let sum = |of: fn(&Group) -> u64| groups.iter().map(|it| of(it)).sum::<u64>();
    let runs = |of: fn(&Conduct) -> u64| conducts.iter().filter(|it| of(it.1) > 0).count();
    let sent = sum(|it| it.summary.sent);
    let counts = [
        (sum(|it| it.summary.faults.unwrap_or_default().fused), "shared a line with another"),
        (sum(|it| it.summary.faults.unwrap_or_default().cut), "were cut"),
        (sum(|it| it.summary.duplicated), "were printed again"),
        (sum(|it| it.summary.reordered), "were out of order"),
        (sum(|it| it.summary.lost), "did not arrive whole"),
        (sum(|it| it.summary.unsaid), "were not accepted"),
    ];
    let faults: Vec<_> =
        counts.iter().filter(|it| it.0 > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let mut text = match list(&faults) {
        none if none.is_empty() => {
            format!("{} printed each of {sent} messages once.", mode_label(&mode))
        }
        faults => format!("Of {sent} messages over {}, {faults}.", mode_label(&mode)),
    };
    let ends = [
        (runs(Conduct::crashed), "a process ended early"),
        (runs(Conduct::hung), "a client stopped without ending"),
    ];
    for (n, what) in ends.into_iter().filter(|it| it.0 > 0) {
        text += &format!(" In {n} of {} {what}.", count(conducts.len(), "run"));
    }
    text
}
