//! `chatagram load` against a real server on the loopback interface: its records are complete and
//! plausible, and it reports what cannot work.

use crate::program::{Program, Server, free_port};
use chatagram::lab::record::{Mode, Record, Run, Verdict, read_run};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Runs `load` against the server, with more arguments, into `out`.
fn load(server: &Server, out: &Path, args: &[&str]) -> Program {
    let (address, out) = (server.address.to_string(), out.to_str().unwrap());
    let mut all = vec!["load", &address, "--out", out];
    all.extend(args);
    Program::start(server.dir.path(), &all)
}

/// Like `load`, and waits for its success.
fn loaded(server: &Server, out: &Path, args: &[&str]) -> Run {
    let mut program = load(server, out, args);
    assert_eq!(program.wait(), Some(0), "{}", program.output());
    read_run(out).unwrap()
}

/// The numbers of the messages, by sender and receiver. Asserts that each row is plausible.
fn pairs(run: &Run) -> BTreeMap<(&str, &str), BTreeSet<u64>> {
    let mut pairs: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for row in &run.records {
        let Record { sender, receiver, id, .. } = row;
        let ids = pairs.entry((&**sender, &**receiver)).or_default();
        assert!(ids.insert(*id), "two rows for {row:?}");
        assert_eq!(row.verdict, Verdict::Delivered, "{row:?}");
        let (sent, arrived) = (row.sent_us.unwrap(), row.arrived_us.unwrap());
        let delivered = row.delivered_us.unwrap();
        assert!(row.intended_us <= sent, "said too early: {row:?}");
        assert!(sent <= arrived && arrived <= delivered, "{row:?}");
        assert!(delivered - row.intended_us < 5_000_000, "a loopback is quicker: {row:?}");
    }
    pairs
}

fn every_message_has_its_row_over_every_transport() {
    let server = Server::start(&["--no-history", "--rate-limit", "off"]);
    let dir = tempfile::tempdir().unwrap();
    for mode in Mode::ALL.into_iter().filter(|it| cfg!(feature = "quic") || !it.is_quic()) {
        let out = dir.path().join(mode.name());
        let (transport, delivery) = (mode.transport(), mode.column());
        let args = ["--transport", transport, "--delivery", delivery, "--senders", "2"];
        let more = ["--receivers", "3", "--rate", "100", "--duration", "500ms", "--seed", "9"];
        let run = loaded(&server, &out, &[&args[..], &more].concat());

        let all: BTreeSet<u64> = (0..50).collect();
        let pairs = pairs(&run);
        let names: Vec<_> = pairs.keys().copied().collect();
        let meant = ["s1", "s2"].map(|s| ["r1", "r2", "r3"].map(|r| (s, r))).concat();
        assert_eq!(names, meant);
        for (pair, ids) in &pairs {
            assert_eq!(ids, &all, "{mode} {pair:?}");
        }
        for row in &run.records {
            assert_eq!((row.mode, &*row.run), (mode, mode.name()));
            if mode == Mode::Tcp || mode == Mode::Unreliable || mode.is_quic() {
                assert_eq!(row.arrived_us, row.delivered_us, "{mode} holds nothing back");
            }
        }

        let info = run.info.unwrap();
        assert_eq!((info.mode, info.run.as_str(), info.seed), (mode, mode.name(), 9));
        assert_eq!((info.senders, info.receivers, info.sent), (2, 3, 100));
        assert_eq!((info.text_bytes, info.size, info.repetition), (6_400, 64, 1));
        assert_eq!((info.rate, info.duration_s), (100.0, 0.5));
        assert_eq!(
            info.congestion_control.is_some(),
            mode.is_quic() || mode == Mode::Tcp && cfg!(target_os = "linux")
        );
        // The lines of two senders, and those shown to five peers (four for each line).
        assert!(info.links.totals.sent_bytes > 6_400, "{:?}", info.links);
        assert!(info.links.totals.received_bytes > 4 * 6_400, "{:?}", info.links);
    }
}

fn the_seed_determines_the_intended_times() {
    let server = Server::start(&["--no-history", "--rate-limit", "off"]);
    let dir = tempfile::tempdir().unwrap();
    let intended = |name: &str, seed| {
        let out = dir.path().join(name);
        let run = loaded(&server, &out, &["--duration", "100ms", "--seed", seed]);
        let mut times: Vec<_> = run.records.iter().map(|row| row.intended_us).collect();
        times.sort_unstable();
        times
    };
    let first = intended("a", "1");
    assert_eq!(first, intended("b", "1"));
    assert_ne!(first, intended("c", "2"));
}

fn two_hundred_peers_fit_in_one_process() {
    let server =
        Server::start(&["--no-history", "--max-peers-per-ip", "300", "--rate-limit", "off"]);
    let dir = tempfile::tempdir().unwrap();
    let args = ["--receivers", "199", "--rate", "10", "--duration", "1s", "--condition", "0:1:0:1"];
    let run = loaded(&server, &dir.path().join("many"), &args);
    let pairs = pairs(&run);
    assert_eq!((pairs.len(), run.records.len()), (199, 1_990));
    let condition = run.info.unwrap().condition.unwrap();
    assert_eq!((condition.loss, condition.delay_ms, condition.burst), (0.0, 1.0, 1.0));
}

fn messages_beyond_the_window_are_sent_late_and_not_omitted() {
    let server = Server::start(&["--no-history", "--rate-limit", "off"]);
    let dir = tempfile::tempdir().unwrap();
    // A window of 64 messages takes 40 ms there and back, and there are 1,000 messages within 50
    // ms.
    let args = ["--rate", "20000", "--duration", "50ms", "--impair", "delay 20ms"];
    let run = loaded(&server, &dir.path().join("flood"), &args);
    let pairs = pairs(&run);
    assert_eq!(pairs[&("s1", "r1")].len(), 1_000);
    let late = |row: &&Record| row.sent_us.unwrap() > row.intended_us + 1_000;
    assert!(run.records.iter().any(|row| late(&row)), "no message had to wait");
}

fn replayed_lines_of_an_earlier_run_are_not_counted() {
    // The server replays the last ten lines of the first run to the second.
    let server = Server::start(&["--rate-limit", "off"]);
    let dir = tempfile::tempdir().unwrap();
    for name in ["first", "second"] {
        let run = loaded(&server, &dir.path().join(name), &["--duration", "200ms"]);
        assert_eq!(pairs(&run)[&("s1", "r1")], (0..10).collect());
    }
}

fn a_directory_that_is_not_empty_is_left_alone() {
    let server = Server::start(&["--no-history", "--rate-limit", "off"]);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "all of it").unwrap();
    let mut program = load(&server, dir.path(), &[]);
    assert_eq!(program.wait(), Some(2));
    let name = dir.path().to_str().unwrap();
    assert!(program.output().contains(&format!("{name} is not empty")), "{}", program.output());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

fn an_invalid_run_name_is_refused_before_any_file_is_made() {
    let server = Server::start(&["--no-history", "--rate-limit", "off"]);
    let dir = tempfile::tempdir().unwrap();
    let mut wrong = vec![("new.parquet", "name the rows records.csv or records.parquet")];
    wrong.push(("new/rows.csv", "or name a directory"));
    if cfg!(not(feature = "parquet")) {
        wrong.push(("new/records.parquet", "--features parquet"));
    }
    for (name, way_out) in wrong {
        let mut program = load(&server, &dir.path().join(name), &[]);
        assert_eq!(program.wait(), Some(2), "{}", program.output());
        assert!(program.output().contains(way_out), "{}", program.output());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "{name}");
    }
}

fn a_run_is_named_after_its_directory() {
    let server = Server::start(&["--no-history", "--rate-limit", "off"]);
    let dir = tempfile::tempdir().unwrap();
    let mut program = load(&server, &dir.path().join("night/records.csv"), &["--duration", "50ms"]);
    assert_eq!(program.wait(), Some(0), "{}", program.output());
    let run = read_run(&dir.path().join("night")).unwrap();
    assert_eq!((run.name.as_str(), run.info.unwrap().run.as_str()), ("night", "night"));
}

#[cfg(feature = "parquet")]
fn finished_parts_survive_a_kill_and_a_report_reads_them() {
    let server = Server::start(&["--no-history", "--rate-limit", "off"]);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("night");
    let mut program = load(&server, &out.join("records.parquet"), &["--duration", "200ms"]);
    assert_eq!(program.wait(), Some(0), "{}", program.output());
    let run = read_run(&out).unwrap();
    assert_eq!(pairs(&run)[&("s1", "r1")], (0..10).collect());
    assert_eq!(run.info.unwrap().run, "night");
    assert!(!out.join("records.csv").exists() && out.join("run.json").exists());
    let written = chatagram::lab::report::write(&out).unwrap();
    assert_eq!((written.runs, written.left_out.len()), (1, 0));

    let out = dir.path().join("killed");
    let args = ["--duration", "1h", "--senders", "2", "--name", "mine"];
    let mut program = load(&server, &out.join("records.parquet"), &args);
    let part = out.join("records.parquet").join("00000.parquet");
    let began = std::time::Instant::now();
    while !part.exists() {
        assert!(began.elapsed().as_secs() < 30, "no part was written");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    program.signal("KILL");
    program.wait();
    let run = read_run(&out).unwrap();
    assert!(run.info.is_none() && run.records.len() > 100, "{} rows", run.records.len());
    assert_eq!(&*run.records[0].run, "mine");
    let written = chatagram::lab::report::write(&out).unwrap();
    let left_out: Vec<_> = written.left_out.iter().map(|it| it.name.as_str()).collect();
    assert_eq!((written.runs, left_out), (0, vec!["killed"]));
}

fn an_unreachable_server_is_reported_and_no_file_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let (address, out) = (format!("127.0.0.1:{}", free_port()), dir.path().join("run"));
    let args = ["load", &address, "--out", out.to_str().unwrap()];
    for transport in ["udp", "tcp"] {
        let mut program =
            Program::start(dir.path(), &[&args[..], &["--transport", transport]].concat());
        assert_eq!(program.wait(), Some(3), "{}", program.output());
        assert!(program.output().contains("s1 got no answer from"), "{}", program.output());
        // Only Linux reports what became of datagrams.
        let told = transport == "tcp" || cfg!(target_os = "linux");
        let refused = program.output().contains("refuses: nothing listens at port");
        assert!(refused || !told, "{}", program.output());
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    }
}

fn a_refused_client_is_named_with_the_reason_and_the_remedy() {
    let server = Server::start(&["--no-history", "--max-peers-per-ip", "3"]);
    let dir = tempfile::tempdir().unwrap();
    for transport in ["udp", "tcp"] {
        let args = ["--receivers", "3", "--transport", transport];
        let mut program = load(&server, dir.path(), &args);
        assert_eq!(program.wait(), Some(4), "{}", program.output());
        let output = program.output();
        assert!(output.contains("was refused: too many"), "{output}");
        assert!(output.contains("--max-peers-per-ip on the server raises"), "{output}");
    }
}

fn a_rate_limit_that_the_run_would_measure_is_refused_unless_asked_for() {
    let server = Server::start(&["--no-history", "--rate-limit", "5/20"]);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let mut program = load(&server, &out, &["--rate", "50", "--duration", "500ms"]);
    assert_eq!(program.wait(), Some(2), "{}", program.output());
    let said = program.output();
    for part in ["5 lines at once and then 20 a second", "says 50 a second", "--rate-limit off"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "nothing was measured");
    // A long message takes five tokens.
    let long = ["--rate", "10", "--size", "1000", "--duration", "1s"];
    assert_eq!(load(&server, &out, &long).wait(), Some(2));
    let slow = ["--rate", "50", "--duration", "500ms", "--through-rate-limit"];
    let info = loaded(&server, &out, &slow).info.unwrap();
    assert!(info.machine.send_late_p99_us <= info.machine.send_late_max_us);
    // Messages within the limit, and a burst that the bucket holds.
    for (name, args) in [("within", ["--rate", "20"]), ("burst", ["--rate", "50"])] {
        let short = ["--duration", "100ms"];
        loaded(&server, &dir.path().join(name), &[&args[..], &short[..]].concat());
    }
}

fn an_interrupted_run_keeps_its_rows_and_has_no_run_json() {
    let mut server = Server::start(&["--no-history", "--rate-limit", "off"]);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let mut program = load(&server, &out, &["--duration", "1h", "--rate", "1000"]);
    server.program.line("r1", |line| line.contains("r1"));
    let records = out.join("records.csv");
    while fs::metadata(&records).map_or(0, |it| it.len()) < 1_000 {
        std::thread::yield_now();
    }
    program.signal("INT");
    assert_eq!(program.wait(), Some(130));
    assert!(program.output().contains("the run is incomplete"), "{}", program.output());
    let run = read_run(&out).unwrap();
    assert!(run.info.is_none() && !run.torn && !run.records.is_empty());
    // The clients said goodbye, so their names are free at once.
    loaded(&server, &dir.path().join("next"), &["--duration", "100ms"]);
}

fn a_stopping_server_ends_the_run() {
    let mut server = Server::start(&["--no-history", "--rate-limit", "off"]);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let mut program = load(&server, &out, &["--duration", "1h"]);
    while !out.join("records.csv").exists() {
        std::thread::yield_now();
    }
    server.program.signal("INT");
    assert_eq!(server.program.wait(), Some(0));
    assert_eq!(program.wait(), Some(5));
    assert!(program.output().contains("it closed"), "{}", program.output());
    assert!(!out.join("run.json").exists());
}

fn a_server_killed_in_mid_run_is_no_loss() {
    let server = Server::start(&["--no-history", "--rate-limit", "off"]);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let args = ["--duration", "1s", "--delivery", "unreliable"];
    let mut program = load(&server, &out, &args);
    while !out.join("records.csv").exists() {
        std::thread::yield_now();
    }
    server.program.signal("KILL");
    assert_eq!(program.wait(), Some(5), "{}", program.output());
    assert!(program.output().contains("it no longer answers"), "{}", program.output());
    assert!(!out.join("run.json").exists());
}

#[cfg(unix)]
fn the_command_on_the_page_repeats_the_run() {
    let server = Server::start(&["--no-history", "--rate-limit", "off"]);
    let dir = tempfile::tempdir().unwrap();
    let impaired = ["--impair", "up: loss 20%, delay 2ms; down: jitter 1ms"];
    let condition = ["--condition", "0.07:2:1.5:1.25", "--repetition", "3", "--no-delay", "off"];
    for (name, more) in [
        ("udp", &[&["--delivery", "reliable-unordered"], &impaired[..]].concat()),
        ("tcp", &[&["--transport", "tcp"], &condition[..]].concat()),
        ("both", &[impaired, ["--condition", "0:0:0:1"]].concat()),
        ("off", &[impaired, ["--redundancy", "off"]].concat()),
        ("copies", &vec!["--redundancy", "2"]),
    ] {
        let (out, again) = (dir.path().join(name), dir.path().join(format!("{name} again")));
        let args = ["--duration", "300ms", "--rate", "33.25", "--seed", "18446744073709551615"];
        let first = loaded(&server, &out, &[&args[..], more].concat()).info.unwrap();
        assert_eq!(first.links.totals.redundant == 0, ["off", "tcp"].contains(&name), "{name}");
        chatagram::lab::report::write(&out).unwrap();
        let page = fs::read_to_string(out.join("report.html")).unwrap();
        let (_, from) = page.split_once("<code>chatagram load SERVER ").unwrap();
        let (text, _) = from.split_once("</code>").unwrap();
        let text = text.replace("&#39;", "'").replace("DIRECTORY", "\"$3\"");
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-c", &format!("\"$1\" load \"$2\" {text}"), "sh"]);
        shell.arg(env!("CARGO_BIN_EXE_chatagram")).arg(server.address.to_string()).arg(&again);
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{text}: {output:?}");
        let second = read_run(&again).unwrap().info.unwrap();
        let chatagram::lab::record::RunInfo {
            run, started, links, network, machine, files, ..
        } = first.clone();
        let same = chatagram::lab::record::RunInfo {
            run,
            started,
            links,
            network,
            machine,
            files,
            ..second
        };
        assert_eq!(same, first, "{text}");
    }
}

fn a_path_too_narrow_for_the_load_is_named() {
    let server = Server::start(&["--no-history", "--rate-limit", "off"]);
    let dir = tempfile::tempdir().unwrap();
    let args = ["--duration", "100ms", "--impair", "down: rate 50kbit"];
    let mut program = load(&server, &dir.path().join("run"), &args);
    assert_eq!(program.wait(), Some(0), "{}", program.output());
    let warning = "50kbit down carries less than the load asks for, 58.8kbit";
    assert!(program.output().contains(warning), "{}", program.output());
}

#[cfg(target_os = "linux")]
fn a_run_of_load_with_an_emulated_network_can_be_replayed() {
    let server = Server::start(&["--no-history", "--rate-limit", "off"]);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let args = ["--duration", "300ms", "--impair", "loss 20%", "--delivery", "unreliable"];
    let first = loaded(&server, &out, &args).info.unwrap();
    let args = ["replay", "run", "--delivery", "reliable-ordered", "--out", "again"];
    let mut program = Program::start(dir.path(), &args);
    assert_eq!(program.wait(), Some(0), "{}", program.output());
    let again = dir.path().join("again/runs/run-replayed-reliable-ordered");
    let again = read_run(&again).unwrap().info.unwrap();
    assert_eq!((again.condition, &again.impair), (None, &first.impair));
    assert_eq!(again.replayed.as_deref(), Some("run"));
}

tests! {
    every_message_has_its_row_over_every_transport,
    the_seed_determines_the_intended_times,
    two_hundred_peers_fit_in_one_process,
    messages_beyond_the_window_are_sent_late_and_not_omitted,
    replayed_lines_of_an_earlier_run_are_not_counted,
    a_directory_that_is_not_empty_is_left_alone,
    an_invalid_run_name_is_refused_before_any_file_is_made,
    a_run_is_named_after_its_directory,
    #[cfg(feature = "parquet")]
    finished_parts_survive_a_kill_and_a_report_reads_them,
    an_unreachable_server_is_reported_and_no_file_is_left,
    a_refused_client_is_named_with_the_reason_and_the_remedy,
    a_rate_limit_that_the_run_would_measure_is_refused_unless_asked_for,
    an_interrupted_run_keeps_its_rows_and_has_no_run_json,
    a_stopping_server_ends_the_run,
    a_server_killed_in_mid_run_is_no_loss,
    #[cfg(unix)]
    the_command_on_the_page_repeats_the_run,
    a_path_too_narrow_for_the_load_is_named,
    #[cfg(target_os = "linux")]
    a_run_of_load_with_an_emulated_network_can_be_replayed,
}
