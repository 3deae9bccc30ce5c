//! TCP, non-blocking: a listener beside the UDP socket, and streams that keep what the kernel did not
//! take.

use super::Listen;
use super::udp::{BindError, canonical};
use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, SockAddr, Socket as RawSocket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};

/// Connections the kernel keeps for us until they are accepted.
const BACKLOG: i32 = 128;
/// Bytes read at once.
const READ_LEN: usize = 16 * 1024;
/// Times a closing stream is read from at most.
const CLOSING_READS: usize = 64;

/// Takes connections.
#[derive(Debug)]
pub struct Listener {
    inner: TcpListener,
}

impl Listener {
    /// A listener at `address`, for IPv4 too where that is `[::]`.
    ///
    /// # Errors
    /// [`BindError`] names the address.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        Self::listen(Listen { address, dual: true })
    }

    /// As [`Self::bind`], for one of several listeners.
    ///
    /// # Errors
    /// As for `bind`.
    pub fn listen(Listen { address, dual }: Listen) -> Result<Self, BindError> {
        let open = || {
            let domain = Domain::for_address(address);
            let raw = RawSocket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
            if address.is_ipv6() {
                raw.set_only_v6(!(dual && address.ip().is_unspecified()))?;
            }
            // So that a restart need not wait for old connections to fade (RFC 9293 §3.6.1). On
            // Windows the option means something else.
            #[cfg(not(windows))]
            raw.set_reuse_address(true)?;
            raw.set_nonblocking(true)?;
            raw.bind(&SockAddr::from(address))?;
            raw.listen(BACKLOG)?;
            Ok(Self { inner: TcpListener::from_std(raw.into()) })
        };
        open().map_err(|cause| BindError::new(address, cause))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The kernel's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// The next connection; `None` when there is none right now. One that broke before it was
    /// taken is skipped.
    ///
    /// # Errors
    /// The kernel's, such as too many open files. The connection waits; nobody will say so again.
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

/// A connection.
#[derive(Debug)]
pub struct Stream {
    inner: TcpStream,
    unsent: Vec<u8>,
}

/// What reading came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// There are bytes in the buffer.
    Bytes,
    /// There are none right now.
    Nothing,
    /// There will be none any more.
    End,
}

impl Stream {
    /// Begins to connect. It is done when the stream takes bytes; it failed when reading says so.
    ///
    /// # Errors
    /// The kernel's.
    pub fn connect(to: SocketAddr) -> io::Result<Self> {
        Ok(Self { inner: TcpStream::connect(to)?, unsent: Vec::new() })
    }

    /// A connection that is there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { inner: TcpStream::from_std(stream), unsent: Vec::new() })
    }

    /// Whether the connection begun by `connect` is there.
    ///
    /// # Errors
    /// The kernel's: it will never be.
    pub fn is_connected(&self) -> io::Result<bool> {
        match self.inner.take_error()? {
            Some(error) => Err(error),
            None => Ok(self.inner.peer_addr().is_ok()),
        }
    }

    /// With `false` small writes wait until earlier ones are acknowledged (Nagle, RFC 896).
    pub fn set_no_delay(&self, no_delay: bool) {
        if let Err(error) = self.inner.set_nodelay(no_delay) {
            log::debug!("TCP_NODELAY not set: {error}");
        }
    }

    /// Reads what there is, a buffer full at most. An error is an end.
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

    /// Writes `bytes` after what is still unsent, and keeps what the kernel does not take. True
    /// when nothing is left. A broken stream takes nothing; reading will say that it is broken.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        self.unsent.extend_from_slice(bytes);
        let mut sent = 0;
        while sent < self.unsent.len() {
            match self.inner.write(&self.unsent[sent..]) {
                Ok(0) => break,
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.unsent.drain(..sent);
        self.unsent.is_empty()
    }

    /// Closes the connection: what the kernel has taken still leaves. If bytes that came were left
    /// unread, the kernel would break the connection off instead (RFC 1122 §4.2.2.13).
    pub fn close(mut self) {
        self.write(&[]);
        if let Err(error) = self.inner.shutdown(Shutdown::Write) {
            log::debug!("a stream was closed already: {error}");
        }
        let mut buffer = Vec::new();
        let _ = (0..CLOSING_READS).find(|_| self.read(&mut buffer) != Reading::Bytes);
    }

    pub(super) fn source(&mut self) -> &mut TcpStream {
        &mut self.inner
    }
}
