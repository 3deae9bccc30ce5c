//! `--metrics`: answers `GET /metrics` and nothing else, one request to a connection. It lives in the
//! server's loop: nothing here waits, and everything has a bound.

use super::http::{MAX_REQUEST, answer};
use super::{ACCEPT_AGAIN, Error};
use crate::net::{Listener, Poller, Reading, Stream, Watch};
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// The listener's index, far from all that the room has; the connections' follow.
const FIRST: usize = usize::MAX / 2;
/// Connections at once. Who comes then takes the oldest one's place.
const MAX_CONNECTIONS: usize = 8;
/// How long a connection may take for all of it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(super) struct Exporter {
    listener: Listener,
    address: SocketAddr,
    watch: Watch,
    /// The oldest first.
    connections: VecDeque<Connection>,
    /// The index of the next connection. Never used twice.
    next: usize,
    /// A connection waits that could not be taken: when to try again.
    starved: Option<Timestamp>,
    /// What this server is called, besides its addresses.
    names: Vec<String>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Connection {
    index: usize,
    stream: Stream,
    request: Vec<u8>,
    answered: bool,
    until: Timestamp,
}

impl Exporter {
    pub(super) fn open(
        address: SocketAddr,
        mut names: Vec<String>,
        poller: &Poller,
    ) -> Result<Self, Error> {
        let mut listener = Listener::bind(address)?;
        let address = listener.local_addr().map_err(Error::Poll)?;
        poller.add(&mut listener, FIRST).map_err(Error::Poll)?;
        if !address.ip().is_loopback() {
            log::warn!("whoever reaches {address} can read this server's metrics");
        }
        names.extend(own_names());
        Ok(Self {
            listener,
            address,
            names,
            watch: poller.watch().map_err(Error::Poll)?,
            connections: VecDeque::new(),
            next: FIRST + 1,
            starved: None,
            buffer: Vec::new(),
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether what has this index is one of these.
    pub(super) fn owns(index: usize) -> bool {
        index >= FIRST
    }

    /// Something has come. True when there may be more.
    pub(super) fn receive(
        &mut self,
        index: usize,
        now: Timestamp,
        page: impl Fn() -> String,
    ) -> bool {
        if index == FIRST {
            return self.accept(now, &page);
        }
        if let Some(place) = self.connections.iter().position(|it| it.index == index) {
            self.serve(place, &page);
        }
        false
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        let oldest = self.connections.front().map(|oldest| oldest.until);
        oldest.into_iter().chain(self.starved).min()
    }

    /// Cuts off those who take too long, and takes connections that could not be taken before.
    pub(super) fn handle_timeout(&mut self, now: Timestamp, page: impl Fn() -> String) {
        while self.connections.front().is_some_and(|oldest| oldest.until <= now) {
            self.connections.pop_front();
        }
        if self.starved.is_some() && self.accept(now, &page) {
            self.starved = Some(now);
        }
    }

    /// Takes as many connections as there may be. True when there may be more.
    fn accept(&mut self, now: Timestamp, page: &impl Fn() -> String) -> bool {
        for _ in 0..MAX_CONNECTIONS {
            match self.listener.accept() {
                Ok(Some((stream, _))) => {
                    self.starved = None;
                    self.take_in(stream, now, page);
                }
                Ok(None) => {
                    self.starved = None;
                    return false;
                }
                Err(error) => {
                    if self.starved.replace(now + ACCEPT_AGAIN).is_none() {
                        log::warn!("cannot take a connection for metrics: {error}");
                    }
                    return false;
                }
            }
        }
        true
    }

    fn take_in(&mut self, mut stream: Stream, now: Timestamp, page: &impl Fn() -> String) {
        let index = self.next;
        if let Err(error) = self.watch.add(&mut stream, index) {
            return log::debug!("cannot watch a connection for metrics: {error}");
        }
        self.next += 1;
        if self.connections.len() >= MAX_CONNECTIONS {
            self.connections.pop_front();
        }
        let until = now + REQUEST_TIMEOUT;
        let (request, answered) = (Vec::new(), false);
        self.connections.push_back(Connection { index, stream, request, answered, until });
        // Who has asked already need not give its place to those who come next.
        self.serve(self.connections.len() - 1, page);
    }

    fn serve(&mut self, place: usize, page: &impl Fn() -> String) {
        if self.connections[place].serve(&mut self.buffer, &self.names, page)
            && let Some(connection) = self.connections.remove(place)
        {
            connection.stream.close();
        }
    }
}

impl Connection {
    /// Reads and answers. True when the connection is of no more use.
    fn serve(
        &mut self,
        buffer: &mut Vec<u8>,
        names: &[String],
        page: &impl Fn() -> String,
    ) -> bool {
        while !self.answered {
            match self.stream.read(buffer) {
                // One byte beyond the bound is enough to see that it is.
                Reading::Bytes => {
                    let room = (MAX_REQUEST + 1).saturating_sub(self.request.len());
                    self.request.extend_from_slice(&buffer[..room.min(buffer.len())]);
                }
                Reading::Nothing => return false,
                Reading::End => return true,
            }
            if let Some(answer) = answer(&self.request, names, page) {
                self.answered = true;
                return self.stream.write(&answer);
            }
        }
        self.stream.write(&[])
    }
}

/// What this machine calls itself, for those who ask for it by that name.
fn own_names() -> Vec<String> {
    #[cfg(unix)]
    let name = Some(rustix::system::uname().nodename().to_string_lossy().into_owned());
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").ok();
    let name = name.filter(|name| !name.is_empty());
    name.into_iter().flat_map(|name| [format!("{name}.local"), name]).collect()
}
