//! The page, the tables and the pictures made of a directory of runs.
//!
//! | file | for |
//! |---|---|
//! | `report.html` | people: one file, offline, without scripts |
//! | `summary.csv` | spreadsheets: one row per run and one per condition and mode |
//! | `summary.json` | programs: the same, and all about each run |

use super::metrics::{Group, Measured, group};
use super::record::{Error, PARQUET, RECORDS, RUN, Record, RunInfo, read_run, write_whole};
use std::fs;
use std::path::{Path, PathBuf};

mod curves;
mod ladder;
mod page;
mod svg;
mod tables;
mod words;

pub use tables::terminal_table;

/// A run that finished.
#[derive(Debug)]
struct Finished {
    name: String,
    info: RunInfo,
    records: Vec<Record>,
    measured: Measured,
}

/// All that a report is made of.
#[derive(Debug)]
struct Lab {
    plan: Option<String>,
    runs: Vec<Finished>,
    incomplete: Vec<String>,
    groups: Vec<Group>,
}

/// What [`write()`] wrote.
#[derive(Debug)]
pub struct Written {
    /// The page.
    pub page: PathBuf,
    /// The table of numbers.
    pub csv: PathBuf,
    /// The same and more, for programs.
    pub json: PathBuf,
    /// How many runs are in them.
    pub runs: usize,
    /// The runs that did not finish and are not in the statistics.
    pub incomplete: Vec<String>,
    /// Each condition and mode, for [`terminal_table`].
    pub groups: Vec<Group>,
}

/// Reads all runs in a lab's directory (or the one in a run's own) and writes the report there.
///
/// # Errors
/// A directory without runs, rows that are not rows (with file and, in CSV, line), and what the system
/// refuses.
pub fn write(dir: &Path) -> Result<Written, Error> {
    let lab = read(dir)?;
    let [page, csv, json] = ["report.html", "summary.csv", "summary.json"].map(|it| dir.join(it));
    write_whole(&csv, &tables::csv(&lab).map_err(Error::io("write", &csv))?)?;
    write_whole(&json, &tables::json(&lab).map_err(Error::io("write", &json))?)?;
    write_whole(&page, page::html(&lab).as_bytes())?;
    let Lab { runs, incomplete, groups, .. } = lab;
    Ok(Written { page, csv, json, runs: runs.len(), incomplete, groups })
}

fn read(dir: &Path) -> Result<Lab, Error> {
    let (mut runs, mut incomplete) = (vec![], vec![]);
    for dir in run_directories(dir)? {
        let run = read_run(&dir)?;
        match run.info {
            None => incomplete.push(run.name),
            Some(info) => {
                let measured = Measured::new(&run.records, &info);
                runs.push(Finished { name: run.name, info, records: run.records, measured });
            }
        }
    }
    let pairs: Vec<_> = runs.iter().map(|it| (&it.info, &it.measured)).collect();
    let groups = group(&pairs);
    Ok(Lab { plan: fs::read_to_string(dir.join("plan.toml")).ok(), runs, incomplete, groups })
}

/// A run's own directory, or those of all runs of a lab, by name.
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
    found.retain(|it| holds_a_run(it));
    found.sort();
    if found.is_empty() {
        return Err(Error::NoRuns { path: dir.to_owned() });
    }
    Ok(found)
}
