//! What the kernel says about the way to a server, as an [`Obstacle`].

use super::session::{Obstacle, ObstacleKind};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// What `error` says that came of sending a datagram to `to`. The kernel may report by it what others
/// said of an earlier datagram (ICMP), so the routing table is asked. A firewall's EPERM is its own.
pub(crate) fn refused_send(to: SocketAddr, error: &io::Error) -> Obstacle {
    match route(to) {
        Err(error) => obstacle(&error, true),
        Ok(()) => obstacle(error, error.kind() == ErrorKind::PermissionDenied && is_eperm(error)),
    }
}

/// What an error says; `local`: the kernel says it at once, of this machine.
pub(crate) fn obstacle(error: &io::Error, local: bool) -> Obstacle {
    let kind = match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => ObstacleKind::Refused,
        ErrorKind::PermissionDenied => ObstacleKind::Prohibited,
        _ => ObstacleKind::Unreachable,
    };
    Obstacle { kind, local: local && kind != ObstacleKind::Refused }
}

/// Whether the routing table leads to `to`. Nothing is sent.
fn route(to: SocketAddr) -> io::Result<()> {
    let any: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    UdpSocket::bind(any)?.connect(to)
}

#[cfg(unix)]
fn is_eperm(error: &io::Error) -> bool {
    error.raw_os_error() == Some(1)
}

#[cfg(not(unix))]
fn is_eperm(_: &io::Error) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_is_never_taken_for_the_routing_table() {
        let here: SocketAddr = ([127, 0, 0, 1], 9).into();
        for kind in [ErrorKind::ConnectionRefused, ErrorKind::HostUnreachable] {
            assert!(!refused_send(here, &kind.into()).local, "{kind}");
        }
        let refused = obstacle(&ErrorKind::ConnectionRefused.into(), true);
        assert_eq!(refused, Obstacle { kind: ObstacleKind::Refused, local: false });
        let unreachable = obstacle(&ErrorKind::NetworkUnreachable.into(), true);
        assert_eq!(unreachable, Obstacle { kind: ObstacleKind::Unreachable, local: true });
    }
}
