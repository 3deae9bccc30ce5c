//! Well-formed datagrams of every kind that a stranger can make, and the number of answers to each.

use crate::machines::Machine;
use crate::raw::Raw;
use chatagram::protocol::limits::{DISCOVERY_PORT, JOIN_SIZE, PROBE_SIZE};
use chatagram::protocol::{DatagramWriter, Delivery, Flags, Frame, Header, Join};
use std::io::{BufRead, Write};
use std::net::SocketAddrV4;
use std::process::Stdio;

pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    pub(crate) bytes: Vec<u8>,
    /// True if each of them gets an answer.
    pub(crate) answered: bool,
}

/// Every kind, for a server that may have a session with this id.
pub(crate) fn kinds(port: u16, session: Option<u64>) -> Vec<Kind> {
    let unknown = session.unwrap_or_default() ^ 1;
    let beat = Frame::Heartbeat;
    let response = Frame::PathResponse([7; 8]);
    let probe = Frame::Probe { nonce: 7 };
    let kind = |name, answered, bytes| Kind { name, port, bytes, answered };
    let mut kinds = vec![
        kind("a join", true, datagram(0, JOIN_SIZE, &[join(7, &[])])),
        kind("a join with a guessed cookie", true, datagram(0, JOIN_SIZE, &[join(7, &[7; 20])])),
        kind("a join too short", false, datagram(0, JOIN_SIZE - 1, &[join(7, &[])])),
        kind("a join of version 2", true, of_version_two(datagram(0, JOIN_SIZE, &[join(7, &[])]))),
        kind("little of version 2", false, of_version_two(datagram(0, 100, &[join(7, &[])]))),
        kind("a session unknown", true, datagram(unknown, 0, &[beat])),
        kind("the same, with an answer", true, datagram(unknown, 600, &[response, beat])),
        kind("the same, and nothing in it", false, datagram(unknown, 0, &[])),
        kind("a probe at the wrong port", false, datagram(0, PROBE_SIZE, &[probe])),
        kind("noise", false, vec![0x43; 700]),
        kind("too much", false, datagram(0, 1_200, &[beat]).repeat(2)[..1_300].to_vec()),
    ];
    if let Some(session) = session {
        kinds.extend([
            kind("somebody's session", true, datagram(session, 49, &[beat])),
            kind("the same, too short", false, datagram(session, 0, &[beat])),
            kind("the same, with an answer", true, datagram(session, 600, &[response])),
        ]);
    }
    let looking = Kind { port: DISCOVERY_PORT, ..kind("a probe", true, vec![]) };
    kinds.push(Kind { bytes: datagram(0, PROBE_SIZE, &[probe]), ..looking });
    // Datagrams that one server could send to another.
    let said = kinds.iter().map(|it| {
        let bytes = from_server(it.bytes.clone());
        Kind { name: "a reply", port: it.port, bytes, answered: false }
    });
    let said: Vec<_> = said.collect();
    kinds.extend(said);
    kinds
}

pub(crate) fn join(nonce: u64, cookie: &[u8]) -> Frame<'_> {
    let (nickname, delivery) = ("eve", Delivery::ReliableOrdered);
    Frame::Join(Join { nonce, cookie, nickname, delivery, ..Join::default() })
}

pub(crate) fn datagram(session: u64, size: usize, frames: &[Frame<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = DatagramWriter::new(&mut bytes);
    frames.iter().for_each(|frame| assert!(writer.push(frame)));
    writer.pad_to(size);
    // Newer than every datagram of the session.
    writer.finish(&Header { session, sequence: 1 << 30, ..Header::default() });
    bytes
}

fn of_version_two(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[2] = 2;
    sealed(bytes)
}

fn from_server(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[3] |= Flags::FROM_SERVER.0;
    sealed(bytes)
}

/// Corrects the checksum, which is the same in all versions.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = bytes[..4].iter().chain(&bytes[8..]).fold(u32::MAX, |crc, byte| {
        let shift = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1));
        (0..8).fold(crc ^ u32::from(*byte), shift)
    });
    bytes[4..8].copy_from_slice(&(!crc).to_be_bytes());
    bytes
}

/// Sends each of these `times` times from a machine, with `from` as the source address.
pub(crate) fn forge(by: &Machine, from: &str, to: (&str, u16), times: usize, all: &[&[u8]]) {
    let (to, times) = (format!("{}:{}", to.0, to.1), times.to_string());
    let mut role = by.role("forge", &[from, &to, &times]);
    let mut child = role.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for bytes in all {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(stdin, "{digits}").unwrap();
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

/// [`forge`] in a process on the machine.
pub(crate) fn send_forged(args: &[&str]) {
    let [from, to, times] = args else { panic!("{args:?}") };
    let (from, to): (SocketAddrV4, SocketAddrV4) = (from.parse().unwrap(), to.parse().unwrap());
    let raw = Raw::open();
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let digits = line.as_bytes().chunks(2).map(|two| str::from_utf8(two).unwrap());
        let bytes: Vec<_> = digits.map(|two| u8::from_str_radix(two, 16).unwrap()).collect();
        (0..times.parse().unwrap()).for_each(|_| raw.send(from, to, &bytes));
    }
}
