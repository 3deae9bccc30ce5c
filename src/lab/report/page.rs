//! `report.html`: one self-contained file.

use super::command::command;
use super::text::{count, emulation, escape, list, mode_label, series_style};
use super::{Finished, Lab, LeftOut, curves, ladder, packets, precision, programs, table};
use crate::lab::metrics::{self, Group, Setting};
use crate::lab::record::{Mode, RunInfo};
use std::collections::BTreeSet;

/// Number of conditions with plots, which bounds the page's size. Every condition has a table.
const MAX_PLOTS: usize = 16;
/// Spoiled runs that the page lists at once; a longer list opens on demand.
const MAX_OPEN: usize = 8;

pub(super) fn html(lab: &Lab) -> String {
    let title = escape(&title(lab));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{}{}</style></head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n<p>{}</p>\n",
        include_str!("style.css"),
        series_style(modes(lab).into_iter().filter_map(Mode::program)),
        escape(&workload(lab))
    );
    page += &left_out(&lab.left_out);
    page += &tainted(&lab.runs);
    for lacks in packets::left_out(&lab.runs) {
        page += &format!("<p class=\"note\">Note: {}.</p>\n", escape(&lacks));
    }
    page += &overview(&lab.groups);
    page += &programs::section(lab);
    for (at, groups) in lab.groups.chunk_by(|a, b| a.setting == b.setting).enumerate() {
        page += &section(lab, groups, at < MAX_PLOTS);
    }
    page += &provenance(lab);
    page += "</main>\n</body>\n</html>\n";
    page
}

/// The runs that are left out of all numbers, each with its reason.
fn left_out(runs: &[LeftOut]) -> String {
    if runs.is_empty() {
        return String::new();
    }
    let item =
        |it: &LeftOut| format!("<li>{}: {}</li>\n", escape(&it.name), escape(&it.why.to_string()));
    let items: String = runs.iter().map(item).collect();
    format!("<p><strong>Runs left out of all numbers:</strong></p>\n<ul>\n{items}</ul>\n")
}

/// The runs that the machine spoiled, each with the reasons.
fn tainted(runs: &[Finished]) -> String {
    let spoiled: Vec<_> = runs.iter().filter(|it| !it.taints.is_empty()).collect();
    if spoiled.is_empty() {
        return String::new();
    }
    let item = |it: &&Finished| {
        let taints: Vec<_> = it.taints.iter().map(ToString::to_string).collect();
        format!("<li>{}: {}</li>\n", escape(&it.name), escape(&list(&taints)))
    };
    let items: String = spoiled.iter().map(item).collect();
    format!(
        "<details{}><summary><strong>The machine spoiled {} of {}.</strong> The numbers \
         include them, and with them the delays of the machine.</summary>\n<ul>\n{items}</ul>\
         </details>\n",
        if spoiled.len() > MAX_OPEN { "" } else { " open" },
        spoiled.len(),
        count(runs.len(), "run"),
    )
}

/// The compared modes, in the order of reports.
fn modes(lab: &Lab) -> Vec<Mode> {
    let mut modes: Vec<_> = lab.groups.iter().map(|it| it.variant.mode).collect();
    modes.sort_by_key(Mode::order);
    modes.dedup();
    modes
}

/// The compared modes and the range of losses.
fn title(lab: &Lab) -> String {
    let modes: Vec<_> = modes(lab).iter().map(|it| mode_label(it).to_owned()).collect();
    let losses = || lab.groups.iter().filter_map(|it| Some(it.setting.condition?.loss));
    let (least, most) = (losses().fold(f64::MAX, f64::min), losses().fold(f64::MIN, f64::max));
    let [low, high] = [least, most].map(metrics::percent);
    match list(&modes) {
        none if none.is_empty() => "No run has finished".into(),
        names if least > most => names,
        names if least == most => format!("{names} at {high} % loss"),
        names => format!("{names} at {low} to {high} % loss"),
    }
}

/// The workload in one sentence.
fn workload(lab: &Lab) -> String {
    let Some(it) = lab.runs.first().map(|it| &it.info) else {
        return "There is no data to show.".into();
    };
    let same = |what: fn(&RunInfo) -> f64| lab.runs.iter().all(|run| what(&run.info) == what(it));
    let rate = if same(|it| it.rate) {
        format!("{} messages a second", it.rate)
    } else {
        "Messages at several rates".into()
    };
    let size =
        if same(|it| it.size.into()) { format!(" of {} bytes", it.size) } else { String::new() };
    let time =
        if same(|it| it.duration_s) { format!(" for {} s", it.duration_s) } else { String::new() };
    let peers = |what: fn(&RunInfo) -> u32, one| {
        if lab.runs.iter().all(|run| what(&run.info) == what(it)) {
            count(what(it) as usize, one)
        } else {
            format!("several {one}s")
        }
    };
    let repetitions = lab.groups.iter().map(|it| it.runs.len()).max().unwrap_or(1);
    format!(
        "{rate}{size} from {} to {}{time}: {}, {}, seed {}.",
        peers(|it| it.senders, "sender"),
        peers(|it| it.receivers, "receiver"),
        count(lab.runs.len(), "run"),
        count(repetitions, "repetition"),
        seeds(&lab.runs)
    )
}

/// The distinct seeds; those of a lab are consecutive.
fn seeds(runs: &[Finished]) -> String {
    let seeds: BTreeSet<u64> = runs.iter().map(|it| it.info.seed).collect();
    match (seeds.first(), seeds.last()) {
        (Some(first), Some(last)) if seeds.len() > 2 && last - first == seeds.len() as u64 - 1 => {
            format!("{first} to {last}")
        }
        _ => distinct(runs, |it| Some(it.seed.to_string())),
    }
}

/// The distinct values, as a list.
fn distinct(runs: &[Finished], what: impl Fn(&RunInfo) -> Option<String>) -> String {
    let values: BTreeSet<_> = runs.iter().filter_map(|it| what(&it.info)).collect();
    let more = values.len().saturating_sub(6);
    let mut values: Vec<_> = values.into_iter().take(6).collect();
    if more > 0 {
        values.push(format!("{more} more"));
    }
    if values.is_empty() { "unknown".into() } else { list(&values) }
}

/// The congestion controls of the clients and of the server, in runs over QUIC or in the others.
fn controls(runs: &[Finished], of_quic: bool) -> [String; 2] {
    let of = |info: &RunInfo, control: &Option<String>| {
        control.clone().filter(|_| info.mode.is_quic() == of_quic)
    };
    let clients = distinct(runs, |it| of(it, &it.congestion_control));
    [clients, distinct(runs, |it| of(it, &it.server_congestion_control))]
}

/// Plots against loss, one for each group of conditions that differ only in loss.
fn overview(groups: &[Group]) -> String {
    let mut families: Vec<(Setting, Vec<&Group>)> = vec![];
    for group in groups {
        let mut rest = group.setting.clone();
        let Some(condition) = &mut rest.condition else { continue };
        condition.loss = 0.0;
        match families.iter_mut().find(|it| it.0 == rest) {
            Some(family) => family.1.push(group),
            None => families.push((rest, vec![group])),
        }
    }
    families.retain(|it| it.1.iter().any(|g| g.setting.condition != it.1[0].setting.condition));
    let several = families.len() > 1;
    let mut out = String::new();
    for (_, members) in families.into_iter().take(MAX_PLOTS) {
        let rest = members[0].title.split_once(", ").map_or("", |it| it.1);
        let name =
            if several { format!("Effect of loss: {rest}") } else { "Effect of loss".into() };
        out += &format!("<section>\n<h2>{}</h2>\n", escape(&name));
        out += &curves::against_loss(&members, &curves::Measure::P99);
        out += &curves::against_loss(&members, &curves::Measure::Delivery);
        out += "</section>\n";
    }
    out
}

/// One condition: its table and plots.
fn section(lab: &Lab, groups: &[Group], plots: bool) -> String {
    let Some(first) = groups.first() else { return String::new() };
    let mut out = format!("<section>\n<h2>{}</h2>\n{}", escape(&first.title), table::all(groups));
    if let Some(sentence) = precision::sentence(lab, groups) {
        out += &format!("<p class=\"note\">{}</p>\n", escape(&sentence));
    }
    if plots {
        // Plot the same repetition of every mode, if there is one.
        let all = |n: u32| {
            groups.iter().all(|g| g.runs.iter().any(|&at| lab.runs[at].info.repetition == n))
        };
        let common = first.runs.iter().map(|&at| lab.runs[at].info.repetition).find(|n| all(*n));
        let of = |group: &Group| {
            let mut runs = group.runs.iter().map(|&at| &lab.runs[at]);
            runs.find(|it| common.is_none_or(|n| it.info.repetition == n))
        };
        let shown: Vec<_> = groups.iter().filter_map(of).collect();
        out += &ladder::figure(&shown);
        out += &curves::within(&groups.iter().collect::<Vec<_>>());
    } else {
        out +=
            &format!("<p class=\"note\">Only the first {MAX_PLOTS} conditions have plots.</p>\n");
    }
    out + "</section>\n"
}

/// The run's parameters, the command that repeats it, and the definitions of the numbers.
fn provenance(lab: &Lab) -> String {
    let mut out = "<section>\n<h2 id=\"parameters\">Parameters</h2>\n<dl>".to_owned();
    let [of_tcp, of_tcp_server] = controls(&lab.runs, false);
    let facts = [
        ("Seed", seeds(&lab.runs)),
        ("Version", distinct(&lab.runs, |it| Some(format!("chatagram {}", it.version)))),
        ("Kernel", distinct(&lab.runs, |it| Some(it.kernel.clone()))),
        ("Network", distinct(&lab.runs, |it| it.emulation.map(|it| emulation(it).into()))),
        ("TCP congestion control", of_tcp),
        ("TCP congestion control of the server", of_tcp_server),
        (
            "Started",
            lab.runs
                .iter()
                .map(|it| it.info.started.clone())
                .min()
                .unwrap_or_else(|| "unknown".into()),
        ),
    ];
    let replayed = lab.runs.iter().filter_map(|it| it.info.replayed.clone());
    let replayed = replayed.map(|of| ("Replay of", of)).collect::<BTreeSet<_>>();
    let has_quic = lab.runs.iter().any(|it| it.info.mode.is_quic());
    let [of_quic, of_quic_server] = controls(&lab.runs, true);
    let quic = [
        ("QUIC congestion control", of_quic),
        ("QUIC congestion control of the server", of_quic_server),
    ];
    let quic = quic.into_iter().filter(|_| has_quic);
    for (name, value) in facts.into_iter().chain(quic).chain(replayed) {
        out += &format!("<dt>{name}</dt><dd>{}</dd>", escape(&value));
    }
    out += &format!(
        "</dl>\n<p>To repeat the runs:</p>\n<pre><code>{}</code></pre>\n",
        escape(&command(lab))
    );
    if let Some(plan) = &lab.plan {
        out += &format!(
            "<details open><summary>The plan</summary><pre><code>{}</code></pre></details>\n",
            escape(plan)
        );
    }
    out + include_str!("definitions.html")
}
