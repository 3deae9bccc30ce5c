//! `--metrics`: answers `GET /metrics` and nothing else, one request to a connection (RFC 9112). It
//! lives in the server's loop: nothing here waits, and everything has a bound.

use super::Error;
use crate::net::{Listener, Poller, Reading, Stream, Watch};
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// The listener's index, far from all that the room has; the connections' follow.
const FIRST: usize = usize::MAX / 2;
/// Connections at once. Who comes then takes the oldest one's place.
const MAX_CONNECTIONS: usize = 8;
/// Bytes of a request at most, several times those of a usual one.
const MAX_REQUEST: usize = 4_096;
/// How long a connection may take for all of it.
const PATIENCE: Duration = Duration::from_secs(5);

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
    /// A connection waits that could not be taken.
    starved: bool,
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
    pub(super) fn open(address: SocketAddr, poller: &Poller) -> Result<Self, Error> {
        let mut listener = Listener::bind(address)?;
        let address = listener.local_addr().map_err(Error::Poll)?;
        poller.add(&mut listener, FIRST).map_err(Error::Poll)?;
        if !address.ip().is_loopback() {
            log::warn!("whoever reaches {address} can read this server's metrics");
        }
        Ok(Self {
            listener,
            address,
            watch: poller.watch().map_err(Error::Poll)?,
            connections: VecDeque::new(),
            next: FIRST + 1,
            starved: false,
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
            return self.accept(now);
        }
        let Some(place) = self.connections.iter().position(|it| it.index == index) else {
            return false;
        };
        if self.connections[place].serve(&mut self.buffer, page)
            && let Some(connection) = self.connections.remove(place)
        {
            connection.stream.close();
        }
        false
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.connections.front().map(|oldest| oldest.until)
    }

    /// Cuts off those who take too long, and takes connections that could not be taken before.
    pub(super) fn handle_timeout(&mut self, now: Timestamp) {
        while self.connections.front().is_some_and(|oldest| oldest.until <= now) {
            self.connections.pop_front();
        }
        if self.starved {
            self.accept(now);
        }
    }

    /// Takes as many connections as there may be. True when there may be more.
    fn accept(&mut self, now: Timestamp) -> bool {
        for _ in 0..MAX_CONNECTIONS {
            match self.listener.accept() {
                Ok(Some((stream, _))) => {
                    self.starved = false;
                    self.take_in(stream, now);
                }
                Ok(None) => return false,
                Err(error) => {
                    if !std::mem::replace(&mut self.starved, true) {
                        log::warn!("cannot take a connection for metrics: {error}");
                    }
                    return false;
                }
            }
        }
        true
    }

    fn take_in(&mut self, mut stream: Stream, now: Timestamp) {
        let index = self.next;
        if let Err(error) = self.watch.add(&mut stream, index) {
            return log::debug!("cannot watch a connection for metrics: {error}");
        }
        self.next += 1;
        if self.connections.len() >= MAX_CONNECTIONS {
            self.connections.pop_front();
        }
        let until = now + PATIENCE;
        let (request, answered) = (Vec::new(), false);
        self.connections.push_back(Connection { index, stream, request, answered, until });
    }
}

impl Connection {
    /// Reads and answers. True when the connection is of no more use.
    fn serve(&mut self, buffer: &mut Vec<u8>, page: impl Fn() -> String) -> bool {
        while !self.answered {
            match self.stream.read(buffer) {
                Reading::Bytes => self.request.extend_from_slice(buffer),
                Reading::Nothing => return false,
                Reading::End => return true,
            }
            if let Some(answer) = answer(&self.request, &page) {
                self.answered = true;
                return self.stream.write(&answer);
            }
        }
        self.stream.write(&[])
    }
}

/// The answer to a request; none before all of its head is here. What follows the head is ignored, as
/// is a second request: the answer says that it is the last (RFC 9112 §9.6).
fn answer(request: &[u8], page: impl Fn() -> String) -> Option<Vec<u8>> {
    let whole = request.windows(4).any(|end| end == b"\r\n\r\n");
    if request.len() > MAX_REQUEST {
        return Some(response("431 Request Header Fields Too Large", "", "too long\n"));
    }
    if !whole {
        return None;
    }
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = words[..] else {
        return Some(response("400 Bad Request", "", "no request\n"));
    };
    if !version.starts_with(b"HTTP/1.") {
        return Some(response("400 Bad Request", "", "not HTTP/1\n"));
    }
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    Some(match (path, method) {
        (b"/metrics", b"GET") => response("200 OK", "", &page()),
        (b"/metrics", _) => response("405 Method Not Allowed", "Allow: GET\r\n", "GET only\n"),
        _ => response("404 Not Found", "", "there is /metrics\n"),
    })
}

fn response(status: &str, field: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\n\
         Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\n\
         {field}Connection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(request: &[u8]) -> Option<String> {
        let answer = answer(request, || "page".to_owned())?;
        let text = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{text}");
        assert!(head.ends_with("\r\nConnection: close"), "{text}");
        head.strip_prefix("HTTP/1.1 ").map(|head| head[..3].to_owned())
    }

    #[test]
    fn only_the_one_page_is_there_and_only_to_read() {
        let asked = |line: &str| status(format!("{line}\r\nHost: x\r\n\r\n").as_bytes());
        for (line, wanted) in [
            ("GET /metrics HTTP/1.1", "200"),
            ("GET /metrics HTTP/1.0", "200"),
            ("GET /metrics?name=x HTTP/1.1", "200"),
            ("HEAD /metrics HTTP/1.1", "405"),
            ("POST /metrics HTTP/1.1", "405"),
            ("GET / HTTP/1.1", "404"),
            ("GET /metrics/../x HTTP/1.1", "404"),
            ("POST / HTTP/1.1", "404"),
            ("GET /metrics", "400"),
            ("GET /metrics SPDY/3", "400"),
            ("GET  /metrics HTTP/1.1", "400"),
            ("\0\u{7f} x", "400"),
            ("", "400"),
        ] {
            assert_eq!(asked(line).as_deref(), Some(wanted), "{line}");
        }
    }

    #[test]
    fn a_request_is_waited_for_until_its_end_and_no_longer_than_its_bound() {
        let whole = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
        for length in 0..whole.len() {
            assert_eq!(status(&whole[..length]), None, "{length}");
        }
        let twice = [&whole[..], &whole[..]].concat();
        assert_eq!(status(&twice).as_deref(), Some("200"));
        assert_eq!(status(&[b'x'; MAX_REQUEST]), None);
        assert_eq!(status(&[b'x'; MAX_REQUEST + 1]).as_deref(), Some("431"));
    }
}
