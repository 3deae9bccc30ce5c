//! Errors of the path to a server, from the kernel or from QUIC, as an [`Obstacle`].

use super::session::{Obstacle, ObstacleKind};
use crate::net::quic::Failure;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The obstacle behind an error from sending to `to`. The kernel may report ICMP about an earlier
/// datagram by it, so the routing table is asked. EPERM comes from a local firewall.
pub(crate) fn refused_send(to: SocketAddr, error: &io::Error) -> Obstacle {
    match route(to) {
        Err(error) => local_obstacle(&error),
        Ok(()) if error.kind() == ErrorKind::PermissionDenied && is_eperm(error) => {
            local_obstacle(error)
        }
        Ok(()) => obstacle(error),
    }
}

/// The obstacle of an error that the kernel reports of this machine.
pub(crate) fn local_obstacle(error: &io::Error) -> Obstacle {
    let obstacle = obstacle(error);
    Obstacle { local: obstacle.kind != ObstacleKind::Refused, ..obstacle }
}

/// The obstacle of an error from the server or from a router on the path.
pub(crate) fn obstacle(error: &io::Error) -> Obstacle {
    let kind = match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => ObstacleKind::Refused,
        ErrorKind::PermissionDenied => ObstacleKind::Prohibited,
        _ => ObstacleKind::Unreachable,
    };
    Obstacle { kind, local: false }
}

/// The obstacle of a server that does not take a ticket, or is not the ticket's.
pub(crate) fn refused_ticket(failure: &Failure) -> Option<Obstacle> {
    let kind = match failure {
        Failure::OtherKey => ObstacleKind::OtherKey,
        Failure::Refused => ObstacleKind::Ticket,
        Failure::Other(_) => return None,
    };
    // The cryptography vouches for both.
    Some(Obstacle { kind, local: true })
}

/// Whether the routing table has a route to `to`. Nothing is sent.
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
    fn icmp_errors_are_never_treated_as_local() {
        let here: SocketAddr = ([127, 0, 0, 1], 9).into();
        for kind in [ErrorKind::ConnectionRefused, ErrorKind::HostUnreachable] {
            assert!(!refused_send(here, &kind.into()).local, "{kind}");
        }
        let refused = local_obstacle(&ErrorKind::ConnectionRefused.into());
        assert_eq!(refused, Obstacle { kind: ObstacleKind::Refused, local: false });
        let unreachable = local_obstacle(&ErrorKind::NetworkUnreachable.into());
        assert_eq!(unreachable, Obstacle { kind: ObstacleKind::Unreachable, local: true });
    }
}
