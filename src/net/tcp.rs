//! Non-blocking TCP: a listener, and streams that buffer the bytes that the kernel does not take.

mod linger;
#[cfg(target_os = "linux")]
mod linux;

use super::Listen;
use super::udp::{BindError, canonical};
use crate::link::TcpInfo;
use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, SockAddr, Socket as RawSocket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};

/// Backlog: connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 128;
/// Bytes per read.
pub(crate) const READ_LEN: usize = 16 * 1024;
/// Limit on the reads from a closing stream.
const CLOSING_READS: usize = 64;

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    inner: TcpListener,
}

impl Listener {
    /// Listens on `address`; `[::]` includes IPv4.
    ///
    /// # Errors
    /// [`BindError`] names the address.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        Self::listen(Listen { address, dual: true })
    }

    /// Like [`Self::bind`], for one of several listeners.
    ///
    /// # Errors
    /// [`BindError`] names the address.
    pub fn listen(Listen { address, dual }: Listen) -> Result<Self, BindError> {
        let open = || {
            let domain = Domain::for_address(address);
            let raw = RawSocket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
            if address.is_ipv6() {
                raw.set_only_v6(!(dual && address.ip().is_unspecified()))?;
            }
            // Allows a restart while old connections are in TIME-WAIT (RFC 9293 §3.6.1). On Windows
            // the option has another meaning.
            #[cfg(not(windows))]
            raw.set_reuse_address(true)?;
            raw.set_nonblocking(true)?;
            raw.bind(&SockAddr::from(address))?;
            raw.listen(BACKLOG)?;
            Ok(Self { inner: TcpListener::from_std(raw.into()) })
        };
        open().map_err(|cause| BindError::new(address, cause))
    }

    /// The local address.
    ///
    /// # Errors
    /// The kernel's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// The next connection; `None` if none is waiting. Connections that were aborted before this
    /// call are skipped.
    ///
    /// # Errors
    /// The kernel's, such as too many open files. The connection stays in the backlog, but the
    /// poller does not report it again.
    pub fn accept(&self) -> io::Result<Option<(Stream, SocketAddr)>> {
        loop {
            match self.inner.accept() {
                Ok((inner, from)) => {
                    return Ok(Some((Stream { inner, unsent: Vec::new() }, canonical(from))));
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::ConnectionReset => {}
                    ErrorKind::WouldBlock => return Ok(None),
                    _ => return Err(error),
                },
            }
        }
    }

    pub(super) fn source(&mut self) -> &mut TcpListener {
        &mut self.inner
    }
}

/// A connection, established or in progress.
#[derive(Debug)]
pub struct Stream {
    inner: TcpStream,
    unsent: Vec<u8>,
}

/// The result of [`Stream::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The buffer holds bytes.
    Bytes,
    /// No bytes are available now.
    Nothing,
    /// The peer closed the connection, or it broke.
    End,
}

/// The result of [`Stream::write`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The kernel took all bytes.
    Whole,
    /// Some bytes are buffered: write again when the poller reports the stream.
    InPart,
}

impl Stream {
    /// Begins to connect. When the poller reports the stream, [`Self::is_connected`] has the
    /// result.
    ///
    /// # Errors
    /// The kernel's.
    pub fn connect(to: SocketAddr) -> io::Result<Self> {
        Ok(Self { inner: TcpStream::connect(to)?, unsent: Vec::new() })
    }

    /// Wraps an established connection.
    ///
    /// # Errors
    /// The kernel's.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { inner: TcpStream::from_std(stream), unsent: Vec::new() })
    }

    /// Returns true once the connection is established.
    ///
    /// # Errors
    /// The kernel's: the connection failed.
    pub fn is_connected(&self) -> io::Result<bool> {
        match self.inner.take_error()? {
            Some(error) => Err(error),
            None => Ok(self.inner.peer_addr().is_ok()),
        }
    }

    /// Sets `TCP_NODELAY`. Without it small writes wait for the acknowledgment of earlier ones
    /// (Nagle, RFC 896).
    pub fn set_no_delay(&self, no_delay: bool) {
        if let Err(error) = self.inner.set_nodelay(no_delay) {
            log::debug!("TCP_NODELAY not set: {error}");
        }
    }

    /// The kernel's report about the connection; `None` on a system that has none.
    #[must_use]
    pub fn info(&self) -> Option<TcpInfo> {
        #[cfg(target_os = "linux")]
        return linux::info(&self.inner);
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// Reads available bytes, at most one buffer. An error counts as the end.
    pub fn read(&mut self, buffer: &mut Vec<u8>) -> Reading {
        buffer.resize(READ_LEN, 0);
        loop {
            match self.inner.read(buffer) {
                Ok(0) => return Reading::End,
                Ok(length) => {
                    buffer.truncate(length);
                    return Reading::Bytes;
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::NotConnected => return Reading::Nothing,
                    _ => {
                        log::debug!("a stream broke: {error}");
                        return Reading::End;
                    }
                },
            }
        }
    }

    /// Writes `bytes` after those still unsent, and buffers those that the kernel does not take.
    /// On a broken stream all stay buffered; [`Self::read`] reports the end.
    pub fn write(&mut self, bytes: &[u8]) -> Written {
        let sent = self.give(&self.unsent);
        if sent < self.unsent.len() {
            self.unsent.drain(..sent);
            self.unsent.extend_from_slice(bytes);
            return Written::InPart;
        }
        let sent = self.give(bytes);
        // Without capacity: most of many connections have nothing unsent.
        self.unsent = bytes[sent..].to_vec();
        if self.unsent.is_empty() { Written::Whole } else { Written::InPart }
    }

    /// Bytes that the kernel has not taken.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.unsent.len()
    }

    /// Bytes written that the other end has not acknowledged; `None` if the kernel does not tell.
    #[must_use]
    pub fn unacknowledged(&self) -> Option<u64> {
        #[cfg(target_os = "linux")]
        return Some(linux::unacknowledged(&self.inner)? + self.unsent.len() as u64);
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// Gives bytes to the kernel. Returns how many it took.
    fn give(&self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len() {
            match (&self.inner).write(&bytes[sent..]) {
                Ok(0) => break,
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        sent
    }

    /// Closes the connection; bytes that the kernel has taken are still sent. Received bytes are
    /// read first, because closing with unread bytes would reset the connection (RFC 1122
    /// §4.2.2.13).
    pub fn close(mut self) {
        self.write(&[]);
        if let Err(error) = self.inner.shutdown(Shutdown::Write) {
            log::debug!("a stream was closed already: {error}");
        }
        let mut buffer = Vec::new();
        let mut reads = (0..CLOSING_READS).map(|_| self.read(&mut buffer));
        let end = reads.find(|it| *it != Reading::Bytes);
        if end != Some(Reading::End) && self.unacknowledged() != Some(0) {
            linger::close_later(self.inner);
        }
    }

    pub(super) fn source(&mut self) -> &mut TcpStream {
        &mut self.inner
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_arrive_although_the_other_end_sends_more() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut other = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut stream = Stream::from_std(listener.accept().unwrap().0).unwrap();
        let mut written = 0;
        while stream.write(&[7; 1_000]) == Written::Whole {
            written += 1_000;
        }
        written += 1_000 - stream.unsent();
        stream.close();
        other.write_all(b"more").unwrap();
        let mut read = Vec::new();
        other.read_to_end(&mut read).unwrap();
        assert!(read.len() >= written, "{} of {written}", read.len());
    }
}
