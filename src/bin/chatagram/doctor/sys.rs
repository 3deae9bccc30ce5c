//! The system calls without a safe wrapper. Nothing is decided here.
#![allow(unsafe_code)]

use std::io;
use std::mem::zeroed;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

/// Returns true if the kernel lets the interface carry multicast (`SIOCGIFFLAGS`, netdevice(7)).
pub(super) fn has_multicast(interface: &str) -> io::Result<bool> {
    // SAFETY: `ifreq` is numbers, for which all bits zero is a value.
    let mut request: libc::ifreq = unsafe { zeroed() };
    // The last byte stays zero: it ends the name.
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name[..room].iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    // SAFETY: the call reads the name and writes the flags of one `ifreq`.
    let result =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS as _, &raw mut request) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so the union holds the flags.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    Ok(i32::from(flags) & libc::IFF_MULTICAST != 0)
}

/// Returns true if the kernel considers its clock synchronised.
pub(super) fn synchronised() -> io::Result<bool> {
    // SAFETY: `timex` is numbers, for which all bits zero is a value: no mode, so nothing is set.
    let mut timex: libc::timex = unsafe { zeroed() };
    // SAFETY: the call writes one `timex`.
    if unsafe { libc::adjtimex(&raw mut timex) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(timex.status & libc::STA_UNSYNC == 0)
}
