//! `--metrics`: answers `GET /metrics`, one request per connection. It runs in the server's loop:
//! nothing blocks, everything is bounded.

use super::http::{MAX_REQUEST, answer};
use super::{ACCEPT_AGAIN, Error, Rest};
use crate::net::{Listener, Poller, Reading, Stream, Watch, Written};
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// The listener's index, beyond those of the room; the connections' follow.
const FIRST: usize = usize::MAX / 2;
/// Concurrent connections. A further one replaces the oldest.
const MAX_CONNECTIONS: usize = 8;
/// Time for request and answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The metrics page.
#[derive(Debug)]
pub(super) struct Exporter {
    listener: Listener,
    address: SocketAddr,
    watch: Watch,
    /// Oldest first.
    connections: VecDeque<Connection>,
    /// Index of the next connection. No index is reused.
    next: usize,
    /// When to call `accept` again after it failed.
    starved: Option<Timestamp>,
    /// Host names besides the addresses.
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
            log::warn!("every program that reaches {address} can read this server's metrics");
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

    /// Returns true if the index belongs to the exporter.
    pub(super) fn owns(index: usize) -> bool {
        index >= FIRST
    }

    /// Handles an event.
    pub(super) fn receive(
        &mut self,
        index: usize,
        now: Timestamp,
        page: impl Fn() -> String,
    ) -> Rest {
        if index == FIRST {
            return self.accept(now, &page);
        }
        if let Some(place) = self.connections.iter().position(|it| it.index == index) {
            self.serve(place, &page);
        }
        Rest::Nothing
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        let oldest = self.connections.front().map(|oldest| oldest.until);
        oldest.into_iter().chain(self.starved).min()
    }

    /// Closes connections past their timeout, and calls `accept` again after a failure.
    pub(super) fn handle_timeout(&mut self, now: Timestamp, page: impl Fn() -> String) {
        while self.connections.front().is_some_and(|oldest| oldest.until <= now) {
            self.connections.pop_front();
        }
        if self.starved.is_some() && self.accept(now, &page) == Rest::Unread {
            self.starved = Some(now);
        }
    }

    /// Accepts connections up to the bound.
    fn accept(&mut self, now: Timestamp, page: &impl Fn() -> String) -> Rest {
        for _ in 0..MAX_CONNECTIONS {
            match self.listener.accept() {
                Ok(Some((stream, _))) => {
                    self.starved = None;
                    self.take_in(stream, now, page);
                }
                Ok(None) => {
                    self.starved = None;
                    return Rest::Nothing;
                }
                Err(error) => {
                    if self.starved.replace(now + ACCEPT_AGAIN).is_none() {
                        log::warn!("cannot accept a connection for metrics: {error}");
                    }
                    return Rest::Nothing;
                }
            }
        }
        Rest::Unread
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
        // A connection with its answer under way is kept.
        self.serve(self.connections.len() - 1, page);
    }

    fn serve(&mut self, place: usize, page: &impl Fn() -> String) {
        let progress = self.connections[place].serve(&mut self.buffer, &self.names, page);
        if progress == Progress::Done
            && let Some(connection) = self.connections.remove(place)
        {
            connection.stream.close();
        }
    }
}

/// Whether a connection has its whole answer, or waits for the network.
#[derive(PartialEq, Eq)]
enum Progress {
    Done,
    Waits,
}

impl From<Written> for Progress {
    fn from(answer: Written) -> Self {
        match answer {
            Written::Whole => Self::Done,
            Written::InPart => Self::Waits,
        }
    }
}

impl Connection {
    /// Reads and answers.
    fn serve(
        &mut self,
        buffer: &mut Vec<u8>,
        names: &[String],
        page: &impl Fn() -> String,
    ) -> Progress {
        while !self.answered {
            match self.stream.read(buffer) {
                // One byte beyond the bound shows that a request is too long.
                Reading::Bytes => {
                    let room = (MAX_REQUEST + 1).saturating_sub(self.request.len());
                    self.request.extend_from_slice(&buffer[..room.min(buffer.len())]);
                }
                Reading::Nothing => return Progress::Waits,
                Reading::End => return Progress::Done,
            }
            if let Some(answer) = answer(&self.request, names, page) {
                self.answered = true;
                return self.stream.write(&answer).into();
            }
        }
        self.stream.write(&[]).into()
    }
}

/// The machine's host name, which requests may use.
fn own_names() -> Vec<String> {
    #[cfg(unix)]
    let name = Some(rustix::system::uname().nodename().to_string_lossy().into_owned());
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").ok();
    let name = name.filter(|name| !name.is_empty());
    name.into_iter().flat_map(|name| [format!("{name}.local"), name]).collect()
}
