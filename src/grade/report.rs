//! Verdicts, and the report of them. It has the client's text escaped only.

mod formats;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;

pub(super) use formats::cell;
pub use formats::{Format, render};

use super::criteria::Criterion;
use super::judge::Fault;
use super::trace::Trace;
use super::{Config, Runs};
use crate::protocol::{clean, clean_lines};
use std::collections::BTreeSet;

/// Longest quotation of what a client did, characters.
const MAX_QUOTE: usize = 400;
/// Datagrams in question that a report shows.
const MAX_EVIDENCE: usize = 2;

/// The verdict on a criterion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Satisfied.
    Passed,
    /// Not satisfied.
    Failed {
        /// What the client did.
        seen: String,
        /// What `proto.md` asks for.
        expected: String,
        /// The datagrams in question, decoded.
        evidence: Vec<String>,
    },
    /// Not judged, because a criterion that it needs did not pass.
    NotJudged {
        /// The other criterion.
        because: &'static str,
    },
    /// Not judged, because the machine was too busy in each run.
    Busy,
}

/// The verdicts about one client.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed, which replays the cases.
    pub seed: u64,
    /// Name and digest of the plan's file.
    pub plan: Option<String>,
    /// Remarks about the grading as a whole, such as a limit that the system lacks.
    pub notes: Vec<String>,
    /// A verdict for each criterion.
    pub verdicts: Vec<(&'static Criterion, Verdict)>,
}

impl Report {
    pub(super) fn new(config: &Config, criteria: &[&'static Criterion], runs: &Runs) -> Self {
        let (mut bad, mut verdicts) = (BTreeSet::new(), Vec::new());
        for criterion in criteria.iter().copied() {
            let because = criterion.needs.iter().find(|id| bad.contains(*id));
            let verdict = match because {
                Some(because) => Verdict::NotJudged { because },
                None => verdict(criterion, runs, &bad),
            };
            let verdict = if config.plan.hidden { hidden(criterion, verdict) } else { verdict };
            if verdict != Verdict::Passed {
                bad.insert(criterion.id);
            }
            verdicts.push((criterion, verdict));
        }
        Self { seed: config.seed, plan: config.plan.file.clone(), notes: Vec::new(), verdicts }
    }

    /// Points earned, and points to earn, in one part of the criteria, or in all.
    #[must_use]
    pub fn points(&self, part: Option<u8>) -> (u32, u32) {
        let of_part = |it: &&(&Criterion, Verdict)| part.is_none_or(|part| it.0.part == part);
        self.verdicts.iter().filter(of_part).fold((0, 0), |(earned, all), (it, verdict)| {
            let passed = *verdict == Verdict::Passed;
            (earned + if passed { it.points } else { 0 }, all + it.points)
        })
    }

    /// The criteria that failed.
    pub fn failed(&self) -> impl Iterator<Item = &'static str> {
        self.verdicts
            .iter()
            .filter(|(_, verdict)| matches!(verdict, Verdict::Failed { .. }))
            .map(|(criterion, _)| criterion.id)
    }
}

/// The criteria that a client fails if it sends nothing in a session: the first without a session,
/// else the second.
const SESSION: [&str; 2] = ["welcome", "ack-number"];

/// The verdict over a criterion's scenarios. `bad`: criteria that did not pass.
fn verdict(criterion: &Criterion, runs: &Runs, bad: &BTreeSet<&'static str>) -> Verdict {
    let (mut is_vacant, mut is_busy, mut vacant) = (true, false, None);
    for run in criterion.scenarios.iter().filter_map(|name| runs.get(name)).flatten() {
        match run.judge(criterion) {
            (_, Ok(())) => is_vacant = false,
            (_, Err(fault)) if fault.busy => is_busy = true,
            (trace, Err(fault)) if fault.vacant => vacant = vacant.or(Some((trace, fault))),
            (trace, Err(fault)) => return failed(trace, &fault),
        }
    }
    match (SESSION.into_iter().find(|id| bad.contains(id)), vacant) {
        _ if is_busy => Verdict::Busy,
        _ if !is_vacant => Verdict::Passed,
        (Some(because), _) => Verdict::NotJudged { because },
        (None, Some((trace, fault))) if criterion.id == SESSION[1] => failed(trace, &fault),
        (None, _) => Verdict::NotJudged { because: SESSION[1] },
    }
}

/// The verdict without what would show the case.
fn hidden(criterion: &Criterion, verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Failed { .. } => Verdict::Failed {
            seen: "not shown: the case is hidden".to_owned(),
            expected: format!("{} of proto.md", criterion.section),
            evidence: Vec::new(),
        },
        _ => verdict,
    }
}

fn failed(trace: &Trace, fault: &Fault) -> Verdict {
    let mut evidence = fault.evidence(trace);
    evidence.truncate(MAX_EVIDENCE);
    Verdict::Failed {
        seen: quote(&fault.seen),
        expected: fault.expected.split_whitespace().collect::<Vec<_>>().join(" "),
        evidence: evidence.iter().map(|text| clean_lines(text)).collect(),
    }
}

fn quote(text: &str) -> String {
    let text = clean(text);
    match text.char_indices().nth(MAX_QUOTE) {
        Some((at, _)) => format!("{} …", &text[..at]),
        None => text.into_owned(),
    }
}
