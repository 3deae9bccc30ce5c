//! The status line above the prompt. No I/O.

use crate::client::session::{Condition, Report, Transport};
use crate::protocol::Delivery;
use crate::words::Language;
use std::net::SocketAddr;
use unicode_width::UnicodeWidthChar;

/// The contents of the line.
#[derive(Clone, Debug)]
pub(super) struct Status {
    pub(super) language: Language,
    /// The server's name, or its address if the client was given one.
    pub(super) server: String,
    pub(super) peers: u16,
    pub(super) condition: Condition,
    pub(super) report: Option<Report>,
}

impl Status {
    /// Takes the server's new address. A name stays, since it is more informative.
    pub(super) fn follow(&mut self, server: SocketAddr) {
        if self.server.parse::<SocketAddr>().is_ok_and(|shown| shown != server) {
            self.server = server.to_string();
        }
    }

    /// The line in at most `columns`; less informative parts are dropped first.
    pub(super) fn line(&self, columns: usize) -> String {
        let say = self.language;
        let mode = |long| self.report.map(|report| mode(&report, long));
        let rtt = self.report.and_then(|report| report.link.rtt_smoothed).map(|rtt| say.rtt(rtt));
        let loss = self.report.and_then(|report| loss(&report, say));
        let here = Some(say.here(self.peers));
        let state = say.condition(self.condition);
        let server = Some(self.server.clone());
        let rest = [rtt.clone(), loss, here.clone(), state.clone()];
        let before = |first: &[Option<String>]| [first, &rest].concat();
        let tries = [
            before(&[server.clone(), mode(true)]),
            before(&[server, mode(false)]),
            before(&[mode(false)]),
            before(&[]),
            vec![rtt, here, state.clone()],
            vec![state],
        ];
        let lines = tries.map(|parts| {
            let parts: Vec<_> = parts.into_iter().flatten().collect();
            format!("-- {}", parts.join(" | "))
        });
        let fits = |line: &&String| width(line) <= columns;
        lines.iter().find(fits).cloned().unwrap_or_default()
    }
}

/// The loss in both directions; over a connection what its sender knows of it.
fn loss(report: &Report, say: Language) -> Option<String> {
    let percent = |per_mille: u32| say.percent(f64::from(per_mille) / 1e3, 0);
    match report.transport {
        Transport::Udp => {
            let up = percent(report.link.loss_per_mille);
            let down = report.link.received_loss_per_mille.map_or("-".to_owned(), percent);
            Some(say.loss(&up, &down))
        }
        Transport::Tcp | Transport::Web => {
            let tcp = report.tcp?;
            let sent = tcp.sent.filter(|sent| *sent > 0)?;
            Some(say.retransmitted_up(&say.percent(tcp.retransmitted? as f64 / sent as f64, 0)))
        }
        Transport::Quic => {
            let quic = report.quic.filter(|quic| quic.sent > 0)?;
            Some(say.lost_up(&say.percent(quic.lost as f64 / quic.sent as f64, 0)))
        }
    }
}

fn mode(report: &Report, long: bool) -> String {
    let delivery = match report.delivery {
        _ if report.transport == Transport::Tcp => return "tcp".to_owned(),
        Delivery::Unreliable => "unreliable",
        Delivery::ReliableUnordered if long => "reliable-unordered",
        Delivery::ReliableOrdered if long => "reliable-ordered",
        Delivery::ReliableUnordered => "unordered",
        Delivery::ReliableOrdered => "ordered",
    };
    if long {
        let quic = report.transport == Transport::Quic;
        format!("{} {delivery}", if quic { "quic" } else { "udp" })
    } else {
        delivery.to_owned()
    }
}

fn width(text: &str) -> usize {
    text.chars().filter_map(UnicodeWidthChar::width).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::link::{Stats, TcpInfo};
    use std::time::Duration;

    #[test]
    fn the_status_fits_its_terminal_and_keeps_the_most_important_parts() {
        let link = Stats {
            rtt_smoothed: Some(Duration::from_micros(51_600)),
            loss_per_mille: 3,
            received_loss_per_mille: Some(288),
            ..Stats::default()
        };
        let (transport, delivery) = (Transport::Udp, Delivery::ReliableOrdered);
        let report = Some(Report {
            transport,
            delivery,
            link,
            corrupt: 0,
            unread: 0,
            tcp: None,
            quic: None,
            text_sent: 0,
            text_received: 0,
        });
        let server = "192.168.1.5:2428".to_owned();
        let (language, condition) = (Language::En, Condition::Quiet);
        let mut status = Status { language, server, peers: 3, condition, report };
        let long = "-- 192.168.1.5:2428 | udp reliable-ordered | rtt 52 ms | loss 0 % up, \
                    29 % down | 3 here | quiet";
        assert_eq!(status.line(120), long);
        let shorter = "-- ordered | rtt 52 ms | loss 0 % up, 29 % down | 3 here | quiet";
        assert_eq!(status.line(70), shorter);
        assert_eq!(status.line(39), "-- rtt 52 ms | 3 here | quiet");
        assert_eq!(status.line(5), "");
        status.condition = Condition::Here;
        assert_eq!(status.line(46), "-- rtt 52 ms | loss 0 % up, 29 % down | 3 here");
        let tcp = TcpInfo { sent: Some(50), retransmitted: Some(3), ..TcpInfo::default() };
        status.report = report.map(|it| Report { transport: Transport::Tcp, tcp: Some(tcp), ..it });
        assert!(status.line(120).contains("| tcp | rtt 52 ms | retransmitted 6 % up | 3 here"));
        status.report = report.map(|it| Report { transport: Transport::Tcp, ..it });
        assert!(status.line(120).ends_with("| tcp | rtt 52 ms | 3 here"), "loss is unknown");
        status.report = None;
        status.condition = Condition::Lost;
        assert_eq!(status.line(39), "-- 192.168.1.5:2428 | 3 here | lost");
        status.report = report;
        for language in Language::ALL {
            status.language = language;
            (0..120).for_each(|columns| assert!(width(&status.line(columns)) <= columns));
        }
    }

    #[test]
    fn an_address_follows_the_server_and_a_name_stays() {
        for (server, shown) in [
            ("192.168.1.5:2428", "10.0.0.7:2428"),
            ("[fe80::1%3]:2428", "10.0.0.7:2428"),
            ("chat.example.org:2428", "chat.example.org:2428"),
        ] {
            let server = server.to_owned();
            let (language, condition) = (Language::En, Condition::Here);
            let mut status = Status { language, server, peers: 1, condition, report: None };
            status.follow("10.0.0.7:2428".parse().unwrap());
            assert_eq!(status.server, shown);
        }
    }
}
