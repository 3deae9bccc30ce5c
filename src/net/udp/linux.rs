//! Linux's system calls for batches of datagrams and their options. Existing wrappers allocate on
//! each call or do not offer the second direction safely, so the few calls are made here.
//!
//! - `recvmmsg` receives several messages at once (recvmmsg(2)).
//! - `sendmmsg` sends several messages, to different peers (sendmmsg(2)).
//! - `UDP_SEGMENT` (GSO): the device, or the kernel just before it, cuts one send into datagrams of
//!   a given length. As a socket option it would cost each single datagram a page.
//! - `UDP_GRO`: the kernel coalesces received datagrams of one sender.
//! - `SO_RCVBUFFORCE`: a receive buffer over the limit, for an administrator (socket(7)).
//! - `IP_MTU_DISCOVER`: no datagram is fragmented.
//! - `SO_RXQ_OVFL`: the count of datagrams dropped by a full receive buffer (socket(7)).
//! - `SO_TIMESTAMPNS`: the time of arrival (socket(7)), on the wall clock.
//! - `IP_PKTINFO`, `IPV6_PKTINFO`: the local address and interface of a datagram, both ways (ip(7),
//!   RFC 3542 §6). `quinn-udp` has these too, but it reads no overflow counts, sends to one peer
//!   per call, and cannot choose an interface.
#![allow(unsafe_code)]

use super::incoming::{Message, SLOT_LEN, SLOTS};
use super::outgoing::{Message as Outbound, SLOTS as OUTBOUND};
use crate::path::{Local, Path};
use crate::time::WallTime;
use socket2::SockAddr;
use std::array::from_fn;
use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;

/// Holds the largest set of control messages: two integers and, for IPv4 on an IPv6 socket, the
/// local address in both families. Aligned as cmsg(3) requires.
type Control = [u64; 16];

/// Sends one datagram, or several at once, each but the last of `segment` bytes.
pub(super) fn send(
    socket: &impl AsRawFd,
    datagrams: &[u8],
    segment: u16,
    path: &Path,
) -> io::Result<()> {
    let name = SockAddr::from(path.remote);
    let mut piece = piece(datagrams);
    let mut control = Control::default();
    let mut header = header(&name, &mut piece);
    prepare(&mut header, &mut control, datagrams.len(), segment, path);
    // SAFETY: the name, the piece and the control buffer are what `header` says and outlive the
    // call, which reads them only.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends the first of these messages, whose ranges are in `bytes`. Each is one datagram, or several
/// of `segment` bytes but for the last. Returns the number sent, at least one.
pub(super) fn send_messages(
    socket: &impl AsRawFd,
    messages: &[Outbound],
    bytes: &[u8],
    segment: u16,
) -> io::Result<usize> {
    let messages = &messages[..messages.len().min(OUTBOUND)];
    let names: [_; OUTBOUND] =
        from_fn(|i| messages.get(i).map(|it| SockAddr::from(it.path.remote)));
    let mut controls = [Control::default(); OUTBOUND];
    // SAFETY: both are plain numbers and pointers, for which all bits zero is a value.
    let (mut headers, mut pieces) =
        unsafe { (zeroed::<[libc::mmsghdr; OUTBOUND]>(), zeroed::<[libc::iovec; OUTBOUND]>()) };
    for (i, name) in names.iter().flatten().enumerate() {
        let datagrams = &bytes[messages[i].range.clone()];
        pieces[i] = piece(datagrams);
        headers[i].msg_hdr = header(name, &mut pieces[i]);
        let header = &mut headers[i].msg_hdr;
        prepare(header, &mut controls[i], datagrams.len(), segment, &messages[i].path);
    }
    // SAFETY: each of the first headers, one per message, points to a name, a piece of `bytes` and,
    // if it has control messages, a control buffer of its own. All outlive the call, which only
    // reads them.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            messages.len() as libc::c_uint,
            libc::MSG_DONTWAIT as _,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// The bytes to send, as the system call takes them.
fn piece(datagrams: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: datagrams.as_ptr().cast_mut().cast(), iov_len: datagrams.len() }
}

/// A message header with this destination and these bytes.
fn header(name: &SockAddr, piece: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: `msghdr` is plain numbers and pointers, for which all bits zero is a value.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = name.as_ptr().cast_mut().cast();
    header.msg_namelen = name.len();
    header.msg_iov = piece;
    header.msg_iovlen = 1;
    header
}

/// Adds the control messages for segmentation and for the local end.
fn prepare(
    header: &mut libc::msghdr,
    control: &mut Control,
    length: usize,
    segment: u16,
    path: &Path,
) {
    if length > usize::from(segment) {
        add(header, control, libc::SOL_UDP, libc::UDP_SEGMENT, segment);
    }
    let local = &path.local;
    if local.is_any() {
        return;
    }
    let v6 = local.ip_v6();
    if path.remote.ip().to_canonical().is_ipv4() {
        // On an IPv6 socket too: the kernel passes datagrams to IPv4 peers to its IPv4 code
        // (udpv6_sendmsg).
        let ip = v6.to_ipv4_mapped().unwrap_or(Ipv4Addr::UNSPECIFIED);
        let info = libc::in_pktinfo {
            ipi_ifindex: local.interface as libc::c_int,
            ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) },
            ipi_addr: libc::in_addr { s_addr: 0 },
        };
        add(header, control, libc::SOL_IP, libc::IP_PKTINFO, info);
    } else {
        let info = libc::in6_pktinfo {
            ipi6_addr: libc::in6_addr { s6_addr: v6.octets() },
            ipi6_ifindex: local.interface,
        };
        add(header, control, libc::SOL_IPV6, libc::IPV6_PKTINFO, info);
    }
}

/// Appends a control message with this value, which must be plain numbers.
fn add<T>(
    header: &mut libc::msghdr,
    control: &mut Control,
    level: libc::c_int,
    kind: libc::c_int,
    value: T,
) {
    #[allow(clippy::unnecessary_cast)] // musl's is shorter
    let at = header.msg_controllen as usize;
    // SAFETY: both compute a length and touch nothing.
    let (length, space) = unsafe {
        let size = size_of::<T>() as libc::c_uint;
        (libc::CMSG_LEN(size), libc::CMSG_SPACE(size) as usize)
    };
    assert!(at + space <= size_of::<Control>());
    header.msg_control = (&raw mut *control).cast();
    // SAFETY: the `space` bytes at `at` are inside the control buffer. The buffer is aligned for a
    // header, and so is `at`, a sum of such spaces. The value is written unaligned.
    unsafe {
        let message = control.as_mut_ptr().cast::<u8>().add(at).cast::<libc::cmsghdr>();
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        (*message).cmsg_len = length as _;
        libc::CMSG_DATA(message).cast::<T>().write_unaligned(value);
    }
    header.msg_controllen = (at + space) as _;
}

/// Enables coalescing of received datagrams of one sender.
pub(super) fn join_segments(socket: &impl AsRawFd) -> io::Result<()> {
    set(socket, libc::SOL_UDP, libc::UDP_GRO, 1)
}

/// Enables the count of datagrams dropped by a full receive buffer.
pub(super) fn count_overflows(socket: &impl AsRawFd) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)
}

/// Enables the local address and interface of received datagrams.
pub(super) fn tell_local_end(socket: &impl AsRawFd, v6: bool) -> io::Result<()> {
    // An IPv6 socket that includes IPv4 needs both: IPV6_PKTINFO does not distinguish a broadcast
    // address from an own address.
    let v4 = set(socket, libc::SOL_IP, libc::IP_PKTINFO, 1);
    if v6 { set(socket, libc::SOL_IPV6, libc::IPV6_RECVPKTINFO, 1) } else { v4 }
}

/// Requests a receive buffer over the system's limit, which requires `CAP_NET_ADMIN`.
pub(super) fn force_receive_buffer(socket: &impl AsRawFd, bytes: usize) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes as libc::c_int)
}

/// Disables fragmentation: the kernel rejects a datagram that is too large for the interface and,
/// over IPv4, forbids routers to fragment it (ip(7), ipv6(7)). The kernel's path MTU from ICMP,
/// which is easily forged, is ignored (RFC 8899 §4.6): the path size is probed.
pub(super) fn forbid_fragments(socket: &impl AsRawFd, v6: bool) -> io::Result<()> {
    if v6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)?;
    }
    // An IPv6 socket also sends to IPv4 peers.
    set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)
}

/// Receives available messages into `slots`, without blocking; the n-th starts at `n * SLOT_LEN`.
/// Calls `overflowed` with the newest overflow count, if the kernel sent one.
pub(super) fn receive(
    socket: &impl AsRawFd,
    slots: &mut [u8],
    messages: &mut Vec<Message>,
    mut overflowed: impl FnMut(u32),
) -> io::Result<()> {
    assert_eq!(slots.len(), SLOTS * SLOT_LEN);
    // SAFETY: all of these are plain numbers and pointers, for which all bits zero is a value.
    let (mut headers, mut pieces, mut names) = unsafe {
        (
            zeroed::<[libc::mmsghdr; SLOTS]>(),
            zeroed::<[libc::iovec; SLOTS]>(),
            zeroed::<[libc::sockaddr_in6; SLOTS]>(),
        )
    };
    // Not initialised: the kernel says in each header how much it wrote.
    let mut controls = [const { MaybeUninit::<Control>::uninit() }; SLOTS];
    for (i, slot) in slots.chunks_exact_mut(SLOT_LEN).enumerate() {
        pieces[i] = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: SLOT_LEN };
        let header = &mut headers[i].msg_hdr;
        header.msg_name = (&raw mut names[i]).cast();
        header.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
        header.msg_iov = &raw mut pieces[i];
        header.msg_iovlen = 1;
        header.msg_control = controls[i].as_mut_ptr().cast();
        header.msg_controllen = size_of::<Control>() as _;
    }
    // SAFETY: each of the `SLOTS` headers points to one name, one piece with its own slot, and one
    // control buffer, with their true lengths; all outlive the call.
    let count = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            SLOTS as libc::c_uint,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    for (header, name) in headers.iter().zip(&names).take(count) {
        let length = header.msg_len as usize;
        let mut message =
            Message { local: Local::default(), from: address(name), length, segment: length };
        for each in control_messages(&header.msg_hdr) {
            match each {
                FromKernel::Segment(bytes) => message.segment = bytes,
                FromKernel::Overflowed(count) => overflowed(count),
                FromKernel::V4(info) => message.local = local_v4(&info),
                FromKernel::V6(ip, interface) if ip.to_ipv4_mapped().is_none() => {
                    message.local = Local::receiving(ip.into(), interface);
                }
                FromKernel::V6(..)
                | FromKernel::Failed(_)
                | FromKernel::Arrived(_)
                | FromKernel::Other => {}
            }
        }
        messages.push(message);
    }
    Ok(())
}

/// A control message from the kernel.
pub(super) enum FromKernel {
    Segment(usize),
    /// The errno of a sent datagram.
    Failed(i32),
    Overflowed(u32),
    Arrived(WallTime),
    V4(libc::in_pktinfo),
    V6(Ipv6Addr, u32),
    Other,
}

/// The control messages of a received message.
pub(super) fn control_messages(header: &libc::msghdr) -> impl Iterator<Item = FromKernel> {
    // SAFETY: the kernel filled `header`, whose control buffer is alive and has the given length.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    std::iter::from_fn(move || {
        // SAFETY: null, or a control message inside the buffer of `header`. The kernel writes the
        // type that belongs to each level and kind; its bytes are numbers and are read unaligned.
        unsafe {
            let message = next.as_ref()?;
            let data = libc::CMSG_DATA(next);
            next = libc::CMSG_NXTHDR(header, next);
            Some(match (message.cmsg_level, message.cmsg_type) {
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    FromKernel::Segment(data.cast::<libc::c_int>().read_unaligned() as usize)
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    FromKernel::Overflowed(data.cast::<u32>().read_unaligned())
                }
                // Where C's `timespec` is longer than the kernel's, the message is too short.
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS)
                    if message.cmsg_len as usize
                        >= libc::CMSG_LEN(size_of::<libc::timespec>() as libc::c_uint) as usize =>
                {
                    let at = data.cast::<libc::timespec>().read_unaligned();
                    FromKernel::Arrived(WallTime(
                        at.tv_sec as u64 * 1_000_000 + at.tv_nsec as u64 / 1_000,
                    ))
                }
                (libc::SOL_IP, libc::IP_PKTINFO) => {
                    FromKernel::V4(data.cast::<libc::in_pktinfo>().read_unaligned())
                }
                (libc::SOL_IPV6, libc::IPV6_PKTINFO) => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    FromKernel::V6(info.ipi6_addr.s6_addr.into(), info.ipi6_ifindex)
                }
                (libc::SOL_IP, libc::IP_RECVERR) | (libc::SOL_IPV6, libc::IPV6_RECVERR) => {
                    // `sock_extended_err` begins with the errno.
                    FromKernel::Failed(data.cast::<i32>().read_unaligned())
                }
                _ => FromKernel::Other,
            })
        }
    })
}

/// The local end of an IPv4 datagram. The kernel reports an own address beside the destination of
/// the packet. If they differ, the destination is a broadcast address.
fn local_v4(info: &libc::in_pktinfo) -> Local {
    let ip = |of: libc::in_addr| Ipv4Addr::from(u32::from_be(of.s_addr));
    let (own, sent_to) = (ip(info.ipi_spec_dst), ip(info.ipi_addr));
    let interface = info.ipi_ifindex as u32;
    if own == sent_to || own.is_unspecified() {
        Local::receiving(sent_to.into(), interface)
    } else {
        Local { ip: None, interface, ..Local::default() }
    }
}

/// Converts the address that the kernel wrote, IPv4 or IPv6.
pub(super) fn address(name: &libc::sockaddr_in6) -> SocketAddr {
    if libc::c_int::from(name.sin6_family) == libc::AF_INET {
        // SAFETY: `sockaddr_in` is shorter than `sockaddr_in6`, equally aligned, and plain numbers.
        let v4 = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in>() };
        let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
        return SocketAddr::new(ip.into(), u16::from_be(v4.sin_port));
    }
    let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
    let port = u16::from_be(name.sin6_port);
    SocketAddrV6::new(ip, port, name.sin6_flowinfo, name.sin6_scope_id).into()
}

pub(super) fn set(
    socket: &impl AsRawFd,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the option is an integer like `value`, with its length.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
