//! The capture of an emulated network, read by tshark.

use super::{build, on_server, udp, wait_until};
use crate::needs::needs;
use chatagram::impair::Counts;
use chatagram::net::emulated::{MAX_BYTES, Node, Wire};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Datagrams that are lost, delayed, duplicated, damaged, and dropped at a full queue.
pub(super) fn check(wire: Wire) {
    const DATAGRAMS: u64 = 300;
    let spec = "loss 10%, drop 2-9, every 50, delay 5ms, jitter 5ms, duplicate 20%, corrupt 20%, \
                rate 1mbit, limit 30";
    let network = build(wire, spec);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("trace.pcapng");
    network.capture(&file, "seed 42", MAX_BYTES).unwrap();
    let server = on_server(&network);
    let to = server.local_addr().unwrap();
    let sender = network.run_in(Node::Clients, move || {
        let socket = udp(Node::Clients);
        (0..DATAGRAMS).for_each(|n| {
            socket.send_to(&n.to_le_bytes().repeat(8), to).unwrap();
        });
    });
    sender.unwrap().join().unwrap();
    let held = || {
        let up = network.counts().0;
        up.packets + up.duplicated - up.lost - up.overflowed - up.delivered
    };
    wait_until(|| network.counts().0.packets == DATAGRAMS && held() == 0, || "held".into());
    let totals = network.finish().unwrap();
    let (up, down, traced) = (&totals.up, &totals.down, totals.traced.unwrap());
    let all = [up.lost, up.overflowed, up.duplicated, up.corrupted, up.reordered];
    assert!(all.iter().all(|count| *count > 0), "{up:?}");
    assert_eq!(totals.nodes[0].sent, up.packets);
    assert_eq!(totals.nodes[1].received + totals.refused[0], up.delivered, "{totals:?}");
    assert_eq!(totals.nodes[1].sent, down.packets, "answers of closed ports");
    let both = |it: &Counts| it.packets + it.delivered;
    assert_eq!(traced.packets, both(up) + both(down), "{traced:?}");
    assert_eq!((traced.beyond_limit, traced.too_slow), (0, 0));
    assert_eq!(fs::metadata(&file).unwrap().len(), traced.bytes);

    needs(&["tshark"]);
    let count = |filter: &str| lines(&tshark(&file, &["-Y", filter]));
    let entered = "frame.interface_name == \"clients\" && frame.packet_flags_direction == 1";
    let left = "frame.interface_name == \"server\" && frame.packet_flags_direction == 2";
    let copies = "frame.comment matches \"no room for the copy\"";
    for (filter, wanted) in [
        (entered, up.packets),
        (left, up.delivered),
        ("frame.comment contains \"corrupted\" && frame.comment contains \"up\"", up.corrupted),
        ("frame.comment contains \"duplicated\" && frame.comment contains \"up\"", up.duplicated),
    ] {
        assert_eq!(count(filter), wanted, "{filter}");
    }
    for rule in ["loss 10%", "drop 9", "every 50", "rate 1mbit, limit 30"] {
        assert!(count(&format!("frame.comment contains \"'{rule}'\"")) > 0, "{rule}");
    }
    let dropped = count("frame.comment contains \"dropped\" && frame.comment contains \"up\"");
    assert_eq!(dropped + count(copies), up.lost + up.overflowed);
    let said = tshark(&file, &["-T", "fields", "-e", "frame.comment", "-Y", "frame.number < 3"]);
    assert!(said.starts_with("up 0: ") && !said.contains('\u{fffd}'), "{said}");
}

fn tshark(file: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("tshark");
    for variable in ["HOME", "XDG_CONFIG_HOME", "WIRESHARK_CONFIG_DIR"] {
        command.env(variable, file.parent().unwrap()); // not the user's settings
    }
    let output = command.arg("-r").arg(file).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn lines(text: &str) -> u64 {
    text.lines().count() as u64
}
