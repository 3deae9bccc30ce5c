//! The doors of a private room, attacked in memory.

use super::*;
use crate::protocol::limits::{GUESS_PAUSE, GUESSES, SECRET_LEN};
use crate::ticket::{Secret, Ticket};

const SECRET: Secret = Secret([3; SECRET_LEN]);

fn server(key: &ServerKey) -> Quic {
    Quic::private_server(SETTINGS, key, SECRET, BEGIN).unwrap()
}

fn client(key: &ServerKey, secret: Secret) -> Quic {
    let ticket = Ticket::new(vec!["10.0.0.1".to_owned()], key.hash(), secret).unwrap();
    Quic::private_client(SETTINGS, &ticket, BEGIN).unwrap()
}

fn wrong(number: u32) -> Secret {
    let mut secret = SECRET;
    secret.0[..4].copy_from_slice(&(number | 1 << 31).to_be_bytes());
    secret
}

impl Pair {
    fn failure(&self) -> Option<&Failure> {
        self.at_client.events.iter().find_map(|event| match event {
            Event::Failed(_, why) => Some(why),
            _ => None,
        })
    }

    /// Runs, and asserts that neither end has an open connection.
    fn stays_shut(&mut self) {
        self.run_for(Duration::from_secs(30));
        assert_eq!((self.at_server.id, self.at_client.id), (None, None));
        assert!(self.at_server.bytes.is_empty() && self.at_client.bytes.is_empty());
    }

    /// Runs, and asserts that bytes pass in both directions.
    fn talks(&mut self) {
        self.run_for(Duration::from_secs(5));
        let (client, server) = (self.at_client.id.unwrap(), self.at_server.id.unwrap());
        self.client.write(client, b"up");
        self.server.write(server, b"down");
        self.run_for(Duration::from_secs(5));
        assert_eq!((&*self.at_server.bytes, &*self.at_client.bytes), (&b"up"[..], &b"down"[..]));
    }
}

#[test]
fn a_client_with_the_ticket_is_let_in() {
    let key = ServerKey::generate().unwrap();
    Pair::of(server(&key), client(&key, SECRET), |_| true).talks();
}

#[test]
fn a_wrong_secret_is_refused() {
    let key = ServerKey::generate().unwrap();
    let mut pair = Pair::of(server(&key), client(&key, wrong(1)), |_| true);
    pair.stays_shut();
    assert_eq!(pair.failure(), Some(&Failure::Refused));
}

/// An active man in the middle who even knows the secret: the client tells him nothing.
#[test]
fn a_server_with_another_key_gets_no_proof() {
    let [key, other] = [(); 2].map(|()| ServerKey::generate().unwrap());
    let mut pair = Pair::of(server(&other), client(&key, SECRET), |_| true);
    pair.stays_shut();
    assert_eq!(pair.failure(), Some(&Failure::OtherKey));
}

/// The right key without the secret: the client opens nothing before the server's proof.
#[test]
fn a_server_without_the_secret_is_not_joined() {
    let key = ServerKey::generate().unwrap();
    let silent = Quic::with_key(SETTINGS, &key, BEGIN).unwrap();
    let mut pair = Pair::of(silent, client(&key, SECRET), |_| true);
    pair.run_for(Duration::from_secs(5));
    let server = pair.at_server.id.unwrap();
    assert_eq!(pair.at_client.id, None);
    // It sends the client's own proof back.
    let proof = std::mem::take(&mut pair.at_server.bytes);
    assert_eq!(proof.len(), 32);
    pair.server.write(server, &proof);
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.at_client.id, None);
    assert_eq!(pair.failure(), Some(&Failure::Refused));
}

#[test]
fn a_client_without_a_ticket_learns_nothing() {
    let key = ServerKey::generate().unwrap();
    let mut pair = Pair::of(server(&key), Quic::client(SETTINGS, BEGIN).unwrap(), |_| true);
    pair.run_for(Duration::from_secs(1));
    let id = pair.at_client.id.unwrap();
    assert!(pair.at_server.id.is_none() && pair.at_client.bytes.is_empty());
    pair.client.write(id, b"CG a preface, and a join that names somebody");
    pair.run_for(Duration::from_secs(1));
    assert!(pair.at_server.id.is_none() && pair.at_server.bytes.is_empty());
    assert!(pair.at_client.bytes.is_empty() && pair.at_client.ended);
}

/// What comes beside the stream before the proof would fill buffers of a stranger's choice.
#[test]
fn messages_before_the_proof_end_the_connection() {
    let key = ServerKey::generate().unwrap();
    for delivery in [Delivery::Unreliable, Delivery::ReliableUnordered] {
        let mut pair = Pair::of(server(&key), Quic::client(SETTINGS, BEGIN).unwrap(), |_| true);
        pair.run_for(Duration::from_secs(1));
        let id = pair.at_client.id.unwrap();
        pair.client.send_message(id, delivery, b"early");
        pair.run_for(Duration::from_secs(1));
        assert!(pair.at_server.id.is_none() && pair.at_client.ended);
        assert_eq!(pair.server.pending(), 0);
    }
}

#[test]
fn a_stranger_that_says_nothing_is_forgotten() {
    let key = ServerKey::generate().unwrap();
    let mut pair = Pair::of(server(&key), Quic::client(SETTINGS, BEGIN).unwrap(), |_| true);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.server.pending(), 1);
    pair.run_for(Duration::from_secs(30));
    assert_eq!((pair.server.pending(), pair.server.connections.len()), (0, 0));
    assert!(pair.at_client.ended);
}

/// One bit of every third datagram is another one. TLS and QUIC drop what is damaged.
#[test]
fn flipped_bits_open_nothing_and_change_nothing() {
    let key = ServerKey::generate().unwrap();
    let flip = |number: u64, bytes: &mut Vec<u8>| {
        if number % 3 == 2 {
            let at = number as usize * 7_919 % bytes.len();
            bytes[at] ^= 1 << (number / 2 % 8);
        }
    };
    for secret in [SECRET, wrong(1)] {
        let right = secret == SECRET;
        let mut pair = Pair::of(server(&key), client(&key, secret), |_| true);
        pair.alter = flip;
        if right { pair.talks() } else { pair.stays_shut() }
    }
}

/// All datagrams of a client that was let in are sent again, to the same server from another
/// address, and to a server with the same key and secret that has just started.
#[test]
fn a_replayed_handshake_opens_nothing() {
    let key = ServerKey::generate().unwrap();
    let mut pair = Pair::of(server(&key), client(&key, SECRET), |_| true);
    pair.talks();
    let recorded = pair.from_client.clone();
    assert!(recorded.len() >= 4);
    let (old, now) = (std::mem::replace(&mut pair.server, server(&key)), pair.now);
    for mut quic in [old, server(&key)] {
        let mut heard = Heard::default();
        for round in 0..3_u64 {
            let now = now + Duration::from_secs(round);
            for bytes in &recorded {
                let thief = SocketAddr::from(([10, 0, 0, 66], 6));
                quic.handle_datagram(thief.into(), bytes, now);
                heard.drain(&mut quic, now);
                while quic.poll_transmit(&mut Vec::new(), now).is_some() {}
            }
        }
        assert_eq!((heard.id, heard.bytes.len(), heard.messages.len()), (None, 0, 0));
    }
}

/// One address guesses as fast as it can. The server looks at a few guesses only; then it begins no
/// handshake with that address, while others get in, and the address itself later.
#[test]
fn guesses_of_one_address_are_limited() {
    let key = ServerKey::generate().unwrap();
    let mut pair = Pair::of(server(&key), client(&key, wrong(0)), |_| true);
    let (mut refused, mut ignored) = (0, 0);
    for guess in 1..=3 * GUESSES {
        pair.run_for(Duration::from_millis(100));
        match pair.failure() {
            Some(Failure::Refused) => refused += 1,
            other => {
                assert_eq!(other, None);
                ignored += 1;
            }
        }
        pair.client = client(&key, wrong(guess));
        pair.client.connect(SERVER.into(), pair.now).unwrap();
        (pair.at_client, pair.from) = (Heard::default(), ([10, 0, 0, 2], 50_000).into());
    }
    assert_eq!((refused, ignored), (GUESSES, 2 * GUESSES));
    assert_eq!(pair.at_server.id, None);
    for (from, wait) in [([10, 0, 0, 3], Duration::ZERO), ([10, 0, 0, 2], 2 * GUESS_PAUSE)] {
        pair.run_for(wait);
        (pair.client, pair.from) = (client(&key, SECRET), (from, 50_001).into());
        pair.client.connect(SERVER.into(), pair.now).unwrap();
        pair.run_for(Duration::from_secs(1));
        assert!(pair.at_server.id.take().is_some(), "{from:?}");
    }
}
