//! What an eavesdropper sees of a private room, and what the owner of its key log sees.

use super::Room;
use crate::dissector::{capture::Sniffer, tshark};
use crate::needs::{needs, skip};
use crate::program::{Program, free_port};
use std::fs;
use std::path::Path;
use std::process::Command;

const ROOM: &str = "the-secret-den";
const NAMES: [&str; 2] = ["alice-in-private", "bob-in-private"];
const TEXTS: [&str; 3] = ["the treasure is under the oak", "which oak then", "only for bob"];

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// All that tshark reads in a capture, with every byte that it can decrypt.
fn read(file: &Path, port: &str, key_log: Option<&Path>) -> String {
    let file = file.to_str().unwrap();
    let as_quic = format!("udp.port=={port},quic");
    let keys = key_log.map(|log| format!("tls.keylog_file:{}", log.display()));
    let mut args = vec!["-r", file, "-d", &as_quic, "-T", "pdml"];
    args.extend(keys.iter().flat_map(|keys| ["-o", keys]));
    tshark::run(&args)
}

pub(super) fn a_capture_of_a_private_room_is_dark_without_its_key_log() {
    needs(&["tshark", "dumpcap"]);
    let dir = tempfile::tempdir().unwrap();
    let key_log = dir.path().join("keys.log");
    let port = free_port();
    let sniffer = Sniffer::start(&[port]).unwrap_or_else(|why| skip(why));
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
    command.env("SSLKEYLOGFILE", &key_log);
    let bind = format!("127.0.0.1:{port}");
    let args = ["server", "--private", "--bind", &bind, "--room", ROOM, "--no-history"];
    let home = tempfile::tempdir().unwrap();
    let mut program = Program::start_by(command, home.path(), &args);
    let ticket = program.line("ticket", |line| line.starts_with("chatagram://"));
    let mut room = Room { program, ticket, dir: home, bind };
    let [mut alice, mut bob] = NAMES.map(|name| room.join(name));
    alice.type_line(TEXTS[0]);
    bob.hear(TEXTS[0]);
    bob.type_line(TEXTS[1]);
    alice.hear(TEXTS[1]);
    alice.type_line(&format!("@{} {}", NAMES[1], TEXTS[2]));
    bob.hear(TEXTS[2]);
    for mut client in [alice, bob] {
        assert_eq!(client.leave(), Some(0), "{}", client.output());
    }
    room.program.signal("INT");
    assert_eq!(room.program.wait(), Some(0));
    let file = sniffer.save(dir.path());
    let port = port.to_string();

    let secrets = || [ROOM].iter().chain(&NAMES).chain(&TEXTS).copied();
    let raw = fs::read(&file).unwrap();
    let eavesdropped = read(&file, &port, None);
    assert!(eavesdropped.contains("QUIC IETF"), "{eavesdropped}");
    let decrypted = read(&file, &port, Some(&key_log));
    for secret in secrets() {
        let bytes = secret.as_bytes();
        assert!(!raw.windows(bytes.len()).any(|window| window == bytes), "{secret} is in the file");
        assert!(!eavesdropped.contains(&hex(secret)), "{secret} is read without keys");
        assert!(decrypted.contains(&hex(secret)), "{secret} is not read with the keys");
    }
    // The secret of the ticket never travels, not even encrypted.
    let ticket: chatagram::ticket::Ticket = room.ticket.parse().unwrap();
    let secret: String = ticket.secret().0.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!decrypted.contains(&secret));
}
