//! Tickets of private rooms, and the proof of the secret in them (`proto.md` §11.4). No I/O.
//!
//! A ticket is a password: only [`Ticket::reveal`] writes it out, and `Debug` leaves the secret
//! out, so that no log or error has it by accident.

use crate::protocol::limits::{MAX_TICKET, PROOF_LEN, SECRET_LEN, TICKET_PLACES};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// The beginning of every ticket.
pub const SCHEME: &str = "chatagram://";
/// The form of the bytes.
const FORM: u8 = 1;
/// Bytes of a SHA-256.
const HASH_LEN: usize = 32;
/// Bytes of the hash at the end, which shows mistyped tickets.
const CHECK_LEN: usize = 4;
/// Bytes behind the addresses: a multiple of three, so that base64 has no spare bits, and a ticket
/// one spelling.
const BODY_LEN: usize = 1 + HASH_LEN + SECRET_LEN + CHECK_LEN;
/// Longest address of a ticket: the longest name in the DNS (RFC 1035 §2.3.4) and a port.
const MAX_PLACE: usize = 255 + 6;
/// base64url (RFC 4648 §5).
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The SHA-256 of a server's public key (`SubjectPublicKeyInfo`, RFC 5280 §4.1), as in RFC 7469
/// §2.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHash(pub [u8; HASH_LEN]);

impl KeyHash {
    /// The hash of a key's DER.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }
}

/// The secret of a private room.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; SECRET_LEN]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The end of a connection that proves its knowledge of the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prover {
    /// It connected.
    Client,
    /// It was connected to.
    Server,
}

impl Secret {
    /// The proof of one end, for the connection with this exported key (RFC 8446 §7.5).
    #[must_use]
    pub fn proof(&self, prover: Prover, exported: &[u8; PROOF_LEN]) -> [u8; PROOF_LEN] {
        self.mac(prover, exported).finalize().into_bytes().into()
    }

    /// Whether `proof` is that of `prover`, in constant time.
    #[must_use]
    pub fn is_proven(&self, prover: Prover, exported: &[u8; PROOF_LEN], proof: &[u8]) -> bool {
        self.mac(prover, exported).verify_slice(proof).is_ok()
    }

    fn mac(&self, prover: Prover, exported: &[u8; PROOF_LEN]) -> Hmac<Sha256> {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            unreachable!("HMAC takes a key of any length (RFC 2104 §2)")
        };
        mac.update(match prover {
            Prover::Client => b"chatagram client",
            Prover::Server => b"chatagram server",
        });
        mac.update(exported);
        mac
    }
}

/// All that a client needs to join a private room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    places: Vec<String>,
    key: KeyHash,
    secret: Secret,
}

/// Why a text is no ticket. No message repeats the text, which may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TicketError {
    /// Another beginning, no address, or none of the characters of one.
    #[error("this is no ticket: a ticket is one word, chatagram://ADDRESS/ and 76 characters")]
    Form,
    /// More than [`MAX_TICKET`] bytes, or more than [`TICKET_PLACES`] addresses.
    #[error("this is no ticket: it is far too long")]
    TooLong,
    /// The part behind the addresses has another length, or its check fails.
    #[error("the ticket is damaged: a part is missing or mistyped; copy it again as one word")]
    Damaged,
    /// A form that this program does not know.
    #[error("the ticket is of a newer form ({0}): use the release of the room's host")]
    Newer(u8),
}

impl Ticket {
    /// A ticket for these addresses of one server. `None` if they do not fit into one.
    #[must_use]
    pub fn new(places: Vec<String>, key: KeyHash, secret: Secret) -> Option<Self> {
        let ticket = Self { places, key, secret };
        ticket.reveal().parse().ok().filter(|it| *it == ticket)
    }

    /// The addresses, `HOST`, `HOST:PORT` or `[IPV6]:PORT`, the likeliest first.
    #[must_use]
    pub fn places(&self) -> &[String] {
        &self.places
    }

    /// The hash of the server's key.
    #[must_use]
    pub fn key(&self) -> KeyHash {
        self.key
    }

    /// The secret of the room.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The ticket as text: a password.
    #[must_use]
    pub fn reveal(&self) -> String {
        let mut body = vec![FORM];
        body.extend_from_slice(&self.key.0);
        body.extend_from_slice(&self.secret.0);
        body.extend_from_slice(&check(&body));
        format!("{SCHEME}{}/{}", self.places.join("+"), encode(&body))
    }
}

/// White space around a ticket has no meaning.
impl FromStr for Ticket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        let rest = text.trim().strip_prefix(SCHEME).ok_or(TicketError::Form)?;
        if rest.len() + SCHEME.len() > MAX_TICKET {
            return Err(TicketError::TooLong);
        }
        let (places, body) = rest.split_once('/').ok_or(TicketError::Form)?;
        if places.split('+').count() > TICKET_PLACES {
            return Err(TicketError::TooLong);
        }
        if !places.split('+').all(is_place) {
            return Err(TicketError::Form);
        }
        let body: [u8; BODY_LEN] =
            decode(body).and_then(|it| it.try_into().ok()).ok_or(TicketError::Damaged)?;
        let (signed, sum) = body.split_at(BODY_LEN - CHECK_LEN);
        if check(signed) != sum {
            return Err(TicketError::Damaged);
        }
        if signed[0] != FORM {
            return Err(TicketError::Newer(signed[0]));
        }
        let mut ticket = Self {
            places: places.split('+').map(str::to_owned).collect(),
            key: KeyHash([0; HASH_LEN]),
            secret: Secret([0; SECRET_LEN]),
        };
        let (key, secret) = signed[1..].split_at(HASH_LEN);
        ticket.key.0.copy_from_slice(key);
        ticket.secret.0.copy_from_slice(secret);
        Ok(ticket)
    }
}

/// Whether an address has only characters of names and addresses. The caller parses it, since the
/// zone of a link-local address is a question to the system.
fn is_place(text: &str) -> bool {
    let belongs = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]%".contains(&byte);
    (1..=MAX_PLACE).contains(&text.len()) && text.bytes().all(belongs)
}

fn check(bytes: &[u8]) -> [u8; CHECK_LEN] {
    let hash = Sha256::digest(bytes);
    std::array::from_fn(|at| hash[at])
}

/// base64url of bytes whose number is a multiple of three.
fn encode(bytes: &[u8]) -> String {
    let letters = bytes.chunks(3).flat_map(|chunk| {
        let word = chunk.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(ALPHABET[(word >> shift) as usize % 64]))
    });
    letters.collect()
}

/// The bytes of [`encode`]. `None`: other characters, or another number of them.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    for chunk in text.as_bytes().chunks(4) {
        let mut word = 0;
        for letter in chunk {
            let value = ALPHABET.iter().position(|it| it == letter)?;
            word = word << 6 | value as u32;
        }
        bytes.extend_from_slice(&word.to_be_bytes()[1..]);
    }
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ticket(places: &[&str]) -> Option<Ticket> {
        let places = places.iter().map(|it| (*it).to_owned()).collect();
        Ticket::new(places, KeyHash([7; 32]), Secret([9; 20]))
    }

    #[test]
    fn a_ticket_is_one_word_and_reads_back() {
        for places in [&["10.0.0.1:2428"][..], &["room.example", "[2001:db8::1]:99"], &["h"; 8]] {
            let ticket = ticket(places).unwrap();
            let text = ticket.reveal();
            assert!(text.len() <= MAX_TICKET && !text.contains(char::is_whitespace), "{text}");
            assert_eq!(format!("\t{text}\r\n").parse(), Ok(ticket));
        }
        for wrong in [&[][..], &[""], &["a b"], &["a/b"], &["a+b"], &["é"], &["h"; 9]] {
            assert_eq!(ticket(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_mistyped_ticket_is_refused_and_no_message_repeats_it() {
        let good = ticket(&["10.0.0.1:2428"]).unwrap().reveal();
        let read = |text: &str| text.parse::<Ticket>().unwrap_err();
        let body = good.rfind('/').unwrap() + 1;
        for at in body..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(read(&String::from_utf8(bytes).unwrap()), TicketError::Damaged);
            assert_eq!(read(&good[..at]), TicketError::Damaged);
        }
        assert_eq!(read(&format!("{good}AAAA")), TicketError::Damaged);
        for form in
            ["", "chatagram://", "chatagram://h", "http://h/", "chatagram:///AAAA", "10.0.0.1"]
        {
            assert_eq!(read(form), TicketError::Form, "{form}");
        }
        let long = good.replace("10.0.0.1", &"a".repeat(2_000));
        assert_eq!(read(&long), TicketError::TooLong);
        let mut newer = vec![9; BODY_LEN - CHECK_LEN];
        newer.extend(check(&newer));
        assert_eq!(read(&format!("{SCHEME}h/{}", encode(&newer))), TicketError::Newer(9));
    }

    #[test]
    fn the_secret_is_in_no_debug_output() {
        let shown = format!("{:?}", ticket(&["h"]).unwrap());
        assert!(shown.contains("secret: Secret") && !shown.contains('9'), "{shown}");
    }

    #[test]
    fn a_proof_holds_for_one_end_one_connection_and_one_secret() {
        let (secret, exported) = (Secret([9; 20]), [1; 32]);
        let proof = secret.proof(Prover::Client, &exported);
        assert!(secret.is_proven(Prover::Client, &exported, &proof));
        assert!(!secret.is_proven(Prover::Server, &exported, &proof));
        assert!(!secret.is_proven(Prover::Client, &[2; 32], &proof));
        assert!(!Secret([8; 20]).is_proven(Prover::Client, &exported, &proof));
        assert!(!secret.is_proven(Prover::Client, &exported, &proof[..31]));
        assert!(!secret.is_proven(Prover::Client, &exported, &[]));
    }

    proptest! {
        #[test]
        fn every_ticket_has_one_spelling(
            key in any::<[u8; 32]>(), secret in any::<[u8; 20]>(),
            places in prop::collection::vec("[a-z0-9.:-]{1,40}", 1..8),
        ) {
            let ticket = Ticket::new(places, KeyHash(key), Secret(secret)).unwrap();
            let text = ticket.reveal();
            prop_assert_eq!(text.parse::<Ticket>().unwrap().reveal(), text);
        }

        #[test]
        fn no_text_makes_the_parser_fail(text in "(chatagram://)?[ -~é]{0,200}(/[A-Za-z0-9_-]{0,90})?") {
            if let Ok(ticket) = text.parse::<Ticket>() {
                prop_assert_eq!(ticket.reveal(), text.trim());
            }
        }
    }
}
