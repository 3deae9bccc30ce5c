//! The lab as a user runs it: a small plan over the emulated network, interrupted, resumed, and its
//! report recomputed by the independent script. Linux only; skipped where the machine has no
//! namespaces to give, but not in CI.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn lab(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
    command.arg("lab").args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn is_refused(output: &Output) -> bool {
    let refused = said(output).contains("refuses namespaces");
    assert!(!refused || std::env::var_os("CI").is_none(), "{}", said(output));
    if refused {
        eprintln!("skipped: {}", said(output));
    }
    refused
}

fn drops(run: &Path) -> String {
    let info: serde_json::Value =
        serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap();
    info["network"]["up"]["drops"].as_str().unwrap().to_owned()
}

#[test]
fn a_lab_ends_with_a_true_report_and_can_be_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("lab");
    let out = out.to_str().unwrap();
    let small = ["--loss", "20", "--delay-ms", "5", "--repetitions", "1", "--duration-s", "1"];
    let modes = ["--modes", "unreliable,tcp", "--out", out];
    let output = lab(&[&small[..], &modes[..]].concat());
    if is_refused(&output) {
        return;
    }
    assert!(output.status.success(), "{}", said(&output));
    let page = fs::read_to_string(Path::new(out).join("report.html")).unwrap();
    assert!(page.contains("<svg") && !page.contains("http://"), "a page with pictures, offline");

    let runs = Path::new(out).join("runs");
    let raw = runs.join("loss20-delay5-jitter0-burst1-unreliable-1");
    let tcp = runs.join("loss20-delay5-jitter0-burst1-tcp-1");
    assert_ne!(drops(&raw), "", "a fifth of fifty packets is lost");
    // The same packets are lost for every mode, as far as both sent so many.
    let (raw_drops, tcp_drops) = (drops(&raw), drops(&tcp));
    let first = |drops: &str| drops.split([',', '-']).next().unwrap().to_owned();
    assert_eq!(first(&raw_drops), first(&tcp_drops));

    let again = lab(&["--out", out]);
    assert_eq!(again.status.code(), Some(2));
    assert!(said(&again).contains("--resume"), "{}", said(&again));

    // A run that was killed leaves this; the other one is not run again.
    fs::rename(&raw, raw.with_extension("part")).unwrap();
    fs::remove_file(raw.with_extension("part").join("run.json")).unwrap();
    let untouched = fs::metadata(tcp.join("run.json")).unwrap().modified().unwrap();
    let resumed = lab(&["--resume", "--out", out]);
    assert!(resumed.status.success(), "{}", said(&resumed));
    assert!(raw.join("run.json").exists() && !raw.with_extension("part").exists());
    assert_eq!(fs::metadata(tcp.join("run.json")).unwrap().modified().unwrap(), untouched);
    // The same seed: the same packets, as far as both runs sent so many.
    let (before, after) = (raw_drops, drops(&raw));
    let common = before.len().min(after.len()) * 3 / 4;
    assert_eq!(before[..common], after[..common]);

    let other = lab(&["--resume", "--loss", "1", "--out", out]);
    assert!(said(&other).contains("another plan"), "{}", said(&other));

    match Command::new("python3").args(["scripts/verify_report.py", out]).output() {
        Ok(verified) => assert!(verified.status.success(), "{}", said(&verified)),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "python3: {error}");
            eprintln!("skipped: python3: {error}");
        }
    }
}

#[test]
fn the_runs_of_a_plan_are_lines_for_scripts() {
    let output = lab(&["--print-runs", "--loss", "5", "--modes", "tcp", "--repetitions", "2"]);
    assert!(output.status.success(), "{}", said(&output));
    let text = said(&output);
    let lines: Vec<Vec<_>> = text.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(lines[1][..2], ["loss5-delay25-jitter0-burst1-tcp-2", "delay 25ms loss 5%"]);
    assert!(lines[1][2].starts_with("--transport tcp "), "{text}");
    assert_eq!(lab(&["--print-runs", "--loss", "120"]).status.code(), Some(2));
    assert!(!Path::new("chatagram-lab").exists());
}

#[test]
fn a_plan_with_a_slip_is_refused_with_its_line_and_the_right_word() {
    let dir = tempfile::tempdir().unwrap();
    let plan = dir.path().join("plan.toml");
    fs::write(&plan, "seed = 3\nlos = [5]\n").unwrap();
    let output = lab(&[plan.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let said = said(&output);
    for part in ["plan.toml", "line 2", "did you mean `loss`?"] {
        assert!(said.contains(part), "{said}");
    }
    let output = lab(&["--loss", "120"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!Path::new("chatagram-lab").exists(), "nothing is left of a lab that never began");
}
