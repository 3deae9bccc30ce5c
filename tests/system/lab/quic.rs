//! QUIC between two network namespaces, beside raw UDP: the same lost packets, the congestion
//! controls of the plan, and captures that the key log opens.
#![allow(clippy::unwrap_used)]

use super::{Losses, both_ways_agree, needs_namespaces, said};
use crate::needs::needs;
use chatagram::lab::record::{Verdict, read_run};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The text of every message of a load ends with it.
const TEXT: &str = "xxxxxxxx";

pub(crate) fn quic_is_measured_with_each_congestion_control() {
    let dir = tempfile::tempdir().unwrap();
    let (out, keys) = (dir.path().join("lab"), dir.path().join("keys"));
    let mut lab = Command::new(env!("CARGO_BIN_EXE_chatagram"));
    lab.env("SSLKEYLOGFILE", &keys).args(["lab", "--loss", "10", "--delay-ms", "5", "--seed", "5"]);
    lab.args(["--repetitions", "1", "--duration-s", "2", "--congestion", "new-reno,bbr"]);
    lab.args(["--modes", "unreliable,quic-unreliable,quic-reliable-ordered", "--out"]).arg(&out);
    let output = lab.output().unwrap();
    needs_namespaces(&output);
    assert!(output.status.success(), "{}", said(&output));
    let run = |variant: &str| {
        let name = format!("loss10-delay5-jitter0-burst1-{variant}-1");
        out.join("runs").join(name)
    };
    let raw = run("unreliable");
    for control in ["new-reno", "bbr"] {
        for mode in ["quic-unreliable", "quic-reliable-ordered"] {
            let dir = run(&format!("{mode}-{control}"));
            let it = read_run(&dir).unwrap();
            let info = it.info.unwrap();
            for used in [&info.congestion_control, &info.server_congestion_control] {
                assert_eq!(used.as_deref(), Some(control), "{mode}");
            }
            let network = info.network.unwrap();
            let (up, down, kernel) = (network.up, network.down, network.kernel.unwrap());
            let sent = (kernel.clients_sent, kernel.server_sent);
            let received = (kernel.server_received, kernel.clients_received);
            assert_eq!(sent, (up.packets, down.packets), "{mode}");
            assert_eq!(received, (up.delivered, down.delivered), "{mode}");
            assert!(both_ways_agree(&raw, &dir), "the same packets are lost: {mode}");
            assert!(!Losses::of(&dir, "up").drops.is_empty());
            let lost = it.records.iter().filter(|row| row.verdict == Verdict::Lost).count();
            assert_eq!(lost > 0, mode == "quic-unreliable", "{mode}, {control}: {lost} lost");
        }
    }
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    for part in ["QUIC unreliable, bbr", "QUIC's datagrams wait", "bbr and new-reno"] {
        assert!(page.contains(part), "{part}");
    }
    needs(&["python3"]);
    for script in ["scripts/verify_report.py", "scripts/verify_capture.py"] {
        let of = if script.contains("capture") { &run("quic-unreliable-bbr") } else { &out };
        let verified = Command::new("python3").arg(script).arg(of).output().unwrap();
        assert!(verified.status.success(), "{script}: {}", said(&verified));
    }
    needs(&["tshark"]);
    let capture = run("quic-reliable-ordered-bbr").join("trace.pcapng");
    let text: String = TEXT.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(!read_with(&capture, Path::new("/dev/null")).contains(&text));
    assert!(read_with(&capture, &keys).contains(&text), "the key log opens the capture");
}

/// The bytes of QUIC's streams as tshark reads them, in hexadecimal digits.
fn read_with(capture: &Path, keys: &Path) -> String {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new("tshark");
    command.env("HOME", home.path()).arg("-r").arg(capture);
    command.args(["-d", "udp.port==2428,quic", "-o"]);
    command.arg(format!("tls.keylog_file:{}", keys.display()));
    command.args(["-T", "fields", "-e", "quic.stream_data"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}
