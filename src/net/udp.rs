//! A non-blocking UDP socket; bound to `[::]` it serves IPv6 and IPv4. Where the system supports
//! it, one call receives several datagrams or sends several, to different peers. Each datagram has
//! the local address it was sent to, and leaves from the local address of its path.

mod arrival;
#[cfg(target_os = "linux")]
mod errors;
#[cfg(target_os = "linux")]
mod filter;
mod incoming;
#[cfg(target_os = "linux")]
mod linux;
mod outgoing;
#[cfg(any(not(target_os = "linux"), test))]
mod portable;

pub use arrival::{receive_stamped, stamp_arrivals};
pub use incoming::Incoming;
pub use outgoing::Outgoing;

use super::Listen;
use crate::path::Path;
use crate::protocol::limits::MAX_DATAGRAM;
use mio::net::UdpSocket;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket as RawSocket, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Size requested for the receive and send buffers, bytes. The kernel's default holds about 256
/// small datagrams, less than one burst of a full room. The kernel may grant less.
pub const BUFFER: usize = 4 << 20;

/// The addresses at which a socket receives.
#[derive(Clone, Copy)]
pub(super) enum ReceivesAt {
    OneAddress,
    Several,
}

/// An address that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", with_remedy(.cause))]
pub struct BindError {
    pub(crate) address: SocketAddr,
    #[source]
    pub(crate) cause: io::Error,
}

impl BindError {
    pub(super) fn new(address: SocketAddr, cause: io::Error) -> Self {
        Self { address, cause }
    }

    /// The kind of the system's error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.cause.kind()
    }
}

/// A UDP socket. The addresses of IPv4 peers are IPv4 addresses, also on an IPv6 socket.
#[derive(Debug)]
pub struct Socket {
    inner: UdpSocket,
    v6: bool,
    #[cfg(not(target_os = "linux"))]
    local_ends: portable::LocalEnds,
    /// False once the kernel has rejected `UDP_SEGMENT`.
    #[cfg(target_os = "linux")]
    segments: AtomicBool,
    /// The last call emptied the receive buffer, so the next call would find nothing.
    drained: AtomicBool,
    /// Datagrams dropped because the receive buffer was full, as reported by the kernel.
    overflowed: AtomicU64,
}

impl Socket {
    /// Binds a socket to `address`; port 0 takes a free port. On a machine without IPv6, `[::]`
    /// becomes `0.0.0.0`.
    ///
    /// # Errors
    /// [`BindError`] names the address and, if there is one, the remedy.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        Self::listen(Listen { address, dual: true })
    }

    /// Like [`Self::bind`], for one of several sockets.
    ///
    /// # Errors
    /// [`BindError`], like [`Self::bind`].
    pub fn listen(Listen { address, dual }: Listen) -> Result<Self, BindError> {
        Self::open(address, dual)
            .or_else(|cause| match cause.kind() {
                ErrorKind::AddrInUse | ErrorKind::PermissionDenied => Err(cause),
                _ if dual && address.ip() == Ipv6Addr::UNSPECIFIED => {
                    let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
                    Self::open(any, dual)
                }
                _ => Err(cause),
            })
            .map_err(|cause| BindError { address, cause })
    }

    /// Binds a socket to a free port, for servers of both families.
    ///
    /// # Errors
    /// [`BindError`], like [`Self::bind`].
    pub fn for_client() -> Result<Self, BindError> {
        let socket = Self::bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0))?;
        #[cfg(target_os = "linux")]
        socket.keep_errors();
        Ok(socket)
    }

    /// The local address.
    ///
    /// # Errors
    /// The kernel's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// The next datagram and its path (with 0 as the socket's index); `None` if there is none now.
    /// `incoming` must be empty before it is used with another socket.
    ///
    /// # Errors
    /// The kernel's, when the socket can no longer be used.
    pub fn receive<'i>(&self, incoming: &'i mut Incoming) -> io::Result<Option<(Path, &'i [u8])>> {
        let drained = incoming.is_empty() && self.drained.swap(false, Ordering::Relaxed);
        if drained || (incoming.is_empty() && !self.fill(incoming)?) {
            return Ok(None);
        }
        Ok(incoming.next())
    }

    /// Sends one datagram, or several to the same peer: each but the last has [`MAX_DATAGRAM`]
    /// bytes. A datagram that the kernel rejects counts as lost; the reason is logged.
    pub fn send(&self, datagrams: &[u8], path: impl Into<Path>) {
        self.send_or_log(datagrams, path.into());
    }

    /// Like [`Self::send`]. Returns true if a datagram was too large for its interface.
    fn send_or_log(&self, datagrams: &[u8], path: Path) -> bool {
        let Err(error) = self.try_send(datagrams, path) else { return false };
        log::debug!("{} bytes to {} not sent: {error}", datagrams.len(), path.remote);
        is_too_long(&error)
    }

    /// Like [`Self::send`], and returns the kernel's error.
    ///
    /// # Errors
    /// The kernel's.
    pub fn try_send(&self, datagrams: &[u8], path: impl Into<Path>) -> io::Result<()> {
        let path = self.in_socket_form(path.into());
        if datagrams.len() > MAX_DATAGRAM && self.send_at_once(datagrams, &path)? {
            return Ok(());
        }
        let (first, rest) = datagrams.split_at(datagrams.len().min(MAX_DATAGRAM));
        let mut outcome = self.send_one(first, &path);
        for datagram in rest.chunks(MAX_DATAGRAM) {
            // A later datagram may fit the interface even if this one does not.
            outcome = outcome.and(self.send_one(datagram, &path));
        }
        outcome
    }

    /// Like [`Self::send`], but where one system call can send to several peers, the datagrams may
    /// wait for others or for [`Self::flush`]. `outgoing` must be empty before it is used with
    /// another socket.
    pub fn send_with(&self, outgoing: &mut Outgoing, datagrams: &[u8], path: impl Into<Path>) {
        let path = self.in_socket_form(path.into());
        let one_by_one = datagrams.len() > MAX_DATAGRAM && !self.sends_segments();
        if one_by_one || outgoing.push(datagrams, path).is_err() {
            self.flush(outgoing);
            if one_by_one || outgoing.push(datagrams, path).is_err() {
                self.send(datagrams, path);
            }
        }
    }

    /// Sends the waiting datagrams.
    pub fn flush(&self, outgoing: &mut Outgoing) {
        let (messages, bytes) = outgoing.messages();
        let mut refused = Vec::new();
        let mut rest = messages;
        while let Some((first, others)) = rest.split_first() {
            let sent = if others.is_empty() { 0 } else { self.send_to_many(rest, bytes) };
            if sent == 0 {
                // Send the first message alone: it may succeed, and otherwise the error is its own.
                let datagrams = &bytes[first.range.clone()];
                if self.send_or_log(datagrams, first.path) {
                    let remote = canonical(first.path.remote);
                    let path = Path { remote, ..first.path };
                    refused.push((path, datagrams.len().min(MAX_DATAGRAM)));
                }
            }
            rest = rest.get(sent.max(1)..).unwrap_or_default();
        }
        outgoing.clear();
        outgoing.note_refused(refused);
    }

    /// Sends one datagram. If the local address or interface no longer exists, routing chooses
    /// another: the peer can challenge a new address, but not a missing datagram.
    fn send_one(&self, datagram: &[u8], path: &Path) -> io::Result<()> {
        // The first call may report an earlier datagram's ICMP error without sending.
        let outcome = self.send_from(datagram, path).or_else(|_| self.send_from(datagram, path));
        if path.local.is_any() || !outcome.as_ref().is_err_and(lacks_local_end) {
            return outcome;
        }
        log::debug!("not from {:?} any more: {outcome:?}", path.local);
        self.send_from(datagram, &path.remote.into())
    }

    /// The path with its remote address in the form that this socket needs.
    fn in_socket_form(&self, path: Path) -> Path {
        let remote = match path.remote {
            SocketAddr::V4(v4) if self.v6 => {
                SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
            }
            address => address,
        };
        Path { remote, ..path }
    }

    #[cfg(target_os = "linux")]
    fn send_from(&self, datagram: &[u8], path: &Path) -> io::Result<()> {
        linux::send(&self.inner, datagram, MAX_DATAGRAM as u16, path)
    }

    #[cfg(not(target_os = "linux"))]
    fn send_from(&self, datagram: &[u8], path: &Path) -> io::Result<()> {
        self.local_ends.send(&self.inner, datagram, path)
    }

    /// Sends messages to several peers with one call. Returns the number sent.
    #[cfg(target_os = "linux")]
    fn send_to_many(&self, messages: &[outgoing::Message], bytes: &[u8]) -> usize {
        linux::send_messages(&self.inner, messages, bytes, MAX_DATAGRAM as u16).unwrap_or(0)
    }

    #[cfg(not(target_os = "linux"))]
    fn send_to_many(&self, _: &[outgoing::Message], _: &[u8]) -> usize {
        0
    }

    #[cfg(target_os = "linux")]
    fn sends_segments(&self) -> bool {
        self.segments.load(Ordering::Relaxed)
    }

    #[cfg(not(target_os = "linux"))]
    fn sends_segments(&self) -> bool {
        false
    }

    /// Sends several datagrams with one call. Returns false if that is not possible.
    #[cfg(target_os = "linux")]
    fn send_at_once(&self, datagrams: &[u8], path: &Path) -> io::Result<bool> {
        if !self.sends_segments() {
            return Ok(false);
        }
        let sent = linux::send(&self.inner, datagrams, MAX_DATAGRAM as u16, path);
        match sent.as_ref().map_err(io::Error::raw_os_error) {
            // The device cannot compute the checksums (udp(7)), or the kernel lacks the option.
            Err(Some(error @ (libc::EIO | libc::ENOPROTOOPT))) => {
                self.segments.store(false, Ordering::Relaxed);
                log::debug!("datagrams are sent one by one: error {error}");
                Ok(false)
            }
            // A datagram is too large for the interface, so the others are sent one by one; or the
            // local address no longer exists.
            Err(Some(libc::EINVAL | libc::EMSGSIZE)) => Ok(false),
            Err(_) if sent.as_ref().is_err_and(lacks_local_end) => Ok(false),
            _ => sent.map(|()| true),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn send_at_once(&self, _: &[u8], _: &Path) -> io::Result<bool> {
        Ok(false)
    }

    /// Size of the receive buffer in bytes; `None` if unknown.
    pub fn receive_buffer(&self) -> Option<usize> {
        let bytes = SockRef::from(&self.inner).recv_buffer_size().ok()?;
        // Linux doubles the requested size to account for its overhead (socket(7)).
        Some(if cfg!(target_os = "linux") { bytes / 2 } else { bytes })
    }

    /// Datagrams dropped by this machine's kernel because the receive buffer was full. The kernel
    /// reports them with the next datagram received.
    pub fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }

    /// Wraps a bound, non-blocking socket for datagrams of this family.
    pub(super) fn wrap(raw: RawSocket, family: IpAddr, receives: ReceivesAt) -> Self {
        let v6 = family.is_ipv6();
        #[cfg(target_os = "linux")]
        request_options(&raw, v6, receives);
        #[cfg(not(target_os = "linux"))]
        let _ = receives;
        Self {
            #[cfg(not(target_os = "linux"))]
            local_ends: portable::LocalEnds::of(&raw),
            inner: UdpSocket::from_std(raw.into()),
            v6,
            #[cfg(target_os = "linux")]
            segments: AtomicBool::new(true),
            drained: AtomicBool::new(false),
            overflowed: AtomicU64::new(0),
        }
    }

    /// ICMP errors are not available on this system.
    #[cfg(not(target_os = "linux"))]
    pub fn poll_error(&self) -> Option<(SocketAddr, io::Error)> {
        None
    }

    pub(super) fn inner(&self) -> &UdpSocket {
        &self.inner
    }

    pub(super) fn source(&mut self) -> &mut UdpSocket {
        &mut self.inner
    }

    fn open(address: SocketAddr, dual: bool) -> io::Result<Self> {
        let raw = RawSocket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            raw.set_only_v6(!(dual && address.ip().is_unspecified()))?;
        }
        // A smaller buffer is no error.
        let _ = raw.set_recv_buffer_size(BUFFER);
        #[cfg(target_os = "linux")]
        let _ = linux::force_receive_buffer(&raw, BUFFER);
        let _ = raw.set_send_buffer_size(BUFFER);
        raw.set_nonblocking(true)?;
        raw.bind(&SockAddr::from(address))?;
        // A socket bound to one address receives at that address only and sends from it. The
        // control messages that say so for each datagram cost a server up to 4 % of its time.
        let ip = address.ip();
        let one = !ip.is_unspecified();
        Ok(Self::wrap(raw, ip, if one { ReceivesAt::OneAddress } else { ReceivesAt::Several }))
    }

    /// Receives with one system call. Returns false if nothing is available. Errors of earlier
    /// sends (ICMP unreachable, Windows' 10054) are skipped: they belong to no received datagram.
    fn fill(&self, incoming: &mut Incoming) -> io::Result<bool> {
        loop {
            match self.read(incoming) {
                Ok(()) => {
                    self.drained.store(incoming.is_short(), Ordering::Relaxed);
                    return Ok(true);
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Ok(false),
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

    #[cfg(target_os = "linux")]
    fn read(&self, incoming: &mut Incoming) -> io::Result<()> {
        let (slots, messages) = incoming.room();
        linux::receive(&self.inner, slots, messages, |count| {
            // The kernel's counter wraps at 2^32, and there is one reader.
            let known = self.overflowed.load(Ordering::Relaxed);
            let more = count.wrapping_sub(known as u32);
            self.overflowed.store(known + u64::from(more), Ordering::Relaxed);
        })
    }

    #[cfg(not(target_os = "linux"))]
    fn read(&self, incoming: &mut Incoming) -> io::Result<()> {
        let (slots, messages) = incoming.room();
        self.local_ends.receive(&self.inner, slots, messages)
    }
}

/// Requests optional features: batches of datagrams, overflow counts, local addresses, no
/// fragmentation.
#[cfg(target_os = "linux")]
fn request_options(raw: &RawSocket, v6: bool, receives: ReceivesAt) {
    let outcomes = [
        linux::join_segments(raw),
        linux::count_overflows(raw),
        match receives {
            ReceivesAt::OneAddress => Ok(()),
            ReceivesAt::Several => linux::tell_local_end(raw, v6),
        },
        linux::forbid_fragments(raw, v6),
    ];
    for error in outcomes.into_iter().filter_map(Result::err) {
        log::debug!("a socket option is not available: {error}");
    }
}

/// Returns true if the local address or interface may have caused the error. Linux returns `EINVAL`
/// or `ENODEV`, other systems `EADDRNOTAVAIL`.
fn lacks_local_end(error: &io::Error) -> bool {
    let no_device = cfg!(unix) && error.raw_os_error() == Some(19);
    let kind = error.kind();
    no_device
        || matches!(kind, ErrorKind::InvalidInput | ErrorKind::AddrNotAvailable)
        || matches!(kind, ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable)
}

/// The canonical form of an address: IPv4 is not mapped, and only link-local addresses have a
/// scope.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    let plain = SocketAddr::new(address.ip().to_canonical(), address.port());
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => {
            SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into()
        }
        _ => plain,
    }
}

/// Returns true for `EMSGSIZE`: the datagram is larger than the interface's MTU. Windows
/// (WSAEMSGSIZE) also returns it for a datagram larger than the receive buffer.
fn is_too_long(error: &io::Error) -> bool {
    #[cfg(target_os = "linux")]
    return error.raw_os_error() == Some(libc::EMSGSIZE);
    #[cfg(not(target_os = "linux"))]
    quinn_udp::is_msg_size_err(error)
}

fn with_remedy(error: &io::Error) -> String {
    let way_out = match error.kind() {
        ErrorKind::AddrInUse => "; another program has this port: stop it, or choose another port",
        ErrorKind::AddrNotAvailable => "; this machine does not have this address",
        ErrorKind::PermissionDenied => "; ports below 1024 are for administrators",
        _ => "",
    };
    format!("{error}{way_out}")
}
