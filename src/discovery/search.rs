//! One search: a few probes, and the answers until its end.

use crate::protocol::limits::{PROBE_SIZE, ROOM_SIZE, SEARCH_PAUSE, SEARCH_PROBES};
use crate::protocol::{Datagram, DatagramWriter, Flags, Frame, Header, clean};
use crate::time::Timestamp;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How long a search waits for further answers after the first: long enough for the next probe,
/// since one may be lost.
pub const SEARCH_WINDOW: Duration = Duration::from_millis(300);
/// Limit on the servers remembered.
const MAX_SERVERS: usize = 64;
/// Limit on the addresses remembered for a server.
const MAX_ADDRESSES: usize = 8;

/// A server that answered. The answer may be forged; only a join proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The room's name, safe to print. Empty: the room is private.
    pub room: String,
    /// The number of peers in the room.
    pub peers: u16,
    /// Addresses to join at, best first: loopback, IPv4, IPv6, link-local.
    pub addresses: Vec<SocketAddr>,
    /// The random number drawn at the server's start.
    pub(super) server: u64,
}

impl Found {
    /// Whether the room needs a ticket.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.room.is_empty()
    }
}

/// The state of a search.
#[derive(Debug)]
pub struct Search {
    nonce: u64,
    next_probe: Timestamp,
    probes: u8,
    end: Timestamp,
    grace: Option<Duration>,
    found: Vec<Found>,
}

impl Search {
    /// A search that lasts `wait`, and at most `grace` after the first answer. The nonce must be
    /// random.
    #[must_use]
    pub fn new(nonce: u64, wait: Duration, grace: Option<Duration>, now: Timestamp) -> Self {
        let (end, found) = (now + wait, Vec::new());
        Self { nonce, next_probe: now, probes: SEARCH_PROBES, end, grace, found }
    }

    /// The probe to send to all destinations now, if one is due.
    pub fn poll_probe(&mut self, now: Timestamp) -> Option<Vec<u8>> {
        if self.probes == 0 || now < self.next_probe {
            return None;
        }
        self.probes -= 1;
        self.next_probe = now + SEARCH_PAUSE;
        let mut bytes = Vec::new();
        let mut writer = DatagramWriter::new(&mut bytes);
        writer.push(&Frame::Probe { nonce: self.nonce });
        writer.pad_to(PROBE_SIZE);
        writer.finish(&Header { timestamp: now.low_bits(), ..Header::default() });
        Some(bytes)
    }

    /// Handles a received datagram. Anything but an answer to this search is ignored.
    pub fn handle_datagram(&mut self, from: SocketAddr, bytes: &[u8], now: Timestamp) {
        let Ok(datagram) = Datagram::decode(bytes) else { return };
        let header = &datagram.header;
        if header.session != 0 || !header.flags.contains(Flags::FROM_SERVER) {
            return;
        }
        let Some(Frame::Found { nonce, server, port, peers, room }) = datagram.frames().next()
        else {
            return;
        };
        if nonce != self.nonce || port == 0 || room.len() > ROOM_SIZE {
            return;
        }
        let mut address = from;
        address.set_port(port);
        if self.remember(server, room, peers, address)
            && let Some(grace) = self.grace.take()
        {
            self.end = self.end.min(now + grace);
        }
    }

    /// When the next probe is due, or the search ends.
    #[must_use]
    pub fn poll_timeout(&self) -> Timestamp {
        if self.probes == 0 { self.end } else { self.end.min(self.next_probe) }
    }

    /// Returns true after the end of the search.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.end
    }

    /// The servers, in an order that does not depend on the order of answers.
    #[must_use]
    pub fn into_found(mut self) -> Vec<Found> {
        for server in &mut self.found {
            server.addresses.sort_by_key(|address| (rank(address.ip()), *address));
        }
        self.found.sort_by(|a, b| (&a.room, &a.addresses).cmp(&(&b.room, &b.addresses)));
        self.found
    }

    /// Adds a server or one of its addresses. Returns false for a server beyond the limit.
    fn remember(&mut self, server: u64, room: &str, peers: u16, address: SocketAddr) -> bool {
        if let Some(known) = self.found.iter_mut().find(|known| known.server == server) {
            if !known.addresses.contains(&address) && known.addresses.len() < MAX_ADDRESSES {
                known.addresses.push(address);
            }
        } else if self.found.len() < MAX_SERVERS {
            let room = clean(room).into_owned();
            self.found.push(Found { room, peers, addresses: vec![address], server });
        } else {
            return false;
        }
        true
    }
}

/// The preference among addresses, lowest first: an IPv4 address is easy to pass on, and a
/// link-local address works only on its link.
fn rank(ip: IpAddr) -> u8 {
    match ip {
        _ if ip.is_loopback() => 0,
        IpAddr::V4(v4) if !v4.is_link_local() => 1,
        IpAddr::V6(v6) if !v6.is_unicast_link_local() => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NONCE: u64 = 7;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000)
    }

    fn search(grace: Option<Duration>) -> Search {
        Search::new(NONCE, SECOND, grace, at(0))
    }

    fn datagram(frame: &Frame<'_>, flags: Flags, session: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = DatagramWriter::new(&mut bytes);
        assert!(writer.push(frame));
        writer.finish(&Header { flags, session, ..Header::default() });
        bytes
    }

    fn answer(server: u64, room: &str) -> Vec<u8> {
        let found = Frame::Found { nonce: NONCE, server, port: 2428, peers: 3, room };
        datagram(&found, Flags::FROM_SERVER, 0)
    }

    fn hear(search: &mut Search, from: &str, bytes: &[u8], millis: u64) {
        search.handle_datagram(from.parse().unwrap(), bytes, at(millis));
    }

    fn listed(search: Search) -> Vec<String> {
        let text = |found: Found| {
            let addresses: Vec<_> = found.addresses.iter().map(ToString::to_string).collect();
            format!("{} {} {}", found.room, found.peers, addresses.join(" "))
        };
        search.into_found().into_iter().map(text).collect()
    }

    #[test]
    fn three_padded_probes_with_one_nonce_are_sent() {
        let mut search = search(None);
        let mut sent = Vec::new();
        let mut now = at(0);
        while !search.is_over(now) {
            if let Some(probe) = search.poll_probe(now) {
                assert!(probe.len() >= PROBE_SIZE);
                let datagram = Datagram::decode(&probe).unwrap();
                assert_eq!(datagram.frames().next(), Some(Frame::Probe { nonce: NONCE }));
                assert_eq!((datagram.header.session, datagram.header.flags), (0, Flags::default()));
                sent.push(now);
            }
            assert_eq!(search.poll_probe(now), None);
            assert!(search.poll_timeout() > now);
            now = search.poll_timeout();
        }
        assert_eq!((sent, now), (vec![at(0), at(200), at(400)], at(1_000)));
    }

    #[test]
    fn the_first_answer_shortens_the_search() {
        let mut hurried = search(Some(SEARCH_WINDOW));
        hear(&mut hurried, "10.0.0.1:2429", b"nonsense", 5);
        assert!(!hurried.is_over(at(999)));
        hear(&mut hurried, "10.0.0.1:2429", &answer(1, "a"), 10);
        hear(&mut hurried, "10.0.0.2:2429", &answer(2, "b"), 250);
        assert!(!hurried.is_over(at(309)) && hurried.is_over(at(310)));
        let mut late = search(Some(SEARCH_WINDOW));
        hear(&mut late, "10.0.0.1:2429", &answer(1, "a"), 900);
        assert!(late.is_over(at(1_000)));
        let mut patient = search(None);
        hear(&mut patient, "10.0.0.1:2429", &answer(1, "a"), 10);
        assert!(!patient.is_over(at(999)));
    }

    #[test]
    fn answers_are_grouped_by_server_number() {
        let mut search = search(None);
        for from in ["[fe80::1%2]:2429", "10.0.0.1:2429", "[fd00::1]:2429", "169.254.0.1:2429"] {
            hear(&mut search, from, &answer(1, "the room"), 1);
            hear(&mut search, from, &answer(1, "the room"), 201);
        }
        hear(&mut search, "10.0.0.2:2429", &answer(2, "the room"), 1);
        hear(&mut search, "10.0.0.2:2429", &answer(3, "a room"), 1);
        hear(&mut search, "127.0.0.1:2429", &answer(3, "a room"), 1);
        assert_eq!(
            listed(search),
            [
                "a room 3 127.0.0.1:2428 10.0.0.2:2428",
                "the room 3 10.0.0.1:2428 [fd00::1]:2428 169.254.0.1:2428 [fe80::1%2]:2428",
                "the room 3 10.0.0.2:2428",
            ]
        );
    }

    #[test]
    fn other_datagrams_are_ignored() {
        let found = |nonce, port, room| Frame::Found { nonce, server: 1, port, peers: 0, room };
        let long = "x".repeat(ROOM_SIZE + 1);
        let good = found(NONCE, 2428, "room");
        let mut search = search(None);
        for bytes in [
            datagram(&good, Flags::default(), 0),
            datagram(&good, Flags::FROM_SERVER, 1),
            datagram(&found(8, 2428, "room"), Flags::FROM_SERVER, 0),
            datagram(&found(NONCE, 0, "room"), Flags::FROM_SERVER, 0),
            datagram(&found(NONCE, 2428, &long), Flags::FROM_SERVER, 0),
            datagram(&Frame::Reset, Flags::FROM_SERVER, 0),
            answer(1, "room")[1..].to_vec(),
            Vec::new(),
        ] {
            hear(&mut search, "10.0.0.1:2429", &bytes, 1);
        }
        assert_eq!(search.into_found(), []);
    }

    #[test]
    fn room_names_are_cleaned_and_results_are_bounded() {
        let mut flooded = search(None);
        for n in 0..1_000 {
            let from = format!("10.0.{}.{}:2429", n / 250, n % 250);
            hear(&mut flooded, &from, &answer(n, "\x1b[2Jroom"), 1);
            hear(&mut flooded, &from, &answer(0, "\x1b[2Jroom"), 1);
        }
        let found = flooded.into_found();
        assert_eq!(found.len(), MAX_SERVERS);
        assert!(found.iter().all(|server| server.addresses.len() <= MAX_ADDRESSES));
        assert_eq!(found[0].room, "\u{fffd}[2Jroom");
    }
}
