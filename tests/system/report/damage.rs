//! Runs that are damaged, failed, of another lab, or spoiled by the machine.

use super::make_run;
use crate::needs::{is_here, needs};
use chatagram::lab::record::{Machine, Mode, RunInfo, read_run};
use chatagram::lab::report;
use std::fs;
use std::process::Command;

pub(super) fn a_directory_without_runs_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let error = report::write(dir.path()).unwrap_err().to_string();
    assert!(error.contains("holds no runs"), "{error}");
    // A run killed at once still counts as a run, without numbers.
    fs::write(dir.path().join("records.csv"), "run,tra").unwrap();
    let written = report::write(dir.path()).unwrap();
    assert_eq!((written.runs, written.left_out.len()), (0, 1));
    assert!(fs::read_to_string(written.page).unwrap().contains("No run has finished"));
}

/// Rows cut off at any place, or changed, are no losses: the run is named and left out.
pub(super) fn damaged_runs_and_runs_of_another_lab_are_named_and_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let plan = "loss = [0, 1]\ndelay_ms = 25\nmodes = \"tcp\"\nrepetitions = 3\nseed = 42\n";
    fs::write(dir.path().join("plan.toml"), plan).unwrap();
    let name = |loss, repetition| format!("loss{loss}-delay25-jitter0-burst1-tcp-{repetition}");
    let run = |loss, repetition| dir.path().join("runs").join(name(loss, repetition));
    for (at, repetition) in (0..).zip(1..=3) {
        for (loss, share) in [(0, 0.0), (1, 0.01)] {
            make_run(dir.path(), Mode::Tcp, share, repetition);
            let made = dir.path().join("runs").join(format!("tcp-{share}-{repetition}"));
            fs::rename(made, run(loss, repetition)).unwrap();
            let info = read_run(&run(loss, repetition)).unwrap().info.unwrap();
            let seed = 42 + 2 * at + loss;
            RunInfo { seed, ..info }.write(&run(loss, repetition)).unwrap();
        }
    }
    let report = |strict: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
        let output = command.arg("report").arg(dir.path()).args(strict).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    assert_eq!(report(&["--strict"]).0, Some(0));

    let records = run(0, 1).join("records.csv");
    let whole = fs::read_to_string(&records).unwrap();
    let half = whole.lines().count() / 2;
    let cut: String = whole.lines().take(half).map(|line| format!("{line}\n")).collect();
    let torn = format!("{whole}r,udp");
    let longer = format!("{whole}{}\n", whole.lines().last().unwrap());
    let changed = whole.replacen(",delivered\n", ",duplicate\n", 1);
    let info = |loss, repetition, change: &dyn Fn(RunInfo) -> RunInfo| {
        let dir = run(loss, repetition);
        change(read_run(&dir).unwrap().info.unwrap()).write(&dir).unwrap();
    };
    info(0, 2, &|it| RunInfo { seed: 7, ..it });
    info(1, 2, &|it| RunInfo { version: "9.9".into(), ..it });
    fs::remove_file(run(0, 3).join("run.json")).unwrap();
    fs::write(run(1, 3).join("run.json"), "{\n\"run\": 5}").unwrap();
    for (rows, why) in [
        (cut, "rows where the run wrote 404"),
        (String::new(), "0 rows where the run wrote 404"),
        (torn, "its checksum is not the one in run.json"),
        (longer, "405 rows where the run wrote 404"),
        (changed, "its checksum is not the one in run.json"),
    ] {
        fs::write(&records, rows).unwrap();
        let (code, said) = report(&[]);
        assert_eq!((code, report(&["--strict"]).0), (Some(0), Some(1)), "{said}");
        let page = fs::read_to_string(dir.path().join("report.html")).unwrap();
        for (name, why) in [
            (name(0, 1), why),
            (name(0, 2), "its seed is 7 where the plan has 44"),
            (name(1, 2), "chatagram 9.9 measured it, and 0.1.0 most runs"),
            (name(0, 3), "it did not finish"),
            (name(1, 3), "run.json, line 2: invalid type"),
        ] {
            let line = said.lines().find(|line| line.starts_with(&format!("left out: {name}: ")));
            assert!(line.is_some_and(|line| line.contains(why)), "{name} {why}: {said}");
            assert!(
                page.contains(&format!("<li>{name}: "))
                    && page.contains(why.split(',').next().unwrap())
            );
        }
        assert!(said.contains("\n1 run; open "), "{said}");
        if is_here("python3") {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/verify_report.py");
            let output = Command::new("python3").arg(script).arg(dir.path()).output().unwrap();
            let found = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && found.contains("all agree"), "{found}");
            for loss in [0, 1] {
                for repetition in 1..=3 {
                    let out = (loss, repetition) != (1, 1);
                    let line = format!("left out: {}: ", name(loss, repetition));
                    assert_eq!(found.contains(&line), out, "{line}: {found}");
                }
            }
        }
    }
    needs(&["python3"]);
}

/// A late machine is named, wherever its figures stand; the independent script agrees.
pub(super) fn runs_that_the_machine_spoiled_are_marked() {
    let dir = tempfile::tempdir().unwrap();
    for mode in [Mode::Unreliable, Mode::Tcp] {
        for repetition in 1..=2 {
            make_run(dir.path(), mode, 0.05, repetition);
        }
    }
    let report = |options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
        let output = command.arg("report").arg(dir.path()).args(options).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let (code, said) = report(&["--strict"]);
    assert!(code == Some(0) && !said.contains("spoiled"), "{said}");
    let run = dir.path().join("runs").join("tcp-0.05-2");
    let info = read_run(&run).unwrap().info.unwrap();
    let machine = Machine { send_late_p99_us: 23_400, steal: Some(0.3), ..info.machine };
    RunInfo { machine, ..info }.write(&run).unwrap();
    let (code, said) = report(&[]);
    let why = "messages were sent 23.4 ms late (99th percentile)";
    assert_eq!((code, report(&["--strict"]).0), (Some(0), Some(1)), "{said}");
    let line = format!("spoiled by the machine: tcp-0.05-2: {why}; the hypervisor took 30 %");
    let marked = |name: &str| {
        let row = said.lines().find(|row| row.trim_start().starts_with(name)).unwrap();
        row.ends_with(" !")
    };
    assert!(said.contains(&line) && marked("TCP, cubic ") && !marked("UDP"), "{said}");
    let page = fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert!(page.contains("The machine spoiled 1 of 4 runs.") && page.contains(why));
    assert_eq!(page.matches("! 1 of 2 spoiled").count(), 1);
    let summary = fs::read_to_string(dir.path().join("summary.json")).unwrap();
    assert!(summary.contains("\"late_ms\": 23.4") && summary.contains("\"tainted\": 1"));
    needs(&["python3"]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/verify_report.py");
    let output = Command::new("python3").arg(script).arg(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

pub(super) fn a_directory_of_failed_runs_gives_the_first_reason() {
    let dir = tempfile::tempdir().unwrap();
    for (name, reason) in [("b.part", "run b: \u{1b}second\n"), ("a.part", "run a: first\n")] {
        let run = dir.path().join("runs").join(name);
        fs::create_dir_all(&run).unwrap();
        fs::write(run.join("failed.txt"), reason).unwrap();
    }
    let error = report::write(dir.path()).unwrap_err().to_string();
    assert!(error.contains("finished: run a: first\ntry them again"), "{error}");
    make_run(dir.path(), Mode::Tcp, 0.0, 1);
    assert_eq!(report::write(dir.path()).unwrap().runs, 1);
}

pub(super) fn a_run_is_read_back_up_to_a_torn_last_row() {
    let dir = tempfile::tempdir().unwrap();
    make_run(dir.path(), Mode::ReliableOrdered, 0.05, 1);
    let dir = dir.path().join("runs").join("reliable-ordered-0.05-1");
    let run = read_run(&dir).unwrap();
    assert_eq!((run.records.len(), run.torn), (404, false));
    assert_eq!(run.info.as_ref().unwrap().mode, Mode::ReliableOrdered);
    let bytes = fs::read(dir.join("records.csv")).unwrap();
    fs::remove_file(dir.join("run.json")).unwrap();
    let start = bytes.len() - 120;
    for cut in start..bytes.len() {
        fs::write(dir.join("records.csv"), &bytes[..cut]).unwrap();
        let torn = read_run(&dir).unwrap();
        assert!(torn.info.is_none() && torn.records.len() < run.records.len());
        assert_eq!(torn.records, run.records[..torn.records.len()]);
    }
}

pub(super) fn errors_name_the_file_and_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.csv");
    let header = "run,transport,mode,sender,receiver,id,intended_us,sent_us,arrived_us,\
                  delivered_us,verdict\n";
    let good = "r,udp,unreliable,a,b,0,1,1,2,2,delivered\n";
    for (line, problem) in [
        ("r,udp,unreliable,a,b,x,1,1,2,2,delivered\n", "id \"x\" is not a whole number"),
        ("r,udp,unreliable,a,b,1,1,1,2,2,shown\n", "there is no verdict \"shown\""),
        ("r,udp,unreliable,a,b,1,1,1,2,,delivered\n", "without delivered_us"),
        ("r,sctp,unreliable,a,b,1,1,1,2,2,delivered\n", "there is no transport \"sctp\""),
        ("r,udp\n", "2 columns where 11 are expected"),
    ] {
        fs::write(&path, format!("{header}{good}{line}{good}")).unwrap();
        let error = read_run(dir.path()).unwrap_err().to_string();
        assert!(error.contains("records.csv, line 3: ") && error.contains(problem), "{error}");
    }
    fs::write(&path, format!("{good}{header}")).unwrap();
    assert!(read_run(dir.path()).unwrap_err().to_string().contains("line 1: the header must be"));
    fs::write(&path, header).unwrap();
    fs::write(dir.path().join("run.json"), "{\n\"run\": 5}").unwrap();
    let error = read_run(dir.path()).unwrap_err().to_string();
    assert!(error.contains("run.json, line 2: "), "{error}");
}
