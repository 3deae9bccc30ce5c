//! Recognising a room that was found before. Its addresses change (DHCP, another network), and its
//! server's number changes with each start; the room's name stays.

use super::Found;
use std::net::SocketAddr;

/// A room that was found, to be recognised in a later search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    room: Found,
    /// Servers of other rooms with the same name, found in the same search.
    others: Vec<u64>,
}

/// The result of a later search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recognition {
    /// The room was found at these addresses.
    Here(Vec<SocketAddr>),
    /// The room was not found. Its earlier addresses, except those that another room has now.
    Missing(Vec<SocketAddr>),
    /// Several rooms match; the first address of each.
    Ambiguous(Vec<SocketAddr>),
}

impl Known {
    /// Remembers `room`, given all rooms found with it.
    #[must_use]
    pub fn new(room: &Found, found: &[Found]) -> Self {
        let others = found.iter().filter(|it| it.room == room.room && it.server != room.server);
        Self { room: room.clone(), others: others.map(|it| it.server).collect() }
    }

    /// The room's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.room.room
    }

    /// The addresses at which it was last seen, best first.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.room.addresses
    }

    /// Looks for the room in the results of a new search: the same server or, failing that, the
    /// only one that matches.
    pub fn recognise(&mut self, found: &[Found]) -> Recognition {
        let same = found.iter().find(|it| it.server == self.room.server);
        let named = found
            .iter()
            .filter(|it| it.room == self.room.room && !self.others.contains(&it.server));
        let candidates: Vec<_> = match same {
            Some(same) => vec![same],
            None => named.collect(),
        };
        match candidates[..] {
            [] => {
                let taken = |it: &&SocketAddr| found.iter().any(|room| room.addresses.contains(it));
                let free = self.room.addresses.iter().filter(|it| !taken(it));
                Recognition::Missing(free.copied().collect())
            }
            [one] => {
                self.room = one.clone();
                Recognition::Here(one.addresses.clone())
            }
            _ => {
                let first = |it: &&Found| it.addresses.first().copied();
                Recognition::Ambiguous(candidates.iter().filter_map(first).collect())
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn found(server: u64, room: &str, address: &str) -> Found {
        let addresses = vec![address.parse().unwrap()];
        Found { room: room.to_owned(), peers: 1, addresses, server }
    }

    fn here(address: &str) -> Recognition {
        Recognition::Here(vec![address.parse().unwrap()])
    }

    #[test]
    fn a_moved_server_is_recognised_by_its_number() {
        let before = found(1, "lab", "10.0.0.1:2428");
        let mut known = Known::new(&before, std::slice::from_ref(&before));
        let after = [found(1, "lab", "10.0.0.9:2428"), found(2, "lab", "10.0.0.1:2428")];
        assert_eq!(known.recognise(&after), here("10.0.0.9:2428"));
        assert_eq!(known.addresses(), ["10.0.0.9:2428".parse().unwrap()]);
    }

    #[test]
    fn a_restarted_server_is_recognised_by_its_room() {
        let before = found(1, "lab", "10.0.0.1:2428");
        let mut known = Known::new(&before, std::slice::from_ref(&before));
        let there = vec!["10.0.0.1:2428".parse().unwrap()];
        assert_eq!(known.recognise(&[]), Recognition::Missing(there));
        // Another room has its address.
        let other = [found(5, "pub", "10.0.0.1:2428")];
        assert_eq!(known.recognise(&other), Recognition::Missing(Vec::new()));
        assert_eq!(known.recognise(&[found(6, "lab", "10.0.0.2:2428")]), here("10.0.0.2:2428"));
        // Its new number is remembered.
        let two = [found(7, "lab", "10.0.0.3:2428"), found(6, "lab", "10.0.0.4:2428")];
        assert_eq!(known.recognise(&two), here("10.0.0.4:2428"));
    }

    #[test]
    fn several_matches_are_ambiguous() {
        let before = [found(1, "lab", "10.0.0.1:2428"), found(2, "lab", "10.0.0.2:2428")];
        let mut known = Known::new(&before[0], &before);
        // The other room of that name is remembered as another one.
        assert!(matches!(known.recognise(&before[1..]), Recognition::Missing(_)));
        let after = [found(3, "lab", "10.0.0.3:2428"), found(4, "lab", "10.0.0.4:2428")];
        let Recognition::Ambiguous(addresses) = known.recognise(&after) else { panic!() };
        assert_eq!(addresses.len(), 2);
    }
}
