//! The captures of the lab's runs: they agree with records and counters, packet for packet, and
//! Wireshark reads them.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::{lab, needs_namespaces, said};
use crate::needs::{needs, needs_time};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Fields of a packet, and their places.
const COLUMNS: [&str; 8] = [
    "frame.interface_name",
    "frame.packet_flags_direction",
    "frame.comment",
    "chatagram.duplicate",
    "chatagram.gap",
    "chatagram.acked_in",
    "chatagram.say.text",
    "chatagram.line.text",
];
const SIDE: usize = 0;
const WAY: usize = 1;
const COMMENT: usize = 2;
const DUPLICATE: usize = 3;
const GAP: usize = 4;
const ACKED: usize = 5;
const SAID: usize = 6;
const SHOWN: usize = 7;
/// The rows of a mode in the page's table of packets, at most.
const MAX_ROWS: usize = 40;
/// Wireshark's directions at an interface.
const IN: &str = "0x00000001";
const OUT: &str = "0x00000002";

/// A lab of one condition and all modes, with these options besides. Returns the runs.
fn runs(out: &Path, options: &[&str]) -> Vec<PathBuf> {
    let small = ["--delay-ms", "5", "--jitter-ms", "4", "--repetitions", "1", "--duration-s", "2"];
    let modes = ["--modes", "unreliable,reliable-unordered,reliable-ordered,tcp", "--senders", "2"];
    let end = ["--receivers", "2", "--seed", "77", "--out", out.to_str().unwrap()];
    let output = lab(&[&small[..], &modes, options, &end].concat());
    needs_namespaces(&output);
    assert!(output.status.success(), "{}", said(&output));
    let runs = fs::read_dir(out.join("runs")).unwrap().map(|it| it.unwrap().path());
    let mut runs: Vec<_> = runs.collect();
    runs.sort();
    assert_eq!(runs.len(), 4);
    runs
}

fn info(run: &Path) -> Value {
    serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap()
}

/// The fields of the packets that pass the filter, without the user's settings and plugins.
fn tshark(run: &Path, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new("tshark");
    command.arg("-r").arg(run.join("trace.pcapng")).args(["-2", "-T", "fields", "-Y", filter]);
    command.args(["-X", "lua_script:scripts/chatagram.lua", "-E", "separator=|"]);
    command.args(fields.iter().flat_map(|field| ["-e", field]));
    for variable in ["HOME", "XDG_CONFIG_HOME", "WIRESHARK_CONFIG_DIR"] {
        command.env(variable, home.path());
    }
    let output = command.output().unwrap();
    assert!(output.status.success() && !said(&output).contains("Lua"), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect()
}

pub(crate) fn captures_records_and_counters_agree_packet_for_packet() {
    let dir = tempfile::tempdir().unwrap();
    let runs = runs(dir.path(), &["--loss", "10"]);
    for run in &runs {
        let info = info(run);
        let [trace, kernel] = [&info["trace"], &info["network"]["kernel"]];
        assert_eq!(trace["bytes"], fs::metadata(run.join("trace.pcapng")).unwrap().len());
        assert_eq!((&trace["beyond_limit"], &trace["too_slow"]), (&0.into(), &0.into()));
        for (way, from, to) in [("up", "clients", "server"), ("down", "server", "clients")] {
            let router = &info["network"][way];
            assert_eq!(kernel[format!("{from}_sent")], router["packets"], "{info}");
            assert_eq!(kernel[format!("{to}_received")], router["delivered"], "{info}");
        }
    }
    needs(&["python3"]);
    for run in &runs {
        let script = "scripts/verify_capture.py";
        let output = Command::new("python3").arg(script).arg(run).output().unwrap();
        assert!(output.status.success(), "{}: {}", run.display(), said(&output));
        assert!(said(&output).contains("all agree"), "{}", said(&output));
    }
    let report = Command::new("python3").arg("scripts/verify_report.py").arg(dir.path()).output();
    assert!(report.as_ref().unwrap().status.success(), "{}", said(&report.unwrap()));

    // The script notices a capture that lacks a packet, and a record that no packet explains.
    let damaged = runs.iter().find(|run| run.to_str().unwrap().contains("-unreliable-")).unwrap();
    let file = damaged.join("records.csv");
    let records = fs::read_to_string(&file).unwrap();
    let lost = records.lines().find(|line| line.ends_with(",lost")).unwrap();
    let shown = lost.replace(",,,lost", ",9,9,delivered");
    fs::write(&file, records.replace(lost, &shown)).unwrap();
    let verify = || {
        let script = "scripts/verify_capture.py";
        Command::new("python3").arg(script).arg(damaged).output().unwrap()
    };
    assert!(said(&verify()).contains("was delivered, and no packet with it left"));
    let trace = damaged.join("trace.pcapng");
    let bytes = fs::read(&trace).unwrap();
    fs::write(&trace, &bytes[..bytes.len() / 2]).unwrap();
    assert!(said(&verify()).contains("cut"), "{}", said(&verify()));
}

pub(crate) fn wireshark_reads_the_captures_and_finds_the_drops() {
    needs_time();
    needs(&["tshark", "capinfos"]);
    let dir = tempfile::tempdir().unwrap();
    for run in &runs(dir.path(), &["--loss", "10"]) {
        let info = info(run);
        let dropped = "frame.comment contains \"dropped\"";
        let drops = tshark(run, dropped, &["frame.number"]).len();
        let count = |way: &str, name: &str| info["network"][way][name].as_u64().unwrap() as usize;
        assert_eq!(drops, count("up", "lost") + count("down", "lost"));
        let said = said(&Command::new("capinfos").arg(run.join("trace.pcapng")).output().unwrap());
        assert!(said.contains("network: loss 10%, delay 5ms, jitter 4ms; seed 77"), "{said}");
        assert!(said.contains("nanoseconds"), "{said}");

        let packets = tshark(run, "frame", &COLUMNS);
        assert_eq!(packets.len() as u64, info["trace"]["packets"].as_u64().unwrap());
        for packet in packets.iter().filter(|it| it[COMMENT].contains("dropped")) {
            let from = if packet[COMMENT].starts_with("up ") { "clients" } else { "server" };
            assert_eq!((&*packet[SIDE], &*packet[WAY]), (from, IN), "{packet:?}");
            assert!(packet[COMMENT].ends_with(": dropped by 'loss 10%'"), "{packet:?}");
        }
        // Each side of the router is a conversation: no packet is a duplicate, numbers are missing
        // only behind the router, and what was sent is acknowledged on the same side.
        let mut gaps = 0;
        for packet in &packets {
            assert_eq!(packet[DUPLICATE], "", "{packet:?}");
            assert!(packet[GAP].is_empty() || packet[WAY] == OUT, "{packet:?}");
            gaps += usize::from(!packet[GAP].is_empty());
            if let Ok(acked) = packet[ACKED].parse::<usize>() {
                assert_eq!(packets[acked - 1][SIDE], packet[SIDE], "{packet:?}");
            }
        }
        assert_eq!(gaps > 0, !run.to_str().unwrap().contains("tcp"));
    }
}

pub(crate) fn the_ladder_names_the_packets_of_wireshark() {
    needs_time();
    needs(&["tshark"]);
    let dir = tempfile::tempdir().unwrap();
    let runs = runs(dir.path(), &["--loss", "10"]);
    let page = fs::read_to_string(dir.path().join("report.html")).unwrap();
    let table = page.split("<details>").nth(1).unwrap().split("</details>").next().unwrap();
    let name = |run: &Path| run.file_name().unwrap().to_str().unwrap().to_owned();
    let packets = |of: &str| {
        let run = runs.iter().find(|run| name(run).contains(of)).unwrap();
        assert!(table.contains(&format!("href=\"runs/{}/trace.pcapng\"", name(run))), "{table}");
        tshark(run, "frame", &COLUMNS)
    };
    let [raw, tcp] = ["-unreliable-", "-tcp-"].map(packets);
    let mut dropped = 0;
    let mut late: BTreeMap<_, Vec<bool>> = BTreeMap::new();
    for row in table.split("<tr>").skip(2) {
        let cells: Vec<_> = row.split("<td>").skip(1).collect();
        let [id, _, took, up, down, waited] = cells[..] else { panic!("{row}") };
        let id = id.split('<').next().unwrap();
        let mode = row.split("</th>").next().unwrap().rsplit('>').next().unwrap();
        let has_waited = !took.starts_with("lost") && !waited.starts_with('<');
        late.entry(mode).or_default().push(has_waited);
        for (cell, text) in [(up, SAID), (down, SHOWN)] {
            let Some((before, _)) = cell.split_once(" (dropped)") else { continue };
            let frame: usize = before.rsplit(' ').next().unwrap().parse().unwrap();
            if row.contains(">UDP unreliable<") {
                let packet = &raw[frame - 1];
                assert!(packet[COMMENT].contains(": dropped by 'loss 10%'"), "{packet:?}");
                let texts: Vec<_> = packet[text].split(',').collect();
                assert!(texts.iter().any(|it| it.starts_with(&format!("{id} "))), "{packet:?}");
                dropped += 1;
            }
        }
        if row.contains(">TCP,")
            && let Some((_, rest)) = waited.split_once("for packet ")
        {
            let frame: usize = rest.split(',').next().unwrap().parse().unwrap();
            assert_eq!(tcp[frame - 1][WAY], OUT, "{row}");
        }
    }
    assert!(dropped > 0, "{table}");
    // A copy may repair each loss, and TCP send all that is missing again in one segment: then no
    // message waits for another, and the caption does not mention it.
    let caption = page.split("<figcaption>Here ").nth(1).unwrap().split('<').next().unwrap();
    for (mode, rows) in late.iter().filter(|(_, rows)| rows.len() < MAX_ROWS) {
        let sentence = caption.split(". ").find(|it| it.starts_with(mode)).unwrap();
        let blocked = sentence.split_once(" of them waited for an earlier one (head-of-line");
        let said = blocked.map_or("0", |(before, _)| before.rsplit(' ').next().unwrap());
        let waiting = rows.iter().filter(|it| **it).count();
        assert_eq!(said, waiting.to_string(), "{mode}: {caption}\n{table}");
    }
}

pub(crate) fn no_trace_writes_no_capture() {
    let dir = tempfile::tempdir().unwrap();
    for run in runs(dir.path(), &["--loss", "0", "--no-trace"]) {
        let files = fs::read_dir(&run).unwrap().map(|it| it.unwrap().file_name());
        let files: BTreeSet<_> = files.map(|it| it.into_string().unwrap()).collect();
        assert_eq!(files, ["records.csv", "run.json", "server.csv"].map(str::to_owned).into());
        assert_eq!(info(&run)["trace"], Value::Null);
    }
}
