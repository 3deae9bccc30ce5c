//! Linux's ways to move many datagrams with one system call. No wrapper offers them without an
//! allocation for each call, or safely for a second one, so the few calls are made here; nothing is
//! decided.
//!
//! - `recvmmsg` reads several messages at once (recvmmsg(2)).
//! - `sendmmsg` sends several, to as many peers (sendmmsg(2)).
//! - `UDP_SEGMENT`: one send is cut into datagrams of a given length by the device, or just before it
//!   (GSO). As an option of the socket it would make each single datagram dearer by a page.
//! - `UDP_GRO`: the reverse, for those who receive.
//! - `SO_RCVBUFFORCE`: a receive buffer for an administrator (socket(7)).
//! - `SO_RXQ_OVFL`: how many datagrams found the receive buffer full (socket(7)).
#![allow(unsafe_code)]

use super::incoming::{Message, SLOT_LEN, SLOTS};
use super::outgoing::{Message as Outbound, SLOTS as OUTBOUND};
use socket2::SockAddr;
use std::array::from_fn;
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;

/// Room for the two control messages there can be, each an integer; aligned as cmsg(3) asks.
type Control = [u64; 8];

/// Sends datagrams of `segment` bytes each but the last, at once.
pub(super) fn send_segments(
    socket: &impl AsRawFd,
    datagrams: &[u8],
    segment: u16,
    to: SocketAddr,
) -> io::Result<()> {
    let name = SockAddr::from(to);
    let mut piece = piece(datagrams);
    let mut control = Control::default();
    let mut header = header(&name, &mut piece);
    cut(&mut header, &mut control, segment);
    // SAFETY: the name, the piece and the control buffer are what `header` says and outlive the call,
    // which reads them only.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends the first of these messages, whose places are in `bytes`: each is one datagram, or several of `segment`
/// bytes each but the last. How many it took, at least one.
pub(super) fn send_messages(
    socket: &impl AsRawFd,
    messages: &[Outbound],
    bytes: &[u8],
    segment: u16,
) -> io::Result<usize> {
    let messages = &messages[..messages.len().min(OUTBOUND)];
    let names: [_; OUTBOUND] = from_fn(|i| messages.get(i).map(|it| SockAddr::from(it.to)));
    let mut controls = [Control::default(); OUTBOUND];
    // SAFETY: both are plain numbers and pointers, for which all bits zero is a value.
    let (mut headers, mut pieces) =
        unsafe { (zeroed::<[libc::mmsghdr; OUTBOUND]>(), zeroed::<[libc::iovec; OUTBOUND]>()) };
    for (i, name) in names.iter().flatten().enumerate() {
        let datagrams = &bytes[messages[i].place.clone()];
        pieces[i] = piece(datagrams);
        headers[i].msg_hdr = header(name, &mut pieces[i]);
        if datagrams.len() > usize::from(segment) {
            cut(&mut headers[i].msg_hdr, &mut controls[i], segment);
        }
    }
    // SAFETY: each of the first headers, one for each message, points to a name, a piece of `bytes` and, if it is to
    // be cut, a control buffer of its own; all of them outlive the call, which reads them only.
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

/// Bytes that a call will read.
fn piece(datagrams: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: datagrams.as_ptr().cast_mut().cast(), iov_len: datagrams.len() }
}

/// A message to this name, of this piece.
fn header(name: &SockAddr, piece: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: `msghdr` is plain numbers and pointers, for which all bits zero is a value.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = name.as_ptr().cast_mut().cast();
    header.msg_namelen = name.len();
    header.msg_iov = piece;
    header.msg_iovlen = 1;
    header
}

/// Has a message cut into datagrams of `segment` bytes.
fn cut(header: &mut libc::msghdr, control: &mut Control, segment: u16) {
    header.msg_control = (&raw mut *control).cast();
    // SAFETY: computes a length and touches nothing.
    header.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<u16>() as libc::c_uint) } as _;
    // SAFETY: the control buffer has room for one header and two bytes, and is aligned for both.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(&raw const *header);
        (*message).cmsg_level = libc::SOL_UDP;
        (*message).cmsg_type = libc::UDP_SEGMENT;
        (*message).cmsg_len = libc::CMSG_LEN(size_of::<u16>() as libc::c_uint) as _;
        libc::CMSG_DATA(message).cast::<u16>().write_unaligned(segment);
    }
}

/// Lets this socket have several datagrams of one sender as one message.
pub(super) fn join_segments(socket: &impl AsRawFd) -> io::Result<()> {
    set(socket, libc::SOL_UDP, libc::UDP_GRO, 1)
}

/// Has each message say how many did not fit the receive buffer so far.
pub(super) fn count_overflows(socket: &impl AsRawFd) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)
}

/// A receive buffer larger than the limit for everybody, for who may have it (`CAP_NET_ADMIN`).
pub(super) fn force_receive_buffer(socket: &impl AsRawFd, bytes: usize) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes as libc::c_int)
}

/// Reads as many messages as there are and `slots` have room for: the n-th begins at
/// `n * SLOT_LEN`. Never waits. Hands `overflowed` the newest count of what did not fit, if one came.
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
    let mut controls = [Control::default(); SLOTS];
    for (i, slot) in slots.chunks_exact_mut(SLOT_LEN).enumerate() {
        pieces[i] = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: SLOT_LEN };
        let header = &mut headers[i].msg_hdr;
        header.msg_name = (&raw mut names[i]).cast();
        header.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
        header.msg_iov = &raw mut pieces[i];
        header.msg_iovlen = 1;
        header.msg_control = (&raw mut controls[i]).cast();
        header.msg_controllen = size_of::<Control>() as _;
    }
    // SAFETY: each of the `SLOTS` headers points to one name, one piece with a slot of its own, and one
    // control buffer, with their true lengths; all of them outlive the call.
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
        let mut segment = length;
        for (level, kind, value) in integers(&header.msg_hdr) {
            match (level, kind) {
                (libc::SOL_UDP, libc::UDP_GRO) => segment = value as usize,
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => overflowed(value),
                _ => {}
            }
        }
        messages.push(Message { from: address(name), length, segment });
    }
    Ok(())
}

/// The control messages, each as level, kind and the integer it begins with.
fn integers(header: &libc::msghdr) -> impl Iterator<Item = (libc::c_int, libc::c_int, u32)> {
    // SAFETY: the kernel filled `header`, whose control buffer is alive and as long as it says.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    std::iter::from_fn(move || {
        // SAFETY: null, or a control message inside the buffer of `header`; the kernel's messages asked
        // for here carry at least four bytes, which need no alignment to be read.
        unsafe {
            let message = next.as_ref()?;
            let value = libc::CMSG_DATA(next).cast::<u32>().read_unaligned();
            next = libc::CMSG_NXTHDR(header, next);
            Some((message.cmsg_level, message.cmsg_type, value))
        }
    })
}

/// What the kernel wrote into a name: IPv4 or IPv6.
fn address(name: &libc::sockaddr_in6) -> SocketAddr {
    if libc::c_int::from(name.sin6_family) == libc::AF_INET {
        // SAFETY: `sockaddr_in` is shorter than `sockaddr_in6`, as aligned, and all plain numbers.
        let v4 = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in>() };
        let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
        return SocketAddr::new(ip.into(), u16::from_be(v4.sin_port));
    }
    let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
    let port = u16::from_be(name.sin6_port);
    SocketAddrV6::new(ip, port, name.sin6_flowinfo, name.sin6_scope_id).into()
}

fn set(
    socket: &impl AsRawFd,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the option is an integer, which `value` is, and its length is given.
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
