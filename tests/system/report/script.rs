//! `scripts/verify_report.py` agrees with the report, and names the files that it cannot read.

use super::lab;
#[cfg(target_os = "linux")]
use super::{info, make_run, sums};
use crate::needs::needs;
#[cfg(target_os = "linux")]
use chatagram::lab::record::{Mode, RunInfo};
use chatagram::lab::report;
use std::fs;
#[cfg(target_os = "linux")]
use std::path::Path;
use std::process::Command;

pub(super) fn an_independent_script_agrees_and_detects_changed_numbers() {
    let dir = lab();
    let written = report::write(dir.path()).unwrap();
    let verify = || {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/verify_report.py");
        Command::new("python3").arg(script).arg(dir.path()).output()
    };
    needs(&["python3"]);
    let output = verify().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));

    // The script detects a changed number in each column.
    let right = fs::read_to_string(&written.csv).unwrap();
    let header: Vec<&str> = right.lines().next().unwrap().split(',').collect();
    for column in [
        "sent",
        "reordered",
        "delivery",
        "p99_ms",
        "arrival_jitter_ms",
        "loss_run_max",
        "wire_per_text",
        "p99_high_ms",
    ] {
        let at = header.iter().position(|it| *it == column).unwrap();
        let mut rows: Vec<Vec<String>> = csv::Reader::from_reader(right.as_bytes())
            .records()
            .map(|it| it.unwrap().iter().map(str::to_owned).collect())
            .collect();
        let last = rows.last_mut().unwrap();
        last[at] = (last[at].parse::<f64>().unwrap() * 1.001 + 0.001).to_string();
        let mut wrong = csv::Writer::from_path(&written.csv).unwrap();
        wrong.write_record(&header).unwrap();
        rows.iter().for_each(|it| wrong.write_record(it).unwrap());
        wrong.flush().unwrap();
        let output = verify().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{column}: {said}");
        assert!(said.contains(&format!(": {column} is ")) && said.contains("1 differ"), "{said}");
    }
    // It also detects a missing row.
    let shorter = right.trim_end().rsplit_once('\n').unwrap().0;
    fs::write(&written.csv, format!("{shorter}\n")).unwrap();
    assert_eq!(verify().unwrap().status.code(), Some(1));
}

/// Names with line separators, of a link, without UTF-8 or with a formula, and a locale of ASCII.
#[cfg(target_os = "linux")]
pub(super) fn the_script_agrees_whatever_a_run_is_called() {
    use std::os::unix::ffi::OsStrExt;
    needs(&["python3"]);
    let verify = |dir: &Path| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/verify_report.py");
        let mut command = Command::new("python3");
        let ascii = [("LC_ALL", "C"), ("PYTHONUTF8", "0"), ("PYTHONCOERCECLOCALE", "0")];
        let output = command.envs(ascii).arg(script).arg(dir).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let names = ["a\u{2028}b", "a\u{1c}b\t", "\u{43f}\u{440}", "=1+1", "@x"];
    let bytes = std::ffi::OsStr::from_bytes(b"x\xff");
    for (at, name) in names.map(std::ffi::OsStr::new).into_iter().chain([bytes]).enumerate() {
        let dir = tempfile::tempdir().unwrap();
        make_run(dir.path(), Mode::Tcp, 0.05, 1);
        let run = dir.path().join("runs").join("tcp-0.05-1");
        let description = RunInfo {
            run: name.to_string_lossy().into_owned(),
            condition: None,
            impair: Some(name.to_string_lossy().into_owned()),
            rate: 33.333_333_333_333 + at as f64,
            ..info("r", Mode::Tcp, 0.05, 1, 0)
        };
        let rows = fs::read_to_string(run.join("records.csv")).unwrap();
        let rows = rows.replace("tcp-0.05-1", &name.to_string_lossy());
        fs::write(run.join("records.csv"), rows).unwrap();
        RunInfo { files: sums(&run), ..description }.write(&run).unwrap();
        fs::rename(&run, dir.path().join(name)).unwrap();
        std::os::unix::fs::symlink(dir.path().join(name), &run).unwrap();
        let written = report::write(dir.path()).unwrap();
        let (code, said) = verify(dir.path());
        assert_eq!(code, Some(0), "{name:?}: {said}");
        let mut summary = csv::Reader::from_path(written.csv).unwrap();
        for row in summary.records().map(Result::unwrap) {
            let formula = row.iter().find(|cell| cell.starts_with(['=', '+', '-', '@']));
            assert_eq!(formula, None, "a spreadsheet would calculate it");
        }
        fs::write(run.join("run.json"), "{\"run\": 5}").unwrap();
        let (code, said) = verify(dir.path());
        assert!(code == Some(2) && said.contains("run.json: KeyError"), "{name:?}: {said}");
    }
}

pub(super) fn the_script_says_that_it_does_not_read_parquet() {
    needs(&["python3"]);
    let dir = lab();
    report::write(dir.path()).unwrap();
    let run = dir.path().join("runs").join("tcp-0-1");
    fs::remove_file(run.join("records.csv")).unwrap();
    fs::create_dir(run.join("records.parquet")).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/verify_report.py");
    for dir in [dir.path(), &run] {
        fs::write(dir.join("summary.csv"), "").unwrap();
        let output = Command::new("python3").arg(script).arg(dir).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("records.parquet: this script reads records.csv only"), "{said}");
    }
}
