//! The formats of a report.

use super::{Report, Verdict};
use crate::lab::report::{escape, safe};
use serde_json::json;
use std::fmt::Write;

/// A format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One object.
    Json,
    /// JUnit's XML: a test case for each criterion.
    Junit,
    /// Gradescope's `results.json`.
    Gradescope,
    /// A row for each criterion.
    Csv,
}

/// The report in this format. `brief`: text without the datagrams in question.
#[must_use]
pub fn render(report: &Report, format: Format, brief: bool) -> String {
    match format {
        Format::Text => text(report, brief),
        Format::Json => json(report),
        Format::Junit => junit(report),
        Format::Gradescope => gradescope(report),
        Format::Csv => csv(report),
    }
}

/// The reason of [`Verdict::Busy`].
const BUSY: &str = "the machine was too busy";

/// The word for a verdict.
fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed { .. } => "failed",
        Verdict::NotJudged { .. } | Verdict::Busy => "not judged",
    }
}

/// The parts of the criteria.
const PARTS: [&str; 4] = ["Part I of proto.md", "Part II of proto.md", "optional", "of the plan"];

/// A verdict's reason, in lines.
fn reason(verdict: &Verdict, brief: bool) -> Vec<String> {
    match verdict {
        Verdict::Passed => Vec::new(),
        Verdict::NotJudged { because } => vec![format!("because {because} did not pass")],
        Verdict::Busy => vec![format!("{BUSY}: grade again when it has less to do")],
        Verdict::Failed { seen, expected, evidence } => {
            let mut lines = vec![format!("seen: {seen}"), format!("expected: {expected}")];
            let shown = evidence.iter().filter(|_| !brief);
            lines.extend(shown.flat_map(|text| text.lines()).map(str::to_owned));
            lines
        }
    }
}

fn text(report: &Report, brief: bool) -> String {
    let mut out = String::new();
    for (criterion, verdict) in &report.verdicts {
        let mark = match verdict {
            Verdict::Passed => "ok",
            Verdict::Failed { .. } => "FAILED",
            Verdict::NotJudged { .. } | Verdict::Busy => "-",
        };
        let earned = if *verdict == Verdict::Passed { criterion.points } else { 0 };
        let _ = writeln!(
            out,
            "{mark:6} {earned:2}/{:<2} {:13} {} ({})",
            criterion.points, criterion.id, criterion.name, criterion.section
        );
        for line in reason(verdict, brief) {
            let _ = writeln!(out, "             {line}");
        }
    }
    for note in &report.notes {
        let _ = writeln!(out, "{note}");
    }
    let (earned, points) = report.points(None);
    let parts = (1..).zip(PARTS).filter_map(|(part, name)| {
        let (earned, points) = report.points(Some(part));
        (points > 0).then(|| format!("{name}: {earned} of {points}"))
    });
    let parts = parts.collect::<Vec<_>>().join(", ");
    let _ = write!(out, "{earned} of {points} points ({parts}); --seed {}", report.seed);
    if let Some(plan) = &report.plan {
        let _ = write!(out, ", plan {plan}");
    }
    out
}

fn json(report: &Report) -> String {
    let criteria: Vec<_> = report
        .verdicts
        .iter()
        .map(|(criterion, verdict)| {
            let mut row = json!({
                "id": criterion.id,
                "name": criterion.name,
                "section": criterion.section,
                "part": criterion.part,
                "points": criterion.points,
                "earned": if *verdict == Verdict::Passed { criterion.points } else { 0 },
                "verdict": word(verdict),
            });
            match verdict {
                Verdict::Passed => {}
                Verdict::NotJudged { because } => row["because"] = json!(because),
                Verdict::Busy => row["because"] = json!(BUSY),
                Verdict::Failed { seen, expected, evidence } => {
                    row["seen"] = json!(seen);
                    row["expected"] = json!(expected);
                    row["datagrams"] = json!(evidence);
                }
            }
            row
        })
        .collect();
    let (earned, points) = report.points(None);
    json!({
        "seed": report.seed,
        "plan": report.plan,
        "earned": earned,
        "points": points,
        "notes": report.notes,
        "criteria": criteria,
    })
    .to_string()
}

/// The `results.json` of <https://gradescope-autograders.readthedocs.io/en/latest/specs/>.
fn gradescope(report: &Report) -> String {
    let tests: Vec<_> = report
        .verdicts
        .iter()
        .map(|(criterion, verdict)| {
            let passed = *verdict == Verdict::Passed;
            json!({
                "name": format!("{} ({})", criterion.name, criterion.section),
                "number": criterion.id,
                "score": if passed { criterion.points } else { 0 },
                "max_score": criterion.points,
                "status": if passed { "passed" } else { "failed" },
                "output": match verdict {
                    Verdict::NotJudged { .. } | Verdict::Busy => {
                        format!("not judged, {}", reason(verdict, false).join("\n"))
                    }
                    _ => reason(verdict, false).join("\n"),
                },
                "output_format": "text",
                "visibility": "visible",
            })
        })
        .collect();
    let plan = report.plan.iter().map(|plan| format!("plan {plan}"));
    let notes = report.notes.iter().cloned().chain([format!("seed {}", report.seed)]).chain(plan);
    json!({
        "score": report.points(None).0,
        "output": notes.collect::<Vec<_>>().join("\n"),
        "output_format": "text",
        "tests": tests,
    })
    .to_string()
}

fn junit(report: &Report) -> String {
    let plan = |it: &String| format!("      <property name=\"plan\" value=\"{}\"/>\n", escape(it));
    let count = |wanted: &str| report.verdicts.iter().filter(|it| word(&it.1) == wanted).count();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite \
         name=\"chatagram grade\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" \
         time=\"0\">\n    <properties>\n      <property name=\"seed\" value=\"{}\"/>\n{}    \
         </properties>\n",
        report.verdicts.len(),
        count("failed"),
        count("not judged"),
        report.seed,
        report.plan.iter().map(plan).collect::<String>()
    );
    for (criterion, verdict) in &report.verdicts {
        let _ = write!(
            out,
            "    <testcase classname=\"{}\" name=\"{}: {}\" time=\"0\"",
            escape(criterion.section),
            criterion.id,
            escape(criterion.name)
        );
        let reason = reason(verdict, false);
        let _ = match verdict {
            Verdict::Passed => writeln!(out, "/>"),
            Verdict::NotJudged { .. } | Verdict::Busy => writeln!(
                out,
                ">\n      <skipped message=\"{}\"/>\n    </testcase>",
                escape(&reason.join(" "))
            ),
            Verdict::Failed { seen, .. } => writeln!(
                out,
                ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
                escape(seen),
                escape(&reason.join("\n"))
            ),
        };
    }
    out.push_str("  </testsuite>\n</testsuites>");
    out
}

/// A row for each criterion.
fn csv(report: &Report) -> String {
    let mut out = "id,section,part,points,earned,verdict,seen,expected,seed,plan".to_owned();
    let plan = cell(report.plan.as_deref().unwrap_or_default());
    for (criterion, verdict) in &report.verdicts {
        let (seen, expected) = match verdict {
            Verdict::Failed { seen, expected, .. } => (seen.as_str(), expected.as_str()),
            Verdict::NotJudged { because } => (*because, ""),
            Verdict::Busy => (BUSY, ""),
            Verdict::Passed => ("", ""),
        };
        let earned = if *verdict == Verdict::Passed { criterion.points } else { 0 };
        let _ = write!(
            out,
            "\n{},{},{},{},{earned},{},{},{},{},{plan}",
            criterion.id,
            criterion.section,
            criterion.part,
            criterion.points,
            word(verdict),
            cell(seen),
            cell(expected),
            report.seed
        );
    }
    out
}

/// A text as a quoted cell.
pub(in crate::grade) fn cell(text: &str) -> String {
    format!("\"{}\"", safe(text).replace('"', "\"\""))
}
