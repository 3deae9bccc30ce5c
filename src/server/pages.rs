//! What the server shows over HTTP: its metrics, and the page of the room.

use super::engine::EngineFigures;
use super::http_server::{HttpServer, Purpose};
use super::metrics::{self, Figures, Metrics};
use super::web::{self, Around, Web};
use super::{Rest, Server};
use crate::hub::{Destination, Hub};
use crate::time::{Now, Timestamp};
use std::net::SocketAddr;

/// The metrics page: a scraper or two.
pub(super) const METRICS: Purpose = Purpose {
    name: "metrics",
    exposes: "read this server's metrics",
    first: usize::MAX / 2,
    connections: 8,
    from_one: 8,
};

/// Returns true if the index of a socket belongs to the metrics or to the page.
pub(super) fn owns(index: usize) -> bool {
    index >= METRICS.first
}

impl Server {
    /// Address of the metrics page, with the port that replaced zero.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.exporter.as_ref().map(HttpServer::address)
    }

    /// Address of the room's page, with the port that replaced zero.
    pub fn web_address(&self) -> Option<SocketAddr> {
        self.web.as_ref().map(Web::address)
    }

    /// Tells the page how others join: the lines to type, and the page's address for others if they
    /// reach it. Returns the secret of the page that may change things.
    pub fn invite(&mut self, lines: Vec<String>, page: Option<String>) -> Option<String> {
        let web = self.web.as_mut()?;
        web.invite(lines, page);
        Some(web.token())
    }

    /// Handles an event of the metrics or of the page.
    pub(super) fn serve_page(&mut self, index: usize, hub: &mut Hub) -> Rest {
        match &mut self.web {
            Some(web) if web::owns(index as u64) => {
                let (udp, now) = (self.sockets.udp(), self.clock.now());
                web.receive(index, &mut Around { hub, udp, now })
            }
            _ => self.export(hub, Some(index)),
        }
    }

    /// When [`Self::look_after_pages`] has something to do.
    pub(super) fn pages_timeout(&self, hub: &Hub) -> Option<Timestamp> {
        let exporter = self.exporter.as_ref().and_then(HttpServer::poll_timeout);
        let web = self.web.as_ref().and_then(|web| web.poll_timeout(hub));
        exporter.into_iter().chain(web).min()
    }

    /// Does what is due for the metrics and for the page.
    pub(super) fn look_after_pages(&mut self, hub: &mut Hub, now: Now) {
        self.export(hub, None);
        if let Some(web) = &mut self.web {
            let udp = self.sockets.udp();
            web.handle_timeout(&mut Around { hub, udp, now });
            for id in web.streams_to_ask(hub, now.mono) {
                let bytes = if web::owns(id.0) {
                    web.unacknowledged(id)
                } else {
                    self.sockets.unacknowledged(id)
                };
                hub.handle_stream_unacknowledged(id, bytes, now.mono);
            }
        }
    }

    /// Tells the emulated network where the peers are that have conditions of their own. Call it
    /// after peers have come, gone or moved, and after the page has changed the network.
    pub(super) fn tell_addresses(&mut self, hub: &Hub) {
        let udp = self.sockets.udp();
        if udp.wants_addresses() {
            let peers = hub.datagram_peers().map(|(at, name)| (at, name.to_owned()));
            udp.set_addresses(&peers.collect());
        }
    }

    /// Serves the metrics page: the connection with this index, or timeouts.
    fn export(&mut self, hub: &mut Hub, index: Option<usize>) -> Rest {
        let Some(exporter) = &mut self.exporter else { return Rest::Nothing };
        let recorder = &self.recorder;
        hub.set_unread(self.sockets.unread());
        let page = Metrics(|| {
            metrics::page(&Figures {
                counters: hub.counters(),
                tally: hub.tally(),
                sessions: hub.sessions(),
                queued_bytes: hub.queued_bytes(),
                history_failing: recorder.is_failing(),
                history_lines: recorder.taken(),
                engine: self.engine.as_ref().map(|engine| EngineFigures {
                    waiting: hub.proposed_lines(),
                    ..engine.figures()
                }),
                resident: metrics::resident(),
            })
        });
        let now = self.clock.now().mono;
        match index {
            Some(index) => exporter.receive(index, now, &page),
            None => {
                exporter.handle_timeout(now, &page);
                Rest::Nothing
            }
        }
    }

    /// Sends bytes of the hub. Returns whether a connection has taken all.
    pub(super) fn send(&mut self, to: Destination, bytes: &[u8], now: Timestamp) -> bool {
        match (to, &mut self.web) {
            (Destination::Stream(id), Some(web)) if web::owns(id.0) => web.send(id, bytes),
            (Destination::Close(id), Some(web)) if web::owns(id.0) => {
                web.close(id);
                false
            }
            _ => self.sockets.send(to, bytes, now),
        }
    }
}
