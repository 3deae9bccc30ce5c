//! ICMP errors for sent datagrams (RFC 792, RFC 4443). Linux queues them at sockets with
//! `IP_RECVERR` (ip(7)), with the destination of the datagram. ICMP is easily forged, so an error
//! is only a hint.
#![allow(unsafe_code)]

use super::linux::{FromKernel, address, control_messages, set};
use super::{Socket, canonical};
use std::io;
use std::mem::{size_of, zeroed};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

/// Holds one `sock_extended_err` and its sender's address; aligned as cmsg(3) requires.
type Control = [u64; 32];

impl Socket {
    /// Tells the kernel to queue errors for this socket.
    pub(super) fn keep_errors(&self) {
        let v6 = self.v6.then(|| set(self.inner(), libc::SOL_IPV6, libc::IPV6_RECVERR, 1));
        for outcome in [Some(set(self.inner(), libc::SOL_IP, libc::IP_RECVERR, 1)), v6] {
            if let Some(Err(error)) = outcome {
                log::debug!("ICMP errors are not available: {error}");
            }
        }
    }

    /// The next queued error, with the destination of its datagram.
    pub fn poll_error(&self) -> Option<(SocketAddr, io::Error)> {
        // SAFETY: both are plain numbers and pointers, for which all bits zero is a value.
        let (mut name, mut header) =
            unsafe { (zeroed::<libc::sockaddr_in6>(), zeroed::<libc::msghdr>()) };
        let mut control: Control = [0; 32];
        header.msg_name = (&raw mut name).cast();
        header.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
        header.msg_control = (&raw mut control).cast();
        header.msg_controllen = size_of::<Control>() as _;
        let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
        // SAFETY: the name and the control buffer are what `header` says and outlive the call.
        let read = unsafe { libc::recvmsg(self.inner().as_raw_fd(), &raw mut header, flags) };
        if read < 0 {
            return None;
        }
        control_messages(&header)
            .find_map(|each| match each {
                FromKernel::Failed(number) => Some(number),
                _ => None,
            })
            .map(|number| (canonical(address(&name)), io::Error::from_raw_os_error(number)))
    }
}
