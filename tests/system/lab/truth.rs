//! The figures of a lab as a statistician reads them: where messages waited, how often a condition
//! is repeated, and what its title says. An independent script recomputes all of them.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::{lab, needs_namespaces, said};
use crate::needs::needs;
use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::panic::resume_unwind;
use std::path::Path;
use std::process::Command;
use std::thread;

/// A row of `summary.csv`, by column.
type Row = BTreeMap<String, String>;

fn summary(out: &Path) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(out.join("summary.csv")).unwrap();
    reader.deserialize().map(Result::unwrap).collect()
}

fn measured(out: &Path, options: &[&str]) {
    let output = lab(&[&["--out", out.to_str().unwrap()], options].concat());
    needs_namespaces(&output);
    assert!(output.status.success(), "{}", said(&output));
}

/// Runs the independent script. Returns what it says, and whether it agrees.
fn verified(out: &Path) -> (String, bool) {
    needs(&["python3"]);
    let output = Command::new("python3").arg("scripts/verify_report.py").arg(out).output().unwrap();
    (said(&output), output.status.success())
}

pub(crate) fn waits_at_the_server_and_at_the_reader_are_recorded_apart() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("lab");
    let path = ["--loss", "15", "--delay-ms", "10", "--repetitions", "1", "--duration-s", "3"];
    let modes = "unreliable,reliable-unordered,reliable-ordered,tcp";
    let copies = ["--modes", modes, "--redundancy", "off", "--seed", "5"];
    measured(&out, &[&path[..], &copies].concat());
    let rows = summary(&out);
    let waits = |transport: &str, mode: &str, column: &str| {
        let is_it = |row: &&Row| row["transport"] == transport && row["mode"] == mode;
        rows.iter().find(is_it).unwrap()[column].parse::<u64>().ok()
    };
    for column in ["held", "server_held"] {
        assert!(waits("udp", "reliable-ordered", column) > Some(0), "{column}: {rows:?}");
        assert_eq!(waits("udp", "reliable-unordered", column), Some(0), "{column}");
        assert_eq!(waits("udp", "unreliable", column), Some(0), "{column}");
    }
    assert_eq!(waits("tcp", "reliable-ordered", "server_held"), None, "the kernel does not tell");
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("(head-of-line blocking)") && page.contains(" at the server"), "{page}");

    // The script recomputes both, and notices a wait that no packet explains.
    let (said, agrees) = verified(&out);
    assert!(agrees, "{said}");
    let ordered = fs::read_dir(out.join("runs")).unwrap().map(|it| it.unwrap().path());
    let ordered = ordered.into_iter().find(|it| it.to_str().unwrap().contains("reliable-ordered"));
    let file = ordered.unwrap().join("server.csv");
    let text = fs::read_to_string(&file).unwrap();
    let (name, number) = ("\"s1\"", text.lines().filter(|it| it.ends_with(",0")).nth(20).unwrap());
    let changed = text.replace(&format!("{number}\n"), &format!("{number}9000\n"));
    assert!(number.starts_with(name) && changed != text);
    fs::write(&file, changed).unwrap();
    let script = "scripts/verify_capture.py";
    let output = Command::new("python3").arg(script).arg(file.parent().unwrap()).output().unwrap();
    assert!(
        super::said(&output).contains("no earlier one was missing"),
        "{}",
        super::said(&output)
    );
    assert!(verified(&out).0.contains("its checksum is not the one in run.json"));
}

/// With a width that no interval has, and with one that the intervals have on a quiet machine. The
/// script decides which repetition had to be the last.
pub(crate) fn automatic_repetitions_end_when_the_intervals_are_narrow() {
    let cases = [("auto:0%:6", 6..=6), ("auto:100%:7", 6..=7)];
    // Each mostly waits for the ends of its runs.
    let running = cases.map(|(repetitions, possible)| {
        thread::spawn(move || automatic_repetitions_end_within(repetitions, &possible))
    });
    for case in running {
        case.join().unwrap_or_else(|payload| resume_unwind(payload));
    }
}

fn automatic_repetitions_end_within(repetitions: &str, possible: &RangeInclusive<u32>) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("lab");
    let path = ["--loss", "30", "--delay-ms", "5", "--duration-s", "0.5", "--no-trace"];
    let modes = ["--modes", "reliable-ordered", "--repetitions", repetitions, "--senders", "4"];
    measured(&out, &[&path[..], &modes].concat());
    let rows = summary(&out);
    let row = rows.iter().find(|row| row["level"] == "condition").unwrap();
    let last: u32 = row["repetitions"].parse().unwrap();
    assert!(possible.contains(&last), "{repetitions}: {row:?}");
    assert!(row["interval_width"].parse::<f64>().unwrap() > 0.0, "{row:?}");
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    let reached = page.contains("the interval of each figure is at most");
    assert!(reached || page.contains("not enough for intervals of at most"), "{repetitions}");
    let (said, agrees) = verified(&out);
    assert!(agrees, "{said}");

    // A finished lab is not measured again, and scripts have nothing left to do.
    let left = lab(&["--print-runs", "--resume", "--out", out.to_str().unwrap()]);
    assert_eq!(super::said(&left), "", "{repetitions}");
    // One repetition less is noticed.
    let name = format!("loss30-delay5-jitter0-burst1-reliable-ordered-{last}");
    fs::remove_dir_all(out.join("runs").join(&name)).unwrap();
    assert!(
        lab(&["--resume", "--print-runs", "--out", out.to_str().unwrap()])
            .stdout
            .starts_with(name.as_bytes())
    );
    assert!(
        Command::new(env!("CARGO_BIN_EXE_chatagram"))
            .args(["report", out.to_str().unwrap()])
            .status()
            .unwrap()
            .success()
    );
    let (said, _) = verified(&out);
    let asked = format!("{} repetitions, and the intervals ask for", last - 1);
    assert!(said.contains(&asked), "{said}");
}

pub(crate) fn every_dimension_of_a_plan_is_in_its_titles() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("lab");
    let network =
        ["--loss", "0", "--delay-ms", "1", "--bandwidth", "off,100kbit", "--queue", "5,50"];
    let load = ["--rate", "20,40", "--size", "64,200", "--duration-s", "0.3"];
    let variants =
        ["--modes", "reliable-ordered,tcp", "--redundancy", "off,1", "--repetitions", "1"];
    measured(&out, &[&network[..], &load, &variants].concat());
    let rows = summary(&out);
    let titles: Vec<_> = rows.iter().filter(|it| it["level"] == "condition").collect();
    assert_eq!(titles.len(), 3 * 2 * 2 * 3, "three networks, four loads, three variants");
    let wanted = "0 % loss, 1 ms delay, 100kbit/s, queue of 5, 40 messages a second, 200 bytes";
    assert_eq!(titles.iter().filter(|it| it["name"] == wanted).count(), 3);
    let slow = titles.iter().filter(|it| it["bandwidth"] == "100000" && it["queue"] == "50");
    assert_eq!(slow.count(), 4 * 3);
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("bandwidth = [&quot;off&quot;, &quot;100kbit&quot;]"), "the plan");
    let (said, agrees) = verified(&out);
    assert!(agrees, "{said}");
}
