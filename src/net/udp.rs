//! One UDP socket, non-blocking, for IPv6 and IPv4 at once where it is bound to `[::]`.

use crate::protocol::limits::MAX_DATAGRAM;
use mio::net::UdpSocket;
use socket2::{Domain, Protocol, SockAddr, Socket as RawSocket, Type};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Receive and send buffers to ask the kernel for, bytes. Its default holds some 256 small
/// datagrams, less than one burst of a full room; what it grants is its own affair.
pub const BUFFER: usize = 4 << 20;
/// One byte more than any datagram of the protocol, so that a longer one is seen to be longer.
pub(super) const RECEIVE_LEN: usize = MAX_DATAGRAM + 1;

/// A socket could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", explain(.cause))]
pub struct BindError {
    address: SocketAddr,
    #[source]
    cause: io::Error,
}

impl BindError {
    pub(super) fn new(address: SocketAddr, cause: io::Error) -> Self {
        Self { address, cause }
    }

    /// What kind of thing stood in the way.
    pub fn kind(&self) -> ErrorKind {
        self.cause.kind()
    }
}

/// See the module. Addresses of IPv4 peers are IPv4 addresses whatever the socket is.
#[derive(Debug)]
pub struct Socket {
    inner: UdpSocket,
    v6: bool,
}

impl Socket {
    /// A socket at `address`; port 0 takes a free one. On a machine without IPv6, `[::]` means
    /// `0.0.0.0`.
    ///
    /// # Errors
    /// [`BindError`] names the address, and the way out where there is one.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        Self::open(address)
            .or_else(|cause| match cause.kind() {
                ErrorKind::AddrInUse | ErrorKind::PermissionDenied => Err(cause),
                _ if address.ip() == Ipv6Addr::UNSPECIFIED => {
                    Self::open(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()))
                }
                _ => Err(cause),
            })
            .map_err(|cause| BindError { address, cause })
    }

    /// A socket on a free port that reaches servers of both address families.
    ///
    /// # Errors
    /// As for `bind`.
    pub fn for_client() -> Result<Self, BindError> {
        Self::bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0))
    }

    /// Where the socket is bound.
    ///
    /// # Errors
    /// The kernel's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// The next datagram's length and origin; `None` when there is none right now. Errors that
    /// earlier sends caused (ICMP unreachable, Windows' 10054) belong to no datagram: skipped.
    ///
    /// # Errors
    /// The kernel's, when the socket is of no more use.
    pub fn receive(&self, buffer: &mut Vec<u8>) -> io::Result<Option<SocketAddr>> {
        loop {
            buffer.resize(RECEIVE_LEN, 0);
            match self.inner.recv_from(buffer) {
                Ok((length, from)) => {
                    buffer.truncate(length);
                    return Ok(Some(canonical(from)));
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Ok(None),
                    ErrorKind::Interrupted
                    | ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionRefused
                    | ErrorKind::HostUnreachable
                    | ErrorKind::NetworkUnreachable
                    | ErrorKind::NetworkDown
                    | ErrorKind::PermissionDenied => {}
                    _ if is_too_long(&error) => {}
                    _ => return Err(error),
                },
            }
        }
    }

    /// Sends a datagram. One the kernel does not take is lost like any other on the way; the
    /// reason goes to the log.
    pub fn send(&self, datagram: &[u8], to: SocketAddr) {
        if let Err(error) = self.try_send(datagram, to) {
            log::debug!("{} bytes to {to} not sent: {error}", datagram.len());
        }
    }

    /// As [`Self::send`], for those who want to know.
    ///
    /// # Errors
    /// The kernel's.
    pub fn try_send(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        let address = match to {
            SocketAddr::V4(v4) if self.v6 => {
                SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
            }
            _ => to,
        };
        self.inner.send_to(datagram, address).map(|_| ())
    }

    /// A bound, non-blocking socket.
    pub(super) fn wrap(raw: RawSocket, v6: bool) -> Self {
        Self { inner: UdpSocket::from_std(raw.into()), v6 }
    }

    pub(super) fn inner(&self) -> &UdpSocket {
        &self.inner
    }

    pub(super) fn source(&mut self) -> &mut UdpSocket {
        &mut self.inner
    }

    fn open(address: SocketAddr) -> io::Result<Self> {
        let raw = RawSocket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            raw.set_only_v6(!address.ip().is_unspecified())?;
        }
        // Less than asked for is no reason to stop.
        let _ = raw.set_recv_buffer_size(BUFFER);
        let _ = raw.set_send_buffer_size(BUFFER);
        raw.set_nonblocking(true)?;
        raw.bind(&SockAddr::from(address))?;
        if let Ok(granted) = raw.recv_buffer_size() {
            log::debug!("receive buffer of {granted} bytes, asked for {BUFFER}");
        }
        Ok(Self::wrap(raw, address.is_ipv6()))
    }
}

/// One spelling for each address: IPv4 as such, and a scope only where the address means nothing
/// without it.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    let plain = SocketAddr::new(address.ip().to_canonical(), address.port());
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => {
            SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into()
        }
        _ => plain,
    }
}

/// Windows reports a datagram longer than the buffer as an error (WSAEMSGSIZE).
fn is_too_long(error: &io::Error) -> bool {
    cfg!(windows) && error.raw_os_error() == Some(10_040)
}

fn explain(error: &io::Error) -> String {
    let way_out = match error.kind() {
        ErrorKind::AddrInUse => "; another program has this port: stop it, or choose another port",
        ErrorKind::AddrNotAvailable => "; this machine does not have this address",
        ErrorKind::PermissionDenied => "; ports below 1024 are for administrators",
        _ => "",
    };
    format!("{error}{way_out}")
}
