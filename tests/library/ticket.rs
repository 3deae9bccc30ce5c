//! The ticket and the proofs in `proto.md` §11.4.

use chatagram::protocol::limits::{PROOF_LEN, SECRET_LEN};
use chatagram::ticket::{KeyHash, Prover, Secret, Ticket};
use std::fs;
use std::path::Path;

/// A value of the vectors.
fn value(name: &str) -> String {
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto.md");
    let text = fs::read_to_string(text).unwrap();
    let row = format!("\n| {name} | `");
    let (_, rest) = text.split_once(&row).expect(name);
    rest.split_once('`').unwrap().0.to_owned()
}

fn bytes<const N: usize>(name: &str) -> [u8; N] {
    let hex = value(name);
    assert_eq!(hex.len(), 2 * N, "{name}");
    std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
}

#[test]
fn the_vectors_are_what_the_code_computes() {
    let secret = Secret(bytes::<SECRET_LEN>("secret"));
    let text = value("ticket");
    let ticket: Ticket = text.parse().unwrap();
    assert_eq!(ticket.places(), ["192.168.1.5:2428", "[2001:db8::5]:2428"]);
    assert_eq!((ticket.key(), ticket.secret()), (KeyHash(bytes("key hash")), &secret));
    assert_eq!(ticket.reveal(), text);
    let exported = bytes::<PROOF_LEN>("exported key");
    for (name, prover) in [("client's proof", Prover::Client), ("server's proof", Prover::Server)] {
        assert_eq!(secret.proof(prover, &exported), bytes(name), "{name}");
    }
}
