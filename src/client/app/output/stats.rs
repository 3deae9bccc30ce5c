//! The report of `/stats`: a table for people, an object for programs. What this end does not know
//! is `-` and null, never 0.

use super::wrap::{left, right};
use super::{delivery_name, transport_name};
use crate::client::session::{Report, Transport};
use crate::link::{QuicInfo, TcpInfo};
use crate::protocol::limits::MAX_DATAGRAM;
use crate::words::{Language, Row};
use serde::Serialize;
use std::time::Duration;

/// A row of the table: the direction to the server, and the direction from it.
type Figures = (Row, Option<String>, Option<String>);

/// The table: both directions side by side, in 38 columns.
pub(super) fn table(report: &Report, say: Language) -> String {
    let (mut rows, times) = match report.transport {
        Transport::Udp => (udp_rows(report, say), String::new()),
        Transport::Tcp | Transport::Web => tcp_rows(report.tcp.unwrap_or_default(), say),
        Transport::Quic => quic_rows(report.quic, say),
    };
    let bytes = [
        (Row::Bytes, count(report.link.sent_bytes), count(report.link.received_bytes)),
        (Row::Text, count(report.text_sent), count(report.text_received)),
    ];
    rows.splice(1..1, bytes);
    let row = |name: &str, up: &str, down: &str| {
        format!("\n* {}{}{}", left(name, 16), right(up, 10), right(down, 10))
    };
    let cell = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
    let [up, down] = say.directions();
    let mut table = row("", &up, &down);
    for (name, up, down) in rows {
        table += &row(&say.row(name), &cell(up), &cell(down));
    }
    let link = &report.link;
    let [min, smoothed, p99, jitter] =
        [link.rtt_min, link.rtt_smoothed, link.rtt_p99, link.jitter].map(|it| say.ms(it));
    let trip = say.round_trip(&min, &smoothed, &p99, &jitter);
    format!("* {}{table}\n* {trip}{times}", carrier(report, say))
}

fn carrier(report: &Report, say: Language) -> String {
    let (delivery, size) = (delivery_name(report.delivery), report.link.datagram_size);
    match report.transport {
        Transport::Udp if size < MAX_DATAGRAM => format!("udp, {delivery}{}", say.path_size(size)),
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

fn udp_rows(report: &Report, say: Language) -> Vec<Figures> {
    let link = &report.link;
    let lately = |per_mille: u32| say.percent(f64::from(per_mille) / 1e3, 1);
    vec![
        (Row::Datagrams, count(link.sent), count(link.received)),
        (Row::Lost, count(link.sent_lost), count(link.received_missing)),
        (
            Row::LostLately,
            Some(lately(link.loss_per_mille)),
            link.received_loss_per_mille.map(lately),
        ),
        (Row::Retransmitted, count(link.retransmitted), None),
        (Row::Copies, count(link.redundant), None),
        (Row::CopiesBytes, count(link.redundant_bytes), None),
        (Row::CopiesEach, count(link.redundancy.into()), None),
        (Row::Duplicated, None, count(link.duplicated)),
        (Row::Reordered, None, count(link.reordered)),
        (Row::Corrupt, None, count(report.corrupt)),
        (Row::BufferFull, None, count(report.unread)),
    ]
}

/// The rows of a QUIC connection, and a line of its other figures.
fn quic_rows(quic: Option<QuicInfo>, say: Language) -> (Vec<Figures>, String) {
    let rows = vec![
        (Row::Packets, quic.and_then(|it| count(it.sent)), quic.and_then(|it| count(it.received))),
        (Row::Lost, quic.and_then(|it| count(it.lost)), None),
        (Row::LeftOut, quic.and_then(|it| count(it.left_out)), None),
    ];
    let known = |it: QuicInfo| {
        format!("\n* {}", say.quic_figures(&say.ms(Some(it.rtt)), it.congestion_window))
    };
    (rows, quic.map_or_else(String::new, known))
}

/// The rows of a TCP connection, and a line of the kernel's other figures.
fn tcp_rows(tcp: TcpInfo, say: Language) -> (Vec<Figures>, String) {
    let text = |figure: Option<u64>| figure.map(|it| it.to_string());
    let rows = vec![
        (Row::Segments, text(tcp.sent), text(tcp.received)),
        (Row::Retransmitted, text(tcp.retransmitted), None),
        (Row::LostInFlight, text(tcp.lost), None),
    ];
    let known = |figure| text(figure).unwrap_or_else(|| "-".to_owned());
    let figures = say.kernel_figures(
        &say.ms(tcp.rtt),
        &say.ms(tcp.rttvar),
        &known(tcp.congestion_window),
        &known(tcp.delivery_rate),
    );
    (rows, format!("\n* {figures}"))
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
    use unicode_width::UnicodeWidthStr;

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
        for language in Language::ALL {
            for transport in [Transport::Udp, Transport::Tcp, Transport::Quic] {
                let table = table(&report(transport, None), language);
                let rows: Vec<_> = table
                    .lines()
                    .skip(1)
                    .take_while(|it| !it.contains('；') && !it.contains(';'))
                    .collect();
                assert!(rows.len() >= 6 && rows.iter().all(|row| row.width() == 38), "{table}");
            }
        }
        let udp = table(&report(Transport::Udp, None), Language::En);
        let rows: Vec<_> = udp.lines().skip(1).collect();
        let lost = rows.iter().find(|row| row.starts_with("* lost ")).unwrap();
        assert_eq!(lost.split_whitespace().skip(1).collect::<Vec<_>>(), ["lost", "0", "29"]);
    }

    #[test]
    fn what_the_kernel_does_not_tell_is_unknown_and_not_zero() {
        let unknown = report(Transport::Tcp, None);
        let text = table(&unknown, Language::En);
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
        let text = table(&known, Language::En);
        assert!(text.starts_with("* tcp, reno\n"), "{text}");
        assert!(text.contains("retransmitted            2         -"), "{text}");
        let json = serde_json::to_value(StatsObject::from(&known)).unwrap();
        assert_eq!(
            (&json["tcp"]["retransmitted"], &json["tcp"]["rtt_ms"]),
            (&2.into(), &serde_json::Value::Null)
        );
    }
}
