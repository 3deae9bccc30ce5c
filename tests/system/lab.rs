//! The `lab` and `replay` commands over the emulated network: interrupted, resumed, and verified by
//! an independent script.

mod captures;
mod failures;
#[cfg(feature = "quic")]
mod quic;
mod truth;

use crate::needs::{needs, needs_time, skip};
use chatagram::lab::record::{RunInfo, read_run};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

pub(crate) fn lab(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
    command.arg("lab").args(arguments).output().unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

pub(crate) fn needs_namespaces(output: &Output) {
    let said = said(output);
    if said.contains("refuses namespaces") {
        skip(said.trim().replace('\n', "; "));
    }
}

/// The packets of one direction of a run, and the indices of those lost.
struct Losses {
    packets: u64,
    drops: Vec<u64>,
}

impl Losses {
    fn of(run: &Path, direction: &str) -> Self {
        let text = fs::read(run.join("run.json")).unwrap();
        let info: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let counts = &info["network"][direction];
        let ranges = counts["drops"].as_str().unwrap();
        let ranges = ranges.split(',').filter(|range| !range.is_empty());
        let drops = ranges.flat_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            first.parse::<u64>().unwrap()..=last.parse().unwrap()
        });
        Self { packets: counts["packets"].as_u64().unwrap(), drops: drops.collect() }
    }

    /// Returns true if the same packets were lost, among those that both runs sent.
    fn agrees(&self, other: &Self) -> bool {
        let common = self.packets.min(other.packets);
        let within = |fate: &Self| -> Vec<u64> {
            fate.drops.iter().copied().filter(|index| *index < common).collect()
        };
        within(self) == within(other)
    }
}

fn both_ways_agree(one: &Path, other: &Path) -> bool {
    ["up", "down"].iter().all(|way| Losses::of(one, way).agrees(&Losses::of(other, way)))
}

/// Runs the script as root of a new user namespace, with the program as `$1`.
fn unshared(what: &str, script: &str, dir: &Path) -> Output {
    needs(&["unshare", "sh"]);
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user"]).args(what.split_whitespace());
    command.args(["sh", "-c", script, "sh", env!("CARGO_BIN_EXE_chatagram")]);
    let output = command.current_dir(dir).output().unwrap();
    // Many containers and chroots forbid this.
    if String::from_utf8_lossy(&output.stderr).contains("unshare failed") {
        skip("this machine refuses user namespaces (unshare --user)");
    }
    output
}

fn edit(run: &Path, change: impl FnOnce(&mut RunInfo)) {
    let mut info = read_run(run).unwrap().info.unwrap();
    change(&mut info);
    info.write(run).unwrap();
}

fn a_lab_writes_a_correct_report_and_can_be_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("lab");
    let out = out.to_str().unwrap();
    let small = ["--loss", "20", "--delay-ms", "5", "--repetitions", "1", "--duration-s", "1"];
    let modes = ["--modes", "unreliable,tcp", "--out", out];
    let output = lab(&[&small[..], &modes[..]].concat());
    needs_namespaces(&output);
    assert!(output.status.success(), "{}", said(&output));
    let page = fs::read_to_string(Path::new(out).join("report.html")).unwrap();
    assert!(page.contains("<svg") && !page.contains("http://"), "a self-contained page with plots");

    let runs = Path::new(out).join("runs");
    let raw = runs.join("loss20-delay5-jitter0-burst1-unreliable-1");
    let tcp = runs.join("loss20-delay5-jitter0-burst1-tcp-1");
    let before = Losses::of(&raw, "up");
    assert!(!before.drops.is_empty(), "20 % of about 50 packets are lost");
    assert!(both_ways_agree(&raw, &tcp), "the same packets are lost for every mode");
    let info = read_run(&tcp).unwrap().info.unwrap();
    let server = info.server_congestion_control.as_deref();
    assert!(server.is_none_or(|it| info.congestion_control.as_deref() == Some(it)), "{info:?}");
    assert!(page.contains(server.unwrap_or("unknown")), "the sockets of the server");

    let again = lab(&["--out", out]);
    assert_eq!(again.status.code(), Some(2));
    assert!(said(&again).contains("--resume"), "{}", said(&again));

    // A killed run leaves this. Only that run is run again.
    fs::rename(&raw, raw.with_extension("part")).unwrap();
    fs::remove_file(raw.with_extension("part").join("run.json")).unwrap();
    let untouched = fs::metadata(tcp.join("run.json")).unwrap().modified().unwrap();
    let resumed = lab(&["--resume", "--out", out]);
    assert!(resumed.status.success(), "{}", said(&resumed));
    assert!(raw.join("run.json").exists() && !raw.with_extension("part").exists());
    assert_eq!(fs::metadata(tcp.join("run.json")).unwrap().modified().unwrap(), untouched);
    assert!(before.agrees(&Losses::of(&raw, "up")), "the same seed loses the same packets");

    // So is a run whose `run.json` is damaged or gone, with a word about it. The other one has
    // been measured as often as a machine may spoil it.
    edit(&tcp, |info| info.attempts = 3);
    for damage in [|file: &Path| fs::write(file, ""), |file: &Path| fs::remove_file(file)] {
        damage(&raw.join("run.json")).unwrap();
        let left = said(&lab(&["--print-runs", "--resume", "--out", out]));
        let name = raw.file_name().unwrap().to_str().unwrap();
        assert!(left.starts_with(&format!("{name}\tdelay ")) && !left.contains("-tcp-"), "{left}");
        let resumed = lab(&["--resume", "--out", out]);
        assert!(resumed.status.success(), "{}", said(&resumed));
        let wanted = format!("run {name} is measured again: ");
        assert!(said(&resumed).contains(&wanted), "{}", said(&resumed));
        assert!(before.agrees(&Losses::of(&raw, "up")) && !raw.with_extension("part").exists());
    }

    let other = lab(&["--resume", "--loss", "1", "--out", out]);
    assert!(said(&other).contains("another plan"), "{}", said(&other));

    // For scripts, a run is left over until the machine has spoiled it three times.
    let info = read_run(&raw).unwrap().info.unwrap();
    for (attempts, is_left) in [(1, true), (2, true), (3, false)] {
        edit(&raw, |info| {
            info.attempts = attempts;
            info.machine.send_late_p99_us = 60_000;
        });
        let left = said(&lab(&["--print-runs", "--resume", "--out", out]));
        assert_eq!(left.contains("unreliable-1\tdelay "), is_left, "{attempts}: {left}");
        assert_eq!(left.contains("60.0 ms late (99th percentile): measured again"), is_left);
    }
    info.write(&raw).unwrap();

    // Everything above works without python3.
    needs(&["python3"]);
    let verified = Command::new("python3").args(["scripts/verify_report.py", out]).output();
    let verified = verified.unwrap();
    assert!(verified.status.success(), "{}", said(&verified));
}

fn every_mode_works_over_seconds_of_delay() {
    needs_time();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("lab");
    let long = ["--loss", "0", "--delay-ms", "6000", "--repetitions", "1", "--duration-s", "1"];
    let modes = "unreliable,reliable-unordered,reliable-ordered,tcp";
    let output = lab(&[&long[..], &["--modes", modes, "--out", out.to_str().unwrap()]].concat());
    needs_namespaces(&output);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output).matches("100 %").count(), 4, "{}", said(&output));

    let output = lab(&["--delay-ms", "60001"]);
    assert!(said(&output).contains("between 0s and 1m"), "{}", said(&output));
}

/// A join takes four seconds to leave.
fn tcp_crosses_a_network_of_1_kbit() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("lab");
    let network = ["--loss", "0", "--bandwidth", "1kbit", "--repetitions", "1"];
    let load = ["--rate", "0.2", "--size", "16", "--duration-s", "10", "--out"];
    let modes = ["--modes", "tcp"];
    let output = lab(&[&network[..], &modes, &load, &[out.to_str().unwrap()]].concat());
    needs_namespaces(&output);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output).matches("100 %").count(), 1, "{}", said(&output));
}

fn a_run_has_the_planned_congestion_control_or_fails() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("lab");
    let short = ["--loss", "0", "--delay-ms", "1", "--repetitions", "1", "--duration-s", "0.2"];
    let tcp = ["--modes", "tcp", "--congestion", "reno,no-such", "--out", out.to_str().unwrap()];
    let output = lab(&[&short[..], &tcp].concat());
    needs_namespaces(&output);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("tcp-no-such-1") && told.contains("modprobe tcp_no-such"), "{told}");
    assert!(said(&output).contains("TCP, reno"), "{}", said(&output));
    let run = fs::read_to_string(out.join("runs/loss0-delay1-jitter0-burst1-tcp-reno-1/run.json"));
    let run: serde_json::Value = serde_json::from_str(&run.unwrap()).unwrap();
    assert_eq!(run["congestion_control"], "reno");
}

fn print_runs_writes_one_line_per_run() {
    let output = lab(&["--print-runs", "--loss", "5", "--modes", "tcp", "--repetitions", "2"]);
    assert!(output.status.success(), "{}", said(&output));
    let text = said(&output);
    let lines: Vec<Vec<_>> = text.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(lines[1][..2], ["loss5-delay25-jitter0-burst1-tcp-2", "delay 25ms loss 5%"]);
    assert_eq!(lines[1][2], "auto", "{text}");
    assert_eq!(lines[1][3], "--redundancy auto --heartbeat 2000ms --expiry 10000ms", "{text}");
    assert!(lines[1][4].starts_with("--transport tcp "), "{text}");
    assert_eq!(lab(&["--print-runs", "--loss", "120"]).status.code(), Some(2));
    assert!(!Path::new("chatagram-lab").exists());
}

fn a_path_too_narrow_for_the_load_is_named_before_the_run() {
    let narrow = ["--bandwidth", "off,64kbit", "--loss", "0,5", "--receivers", "4"];
    for print in ["--print-plan", "--print-runs"] {
        let output = lab(&[&[print], &narrow[..]].concat());
        assert!(output.status.success(), "{}", said(&output));
        let warned = String::from_utf8_lossy(&output.stderr);
        assert_eq!(warned.matches("carries less").count(), 1, "{warned}");
        let arithmetic = "64kbit down carries less than the load asks for, 235.2kbit: 50 \
                          messages/s × 1 sender × 4 peers × (64 + 83 bytes of headers) × 8 bits";
        assert!(warned.contains(arithmetic), "{warned}");
        assert!(lab(&[print]).stderr.is_empty());
    }
}

fn a_plan_error_names_the_line_and_suggests_the_key() {
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
    assert!(!Path::new("chatagram-lab").exists(), "a rejected plan creates nothing");
}

fn a_replay_loses_the_recorded_packets() {
    let dir = tempfile::tempdir().unwrap();
    let out = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let run = |dir: &str| Path::new(dir).join("runs/loss20-delay5-jitter0-burst1-unreliable-1");
    let small = ["--loss", "20", "--delay-ms", "5", "--repetitions", "1", "--duration-s", "1"];
    for (name, seed) in [("one", "7"), ("other", "8")] {
        let rest = ["--modes", "unreliable", "--seed", seed, "--out", &out(name)];
        let output = lab(&[&small[..], &rest].concat());
        needs_namespaces(&output);
        assert!(output.status.success(), "{}", said(&output));
    }
    let (one, other) = (run(&out("one")), run(&out("other")));
    assert!(!both_ways_agree(&one, &other), "another seed loses other packets");

    let again = |of: &Path, transport: &str, into: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
        command.arg("replay").arg(of).args(["--transport", transport, "--out", into]);
        command.output().unwrap()
    };
    // Edit the recorded losses: the replay must follow the file, not the seed.
    let file = one.join("run.json");
    let text = fs::read_to_string(&file).unwrap();
    let drops = |text: &str| format!("\"drops\": \"{text}\"");
    let up = text.split("\"drops\": \"").nth(1).unwrap().split('"').next().unwrap();
    fs::write(&file, text.replace(&drops(up), &drops("3,9-10,31"))).unwrap();

    let output = again(&one, "tcp", &out("replay"));
    assert!(output.status.success(), "{}", said(&output));
    let table = said(&output);
    assert!(table.contains("UDP unreliable") && table.contains("TCP"), "side by side: {table}");
    let runs = Path::new(&out("replay")).join("runs");
    let name = format!("{}-replayed-tcp", one.file_name().unwrap().to_str().unwrap());
    assert!(both_ways_agree(&one, &runs.join(&name)), "the recorded packets are lost");
    assert_eq!(
        Losses::of(&one, "up").drops,
        Losses::of(&runs.join(one.file_name().unwrap()), "up").drops
    );
    // A replay records its own losses, so it can be replayed too.
    let most = Losses::of(&one, "up").drops.last().copied().unwrap();
    assert!(Losses::of(&runs.join(&name), "up").drops.iter().all(|index| *index <= most));
    let output = again(&runs.join(&name), "udp", &out("replay of a replay"));
    assert!(output.status.success(), "{}", said(&output));

    // A name in `run.json` is not a path: the replay writes inside its own directory.
    let text = fs::read_to_string(&file).unwrap();
    let name = format!("\"run\": \"{}\"", one.file_name().unwrap().to_str().unwrap());
    assert!(text.contains(&name), "{text}");
    fs::write(&file, text.replace(&name, "\"run\": \"../../escaped\"")).unwrap();
    let output = again(&one, "udp", &out("deep/replay"));
    assert!(output.status.success(), "{}", said(&output));
    let escaped = |it: &fs::DirEntry| it.file_name().to_str().unwrap().starts_with("escaped");
    for dir in [dir.path(), &dir.path().join("deep")] {
        assert!(!fs::read_dir(dir).unwrap().any(|it| escaped(&it.unwrap())));
    }

    let lab = out("one");
    let output = again(Path::new(&lab), "tcp", &out("nothing"));
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("name one of its runs"), "{}", said(&output));
    assert!(!Path::new(&out("nothing")).exists());
}

fn without_namespaces_the_lab_names_the_cause_and_measures_udp() {
    let dir = tempfile::tempdir().unwrap();
    let script = "echo 0 >/proc/sys/user/max_net_namespaces && exec \"$1\" lab --loss 20 \
                  --repetitions 1 --duration-s 1 --modes unreliable,tcp --out lab";
    let output = unshared("", script, dir.path());
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    for part in ["max_net_namespaces", "UDP and QUIC alone", "UDP unreliable"] {
        assert!(said.contains(part), "{said}");
    }
    let runs = dir.path().join("lab/runs");
    assert_eq!(fs::read_dir(&runs).unwrap().count(), 1, "TCP is left out");
    let raw = runs.join("loss20-delay25-jitter0-burst1-unreliable-1");
    assert!(!Losses::of(&raw, "down").drops.is_empty());
    let page = fs::read_to_string(dir.path().join("lab/report.html")).unwrap();
    assert!(page.contains("in the clients&#39; process"), "the page names the emulation");
}

fn a_directory_in_which_a_lab_runs_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("lab");
    let small = ["--loss", "0", "--delay-ms", "1", "--duration-s", "2", "--modes", "unreliable"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
    command.arg("lab").args(small).args(["--repetitions", "2", "--out"]).arg(&out);
    let mut first = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !out.join("plan.toml").exists() && first.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let path = out.to_str().unwrap();
    for options in [&["--resume", "--out", path][..], &["--loss", "0", "--out", path]] {
        let second = lab(options);
        needs_namespaces(&second);
        assert_eq!(second.status.code(), Some(1), "{}", said(&second));
        let wanted = format!("is in use: process {} measures in it", first.id());
        assert!(said(&second).contains(&wanted), "{}", said(&second));
    }
    let output = first.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("2 runs"), "{}", said(&output));
    assert!(!out.join("lab.lock").exists());
}

fn an_interrupted_lab_keeps_finished_runs() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("lab");
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
    command.args(["lab", "--loss", "0", "--delay-ms", "1", "--duration-s", "0.5"]);
    command.args(["--modes", "unreliable", "--repetitions", "50", "--out"]).arg(&out);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let lab = command.spawn().unwrap();
    let first = out.join("runs/loss0-delay1-jitter0-burst1-unreliable-1");
    let started = Instant::now();
    while !first.exists() && started.elapsed() < Duration::from_secs(60) {
        std::thread::yield_now();
    }
    let process = rustix::process::Pid::from_child(&lab);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    let output = lab.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(said(&output).contains("--resume"), "{}", said(&output));
    let mut report = Command::new(env!("CARGO_BIN_EXE_chatagram"));
    let output = report.arg("report").arg(&out).output().unwrap();
    assert!(output.status.success() && said(&output).contains("UDP unreliable"));
}

tests! {
    a_lab_writes_a_correct_report_and_can_be_resumed,
    every_mode_works_over_seconds_of_delay,
    tcp_crosses_a_network_of_1_kbit,
    a_run_has_the_planned_congestion_control_or_fails,
    print_runs_writes_one_line_per_run,
    a_path_too_narrow_for_the_load_is_named_before_the_run,
    a_plan_error_names_the_line_and_suggests_the_key,
    a_replay_loses_the_recorded_packets,
    without_namespaces_the_lab_names_the_cause_and_measures_udp,
    failures::a_full_disk_fails_each_run_with_a_reason,
    failures::a_broken_network_fails_the_run_with_the_reason,
    a_directory_in_which_a_lab_runs_is_refused,
    failures::a_server_that_dies_fails_the_run,
    failures::a_load_that_dies_fails_the_run,
    failures::a_machine_too_busy_to_route_fails_the_run,
    an_interrupted_lab_keeps_finished_runs,
    captures::captures_records_and_counters_agree_packet_for_packet,
    captures::wireshark_reads_the_captures_and_finds_the_drops,
    captures::the_ladder_names_the_packets_of_wireshark,
    captures::no_trace_writes_no_capture,
    #[cfg(feature = "quic")]
    quic::quic_is_measured_with_each_congestion_control,
    truth::waits_at_the_server_and_at_the_reader_are_recorded_apart,
    truth::automatic_repetitions_end_when_the_intervals_are_narrow,
    truth::every_dimension_of_a_plan_is_in_its_titles,
}
