//! Opening the sockets of all addresses.

use crate::net::{self, Listen, Listener, Socket};
use crate::server::{Error, PORT_TRIES};
use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr};

/// A UDP socket, and a TCP listener unless TCP is off.
pub(super) type Pair = (Socket, Option<Listener>);

/// The sockets for all addresses. Without IPv6 on this machine, `[::]` beside an IPv4 address is
/// left out.
pub(super) fn open_pairs(addresses: &[SocketAddr], tcp: bool) -> Result<Vec<Pair>, Error> {
    let wanted = net::listen(addresses);
    let mut pairs = Vec::new();
    for one in &wanted {
        match open_pair(*one, tcp) {
            Err(Error::Bind(error))
                if wanted.len() > 1
                    && one.address.ip() == Ipv6Addr::UNSPECIFIED
                    && !matches!(
                        error.kind(),
                        ErrorKind::AddrInUse | ErrorKind::PermissionDenied
                    ) =>
            {
                log::warn!("{error}; this machine has no IPv6");
            }
            pair => pairs.push(pair?),
        }
    }
    Ok(pairs)
}

/// A UDP socket and a listener at the same port. For port 0, a port that is free for both.
fn open_pair(one: Listen, tcp: bool) -> Result<Pair, Error> {
    let Listen { address, dual } = one;
    let mut tries = 0;
    loop {
        let socket = Socket::listen(one)?;
        #[cfg(target_os = "linux")]
        if let Err(error) = socket.ignore_multicast_and_broadcast() {
            log::debug!("{address} hears broadcasts as well: {error}");
        }
        if !tcp {
            return Ok((socket, None));
        }
        let bound = socket.local_addr().map_err(Error::Poll)?;
        tries += 1;
        match Listener::listen(Listen { address: bound, dual }) {
            Ok(listener) => return Ok((socket, Some(listener))),
            Err(_) if address.port() == 0 && tries < PORT_TRIES => {}
            Err(error) => return Err(error.into()),
        }
    }
}
