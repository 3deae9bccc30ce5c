//! Obstacles between a client and a server's address, and remedies.
//!
//! The local kernel reports its own obstacles, such as a missing route or a firewall rule: these
//! are certain. It passes on others from ICMP or a TCP reset, which can be forged: these are hints
//! and end nothing (RFC 8085 §5.2, `proto.md` §7.6).

use super::{Notice, Transport};
use std::net::SocketAddr;

/// An obstacle to one address of a server, and whether it is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Obstacle {
    /// Its kind.
    pub kind: Kind,
    /// Whether it is certain: the local kernel reports it of itself, or cryptography proves it.
    pub local: bool,
}

/// Kinds of obstacles, the most informative last: the further a datagram came, the more is right
/// already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// No route.
    Unreachable,
    /// Prohibited by a firewall or a route.
    Prohibited,
    /// The host answers, but nothing listens on the port.
    Refused,
    /// The server has another key than the ticket says.
    OtherKey,
    /// The room is private, and the server does not take the ticket, or there is none.
    Ticket,
}

impl Kind {
    /// Whether the obstacle is about a ticket.
    pub(super) fn is_about_ticket(self) -> bool {
        matches!(self, Self::OtherKey | Self::Ticket)
    }
}

/// The latest obstacle for each address of a server.
#[derive(Debug, Default)]
pub(super) struct Obstacles {
    known: Vec<(SocketAddr, Obstacle)>,
    reported: bool,
}

impl Obstacles {
    /// Records an obstacle. True if it is the first for this address.
    pub(super) fn note(&mut self, address: SocketAddr, obstacle: Obstacle) -> bool {
        match self.known.iter_mut().find(|(known, _)| *known == address) {
            Some((_, known)) => *known = obstacle,
            None => {
                self.known.push((address, obstacle));
                return true;
            }
        }
        false
    }

    /// Whether the local kernel can send to none of these addresses.
    pub(super) fn forbid(&self, addresses: &[SocketAddr]) -> bool {
        let mut states = addresses.iter().map(|it| self.of(*it));
        !addresses.is_empty() && states.all(|known| known.is_some_and(|it| it.local))
    }

    /// The obstacle, if there is one for each of these addresses and none was reported.
    pub(super) fn news(&mut self, addresses: &[SocketAddr]) -> Option<Notice> {
        if self.reported || addresses.iter().any(|it| self.of(*it).is_none()) {
            return None;
        }
        self.reported = true;
        let nearest = self.nearest(addresses);
        nearest.map(|(server, obstacle)| Notice::Obstructed { server, obstacle, again: true })
    }

    /// Why the join failed, and what to do.
    pub(super) fn explain(&self, addresses: &[SocketAddr], transport: Transport) -> Notice {
        let silent = addresses.iter().find(|it| self.of(**it).is_none());
        match (self.nearest(addresses), silent) {
            (Some((server, obstacle)), _) if obstacle.kind >= Kind::Refused => {
                Notice::Obstructed { server, obstacle, again: false }
            }
            (Some((server, obstacle)), None) => {
                Notice::Obstructed { server, obstacle, again: false }
            }
            (_, Some(server)) => Notice::NoAnswer { server: *server, transport },
            (None, None) => Notice::NoAddress,
        }
    }

    /// Whether the ticket does not admit this client, as far as its addresses have answered.
    pub(super) fn refuse_ticket(&self, addresses: &[SocketAddr]) -> bool {
        self.nearest(addresses).is_some_and(|(_, obstacle)| obstacle.kind.is_about_ticket())
    }

    /// Whether a private room has refused this client.
    pub(super) fn revoke_ticket(&self) -> bool {
        self.known.iter().any(|(_, obstacle)| obstacle.kind == Kind::Ticket)
    }

    fn of(&self, address: SocketAddr) -> Option<Obstacle> {
        self.known.iter().find(|(known, _)| *known == address).map(|(_, obstacle)| *obstacle)
    }

    fn nearest(&self, addresses: &[SocketAddr]) -> Option<(SocketAddr, Obstacle)> {
        let known = addresses.iter().filter_map(|it| Some((*it, self.of(*it)?)));
        known.max_by_key(|(_, obstacle)| obstacle.kind)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LOCAL: Obstacle = Obstacle { kind: Kind::Unreachable, local: true };
    const REFUSED: Obstacle = Obstacle { kind: Kind::Refused, local: false };

    fn addresses() -> [SocketAddr; 2] {
        ["[2001:db8::1]:2428".parse().unwrap(), "10.0.0.1:2428".parse().unwrap()]
    }

    #[test]
    fn the_reason_is_the_most_informative_obstacle() {
        let [v6, v4] = addresses();
        let mut obstacles = Obstacles::default();
        let silent = obstacles.explain(&addresses(), Transport::Udp).to_string();
        assert!(silent.contains("no answer") && silent.contains("UDP port 2428"), "{silent}");
        assert!(obstacles.note(v6, LOCAL));
        // A missing IPv6, which is usual, tells nothing about a silent IPv4 address.
        assert!(
            obstacles
                .explain(&addresses(), Transport::Udp)
                .to_string()
                .contains("no answer from the server at 10.")
        );
        assert_eq!(obstacles.news(&addresses()), None);
        assert!(obstacles.note(v4, REFUSED) && !obstacles.note(v4, REFUSED));
        assert!(
            obstacles
                .explain(&addresses(), Transport::Udp)
                .to_string()
                .contains("10.0.0.1 refuses")
        );
        assert!(obstacles.news(&addresses()).is_some());
        assert_eq!(obstacles.news(&addresses()), None);
    }

    #[test]
    fn only_local_obstacles_are_certain() {
        let [v6, v4] = addresses();
        let mut obstacles = Obstacles::default();
        obstacles.note(v6, LOCAL);
        assert!(!obstacles.forbid(&addresses()));
        obstacles.note(v4, REFUSED);
        assert!(!obstacles.forbid(&addresses()));
        obstacles.note(v4, Obstacle { kind: Kind::Prohibited, local: true });
        assert!(obstacles.forbid(&addresses()));
        let why = obstacles.explain(&addresses(), Transport::Tcp).to_string();
        assert!(why.contains("may not send to 10.0.0.1"), "{why}");
    }
}
