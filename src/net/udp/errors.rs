//! What the network says of datagrams that were sent (ICMP, RFC 792 and 4443): Linux keeps it in a queue
//! beside a socket that wants to know (`IP_RECVERR`, ip(7)), with the address that the datagram was for.
//! Anybody can forge it, so it is a hint.
#![allow(unsafe_code)]

use super::linux::{FromKernel, address, control_messages, set};
use super::{Socket, canonical};
use std::io;
use std::mem::{size_of, zeroed};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

/// Room for one `sock_extended_err` and the address of its sender; aligned as cmsg(3) asks.
type Control = [u64; 32];

impl Socket {
    /// From now on the kernel keeps what it hears of datagrams sent here.
    pub(super) fn keep_errors(&self) {
        let v6 = self.v6.then(|| set(self.inner(), libc::SOL_IPV6, libc::IPV6_RECVERR, 1));
        for outcome in [Some(set(self.inner(), libc::SOL_IP, libc::IP_RECVERR, 1)), v6] {
            if let Some(Err(error)) = outcome {
                log::debug!("the kernel will not say what becomes of datagrams: {error}");
            }
        }
    }

    /// The next thing that was heard: which address the datagram was for, and what became of it.
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
