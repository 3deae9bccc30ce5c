//! Runs that fail: each leaves its reason, and the others go on.

use super::{needs_namespaces, said, unshared};
use crate::needs::needs;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub(super) fn a_full_disk_fails_each_run_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let script = "mkdir disk && mount -t tmpfs -o size=100k none disk && \
                  \"$1\" lab --loss 0 --rate 1000 --duration-s 5 --repetitions 1 --out disk/lab \
                  --modes unreliable,reliable-ordered; code=$?; \
                  cat disk/lab/runs/*/failed.txt; exit $code";
    let output = unshared("--mount", script, dir.path());
    needs_namespaces(&output);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    for mode in ["unreliable", "reliable-ordered"] {
        let run = format!("run loss0-delay25-jitter0-burst1-{mode}-1: the load failed");
        assert!(said.contains(&run), "{said}");
    }
}

/// The process of a running lab that has this command.
fn process_of(lab: u32, command: &str) -> Option<u32> {
    let ids = fs::read_dir("/proc").unwrap().flatten();
    let mut ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.find(|id| {
        let read =
            |file: &str| fs::read_to_string(format!("/proc/{id}/{file}")).unwrap_or_default();
        let parent = read("stat").rsplit_once(") ").and_then(|(_, rest)| {
            rest.split(' ').nth(1).and_then(|parent| parent.parse::<u32>().ok())
        });
        parent == Some(lab) && read("cmdline").split('\0').nth(1) == Some(command)
    })
}

/// Calls ip(8) in the network namespace of a running load.
fn on_the_clients_node(load: u32, arguments: &[&str]) {
    let namespace = |id| fs::read_link(format!("/proc/{id}/ns/user")).unwrap();
    let mut command = Command::new("nsenter");
    command.args([&format!("--target={load}"), "--net"]);
    if namespace(load) != namespace(std::process::id()) {
        command.args(["--user", "--preserve-credentials"]);
    }
    let output = command.arg("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

pub(super) fn a_broken_network_fails_the_run_with_the_reason() {
    needs(&["nsenter", "ip"]);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("lab");
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
    command.args(["lab", "--loss", "0", "--delay-ms", "1", "--duration-s", "20"]);
    command.args(["--modes", "unreliable", "--repetitions", "1", "--out"]).arg(&out);
    let mut lab = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let load = loop {
        let load = process_of(lab.id(), "load");
        if load.is_some() || lab.try_wait().unwrap().is_some() {
            break load;
        }
        std::thread::yield_now();
    };
    if let Some(load) = load {
        on_the_clients_node(load, &["link", "delete", "emulated0"]);
    }
    let output = lab.wait_with_output().unwrap();
    needs_namespaces(&output);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let run = out.join("runs/loss0-delay1-jitter0-burst1-unreliable-1");
    let reason = fs::read_to_string(run.with_extension("part").join("failed.txt")).unwrap();
    assert!(reason.contains("the emulated network failed: "), "{reason}");
    assert!(said(&output).contains(reason.trim()), "{}", said(&output));
    assert!(!run.exists(), "a run without a network is no result");
}

/// Starts a lab of one run at 0 % loss and waits until the run has rows. Returns the run's
/// directory.
fn started(dir: &Path, rate: &str) -> (Child, PathBuf) {
    let out = dir.join("lab");
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
    command.args(["lab", "--loss", "0", "--delay-ms", "1", "--duration-s", "3", "--rate", rate]);
    command.args(["--modes", "unreliable", "--repetitions", "1", "--out"]).arg(&out);
    let mut lab = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let run = out.join("runs/loss0-delay1-jitter0-burst1-unreliable-1");
    let records = run.with_extension("part").join("records.csv");
    while !records.exists() && lab.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    (lab, run)
}

fn signal(id: u32, signal: rustix::process::Signal) {
    let id = rustix::process::Pid::from_raw(id.try_into().unwrap()).unwrap();
    rustix::process::kill_process(id, signal).unwrap();
}

/// The lab failed for this reason, and its report has no run.
fn failed(lab: Child, run: &Path, reason: &str) {
    let output = lab.wait_with_output().unwrap();
    needs_namespaces(&output);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let part = run.with_extension("part");
    let why = fs::read_to_string(part.join("failed.txt")).unwrap();
    assert!(why.contains(reason) && said(&output).contains(why.trim()), "{}", said(&output));
    assert!(!run.exists(), "a failed run is no result");
    let json = fs::read(part.parent().unwrap().with_file_name("summary.json"));
    if let Ok(json) = json {
        let summary: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(summary["runs"].as_array().unwrap().len(), 0, "{summary}");
    }
}

pub(super) fn a_server_that_dies_fails_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let (lab, run) = started(dir.path(), "50");
    if let Some(server) = process_of(lab.id(), "server") {
        signal(server, rustix::process::Signal::KILL);
    }
    failed(lab, &run, "the server failed (signal: 9");
}

pub(super) fn a_load_that_dies_fails_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let (lab, run) = started(dir.path(), "50");
    if let Some(load) = process_of(lab.id(), "load") {
        signal(load, rustix::process::Signal::KILL);
    }
    failed(lab, &run, "the load failed (signal: 9");
}

/// The router is in the lab's process. While that stands still, the queue before it overflows.
pub(super) fn a_machine_too_busy_to_route_fails_the_run() {
    needs(&["nsenter", "ip"]);
    let dir = tempfile::tempdir().unwrap();
    let (lab, run) = started(dir.path(), "200");
    if let Some(load) = process_of(lab.id(), "load") {
        on_the_clients_node(load, &["link", "set", "dev", "emulated0", "txqueuelen", "1"]);
        signal(lab.id(), rustix::process::Signal::STOP);
        std::thread::sleep(Duration::from_millis(500));
        signal(lab.id(), rustix::process::Signal::CONT);
    }
    failed(lab, &run, "the machine was too busy: ");
    let text = fs::read(run.with_extension("part").join("run.json")).unwrap();
    let info: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert!(info["network"]["overruns"].as_u64() > Some(0), "{info}");
}
