//! Recognising a room that was found before. Its addresses change (DHCP, another network), and the number of
//! its server changes when the server is started anew; the name of the room stays.

use super::Found;
use std::net::SocketAddr;

/// A room that was found, and is looked for again when it is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    room: Found,
    /// Servers of other rooms with the same name, seen beside it.
    others: Vec<u64>,
}

/// What a new search makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// It is there.
    Here(Vec<SocketAddr>),
    /// Nobody answered who may be it: where it was, unless another room is there now.
    Nowhere(Vec<SocketAddr>),
    /// Several may be it: where each of them is.
    Several(Vec<SocketAddr>),
}

impl Known {
    /// The room to remember, of those that were found.
    pub fn new(room: &Found, found: &[Found]) -> Self {
        let others = found.iter().filter(|it| it.room == room.room && it.server != room.server);
        Self { room: room.clone(), others: others.map(|it| it.server).collect() }
    }

    /// What the room is called.
    pub fn name(&self) -> &str {
        &self.room.room
    }

    /// Where it was last seen, the best address first.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.room.addresses
    }

    /// Looks for it in what a new search found: the same server, or else the only one that can be it.
    pub fn recognise(&mut self, found: &[Found]) -> Again {
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
                Again::Nowhere(free.copied().collect())
            }
            [one] => {
                self.room = one.clone();
                Again::Here(one.addresses.clone())
            }
            _ => {
                let first = |it: &&Found| it.addresses.first().copied();
                Again::Several(candidates.iter().filter_map(first).collect())
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

    fn here(address: &str) -> Again {
        Again::Here(vec![address.parse().unwrap()])
    }

    #[test]
    fn a_server_that_moved_is_known_by_its_number() {
        let before = found(1, "lab", "10.0.0.1:2428");
        let mut known = Known::new(&before, std::slice::from_ref(&before));
        let after = [found(1, "lab", "10.0.0.9:2428"), found(2, "lab", "10.0.0.1:2428")];
        assert_eq!(known.recognise(&after), here("10.0.0.9:2428"));
        assert_eq!(known.addresses(), ["10.0.0.9:2428".parse().unwrap()]);
    }

    #[test]
    fn a_server_that_was_started_anew_is_known_by_its_room() {
        let before = found(1, "lab", "10.0.0.1:2428");
        let mut known = Known::new(&before, std::slice::from_ref(&before));
        let there = vec!["10.0.0.1:2428".parse().unwrap()];
        assert_eq!(known.recognise(&[]), Again::Nowhere(there));
        // Another room is at its address.
        let other = [found(5, "pub", "10.0.0.1:2428")];
        assert_eq!(known.recognise(&other), Again::Nowhere(Vec::new()));
        assert_eq!(known.recognise(&[found(6, "lab", "10.0.0.2:2428")]), here("10.0.0.2:2428"));
        // Its new number is known now.
        let two = [found(7, "lab", "10.0.0.3:2428"), found(6, "lab", "10.0.0.4:2428")];
        assert_eq!(known.recognise(&two), here("10.0.0.4:2428"));
    }

    #[test]
    fn of_several_that_may_be_it_none_is_joined() {
        let before = [found(1, "lab", "10.0.0.1:2428"), found(2, "lab", "10.0.0.2:2428")];
        let mut known = Known::new(&before[0], &before);
        // The other one of that name is not it, though it is alone now.
        assert!(matches!(known.recognise(&before[1..]), Again::Nowhere(_)));
        let after = [found(3, "lab", "10.0.0.3:2428"), found(4, "lab", "10.0.0.4:2428")];
        let Again::Several(addresses) = known.recognise(&after) else { panic!() };
        assert_eq!(addresses.len(), 2);
    }
}
