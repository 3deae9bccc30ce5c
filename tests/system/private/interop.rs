//! `scripts/private_client.py`, which joins with aioquic: an independent implementation of QUIC and
//! TLS, from PyPI. It runs with `--ignored` only, because few machines have it.

use super::Room;
use crate::needs::{needs, skip};
use std::path::Path;
use std::process::Command;

/// An interpreter with aioquic: `CHATAGRAM_PYTHON`, or the usual one.
fn python() -> String {
    let python = std::env::var("CHATAGRAM_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if !python.contains('/') {
        needs(&[&python]);
    }
    let has = Command::new(&python).args(["-c", "import aioquic"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        skip("no aioquic in python3 (CHATAGRAM_PYTHON names an interpreter that has it)");
    }
    python
}

pub(super) fn an_independent_implementation_joins() {
    let python = python();
    let room = Room::open(&["--room", "den"]);
    let mut alice = room.join("alice");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/private_client.py");
    let run = |ticket: &str| {
        let file = room.dir.path().join("python.ticket");
        std::fs::write(&file, ticket).unwrap();
        let mut command = Command::new(&python);
        command.arg(&script).arg(&file).args(["carl", "hello from aioquic"]).output().unwrap()
    };
    let output = run(&room.ticket);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("in the room den") && said.contains("the server has taken it"), "{said}");
    alice.hear("hello from aioquic");
    let refused = run(&room.wrong_ticket().reveal());
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    let other = Room::open(&[]);
    let refused = run(&room.ticket_at(&other.bind));
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
}
