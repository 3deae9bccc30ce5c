//! System calls without a safe wrapper.
#![allow(unsafe_code)]

use rustix::net::netdevice;
use rustix::thread::UnshareFlags;
use std::fs::File;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// From `linux/ethtool.h`; libc lacks them.
const ETHTOOL_STXCSUM: u32 = 0x17;
const ETHTOOL_STSO: u32 = 0x1f;
const ETHTOOL_SGSO: u32 = 0x24;

/// `struct ethtool_value` of `linux/ethtool.h`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// Moves the calling thread to new namespaces of these kinds.
pub(super) fn unshare(kinds: UnshareFlags) -> io::Result<()> {
    debug_assert!(!kinds.contains(UnshareFlags::FILES));
    // SAFETY: the descriptor table stays shared (no `FILES`), which is all that the contract asks.
    unsafe { rustix::thread::unshare_unsafe(kinds) }.map_err(Into::into)
}

/// Attaches the open `/dev/net/tun` to a TUN device that carries bare IP packets.
pub(super) fn attach_tun(tun: &File, name: &str) -> io::Result<()> {
    let mut request = interface(name)?;
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which `request` is and which outlives the
    // call.
    check(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) })
}

/// Disables offloads: the kernel completes checksums and segments before a packet leaves the
/// device.
pub(super) fn disable_offloads(socket: &impl AsRawFd, name: &str) -> io::Result<()> {
    for command in [ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO] {
        let mut value = EthtoolValue { command, data: 0 };
        let mut request = interface(name)?;
        request.ifr_ifru.ifru_data = (&raw mut value).cast();
        // SAFETY: SIOCETHTOOL reads one `ifreq` and, for these commands, the `ethtool_value` that
        // its `ifru_data` points to; both outlive the call.
        check(unsafe {
            libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request)
        })?;
    }
    Ok(())
}

/// Binds an `AF_PACKET` socket to one device and to IPv4; an unbound one receives nothing.
pub(super) fn bind_packet(socket: &(impl AsRawFd + AsFd), name: &str) -> io::Result<()> {
    // SAFETY: `sockaddr_ll` is plain numbers, for which all bits zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_IP as u16).to_be();
    address.sll_ifindex = netdevice::name_to_index(socket, name)? as i32;
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: `bind` reads `length` bytes of `address`, which is that long and outlives the call.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) })
}

/// Makes the socket send past the device's queue. After a veth pair is created, the kernel's queue
/// drops all packets until a kernel worker has noticed the link, which takes time on a busy
/// machine.
pub(super) fn bypass_queue(socket: &impl AsRawFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the kernel reads one `c_int`, which `on` is and which outlives the call.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_QDISC_BYPASS,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    })
}

/// Packets that an `AF_PACKET` socket has dropped since the last call.
pub(super) fn packet_drops(socket: &impl AsRawFd) -> io::Result<u64> {
    // SAFETY: `tpacket_stats` is plain numbers, for which all bits zero is a value.
    let mut stats: libc::tpacket_stats = unsafe { zeroed() };
    let mut length = size_of::<libc::tpacket_stats>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `stats`, which is that long.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut stats).cast(),
            &raw mut length,
        )
    })?;
    Ok(stats.tp_drops.into())
}

/// Starts a child that the kernel kills when the calling thread ends.
pub(super) fn spawn_with_death_signal(mut command: Command) -> io::Result<Child> {
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec the closure makes two system calls and nothing else: it
    // neither allocates nor locks.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            // If the parent died before the line above, no signal comes.
            if rustix::process::getppid() == Some(parent) {
                Ok(())
            } else {
                Err(rustix::io::Errno::SRCH.into())
            }
        });
    }
    command.spawn()
}

/// Runs `steps` in a child process and returns their result; this process does not change. If this
/// process has several threads, `steps` may only make system calls.
///
/// # Errors
/// That of `steps`.
pub(super) fn rehearse(steps: fn() -> io::Result<()>) -> io::Result<()> {
    let mut command = Command::new("rehearsal");
    // SAFETY: no other thread can hold a lock that `steps` needs: they take none, or there is no
    // other thread. `_exit` runs none of the parent's exit handlers.
    unsafe {
        command.pre_exec(move || {
            steps()?;
            libc::_exit(0)
        });
    }
    command.status().map(drop)
}

fn interface(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: `ifreq` is numbers and pointers, for which all bits zero is a value.
    let mut request: libc::ifreq = unsafe { zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
