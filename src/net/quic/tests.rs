//! Two endpoints in memory, in virtual time.

#![allow(clippy::unwrap_used, clippy::panic)]

mod private;

use super::*;
use crate::protocol::Delivery;
use crate::protocol::limits::{MAX_RECORD, MAX_UNJOINED, QUIC_HANDSHAKES, QUIC_RETRY_ABOVE};
use crate::time::Timestamp;
use proptest::prelude::*;
use std::net::SocketAddr;

const SETTINGS: Settings =
    Settings { idle: Duration::from_secs(15), congestion: Congestion::Cubic };
const BEGIN: Timestamp = Timestamp::from_micros(7);
const DELAY: Duration = Duration::from_millis(10);
const SERVER: ([u8; 4], u16) = ([10, 0, 0, 1], 2428);

/// A server, a client, and a network that delivers after `DELAY` what `passes` lets through.
struct Pair {
    now: Timestamp,
    server: Quic,
    client: Quic,
    /// The client's address.
    from: SocketAddr,
    passes: fn(u64) -> bool,
    /// Changes the datagrams on their way.
    alter: fn(u64, &mut Vec<u8>),
    sent: u64,
    /// Retries to this client.
    retried: usize,
    /// All datagrams of the client.
    from_client: Vec<Vec<u8>>,
    /// Arrival, whether it goes to the server, and the datagram.
    in_flight: Vec<(Timestamp, bool, SocketAddr, Vec<u8>)>,
    at_server: Heard,
    at_client: Heard,
}

/// The events that an end reported.
#[derive(Debug, Default)]
struct Heard {
    id: Option<u64>,
    bytes: Vec<u8>,
    messages: Vec<Vec<u8>>,
    ended: bool,
    events: Vec<Event>,
}

impl Heard {
    fn drain(&mut self, quic: &mut Quic, now: Timestamp) {
        let mut buffer = Vec::new();
        while let Some(event) = quic.poll_event() {
            match event {
                Event::Opened(id, _) | Event::Connected(id) => self.id = Some(id),
                Event::Readable(id) => loop {
                    match quic.read(id, &mut buffer, now) {
                        Input::Bytes => self.bytes.extend_from_slice(&buffer),
                        Input::Message => self.messages.push(buffer.clone()),
                        Input::Nothing => break,
                        Input::End => {
                            self.ended = true;
                            break;
                        }
                    }
                },
                event => self.events.push(event),
            }
        }
    }
}

impl Pair {
    fn new(passes: fn(u64) -> bool) -> Self {
        Self::with(SETTINGS, passes)
    }

    fn with(settings: Settings, passes: fn(u64) -> bool) -> Self {
        let server = Quic::server(settings, BEGIN).unwrap();
        Self::of(server, Quic::client(settings, BEGIN).unwrap(), passes)
    }

    fn of(server: Quic, mut client: Quic, passes: fn(u64) -> bool) -> Self {
        client.connect(SERVER.into(), BEGIN).unwrap();
        Self {
            now: BEGIN,
            server,
            client,
            from: ([10, 0, 0, 2], 50_000).into(),
            passes,
            alter: |_, _| {},
            sent: 0,
            retried: 0,
            from_client: Vec::new(),
            in_flight: Vec::new(),
            at_server: Heard::default(),
            at_client: Heard::default(),
        }
    }

    fn connected(passes: fn(u64) -> bool) -> Self {
        let mut pair = Self::new(passes);
        pair.run_for(Duration::from_secs(5));
        assert!(pair.at_server.id.is_some() && pair.at_client.id.is_some());
        pair
    }

    fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.carry();
            let arrival = self.in_flight.iter().map(|(at, ..)| *at).min();
            let timers = [self.server.poll_timeout(), self.client.poll_timeout()];
            let next = timers.into_iter().flatten().chain(arrival).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            let now = self.now;
            let due: Vec<_> = self.in_flight.extract_if(.., |(at, ..)| *at <= now).collect();
            for (_, up, from, bytes) in due {
                let to = if up { &mut self.server } else { &mut self.client };
                to.handle_datagram(from.into(), &bytes, now);
            }
            self.server.handle_timeout(now);
            self.client.handle_timeout(now);
        }
        self.now = end;
    }

    fn carry(&mut self) {
        let mut bytes = Vec::new();
        self.at_server.drain(&mut self.server, self.now);
        self.at_client.drain(&mut self.client, self.now);
        let server: SocketAddr = SERVER.into();
        while let Some(path) = self.client.poll_transmit(&mut bytes, self.now) {
            assert_eq!(path.remote, server);
            self.send(true, self.from, bytes.clone());
        }
        while let Some(path) = self.server.poll_transmit(&mut bytes, self.now) {
            if path.remote == self.from {
                self.retried += usize::from(is_retry(&bytes));
                self.send(false, server, bytes.clone());
            }
        }
    }

    fn send(&mut self, up: bool, from: SocketAddr, mut bytes: Vec<u8>) {
        assert!(is_quic(&bytes), "{bytes:02x?}");
        assert!(bytes.len() <= crate::protocol::limits::MAX_DATAGRAM);
        self.sent += 1;
        if up {
            self.from_client.push(bytes.clone());
        }
        (self.alter)(self.sent, &mut bytes);
        if (self.passes)(self.sent) {
            self.in_flight.push((self.now + DELAY, up, from, bytes));
        }
    }
}

#[test]
fn each_carrier_delivers_in_both_directions() {
    let mut pair = Pair::connected(|_| true);
    let (client, server) = (pair.at_client.id.unwrap(), pair.at_server.id.unwrap());
    assert!(pair.client.write(client, b"from the client"));
    for delivery in [Delivery::Unreliable, Delivery::ReliableUnordered] {
        assert!(pair.client.send_message(client, delivery, b"up"));
    }
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.at_server.bytes, b"from the client");
    assert_eq!(pair.at_server.messages, [b"up", b"up"]);
    assert!(pair.server.write(server, b"from the server"));
    for delivery in [Delivery::Unreliable, Delivery::ReliableUnordered] {
        assert!(pair.server.send_message(server, delivery, b"down"));
    }
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.at_client.bytes, b"from the server");
    assert_eq!(pair.at_client.messages, [b"down", b"down"]);
    let info = pair.client.info(client).unwrap();
    assert_eq!((info.lost, info.congestion), (0, Congestion::Cubic));
    assert!(info.rtt >= 2 * DELAY, "{info:?}");
}

/// The longest message does not fit into a QUIC datagram.
#[test]
fn a_message_that_fits_no_datagram_is_not_lost() {
    let mut pair = Pair::connected(|number| !number.is_multiple_of(3));
    let client = pair.at_client.id.unwrap();
    let long = vec![7; MAX_RECORD];
    assert!(pair.client.send_message(client, Delivery::Unreliable, &long));
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.at_server.messages, [long]);
}

#[test]
fn losses_are_repaired_except_those_of_datagrams() {
    let mut pair = Pair::connected(|number| !number.is_multiple_of(5));
    let client = pair.at_client.id.unwrap();
    for number in 0..100_u8 {
        pair.client.write(client, &[number]);
        pair.client.send_message(client, Delivery::ReliableUnordered, &[1, number]);
        pair.client.send_message(client, Delivery::Unreliable, &[0, number]);
        pair.run_for(Duration::from_millis(20));
    }
    pair.run_for(Duration::from_secs(10));
    assert_eq!(pair.at_server.bytes, (0..100).collect::<Vec<_>>());
    let (mut repaired, once): (Vec<_>, Vec<_>) =
        pair.at_server.messages.iter().partition(|message| message[0] == 1);
    repaired.sort();
    repaired.dedup();
    assert_eq!(repaired.len(), 100);
    assert!((50..100).contains(&once.len()), "{} of 100 arrived", once.len());
    assert!(pair.client.info(client).unwrap().lost > 0);
}

/// The same losses leave each congestion control another window.
#[test]
fn the_congestion_controls_differ() {
    let windows = Congestion::ALL.map(|congestion| {
        let mut pair = Pair::with(Settings { congestion, ..SETTINGS }, |n| n * n % 23 != 2);
        pair.run_for(Duration::from_secs(5));
        let client = pair.at_client.id.unwrap();
        for _ in 0..100 {
            pair.client.write(client, &[0; 2_000]);
            pair.run_for(Duration::from_millis(20));
        }
        let info = pair.client.info(client).unwrap();
        assert_eq!((info.congestion, info.lost > 0), (congestion, true));
        info.congestion_window
    });
    let distinct: std::collections::BTreeSet<_> = windows.iter().collect();
    assert_eq!(distinct.len(), windows.len(), "{windows:?}");
}

#[test]
fn a_closed_connection_delivers_what_was_written_before() {
    let mut pair = Pair::connected(|_| true);
    let server = pair.at_server.id.unwrap();
    let client = pair.at_client.id.unwrap();
    pair.client.write(client, b"hello");
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.at_server.bytes, b"hello");
    pair.server.write(server, b"closing");
    pair.server.close(server, pair.now);
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.at_client.bytes, b"closing");
    assert!(pair.at_client.ended && pair.server.is_finished());
}

#[test]
fn a_client_that_moves_goes_on() {
    let mut pair = Pair::connected(|_| true);
    let client = pair.at_client.id.unwrap();
    pair.from = ([10, 9, 9, 9], 40_000).into();
    pair.client.write(client, b"from elsewhere");
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.at_server.bytes, b"from elsewhere");
    let moved = Event::Moved(pair.at_server.id.unwrap(), pair.from.into());
    assert_eq!(pair.at_server.events, [moved]);
    pair.server.write(pair.at_server.id.unwrap(), b"welcome");
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.at_client.bytes, b"welcome");
}

#[test]
fn an_overlong_message_ends_its_connection() {
    let mut pair = Pair::connected(|_| true);
    let client = pair.at_client.id.unwrap();
    let long = vec![7; MAX_RECORD + 1];
    pair.client.send_message(client, Delivery::ReliableUnordered, &long);
    pair.run_for(Duration::from_secs(1));
    assert!(pair.at_server.messages.is_empty() && pair.at_server.ended && pair.at_client.ended);
}

/// First packets of many clients, which never finish their handshakes.
fn initials(count: u16, now: Timestamp) -> Vec<(SocketAddr, Vec<u8>)> {
    let one = |port: u16| {
        let mut client = Quic::client(SETTINGS, now).unwrap();
        client.connect(SERVER.into(), now).unwrap();
        let mut bytes = Vec::new();
        client.poll_transmit(&mut bytes, now).unwrap();
        (SocketAddr::from(([10, 0, 0, 3], port)), bytes)
    };
    (1..=count).map(one).collect()
}

/// RFC 9000 §17.2.5: long header, type 3.
fn is_retry(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first & 0xf0 == 0xf0)
}

#[test]
fn a_flood_of_handshakes_is_bounded_and_a_client_proves_its_address_to_join() {
    let mut pair = Pair::new(|_| true);
    let now = pair.now;
    let (mut answers, mut retries, mut bytes) = (0, 0, Vec::new());
    for (from, bytes) in initials(2 * QUIC_HANDSHAKES as u16, now) {
        pair.server.handle_datagram(from.into(), &bytes, now);
    }
    assert!(pair.server.pending() <= MAX_UNJOINED);
    while pair.server.poll_transmit(&mut bytes, now).is_some() {
        answers += 1;
        retries += usize::from(is_retry(&bytes));
        assert!(answers < 4 * QUIC_HANDSHAKES, "more answers than questions");
    }
    assert_eq!(pair.server.pending(), QUIC_RETRY_ABOVE);
    assert!(retries > 0, "no Retry under load");
    // The client's own Initial comes while the others are pending.
    pair.run_for(Duration::from_secs(5));
    assert!(pair.retried > 0 && pair.at_server.id.is_some() && pair.at_client.id.is_some());
    pair.run_for(Duration::from_secs(30));
    assert_eq!(pair.server.pending(), 0, "handshakes that are never finished are kept");
}

#[test]
fn a_lasting_flood_from_forged_addresses_keeps_nobody_out() {
    let mut pair = Pair::new(|_| true);
    let flood = initials(2 * QUIC_HANDSHAKES as u16, pair.now);
    for _ in 0..30 {
        for (from, bytes) in &flood {
            pair.server.handle_datagram((*from).into(), bytes, pair.now);
        }
        pair.run_for(Duration::from_millis(100));
    }
    assert!(pair.at_server.id.is_some() && pair.at_client.id.is_some());
}

proptest! {
    #[test]
    fn no_datagram_makes_an_endpoint_fail(
        mut bytes in prop::collection::vec(any::<u8>(), 0..1_300),
        first in any::<u8>(),
    ) {
        let now = Timestamp::from_micros(1);
        let mut server = Quic::server(SETTINGS, now).unwrap();
        if let Some(byte) = bytes.first_mut() {
            *byte = first | 0x40;
        }
        server.handle_datagram(SocketAddr::from(([10, 0, 0, 2], 9)).into(), &bytes, now);
        let mut out = Vec::new();
        let mut sent = 0;
        while server.poll_transmit(&mut out, now).is_some() {
            sent += out.len();
        }
        // RFC 9000 §8.1, §10.3.3: an answer to a stranger is no amplification.
        prop_assert!(sent <= 3 * bytes.len().max(1));
        let is_long = bytes.first().is_some_and(|first| first & 0x80 != 0);
        prop_assert!(is_long || sent == 0, "a stateless reset");
    }
}

#[test]
fn datagrams_of_both_protocols_are_told_apart() {
    assert!(!is_quic(b"CG\x01\x00 and the rest of a header"));
    assert!(is_quic(&[0x43, 0x46, 0, 0]) && is_quic(&[0xc3, 0, 0, 0, 1]));
    assert!(!is_quic(&[]) && !is_quic(&[0x03, 0x47]));
}
