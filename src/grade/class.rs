//! A folder of submissions, and the table of their grades.

use super::report::{Report, cell};
use super::{Config, Error, grade};
use crate::lab::report::escape;
use crate::protocol::clean;
use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Submissions at once; each runs several scenarios at once.
const AT_ONCE: usize = 2;
/// The word of a command that stands for the submission.
const PLACE: &str = "{}";
/// The program of a submission that is a directory, where no command is given.
const RUN: &str = "run";

/// A submission, and its grade or the reason why it has none.
#[derive(Debug)]
pub struct Graded {
    /// The name of its file or directory.
    pub name: String,
    /// Name and digest of the plan's file.
    pub plan: Option<String>,
    /// The verdicts, or the reason.
    pub outcome: Result<Report, String>,
}

/// Grades each file and directory in `dir` that is not hidden, in the order of their names.
///
/// `command` has the word `{}` in the place of the submission's path. Without a command a file is
/// run itself, and of a directory its program `run`. `seed` gives the seed for a name.
///
/// # Errors
/// The directory cannot be read, or `config` names an unknown criterion.
pub fn grade_class(
    dir: &Path,
    config: &Config,
    seed: impl Fn(&str) -> u64 + Sync,
) -> Result<Vec<Graded>, Error> {
    super::wanted(config)?;
    let entries = fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
    let mut submissions: Vec<_> = entries.iter().map(fs::DirEntry::path).collect();
    submissions.retain(|path| !name_of(path).starts_with('.'));
    submissions.sort();
    Ok(super::in_parallel(AT_ONCE, &submissions, |path| {
        let name = name_of(path);
        let command = command_for(&config.command, path);
        let config = Config { command, seed: seed(&name), ..config.clone() };
        let outcome = grade(&config).map_err(|error: Error| clean(&error.to_string()).into_owned());
        Graded { name, plan: config.plan.file, outcome }
    }))
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    clean(&name).into_owned()
}

fn command_for(command: &[OsString], path: &Path) -> Vec<OsString> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if command.is_empty() {
        let run: PathBuf = if path.is_dir() { path.join(RUN) } else { path };
        return vec![run.into()];
    }
    let fill = |word: &OsString| match word.to_str() {
        Some(word) => word.replace(PLACE, &path.to_string_lossy()).into(),
        None => word.clone(),
    };
    command.iter().map(fill).collect()
}

impl Graded {
    /// Points earned and to earn; `None` without a grade.
    fn points(&self) -> Option<(u32, u32)> {
        self.outcome.as_ref().ok().map(|report| report.points(None))
    }

    /// One line: the criteria that failed, or why there is no grade.
    fn remark(&self) -> String {
        match &self.outcome {
            Err(reason) => format!("not graded: {reason}"),
            Ok(report) => {
                let failed: Vec<_> = report.failed().collect();
                let skipped = report.verdicts.len()
                    - failed.len()
                    - report.verdicts.iter().filter(|it| it.1 == super::Verdict::Passed).count();
                match (failed.as_slice(), skipped) {
                    ([], 0) => "all criteria passed".to_owned(),
                    ([], n) => format!("not judged, on a busy machine: {n}"),
                    (failed, 0) => format!("failed: {}", failed.join(", ")),
                    (failed, n) => format!("failed: {}; not judged: {n}", failed.join(", ")),
                }
            }
        }
    }

    fn seed(&self) -> String {
        self.outcome.as_ref().map_or(String::new(), |report| report.seed.to_string())
    }
}

/// One line for each submission, and the plan.
#[must_use]
pub fn class_text(class: &[Graded]) -> String {
    let width = class.iter().map(|it| it.name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for it in class {
        let points = it.points().map_or("-".to_owned(), |(earned, all)| format!("{earned}/{all}"));
        let _ = writeln!(out, "{:width$}  {points:>7}  {}", it.name, it.remark());
    }
    if let Some(plan) = plan(class) {
        let _ = writeln!(out, "plan {plan}");
    }
    out
}

/// The plan by which the class was graded.
fn plan(class: &[Graded]) -> Option<&str> {
    class.first()?.plan.as_deref()
}

/// A row for each submission.
#[must_use]
pub fn class_csv(class: &[Graded]) -> String {
    class.iter().fold("submission,earned,points,seed,plan,remark\n".to_owned(), |mut out, it| {
        let (earned, points) =
            it.points().map_or((String::new(), String::new()), |(earned, all)| {
                (earned.to_string(), all.to_string())
            });
        let _ = writeln!(
            out,
            "{},{earned},{points},{},{},{}",
            cell(&it.name),
            it.seed(),
            cell(it.plan.as_deref().unwrap_or_default()),
            cell(&it.remark())
        );
        out
    })
}

/// The same as a page.
#[must_use]
pub fn class_html(class: &[Graded]) -> String {
    let mut out =
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Grades</title>\n\
                   <style>body{font:16px/1.4 sans-serif;margin:2em}td,th{text-align:left;\
                   padding:.2em .8em;border-bottom:1px solid #ccc}td.n{text-align:right}</style>\n\
                   <table><tr><th>submission<th>points<th>seed<th>remark\n"
            .to_owned();
    for it in class {
        let points =
            it.points().map_or("-".to_owned(), |(earned, all)| format!("{earned} of {all}"));
        let _ = writeln!(
            out,
            "<tr><td>{}<td class=\"n\">{points}<td>{}<td>{}",
            escape(&it.name),
            it.seed(),
            escape(&it.remark())
        );
    }
    out.push_str("</table>\n");
    if let Some(plan) = plan(class) {
        let _ = writeln!(out, "<p>Plan {}", escape(plan));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_names_the_plan() {
        let plan = "exam.toml (SHA-256 0011223344556677)";
        let graded = |plan: Option<&str>| {
            let outcome = Err("it does not start".to_owned());
            [Graded { name: "ann".to_owned(), plan: plan.map(str::to_owned), outcome }]
        };
        let tables = [class_text, class_csv, class_html];
        for table in tables {
            assert!(table(&graded(Some(plan))).contains(plan));
            assert!(!table(&graded(None)).contains("SHA-256"));
        }
        let csv = class_csv(&graded(None));
        assert_eq!(csv.lines().last(), Some("\"ann\",,,,\"\",\"not graded: it does not start\""));
    }
}
