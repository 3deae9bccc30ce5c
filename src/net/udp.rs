//! One UDP socket, non-blocking, for IPv6 and IPv4 at once where it is bound to `[::]`. Where the
//! system can, one call reads several datagrams, and one sends several, to as many peers; and each
//! datagram tells at which of this machine's addresses it came in, and leaves from the one it is to.

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

pub use incoming::Incoming;
pub use outgoing::Outgoing;

use super::Listen;
use crate::path::Path;
use crate::protocol::limits::MAX_DATAGRAM;
use mio::net::UdpSocket;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket as RawSocket, Type};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Receive and send buffers to ask the kernel for, bytes. Its default holds some 256 small
/// datagrams, less than one burst of a full room; what it grants is its own affair.
pub const BUFFER: usize = 4 << 20;

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
    #[cfg(not(target_os = "linux"))]
    local_ends: portable::LocalEnds,
    /// The kernel takes several datagrams at once, as far as is known.
    #[cfg(target_os = "linux")]
    segments: AtomicBool,
    /// The last call to the kernel left nothing behind: the next one is spared.
    drained: AtomicBool,
    /// Datagrams that found the receive buffer full, as far as the kernel has said.
    overflowed: AtomicU64,
}

impl Socket {
    /// A socket at `address`; port 0 takes a free one. On a machine without IPv6, `[::]` means
    /// `0.0.0.0`.
    ///
    /// # Errors
    /// [`BindError`] names the address, and the way out where there is one.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        Self::listen(Listen { address, dual: true })
    }

    /// As [`Self::bind`], for one of several sockets.
    ///
    /// # Errors
    /// As for `bind`.
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

    /// A socket on a free port that reaches servers of both address families.
    ///
    /// # Errors
    /// As for `bind`.
    pub fn for_client() -> Result<Self, BindError> {
        let socket = Self::bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0))?;
        #[cfg(target_os = "linux")]
        socket.keep_errors();
        Ok(socket)
    }

    /// Where the socket is bound.
    ///
    /// # Errors
    /// The kernel's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// The next datagram and its path, with 0 for the socket; `None` when there is none right now.
    /// `incoming` has to be empty when it comes from another socket.
    ///
    /// # Errors
    /// The kernel's, when the socket is of no more use.
    pub fn receive<'i>(&self, incoming: &'i mut Incoming) -> io::Result<Option<(Path, &'i [u8])>> {
        let drained = incoming.is_empty() && self.drained.swap(false, Ordering::Relaxed);
        if drained || (incoming.is_empty() && !self.fill(incoming)?) {
            return Ok(None);
        }
        Ok(incoming.next())
    }

    /// Sends one datagram, or several to the same peer: each of [`MAX_DATAGRAM`] bytes but the last.
    /// What the kernel does not take is lost like any other on the way; the reason goes to the log.
    pub fn send(&self, datagrams: &[u8], path: impl Into<Path>) {
        self.send_or_refuse(datagrams, path.into());
    }

    /// The same. Says whether one of the datagrams was too large for the interface it was to leave by.
    fn send_or_refuse(&self, datagrams: &[u8], path: Path) -> bool {
        let Err(error) = self.try_send(datagrams, path) else { return false };
        log::debug!("{} bytes to {} not sent: {error}", datagrams.len(), path.remote);
        is_too_long(&error)
    }

    /// As [`Self::send`], for those who want to know.
    ///
    /// # Errors
    /// The kernel's.
    pub fn try_send(&self, datagrams: &[u8], path: impl Into<Path>) -> io::Result<()> {
        let path = self.spelled(path.into());
        if datagrams.len() > MAX_DATAGRAM && self.send_at_once(datagrams, &path)? {
            return Ok(());
        }
        let (first, rest) = datagrams.split_at(datagrams.len().min(MAX_DATAGRAM));
        let mut outcome = self.send_one(first, &path);
        for datagram in rest.chunks(MAX_DATAGRAM) {
            // One that is too large for the interface says nothing of the next.
            outcome = outcome.and(self.send_one(datagram, &path));
        }
        outcome
    }

    /// As [`Self::send`], but where one system call sends to several peers it leaves with what comes next, or
    /// with [`Self::flush`]. `outgoing` has to be empty when it comes from another socket.
    pub fn send_with(&self, outgoing: &mut Outgoing, datagrams: &[u8], path: impl Into<Path>) {
        let path = self.spelled(path.into());
        let one_by_one = datagrams.len() > MAX_DATAGRAM && !self.sends_segments();
        if one_by_one || !outgoing.push(datagrams, path) {
            self.flush(outgoing);
            if one_by_one || !outgoing.push(datagrams, path) {
                self.send(datagrams, path);
            }
        }
    }

    /// Sends what waits.
    pub fn flush(&self, outgoing: &mut Outgoing) {
        let (messages, bytes) = outgoing.messages();
        let mut refused = Vec::new();
        let mut rest = messages;
        while let Some((first, others)) = rest.split_first() {
            let sent = if others.is_empty() { 0 } else { self.send_to_many(rest, bytes) };
            if sent == 0 {
                // Alone it may fare better; else this says why.
                let datagrams = &bytes[first.place.clone()];
                if self.send_or_refuse(datagrams, first.path) {
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

    /// Sends one datagram. Where the local address or interface is gone, routing chooses: better that the peer
    /// hears from a new address, and challenges it, than nothing.
    fn send_one(&self, datagram: &[u8], path: &Path) -> io::Result<()> {
        // The first error may be that of an earlier datagram (ICMP), and then nothing was sent.
        let outcome = self.send_from(datagram, path).or_else(|_| self.send_from(datagram, path));
        if path.local.is_any() || !outcome.as_ref().is_err_and(lacks_local_end) {
            return outcome;
        }
        log::debug!("not from {:?} any more: {outcome:?}", path.local);
        self.send_from(datagram, &path.remote.into())
    }

    /// A path with the remote address spelled as this socket needs it.
    fn spelled(&self, path: Path) -> Path {
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

    /// Sends messages to several peers with one call. How many of them it took.
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

    /// Sends several datagrams with one call. False where that cannot be.
    #[cfg(target_os = "linux")]
    fn send_at_once(&self, datagrams: &[u8], path: &Path) -> io::Result<bool> {
        if !self.sends_segments() {
            return Ok(false);
        }
        let sent = linux::send(&self.inner, datagrams, MAX_DATAGRAM as u16, path);
        match sent.as_ref().map_err(io::Error::raw_os_error) {
            // The device cannot checksum them (udp(7)), or this kernel knows nothing of it.
            Err(Some(error @ (libc::EIO | libc::ENOPROTOOPT))) => {
                self.segments.store(false, Ordering::Relaxed);
                log::debug!("datagrams are sent one by one: error {error}");
                Ok(false)
            }
            // The interface is too narrow for one of them, and those that are not may leave by themselves; or
            // there is no such local address any more.
            Err(Some(libc::EINVAL | libc::EMSGSIZE)) => Ok(false),
            Err(_) if sent.as_ref().is_err_and(lacks_local_end) => Ok(false),
            _ => sent.map(|()| true),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn send_at_once(&self, _: &[u8], _: &Path) -> io::Result<bool> {
        Ok(false)
    }

    /// Bytes the kernel keeps for this socket until they are read, if it says.
    pub fn receive_buffer(&self) -> Option<usize> {
        let bytes = SockRef::from(&self.inner).recv_buffer_size().ok()?;
        // Linux doubles what it is asked for, and counts its own overhead (socket(7)).
        Some(if cfg!(target_os = "linux") { bytes / 2 } else { bytes })
    }

    /// How many datagrams found the receive buffer full and were dropped by this machine's kernel, as
    /// far as it has said: with the next one that did fit.
    pub fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }

    /// A bound, non-blocking socket.
    pub(super) fn wrap(raw: RawSocket, v6: bool) -> Self {
        #[cfg(target_os = "linux")]
        offer_options(&raw, v6);
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

    /// What was heard of a datagram that was sent: nothing, here.
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
        // Less than asked for is no reason to stop.
        let _ = raw.set_recv_buffer_size(BUFFER);
        #[cfg(target_os = "linux")]
        let _ = linux::force_receive_buffer(&raw, BUFFER);
        let _ = raw.set_send_buffer_size(BUFFER);
        raw.set_nonblocking(true)?;
        raw.bind(&SockAddr::from(address))?;
        Ok(Self::wrap(raw, address.is_ipv6()))
    }

    /// Reads what one system call brings. False when there is nothing. Errors that earlier sends
    /// caused (ICMP unreachable, Windows' 10054) belong to no datagram: skipped.
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
            // The kernel's count is one modulo 2^32, and there is one reader.
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

/// Asks for what makes many datagrams cheap, and for the local end of each; nothing depends on getting it.
#[cfg(target_os = "linux")]
fn offer_options(raw: &RawSocket, v6: bool) {
    let outcomes = [
        linux::join_segments(raw),
        linux::count_overflows(raw),
        linux::tell_local_end(raw, v6),
        linux::forbid_fragments(raw, v6),
    ];
    for error in outcomes.into_iter().filter_map(Result::err) {
        log::debug!("an option of the socket cannot be had: {error}");
    }
}

/// Whether a datagram may have been refused because of the address or interface it was to leave from. Linux
/// says `EINVAL` or `ENODEV`, others `EADDRNOTAVAIL`.
fn lacks_local_end(error: &io::Error) -> bool {
    let no_device = cfg!(unix) && error.raw_os_error() == Some(19);
    let kind = error.kind();
    no_device
        || matches!(kind, ErrorKind::InvalidInput | ErrorKind::AddrNotAvailable)
        || matches!(kind, ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable)
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

/// `EMSGSIZE`: a datagram is larger than the interface takes. Windows (WSAEMSGSIZE) says so of one that is longer
/// than the buffer it was to be read into, too.
fn is_too_long(error: &io::Error) -> bool {
    #[cfg(target_os = "linux")]
    return error.raw_os_error() == Some(libc::EMSGSIZE);
    #[cfg(not(target_os = "linux"))]
    quinn_udp::is_msg_size_err(error)
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
