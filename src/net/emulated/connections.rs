//! The congestion control of each TCP connection in the calling thread's network namespace
//! (sock_diag(7)). The kernel lists the sockets of every process, so that the programs need not
//! read `TCP_CONGESTION` themselves.

use super::netlink::{Bytes, HEADER, outcome};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `SOCK_DIAG_BY_FAMILY` of `linux/sock_diag.h`.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `TCP_ESTABLISHED` of `net/tcp_states.h`, as a bit.
const ESTABLISHED: u32 = 1 << 1;
/// `INET_DIAG_CONG` of `linux/inet_diag.h`: the name of the congestion control.
const CONGESTION_CONTROL: u16 = 4;
/// Bytes of `struct inet_diag_sockid`, which is zero in a request, and of `struct inet_diag_msg`.
const SOCKET_ID: usize = 48;
const MESSAGE: usize = 72;
/// The local address in that message.
const LOCAL: usize = 8;
/// The kernel fills buffers of at most 32 KiB (linux/netlink.h).
const BUFFER: usize = 32_768;

/// The congestion controls of the established connections with this local address.
///
/// # Errors
/// The kernel's, such as `NotFound` for one without sock_diag(7).
pub fn controls_at(local: Ipv4Addr) -> io::Result<BTreeSet<String>> {
    let diag = Protocol::from(libc::NETLINK_SOCK_DIAG);
    let socket =
        Socket::new(Domain::from(libc::AF_NETLINK), Type::from(libc::SOCK_RAW), Some(diag))?;
    let mut names = BTreeSet::new();
    // The connections of a dual-stack listener are of the second family.
    for family in [libc::AF_INET, libc::AF_INET6] {
        socket.send(&request(family as u8))?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let length = (&socket).read(&mut buffer)?;
            if read_all(&buffer[..length], local.into(), &mut names)? {
                break;
            }
        }
    }
    Ok(names)
}

fn request(family: u8) -> Vec<u8> {
    let length = (HEADER + 8 + SOCKET_ID) as u32;
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    // struct nlmsghdr, and struct inet_diag_req_v2: family, protocol, extensions, padding, states.
    let extensions = 1 << (CONGESTION_CONTROL - 1);
    let message = Bytes::default()
        .put(&length.to_ne_bytes())
        .put(&SOCK_DIAG_BY_FAMILY.to_ne_bytes())
        .put(&flags.to_ne_bytes())
        .put(&[0; 8])
        .put(&[family, libc::IPPROTO_TCP as u8, extensions, 0])
        .put(&ESTABLISHED.to_ne_bytes());
    message.put(&[0; SOCKET_ID]).0
}

/// Adds what a buffer of messages tells of connections with this local address. Returns true after
/// the last message.
fn read_all(mut bytes: &[u8], local: IpAddr, names: &mut BTreeSet<String>) -> io::Result<bool> {
    while !bytes.is_empty() {
        let length = number(bytes, 0).ok_or(ErrorKind::InvalidData)? as usize;
        let message = bytes.get(..length).filter(|it| it.len() >= HEADER);
        let message = message.ok_or(ErrorKind::InvalidData)?;
        match i32::from(short(message, 4).ok_or(ErrorKind::InvalidData)?) {
            libc::NLMSG_DONE => return Ok(true),
            libc::NLMSG_ERROR => return outcome(message).map(|()| true),
            _ => names.extend(control(&message[HEADER..], local)),
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// The congestion control in a `struct inet_diag_msg` and its attributes, if it is of a connection
/// with this local address.
fn control(message: &[u8], local: IpAddr) -> Option<String> {
    let address = message.get(LOCAL..LOCAL + 16)?;
    let address = match i32::from(*message.first()?) {
        libc::AF_INET => IpAddr::from(<[u8; 4]>::try_from(&address[..4]).ok()?),
        _ => Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?).to_canonical(),
    };
    let mut attributes = message.get(MESSAGE..).filter(|_| address == local)?;
    loop {
        let length = usize::from(short(attributes, 0)?);
        let value = attributes.get(4..length)?;
        if short(attributes, 2)? == CONGESTION_CONTROL {
            let name = value.split(|byte| *byte == 0).next()?;
            return std::str::from_utf8(name).ok().map(str::to_owned);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_answers_are_errors_or_nothing() {
        let local = Ipv4Addr::LOCALHOST.into();
        let mut names = BTreeSet::new();
        assert!(read_all(&[1, 2, 3], local, &mut names).is_err());
        assert!(read_all(&[0; 16], local, &mut names).is_err());
        let mut message = [0_u8; HEADER + MESSAGE + 6];
        message[0] = message.len() as u8;
        message[4] = SOCK_DIAG_BY_FAMILY as u8;
        message[HEADER] = libc::AF_INET as u8;
        message[HEADER + LOCAL..HEADER + LOCAL + 4].copy_from_slice(&[127, 0, 0, 1]);
        message[HEADER + MESSAGE] = 200; // longer than the rest
        assert!(!read_all(&message, local, &mut names).unwrap());
        message[HEADER + MESSAGE] = 0; // shorter than itself
        assert!(!read_all(&message, local, &mut names).unwrap());
        assert!(names.is_empty(), "{names:?}");
    }
}
