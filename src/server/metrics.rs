//! The server's counters in Prometheus' text exposition format 0.0.4. No I/O.

use super::engine::EngineFigures;
use super::http::{Page, Site};
use crate::hub::{Counters, Tally};
use crate::protocol::{Refusal, ServerCounters};
use std::fmt::Write;

/// The values of the page at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) counters: Counters,
    pub(super) tally: Tally,
    pub(super) sessions: usize,
    pub(super) queued_bytes: usize,
    /// Writing the history fails.
    pub(super) history_failing: bool,
    /// Lines written to the history since the start.
    pub(super) history_lines: u64,
    /// `None` without an engine.
    pub(super) engine: Option<EngineFigures>,
    /// Resident memory in bytes; `None` if unknown.
    pub(super) resident: Option<u64>,
}

/// Values with their labels; a single value has an empty one.
type Samples = Vec<(&'static str, u64)>;

/// Name, help and values of a metric. A name with `_total` is a counter: it never decreases while
/// the server runs.
type Row = (&'static str, &'static str, fn(&Figures) -> Samples);

const UDP: &str = "transport=\"udp\"";
const TCP: &str = "transport=\"tcp\"";
const QUIC: &str = "transport=\"quic\"";
const WEB: &str = "transport=\"web\"";

/// All metrics, in page order. `src/docs/operations.md` has the same table.
const ROWS: &[Row] = &[
    ("chatagram_build_info", "Version of the server; the value is always 1.", |_| {
        vec![(concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""), 1)]
    }),
    ("chatagram_peers", "Peers in the room, by transport.", |f| {
        let Tally { udp_peers, tcp_peers, quic_peers, web_peers, .. } = f.tally;
        vec![(UDP, udp_peers), (TCP, tcp_peers), (QUIC, quic_peers), (WEB, web_peers)]
    }),
    ("chatagram_sessions", "Sessions, including those that are closing.", |f| {
        one(f.sessions as u64)
    }),
    ("chatagram_joins_total", "Sessions begun, including those of returning peers.", |f| {
        one(f.counters.joins)
    }),
    (
        "chatagram_challenges_total",
        "Challenges sent to addresses that had not answered yet.",
        |f| one(f.counters.challenges),
    ),
    ("chatagram_refusals_total", "Joins refused, by reason.", |f| {
        let reasons = f.counters.refusals.iter().zip(REFUSALS);
        reasons.map(|(count, (_, label))| (label, *count)).collect()
    }),
    ("chatagram_datagrams_received_total", "UDP datagrams received, valid or not.", |f| {
        one(f.counters.wire.received)
    }),
    ("chatagram_datagrams_sent_total", "UDP datagrams sent.", |f| {
        one(f.tally.udp.sent + f.counters.answers)
    }),
    (
        "chatagram_received_bytes_total",
        "Bytes received in datagrams, and in records and messages over connections.",
        |f| {
            let Tally { tcp, quic, web, .. } = f.tally;
            let [tcp, quic, web] = [tcp, quic, web].map(|it| it.received_bytes);
            vec![(UDP, f.counters.received_bytes), (TCP, tcp), (QUIC, quic), (WEB, web)]
        },
    ),
    (
        "chatagram_sent_bytes_total",
        "Bytes sent in datagrams, and in records and messages over connections.",
        |f| {
            let Tally { tcp, quic, web, .. } = f.tally;
            let [tcp, quic, web] = [tcp, quic, web].map(|it| it.sent_bytes);
            let udp = f.tally.udp.sent_bytes + f.counters.answer_bytes;
            vec![(UDP, udp), (TCP, tcp), (QUIC, quic), (WEB, web)]
        },
    ),
    (
        "chatagram_dropped_total",
        "Datagrams dropped, by reason; receive_buffer: by the kernel, whose buffer was full.",
        |f| {
            let drops = drops(&f.counters.wire);
            drops.into_iter().zip(DROPS).map(|((_, count), label)| (label, count)).collect()
        },
    ),
    ("chatagram_datagrams_lost_total", "Datagrams sent that the network lost.", |f| {
        one(f.tally.udp.lost)
    }),
    ("chatagram_datagrams_missing", "Datagrams from the present peers that did not arrive.", |f| {
        one(f.tally.udp.missing)
    }),
    ("chatagram_datagrams_duplicated_total", "Datagrams received more than once.", |f| {
        one(f.tally.udp.duplicated)
    }),
    ("chatagram_datagrams_reordered_total", "Datagrams received after a later one.", |f| {
        one(f.tally.udp.reordered)
    }),
    ("chatagram_retransmissions_total", "Messages sent again after a loss or a timeout.", |f| {
        one(f.tally.udp.retransmitted)
    }),
    ("chatagram_redundant_total", "Copies of messages sent before a loss was known.", |f| {
        one(f.tally.udp.redundant)
    }),
    ("chatagram_lines_total", "Lines said to the room.", |f| one(f.counters.lines)),
    (
        "chatagram_lines_left_out_total",
        "Messages left out because the queue of their peer was full.",
        |f| one(f.counters.wire.left_out),
    ),
    ("chatagram_slowed_total", "Times a peer was told to wait before it says more.", |f| {
        one(f.counters.slowed)
    }),
    (
        "chatagram_flooders_dropped_total",
        "Peers dropped because they did not wait when told to.",
        |f| one(f.counters.flooders),
    ),
    ("chatagram_kicked_total", "Peers that the moderator removed.", |f| one(f.counters.kicked)),
    (
        "chatagram_muted_lines_total",
        "Lines and whispers of muted peers, which were not passed on.",
        |f| one(f.counters.muted),
    ),
    ("chatagram_queued_bytes", "Bytes of messages that wait to be sent.", |f| {
        one(f.queued_bytes as u64)
    }),
    ("chatagram_history_failing", "1 while the history cannot be written, else 0.", |f| {
        one(f.history_failing.into())
    }),
    ("chatagram_history_lines_total", "Lines written to the history since the start.", |f| {
        one(f.history_lines)
    }),
    ("chatagram_engine_up", "1 while there is a connection to the engine, else 0.", |f| {
        f.engine.map(|it| one(it.up)).unwrap_or_default()
    }),
    ("chatagram_engine_reconnects_total", "Connections to the engine after the first one.", |f| {
        f.engine.map(|it| one(it.reconnects)).unwrap_or_default()
    }),
    (
        "chatagram_engine_waiting_lines",
        "Lines proposed to the engine that it has not confirmed yet.",
        |f| f.engine.map(|it| one(it.waiting as u64)).unwrap_or_default(),
    ),
    (
        "chatagram_engine_round_trip_microseconds",
        "Last round trip to the engine, with the time it took there.",
        |f| f.engine.map(|it| one(it.round_trip)).unwrap_or_default(),
    ),
    ("chatagram_resident_memory_bytes", "Resident memory of the process (Linux).", |f| {
        f.resident.map(one).unwrap_or_default()
    }),
];

/// Labels of the reasons for a refusal, in the order of their numbers.
const REFUSALS: [(Refusal, &str); Counters::REASONS] = [
    (Refusal::Version, "reason=\"version\""),
    (Refusal::NameNotAllowed, "reason=\"name_not_allowed\""),
    (Refusal::NameTaken, "reason=\"name_taken\""),
    (Refusal::RoomFull, "reason=\"room_full\""),
    (Refusal::TooManyFromAddress, "reason=\"too_many_from_address\""),
    (Refusal::ShuttingDown, "reason=\"shutting_down\""),
    (Refusal::Unavailable, "reason=\"unavailable\""),
    (Refusal::Locked, "reason=\"locked\""),
    (Refusal::Kicked, "reason=\"kicked\""),
];

/// The labels of [`drops`].
const DROPS: [&str; 6] = [
    "reason=\"alien\"",
    "reason=\"version\"",
    "reason=\"corrupt\"",
    "reason=\"malformed\"",
    "reason=\"unknown_session\"",
    "reason=\"receive_buffer\"",
];

/// Datagrams that the server dropped, by reason.
pub(super) fn drops(wire: &ServerCounters) -> [(&'static str, u64); 6] {
    [
        ("alien", wire.alien),
        ("version", wire.other_version),
        ("corrupt", wire.corrupt),
        ("malformed", wire.malformed),
        ("unknown_session", wire.unknown_session),
        ("receive_buffer", wire.unread),
    ]
}

/// The page of the metrics, written for each request.
pub(super) struct Metrics<F>(pub(super) F);

impl<F: Fn() -> String> Site for Metrics<F> {
    const DIRECTORY: &'static str = "there is /metrics\n";
    const FIELDS: &'static str = "";

    fn page(&self, path: &str) -> Option<Page> {
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        (path == "/metrics").then(|| Page { kind, body: self.0().into() })
    }
}

fn one(value: u64) -> Samples {
    vec![("", value)]
}

/// The page that Prometheus reads.
pub(super) fn page(figures: &Figures) -> String {
    let mut page = String::new();
    for (name, help, samples) in ROWS {
        let samples = samples(figures);
        if samples.is_empty() {
            continue;
        }
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        // Writing to a string does not fail.
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (label, value) in samples {
            let _ = match label {
                "" => writeln!(page, "{name} {value}"),
                label => writeln!(page, "{name}{{{label}}} {value}"),
            };
        }
    }
    page
}

/// Resident memory in bytes, from `/proc/self/status`.
pub(super) fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_md_lists_every_metric_with_its_help() {
        let page = include_str!("../docs/operations.md");
        let rows = page.lines().filter(|row| row.starts_with("| `chatagram_"));
        let code = ROWS.iter().map(|(name, help, _)| format!("| `{name}` | {help} |"));
        assert_eq!(rows.map(str::to_owned).collect::<Vec<_>>(), code.collect::<Vec<_>>());
    }

    #[test]
    fn every_refusal_reason_has_a_label() {
        for (place, (reason, label)) in REFUSALS.iter().enumerate() {
            assert_eq!(place, *reason as usize, "{label}");
        }
        assert_eq!(REFUSALS.len(), Refusal::Kicked as usize + 1);
    }
}
