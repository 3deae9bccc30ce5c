//! `scripts/netem-sweep.sh`: its captures beside the kernel's counters, waits at the server, and
//! runs measured again.

use super::{in_a_kernel, said, verify_report};
use crate::needs::{needs, needs_time};
use chatagram::lab::record::{Mode, Run, read_run};
use std::path::Path;
use std::process::Command;
use std::thread;

/// With dumpcap, and with tcpdump where dumpcap is missing.
fn the_sweep_captures_each_packet_that_the_kernel_counts() {
    needs_time();
    needs(&["linux.uml", "insmod", "cc", "ip", "tc", "ss", "sysctl", "bash", "python3"]);
    needs(&["dumpcap", "capinfos", "reordercap", "tcpdump", "tshark"]);
    let dir = tempfile::tempdir().unwrap();
    let without =
        "mkdir /run/bin; for place in ${PATH//:/ }; do ln -s $place/* /run/bin 2>&- || :; done
        rm /run/bin/dumpcap; PATH=/run/bin";
    let tools = [("dumpcap", ":"), ("tcpdump", without)];
    thread::scope(|scope| {
        let sweeps = tools.map(|(tool, prepare)| {
            let out = dir.path().join(tool);
            let script = format!(
                "set -e; {prepare}; scripts/netem-sweep.sh --loss 10 --repetitions 1 \
                 --duration-s 2 --modes reliable-ordered,tcp --out {}",
                out.display()
            );
            (scope.spawn(move || in_a_kernel(&script)), out)
        });
        for (sweep, out) in sweeps {
            let output = sweep.join().unwrap();
            assert!(output.status.success(), "{}", said(&output));
            for mode in ["reliable-ordered", "tcp"] {
                is_whole(&out.join(format!("runs/loss10-delay25-jitter0-burst1-{mode}-1")));
            }
            verify_report(&out);
            let page = std::fs::read_to_string(out.join("report.html")).unwrap();
            assert!(page.contains("trace.pcapng\">TCP, "), "{page}");
        }
    });
}

/// Compares the capture, by a program of another author, with netem's counters and the kernel's.
fn is_whole(run: &Path) {
    let Run { info, records, .. } = read_run(run).unwrap();
    let info = info.unwrap();
    // Over TCP the server does not know them.
    let known = records.iter().filter(|record| record.server_held_us.is_some()).count();
    assert_eq!(known, if info.mode == Mode::Tcp { 0 } else { records.len() });
    let (network, trace) = (info.network.unwrap(), info.trace.unwrap());
    // The first address: ICMP quotes the packet that it answers.
    let count = |side: &str, source: &str| {
        let filter = format!("frame.interface_name == \"{side}\"");
        let mut command = Command::new("tshark");
        command.env("HOME", run).arg("-r").arg(run.join("trace.pcapng")).args(["-Y", &filter]);
        command.args(["-T", "fields", "-e", "ip.src", "-E", "occurrence=f"]);
        let output = command.output().unwrap();
        let lines = String::from_utf8_lossy(&output.stdout);
        lines.lines().filter(|line| *line == source).count() as u64
    };
    let (clients, server) = ("10.77.1.2", "10.77.2.2");
    let captured = [
        count("clients", clients),
        count("server", clients),
        count("server", server),
        count("clients", server),
    ];
    let (up, down, kernel) = (&network.up, &network.down, network.kernel.unwrap());
    assert_eq!(captured, [up.packets, up.delivered, down.packets, down.delivered]);
    let sent = (kernel.clients_sent, kernel.server_received);
    assert_eq!(captured[..2], [sent.0, sent.1]);
    assert_eq!(captured[2..], [kernel.server_sent, kernel.clients_received]);
    assert_eq!(captured.iter().sum::<u64>(), trace.packets);
    assert_eq!((trace.beyond_limit, trace.too_slow), (0, 0));
    // The kernel lists the sockets of both sides.
    assert_eq!(info.congestion_control, info.server_congestion_control);
    assert_eq!(info.congestion_control.is_some(), info.mode == Mode::Tcp);
}

/// A run that has been late three times stays.
fn the_sweep_measures_a_spoiled_run_again() {
    needs_time();
    needs(&["linux.uml", "insmod", "cc", "ip", "tc", "ss", "sysctl", "bash", "sed"]);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("sweep");
    let script = format!(
        "set -e; out={}
        scripts/netem-sweep.sh --no-trace --loss 0 --modes unreliable --repetitions 3 \
            --duration-s 1 --out $out
        spoil() {{
            sed -i -e 's/\"send_late_p99_us\": [0-9]*/\"send_late_p99_us\": 60000/' \
                -e \"s/\\\"attempts\\\": 1/\\\"attempts\\\": $2/\" $out/runs/*-$1/run.json
        }}
        spoil 1 1; spoil 2 3
        scripts/netem-sweep.sh --resume --no-trace --out $out",
        out.display()
    );
    let output = in_a_kernel(&script);
    assert!(output.status.success(), "{}", said(&output));
    let attempts = [1, 2, 3].map(|repetition| {
        let name = format!("runs/loss0-delay25-jitter0-burst1-unreliable-{repetition}");
        let info = read_run(&out.join(name)).unwrap().info.unwrap();
        (info.attempts, info.machine.send_late_p99_us >= 60_000)
    });
    assert_eq!(attempts, [(2, false), (3, true), (1, false)], "{}", said(&output));
}

/// A width that no interval has is asked for, so the limit on repetitions ends the sweep.
fn the_sweep_repeats_until_the_intervals_are_narrow() {
    needs_time();
    needs(&["linux.uml", "insmod", "cc", "ip", "tc", "ss", "sysctl", "bash", "python3"]);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("sweep");
    let script = format!(
        "scripts/netem-sweep.sh --no-trace --loss 30 --modes unreliable --repetitions auto:0%:7 \
         --duration-s 1 --out {}",
        out.display()
    );
    let output = in_a_kernel(&script);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(out.join("runs").read_dir().unwrap().count(), 7, "{}", said(&output));
    verify_report(&out);
}

tests! {
    the_sweep_captures_each_packet_that_the_kernel_counts,
    the_sweep_measures_a_spoiled_run_again,
    the_sweep_repeats_until_the_intervals_are_narrow,
}
