//! The report of `/stats`: a table for people, an object for programs. What this end does not know
//! is `-` and null, never 0.

use super::text::ms;
use super::{delivery_name, transport_name};
use crate::client::session::{Report, Transport};
use crate::link::{QuicInfo, TcpInfo};
use crate::protocol::limits::MAX_DATAGRAM;
use serde::Serialize;
use std::time::Duration;

/// A row of the table: its name, the direction to the server, the direction from it.
type Row = (&'static str, Option<String>, Option<String>);

/// The table: both directions side by side, in 38 columns.
pub(super) fn table(report: &Report) -> String {
    let (mut rows, times) = match report.transport {
        Transport::Udp => (udp_rows(report), String::new()),
        Transport::Tcp | Transport::Web => tcp_rows(report.tcp.unwrap_or_default()),
        Transport::Quic => quic_rows(report.quic),
    };
    let bytes = [
        ("bytes", count(report.link.sent_bytes), count(report.link.received_bytes)),
        ("of text", count(report.text_sent), count(report.text_received)),
    ];
    rows.splice(1..1, bytes);
    rows.insert(0, ("", Some("up".to_owned()), Some("down".to_owned())));
    let cell = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
    let rows = rows
        .into_iter()
        .map(|(name, up, down)| format!("\n* {name:<16}{:>10}{:>10}", cell(up), cell(down)));
    let link = &report.link;
    format!(
        "* {}{}\n* round trip: min {}, smoothed {}, p99 {}; jitter {}{times}",
        carrier(report),
        rows.collect::<String>(),
        ms(link.rtt_min),
        ms(link.rtt_smoothed),
        ms(link.rtt_p99),
        ms(link.jitter),
    )
}

fn carrier(report: &Report) -> String {
    let (delivery, size) = (delivery_name(report.delivery), report.link.datagram_size);
    match report.transport {
        Transport::Udp if size < MAX_DATAGRAM => format!(
            "udp, {delivery}; the path is known to carry datagrams of {size} bytes, no larger ones"
        ),
        Transport::Udp => format!("udp, {delivery}"),
        Transport::Tcp | Transport::Web => {
            let control = report.tcp.and_then(|tcp| tcp.congestion_control);
            control.map_or_else(|| "tcp".to_owned(), |control| format!("tcp, {control}"))
        }
        Transport::Quic => {
            let control = report.quic.map_or_else(String::new, |it| format!(", {}", it.congestion));
            format!("quic, {delivery}{control}")
        }
    }
}

fn udp_rows(report: &Report) -> Vec<Row> {
    let link = &report.link;
    let lately = |per_mille: u32| format!("{:.1} %", f64::from(per_mille) / 10.0);
    vec![
        ("datagrams", count(link.sent), count(link.received)),
        ("lost", count(link.sent_lost), count(link.received_missing)),
        (
            "lost lately",
            Some(lately(link.loss_per_mille)),
            link.received_loss_per_mille.map(lately),
        ),
        ("retransmitted", count(link.retransmitted), None),
        ("copies", count(link.redundant), None),
        ("their bytes", count(link.redundant_bytes), None),
        ("copies of each", count(link.redundancy.into()), None),
        ("duplicated", None, count(link.duplicated)),
        ("reordered", None, count(link.reordered)),
        ("corrupt", None, count(report.corrupt)),
        ("buffer was full", None, count(report.unread)),
    ]
}

/// The rows of a QUIC connection, and a line of its other figures.
fn quic_rows(quic: Option<QuicInfo>) -> (Vec<Row>, String) {
    let rows = vec![
        ("packets", quic.and_then(|it| count(it.sent)), quic.and_then(|it| count(it.received))),
        ("lost", quic.and_then(|it| count(it.lost)), None),
        ("left out", quic.and_then(|it| count(it.left_out)), None),
    ];
    let known = |it: QuicInfo| {
        format!("\n* quic: rtt {}; window {} bytes", ms(Some(it.rtt)), it.congestion_window)
    };
    (rows, quic.map_or_else(String::new, known))
}

/// The rows of a TCP connection, and a line of the kernel's other figures.
fn tcp_rows(tcp: TcpInfo) -> (Vec<Row>, String) {
    let text = |figure: Option<u64>| figure.map(|it| it.to_string());
    let rows = vec![
        ("segments", text(tcp.sent), text(tcp.received)),
        ("retransmitted", text(tcp.retransmitted), None),
        ("lost in flight", text(tcp.lost), None),
    ];
    let known = |figure| text(figure).unwrap_or_else(|| "-".to_owned());
    let times = format!(
        "\n* kernel: rtt {}, varies by {}; window {} segments; {} bytes/s",
        ms(tcp.rtt),
        ms(tcp.rttvar),
        known(tcp.congestion_window),
        known(tcp.delivery_rate),
    );
    (rows, times)
}

fn count(number: u64) -> Option<String> {
    Some(number.to_string())
}

#[derive(Serialize)]
pub(super) struct StatsObject {
    transport: &'static str,
    delivery: &'static str,
    sent: SentObject,
    received: ReceivedObject,
    rtt_ms: RttObject,
    jitter_ms: Option<f64>,
    /// The kernel's report about a TCP connection.
    tcp: Option<TcpObject>,
    /// QUIC's report about its connection.
    quic: Option<QuicObject>,
}

/// The direction to the server. Over a connection its transport alone knows most of it: see `tcp`
/// and `quic`.
#[derive(Serialize)]
struct SentObject {
    datagrams: Option<u64>,
    /// Proven datagram size of the path.
    datagram_size: Option<usize>,
    bytes: u64,
    text_bytes: u64,
    lost: Option<u64>,
    retransmitted: Option<u64>,
    redundant: Option<u64>,
    redundant_bytes: Option<u64>,
    redundancy_budget: Option<u32>,
    loss_percent: Option<f64>,
}

/// The direction from the server.
#[derive(Serialize)]
struct ReceivedObject {
    datagrams: Option<u64>,
    bytes: u64,
    text_bytes: u64,
    lost: Option<u64>,
    loss_percent: Option<f64>,
    duplicated: Option<u64>,
    reordered: Option<u64>,
    corrupt: Option<u64>,
    receive_buffer_full: Option<u64>,
}

#[derive(Serialize)]
struct RttObject {
    min: Option<f64>,
    smoothed: Option<f64>,
    p99: Option<f64>,
}

#[derive(Serialize)]
struct TcpObject {
    congestion_control: Option<String>,
    rtt_ms: Option<f64>,
    rttvar_ms: Option<f64>,
    segments_sent: Option<u64>,
    segments_received: Option<u64>,
    retransmitted: Option<u64>,
    lost_in_flight: Option<u64>,
    congestion_window: Option<u64>,
    delivery_rate: Option<u64>,
}

#[derive(Serialize)]
struct QuicObject {
    congestion_control: &'static str,
    rtt_ms: Option<f64>,
    packets_sent: u64,
    datagrams_received: u64,
    lost: u64,
    left_out: u64,
    congestion_window: u64,
}

impl From<&Report> for StatsObject {
    fn from(report: &Report) -> Self {
        let link = &report.link;
        let udp = report.transport == Transport::Udp;
        let percent = |per_mille: u32| f64::from(per_mille) / 10.0;
        Self {
            transport: transport_name(report.transport),
            delivery: delivery_name(report.delivery),
            sent: SentObject {
                datagrams: udp.then_some(link.sent),
                datagram_size: udp.then_some(link.datagram_size),
                bytes: link.sent_bytes,
                text_bytes: report.text_sent,
                lost: udp.then_some(link.sent_lost),
                retransmitted: udp.then_some(link.retransmitted),
                redundant: udp.then_some(link.redundant),
                redundant_bytes: udp.then_some(link.redundant_bytes),
                redundancy_budget: udp.then_some(link.redundancy),
                loss_percent: udp.then_some(percent(link.loss_per_mille)),
            },
            received: ReceivedObject {
                datagrams: udp.then_some(link.received),
                bytes: link.received_bytes,
                text_bytes: report.text_received,
                lost: udp.then_some(link.received_missing),
                loss_percent: link.received_loss_per_mille.map(percent),
                duplicated: udp.then_some(link.duplicated),
                reordered: udp.then_some(link.reordered),
                corrupt: udp.then_some(report.corrupt),
                receive_buffer_full: udp.then_some(report.unread),
            },
            rtt_ms: RttObject {
                min: millis(link.rtt_min),
                smoothed: millis(link.rtt_smoothed),
                p99: millis(link.rtt_p99),
            },
            jitter_ms: millis(link.jitter),
            tcp: report.tcp.map(|tcp| TcpObject {
                congestion_control: tcp.congestion_control.map(|it| it.to_string()),
                rtt_ms: millis(tcp.rtt),
                rttvar_ms: millis(tcp.rttvar),
                segments_sent: tcp.sent,
                segments_received: tcp.received,
                retransmitted: tcp.retransmitted,
                lost_in_flight: tcp.lost,
                congestion_window: tcp.congestion_window,
                delivery_rate: tcp.delivery_rate,
            }),
            quic: report.quic.map(|quic| QuicObject {
                congestion_control: quic.congestion.name(),
                rtt_ms: millis(Some(quic.rtt)),
                packets_sent: quic.sent,
                datagrams_received: quic.received,
                lost: quic.lost,
                left_out: quic.left_out,
                congestion_window: quic.congestion_window,
            }),
        }
    }
}

fn millis(duration: Option<Duration>) -> Option<f64> {
    duration.map(|it| it.as_micros() as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Stats;
    use crate::protocol::Delivery;

    fn report(transport: Transport, tcp: Option<TcpInfo>) -> Report {
        Report {
            transport,
            delivery: Delivery::ReliableOrdered,
            link: Stats { datagram_size: MAX_DATAGRAM, received_missing: 29, ..Stats::default() },
            corrupt: 0,
            unread: 0,
            tcp,
            quic: None,
            text_sent: 7,
            text_received: 9,
        }
    }

    #[test]
    fn both_directions_stand_side_by_side_in_forty_columns() {
        let udp = table(&report(Transport::Udp, None));
        let rows: Vec<_> = udp.lines().skip(1).take(13).collect();
        assert!(rows.iter().all(|row| row.len() <= 40), "{udp}");
        let lost = rows.iter().find(|row| row.starts_with("* lost ")).unwrap();
        assert_eq!(lost.split_whitespace().skip(1).collect::<Vec<_>>(), ["lost", "0", "29"]);
    }

    #[test]
    fn what_the_kernel_does_not_tell_is_unknown_and_not_zero() {
        let unknown = report(Transport::Tcp, None);
        let text = table(&unknown);
        for name in ["segments", "retransmitted", "lost in flight"] {
            let row = text.lines().find(|row| row.contains(name)).unwrap();
            assert!(row.ends_with("         -         -"), "{text}");
        }
        let json = serde_json::to_value(StatsObject::from(&unknown)).unwrap();
        assert_eq!(json["tcp"], serde_json::Value::Null);
        for (direction, unknown) in [("sent", 8), ("received", 7)] {
            let object = json[direction].as_object().unwrap();
            let nulls = object.values().filter(|it| it.is_null()).count();
            assert_eq!(nulls, unknown, "{object:?}");
        }
        let control = "reno".parse().ok();
        let tcp = TcpInfo { sent: Some(40), retransmitted: Some(2), ..TcpInfo::default() };
        let known = report(Transport::Tcp, Some(TcpInfo { congestion_control: control, ..tcp }));
        let text = table(&known);
        assert!(text.starts_with("* tcp, reno\n"), "{text}");
        assert!(text.contains("retransmitted            2         -"), "{text}");
        let json = serde_json::to_value(StatsObject::from(&known)).unwrap();
        assert_eq!(
            (&json["tcp"]["retransmitted"], &json["tcp"]["rtt_ms"]),
            (&2.into(), &serde_json::Value::Null)
        );
    }
}
