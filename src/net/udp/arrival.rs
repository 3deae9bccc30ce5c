//! Receiving with the time of arrival: when the kernel took the datagram in, however late it is
//! read (`SO_TIMESTAMPNS`, socket(7)). On loopback that is the moment at which it was sent.
#![cfg_attr(target_os = "linux", allow(unsafe_code))]

use crate::time::WallTime;
use std::io;
use std::net::{SocketAddr, UdpSocket};

#[cfg(target_os = "linux")]
use super::linux::{FromKernel, address, control_messages, set};
#[cfg(target_os = "linux")]
use std::{mem::zeroed, os::fd::AsRawFd};

/// Asks for the times of arrival.
///
/// # Errors
/// The system has none.
pub fn stamp_arrivals(socket: &UdpSocket) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return set(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = socket;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Receives a datagram as `recv_from` does: its length, its sender, and the time of its arrival, if
/// the system tells.
///
/// # Errors
/// Those of `recv_from`.
#[cfg(target_os = "linux")]
pub fn receive_stamped(
    socket: &UdpSocket,
    buffer: &mut [u8],
) -> io::Result<(usize, SocketAddr, Option<WallTime>)> {
    // SAFETY: both are plain numbers and pointers, for which all bits zero is a value.
    let (mut name, mut header) =
        unsafe { (zeroed::<libc::sockaddr_in6>(), zeroed::<libc::msghdr>()) };
    let mut piece = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = [0u64; 16];
    header.msg_name = (&raw mut name).cast();
    header.msg_namelen = size_of_val(&name) as libc::socklen_t;
    header.msg_iov = &raw mut piece;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut control).cast();
    header.msg_controllen = size_of_val(&control) as _;
    // SAFETY: the name, the buffer and the control buffer are what `header` says and outlive the
    // call.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, 0) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    let at = control_messages(&header).find_map(|each| match each {
        FromKernel::Arrived(at) => Some(at),
        _ => None,
    });
    Ok((length, address(&name), at))
}

/// Receives a datagram as `recv_from` does: its length, its sender, and the time of its arrival, if
/// the system tells.
///
/// # Errors
/// Those of `recv_from`.
#[cfg(not(target_os = "linux"))]
pub fn receive_stamped(
    socket: &UdpSocket,
    buffer: &mut [u8],
) -> io::Result<(usize, SocketAddr, Option<WallTime>)> {
    socket.recv_from(buffer).map(|(length, from)| (length, from, None))
}
