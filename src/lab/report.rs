//! The report on a directory of runs: the page, the tables and the plots.
//!
//! | file | for |
//! |---|---|
//! | `report.html` | people: one file, offline, without scripts |
//! | `summary.csv` | spreadsheets: one row per run and one per condition and mode |
//! | `summary.json` | programs: the same numbers and the description of each run |

use super::metrics::{Group, Measured, Taint, group, taints};
use super::record::{Error, PARQUET, RECORDS, RUN, Record, RunInfo, read_run, write_atomically};
use super::sweep::FAILED;
use crate::protocol::clean_lines;
use std::fs;
use std::path::{Path, PathBuf};

mod command;
mod curves;
mod ladder;
mod left_out;
mod packets;
mod page;
#[cfg(test)]
mod palette;
mod precision;
mod programs;
mod svg;
mod table;
mod tables;
mod text;

pub use left_out::{LeftOut, Why};
pub(crate) use tables::safe;
pub use tables::terminal_table;
pub(crate) use text::escape;

/// A run that finished.
#[derive(Debug)]
struct Finished {
    name: String,
    dir: PathBuf,
    /// True for a run of a lab; false for the only run of a report.
    is_in_lab: bool,
    info: RunInfo,
    records: Vec<Record>,
    measured: Measured,
    /// The faults of the machine that spoiled it.
    taints: Vec<Taint>,
}

/// The runs of a lab and their statistics.
#[derive(Debug)]
struct Lab {
    plan: Option<String>,
    runs: Vec<Finished>,
    left_out: Vec<LeftOut>,
    groups: Vec<Group>,
}

/// The files written by [`write()`].
#[derive(Debug)]
pub struct Written {
    /// The page.
    pub page: PathBuf,
    /// `summary.csv`.
    pub csv: PathBuf,
    /// `summary.json`.
    pub json: PathBuf,
    /// Number of runs in them.
    pub runs: usize,
    /// Runs that are left out of the statistics.
    pub left_out: Vec<LeftOut>,
    /// Runs that the machine spoiled, each with the reasons. They are in the statistics.
    pub tainted: Vec<(String, Vec<Taint>)>,
    /// The gaps in the captures, a sentence for each run that has one.
    pub captures: Vec<String>,
    /// Conditions whose intervals are wider than `--repetitions auto` asks for, a sentence each.
    pub wide: Vec<String>,
    /// Each condition and mode, for [`terminal_table`].
    pub groups: Vec<Group>,
}

/// Reads all runs of a lab from its directory, or one run from its own, and writes the report
/// there.
///
/// # Errors
/// A directory without runs or with failed ones only, the damaged files of a run in its own
/// directory (of a lab, the run is left out), or an error of the file system.
pub fn write(dir: &Path) -> Result<Written, Error> {
    let lab = read(dir)?;
    let [page, csv, json] = ["report.html", "summary.csv", "summary.json"].map(|it| dir.join(it));
    write_atomically(&csv, &tables::csv(&lab).map_err(Error::io("write", &csv))?)?;
    write_atomically(&json, &tables::json(&lab).map_err(Error::io("write", &json))?)?;
    write_atomically(&page, page::html(&lab).as_bytes())?;
    let (captures, wide) = (packets::left_out(&lab.runs), precision::missed(&lab));
    let Lab { runs, left_out, groups, .. } = lab;
    let count = runs.len();
    let tainted = runs.into_iter().filter(|it| !it.taints.is_empty());
    let tainted = tainted.map(|it| (it.name, it.taints)).collect();
    Ok(Written { page, csv, json, runs: count, left_out, tainted, captures, wide, groups })
}

fn read(dir: &Path) -> Result<Lab, Error> {
    let (mut runs, mut left_out) = (vec![], vec![]);
    let directories = run_directories(dir)?;
    let is_lab = directories != [dir];
    for dir in directories {
        // A run may fail after its rows are complete.
        let failed = fs::read_to_string(dir.join(FAILED)).ok();
        let read = read_run(&dir).map(|run| (run.name, run.info, run.records));
        match (read, failed) {
            (Err(error), None) if !is_lab => return Err(error),
            (_, Some(text)) => {
                left_out.push(LeftOut { name: left_out::name(&dir), why: Why::failed(&text) });
            }
            (Err(error), _) => {
                left_out.push(LeftOut { name: left_out::name(&dir), why: error.into() });
            }
            (Ok((name, None, _)), _) => left_out.push(LeftOut { name, why: Why::Unfinished }),
            (Ok((name, Some(info), records)), _) => {
                let measured = Measured::new(&records, &info);
                let taints = Vec::new();
                runs.push(Finished {
                    name,
                    dir,
                    is_in_lab: is_lab,
                    info,
                    records,
                    measured,
                    taints,
                });
            }
        }
    }
    let plan = fs::read_to_string(dir.join("plan.toml")).ok();
    if let Some(plan) = &plan {
        left_out::separate(plan, &mut runs, &mut left_out);
    }
    let pairs: Vec<_> = runs.iter().map(|it| (&it.info, &it.measured)).collect();
    let (groups, found) = (group(&pairs), taints(&pairs));
    for (run, taints) in runs.iter_mut().zip(found) {
        run.taints = taints;
    }
    Ok(Lab { plan, runs, left_out, groups })
}

/// The run's directory itself, or those of all runs of a lab, by name.
fn run_directories(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let holds_a_run = |dir: &Path| [RECORDS, PARQUET, RUN].iter().any(|it| dir.join(it).exists());
    if holds_a_run(dir) {
        return Ok(vec![dir.to_owned()]);
    }
    let runs = dir.join("runs");
    if !runs.is_dir() {
        return Err(Error::NoRuns { path: dir.to_owned() });
    }
    let entries = fs::read_dir(&runs).map_err(Error::io("read", &runs))?;
    let entries: Result<Vec<_>, _> = entries.map(|it| it.map(|it| it.path())).collect();
    let mut found = entries.map_err(Error::io("read", &runs))?;
    found.sort();
    let path = dir.to_owned();
    let mut reasons = found.iter().map(|it| fs::read_to_string(it.join(FAILED)));
    if let Some(Ok(reason)) = reasons.next()
        && reasons.all(|it| it.is_ok())
    {
        return Err(Error::AllFailed { path, reason: clean_lines(reason.trim_end()) });
    }
    found.retain(|it| holds_a_run(it));
    if found.is_empty() { Err(Error::NoRuns { path }) } else { Ok(found) }
}
