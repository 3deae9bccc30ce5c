//! The system calls that no safe wrapper offers. Nothing is decided here.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;
use std::mem::zeroed;
use std::net::Ipv4Addr;
use std::ptr;

/// One address of a network interface.
pub(super) struct Address {
    pub(crate) name: String,
    pub(crate) flags: u32,
    /// The IPv4 address, and where a broadcast goes; `None` for other families.
    pub(crate) v4: Option<(Ipv4Addr, Option<Ipv4Addr>)>,
    pub(crate) v6: bool,
}

/// All addresses of all interfaces.
pub(super) fn addresses() -> io::Result<Vec<Address>> {
    let mut list: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: on success `list` is a list that lives until `freeifaddrs`.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut addresses = Vec::new();
    let mut at = list;
    while !at.is_null() {
        // SAFETY: `at` is an entry of the list, which is not freed yet.
        let entry = unsafe { &*at };
        // SAFETY: the kernel's names end with a zero, and live as long as the list.
        let name = unsafe { CStr::from_ptr(entry.ifa_name) }.to_string_lossy().into_owned();
        let broadcast = entry.ifa_flags & libc::IFF_BROADCAST as u32 != 0;
        let v4 = v4(entry.ifa_addr)
            .map(|own| (own, v4(entry.ifa_ifu).filter(|to| broadcast && !to.is_unspecified())));
        let v6 = family(entry.ifa_addr) == Some(libc::AF_INET6);
        addresses.push(Address { name, flags: entry.ifa_flags, v4, v6 });
        at = entry.ifa_next;
    }
    // SAFETY: `list` came from `getifaddrs` and nothing refers to it any more.
    unsafe { libc::freeifaddrs(list) };
    Ok(addresses)
}

fn family(address: *const libc::sockaddr) -> Option<i32> {
    // SAFETY: what `getifaddrs` gives is null or an address that begins with its family.
    (!address.is_null()).then(|| i32::from(unsafe { (*address).sa_family }))
}

fn v4(address: *const libc::sockaddr) -> Option<Ipv4Addr> {
    if family(address) != Some(libc::AF_INET) {
        return None;
    }
    // SAFETY: an address of this family is a `sockaddr_in`; it need not be aligned like one.
    let address = unsafe { ptr::read_unaligned(address.cast::<libc::sockaddr_in>()) };
    Some(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)))
}

/// Whether the kernel holds its clock for synchronised.
pub(super) fn synchronised() -> io::Result<bool> {
    // SAFETY: `timex` is numbers, for which all bits zero is a value: no mode, so nothing is set.
    let mut timex: libc::timex = unsafe { zeroed() };
    // SAFETY: the call writes one `timex`.
    if unsafe { libc::adjtimex(&raw mut timex) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(timex.status & libc::STA_UNSYNC == 0)
}
