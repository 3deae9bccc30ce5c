//! Answers HTTP, one request per connection, for the metrics and for the page. It runs in the
//! server's loop: nothing blocks, everything is bounded. A connection that opens a WebSocket is
//! handed out with what it has sent since.

use super::http::{Answer, MAX_REQUEST, Opened, Site, answer};
use super::{ACCEPT_AGAIN, Error, Rest};
use crate::net::{Listener, Poller, Reading, Stream, Watch, Written};
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Connections accepted in one turn.
const ACCEPTS: usize = 8;
/// Time for request and answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// What distinguishes the servers of one process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Purpose {
    /// For messages.
    pub(super) name: &'static str,
    /// What others can do where the address is not loopback, for a warning.
    pub(super) exposes: &'static str,
    /// Index of the listener, beyond those of the room; the connections' follow.
    pub(super) first: usize,
    /// Concurrent connections with an open request. A further one replaces the oldest.
    pub(super) connections: usize,
    /// The same for those from one address.
    pub(super) from_one: usize,
}

/// A listener and the connections whose request it reads or answers.
#[derive(Debug)]
pub(super) struct HttpServer {
    purpose: Purpose,
    listener: Listener,
    address: SocketAddr,
    watch: Watch,
    /// Oldest first.
    connections: VecDeque<Connection>,
    /// WebSockets that clients have opened.
    opened: VecDeque<WebSocket>,
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
    remote: SocketAddr,
    stream: Stream,
    request: Vec<u8>,
    answered: bool,
    until: Timestamp,
}

/// A connection that has become a WebSocket.
#[cfg_attr(not(feature = "web"), allow(dead_code, reason = "the metrics have no WebSocket"))]
#[derive(Debug)]
pub(super) struct WebSocket {
    pub(super) index: usize,
    pub(super) remote: SocketAddr,
    pub(super) stream: Stream,
    pub(super) path: String,
    /// The bytes after the request.
    pub(super) received: Vec<u8>,
}

impl HttpServer {
    pub(super) fn open(
        purpose: Purpose,
        address: SocketAddr,
        mut names: Vec<String>,
        poller: &Poller,
    ) -> Result<Self, Error> {
        let mut listener = Listener::bind(address)?;
        let address = listener.local_addr().map_err(Error::Poll)?;
        poller.add(&mut listener, purpose.first).map_err(Error::Poll)?;
        if !address.ip().is_loopback() {
            log::warn!("every program that reaches {address} can {}", purpose.exposes);
        }
        names.extend(own_names());
        Ok(Self {
            purpose,
            listener,
            address,
            names,
            watch: poller.watch().map_err(Error::Poll)?,
            connections: VecDeque::new(),
            opened: VecDeque::new(),
            next: purpose.first + 1,
            starved: None,
            buffer: Vec::new(),
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Handles an event of the listener or of a connection.
    pub(super) fn receive(&mut self, index: usize, now: Timestamp, site: &impl Site) -> Rest {
        if index == self.purpose.first {
            return self.accept(now, site);
        }
        if let Some(place) = self.connections.iter().position(|it| it.index == index) {
            self.serve(place, site);
        }
        Rest::Nothing
    }

    /// The next WebSocket that a client has opened.
    #[cfg_attr(not(feature = "web"), allow(dead_code, reason = "the metrics have no WebSocket"))]
    pub(super) fn poll_opened(&mut self) -> Option<WebSocket> {
        self.opened.pop_front()
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        let oldest = self.connections.front().map(|oldest| oldest.until);
        oldest.into_iter().chain(self.starved).min()
    }

    /// Closes connections past their timeout, and calls `accept` again after a failure.
    pub(super) fn handle_timeout(&mut self, now: Timestamp, site: &impl Site) {
        while self.connections.front().is_some_and(|oldest| oldest.until <= now) {
            self.connections.pop_front();
        }
        if self.starved.is_some_and(|at| at <= now) && self.accept(now, site) == Rest::Unread {
            self.starved = Some(now);
        }
    }

    /// Accepts connections up to the bound.
    fn accept(&mut self, now: Timestamp, site: &impl Site) -> Rest {
        for _ in 0..ACCEPTS {
            match self.listener.accept() {
                Ok(Some((stream, remote))) => {
                    self.starved = None;
                    self.take_in(stream, remote, now, site);
                }
                Ok(None) => {
                    self.starved = None;
                    return Rest::Nothing;
                }
                Err(error) => {
                    if self.starved.replace(now + ACCEPT_AGAIN).is_none() {
                        log::warn!("cannot accept a connection for {}: {error}", self.purpose.name);
                    }
                    return Rest::Nothing;
                }
            }
        }
        Rest::Unread
    }

    fn take_in(
        &mut self,
        mut stream: Stream,
        remote: SocketAddr,
        now: Timestamp,
        site: &impl Site,
    ) {
        let index = self.next;
        if let Err(error) = self.watch.add(&mut stream, index) {
            return log::debug!("cannot watch a connection for {}: {error}", self.purpose.name);
        }
        self.next += 1;
        self.make_room(remote.ip());
        let until = now + REQUEST_TIMEOUT;
        let (request, answered) = (Vec::new(), false);
        self.connections.push_back(Connection { index, remote, stream, request, answered, until });
        // A connection with its answer under way is kept.
        self.serve(self.connections.len() - 1, site);
    }

    /// Closes the oldest connection from this address if it has as many as it may have, or the
    /// oldest of all.
    fn make_room(&mut self, from: IpAddr) {
        let mut same = self.connections.iter().enumerate().filter(|it| it.1.remote.ip() == from);
        let oldest = same.next().map(|it| it.0);
        if same.count() + 1 >= self.purpose.from_one
            && let Some(oldest) = oldest
        {
            self.connections.remove(oldest);
        } else if self.connections.len() >= self.purpose.connections {
            self.connections.pop_front();
        }
    }

    fn serve(&mut self, place: usize, site: &impl Site) {
        let connection = &mut self.connections[place];
        match connection.serve(&mut self.buffer, &self.names, site) {
            Progress::Waits => {}
            Progress::Done => {
                let done = self.connections.remove(place);
                done.into_iter().for_each(|it| it.stream.close());
            }
            Progress::Opened(Opened { path, request }) => {
                let connection = self.connections.remove(place);
                self.opened.extend(connection.map(|it| WebSocket {
                    index: it.index,
                    remote: it.remote,
                    stream: it.stream,
                    path,
                    received: it.request.get(request..).unwrap_or_default().to_vec(),
                }));
            }
        }
    }
}

/// How far a connection is.
enum Progress {
    /// It has its whole answer, or is broken.
    Done,
    /// It waits for the network.
    Waits,
    /// Its client has opened a WebSocket.
    Opened(Opened),
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
    fn serve(&mut self, buffer: &mut Vec<u8>, names: &[String], site: &impl Site) -> Progress {
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
            if let Some(Answer { bytes, socket }) = answer(&self.request, names, site) {
                self.answered = true;
                let written = self.stream.write(&bytes);
                return socket.map_or_else(|| written.into(), Progress::Opened);
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
