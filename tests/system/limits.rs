//! The rate limit over real sockets: a page that waits, and a flood that does not.
//! `tests/simulation` asserts in virtual time how floods and stopped processes affect the other
//! members; the ignored test here measures it:
//!
//! ```text
//! cargo test --release --test system limits -- --ignored --nocapture
//! ```

use crate::program::{Program, Server};
use chatagram::protocol::{
    ClientMessage, Datagram, DatagramWriter, Delivery, Flags, Frame, Header, Join, Preface, Say,
    encode_message, write_record,
};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Lines relayed of a sender that ignores the limit: a burst of 20, and the tolerated 128.
const MOST: usize = 148;
/// Measurements of each kind, in alternation.
const ROUNDS: usize = 2;
/// The server admits each nonce once.
static NONCES: AtomicU64 = AtomicU64::new(2);

fn join<'a>(nonce: u64, cookie: &'a [u8], nickname: &'a str) -> Frame<'a> {
    let delivery = Delivery::ReliableOrdered;
    Frame::Join(Join { nonce, cookie, nickname, delivery, ..Join::default() })
}

fn say(number: usize) -> Vec<u8> {
    let text = format!("flood {number} {}", "x".repeat(100));
    encode_message(&ClientMessage::Say(Say { number: number as u16, sent: 0, text: &text }))
}

/// Sends as much as a connection takes, until the server closes it.
fn flood_over_tcp(server: SocketAddr, nickname: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).unwrap();
    let mut bytes = Preface { flags: Flags::default(), session: 0 }.encode().to_vec();
    write_record(&join(1, &[], nickname), &mut bytes);
    for number in 0..2_000 {
        write_record(&Frame::Once { payload: &say(number) }, &mut bytes);
    }
    let mut reader = stream.try_clone().unwrap();
    // The server closes with unread bytes in its buffer: writing fails, or the reading end is cut
    // off.
    let said = std::thread::spawn(move || {
        let mut said = Vec::new();
        let _ = reader.read_to_end(&mut said);
        said
    });
    let _ = stream.write_all(&bytes);
    said.join().unwrap()
}

/// Sends as much as a socket takes, until the server ends the session. False if the server refused
/// it.
fn flood_over_udp(server: SocketAddr, nickname: &str) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let (mut cookie, mut session, mut number) = (Vec::new(), 0, 0_usize);
    let nonce = NONCES.fetch_add(1, Ordering::Relaxed);
    let mut buffer = [0; 2_000];
    for _ in 0..500 {
        let mut bytes = Vec::new();
        if session == 0 {
            let mut writer = DatagramWriter::new(&mut bytes);
            writer.push(&join(nonce, &cookie, nickname));
            writer.pad_to(512);
            writer.finish(&Header::default());
            socket.send(&bytes).unwrap();
        }
        for _ in 0..if session == 0 { 0 } else { 40 } {
            let mut writer = DatagramWriter::new(&mut bytes);
            writer.push(&Frame::Ordered { id: number as u16, payload: &say(number) });
            number += 1;
            writer.finish(&Header { session, sequence: number as u32, ..Header::default() });
            socket.send(&bytes).unwrap();
        }
        while let Ok(length) = socket.recv(&mut buffer) {
            let datagram = Datagram::decode(&buffer[..length]).unwrap();
            let header = datagram.header;
            for frame in datagram.frames() {
                match frame {
                    Frame::Challenge { cookie: it, .. } => cookie = it.to_vec(),
                    Frame::Refused { .. } => return false,
                    Frame::Ordered { id: 0, .. } => session = header.session,
                    // This client acknowledges nothing, so it may miss `Closing`; then the server
                    // answers with `Reset`.
                    Frame::Ordered { payload: [11, 3, ..], .. } => return true,
                    Frame::Reset => return true,
                    _ => {}
                }
            }
        }
    }
    panic!("{number} lines, and the server did not end the session");
}

/// The value of a series, from the address in the server's line about its metrics.
fn scraped(line: &str, series: &str) -> u64 {
    let address = line.trim_start_matches("metrics at http://").trim_end_matches("/metrics");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let name = format!("chatagram_{series} ");
    let value = page.lines().find_map(|line| line.strip_prefix(&name));
    value.unwrap_or_else(|| panic!("no {name}in {page}")).parse().unwrap()
}

fn heard(client: &Program) -> usize {
    let lines = client.events("message");
    lines.iter().filter(|line| line["text"].as_str().unwrap().starts_with("flood ")).count()
}

fn a_flooding_client_is_dropped_and_kept_out_over_either_transport() {
    for tcp in [false, true] {
        let mut server = Server::start(&["--no-history", "--metrics", "127.0.0.1:0"]);
        let metrics = server.program.line("metrics", |line| line.starts_with("metrics at "));
        let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
        if tcp {
            flood_over_tcp(server.address, "mallory");
        } else {
            assert!(flood_over_udp(server.address, "mallory"));
        }
        let left = bob.next("left");
        assert_eq!((&left["nickname"], &left["reason"]), (&json!("mallory"), &json!("flood")));
        // While the flood arrived, the limit allowed a few more.
        let heard = heard(&bob);
        assert!((MOST..MOST + 100).contains(&heard), "{heard} lines");
        if !tcp {
            assert!(!flood_over_udp(server.address, "somebody"), "let in again");
        }
        let mut other = server.client("carol", &["--no-cache"]);
        let error = other.next("error");
        assert!(error["message"].as_str().unwrap().contains("too much was said"), "{error}");
        assert_eq!(other.wait(), Some(4));
        assert_eq!(scraped(&metrics, "flooders_dropped_total"), 1);
        // Once for the first line above the limit, and again as the debt grew.
        assert!((1..=15).contains(&scraped(&metrics, "slowed_total")));
        assert!(scraped(&metrics, "refusals_total{reason=\"too_many_from_address\"}") > 0);
        // Members at this address stay in the room.
        bob.type_line("still here");
        alice.next_where("message", |event| event["text"] == "still here");
    }
}

fn a_piped_page_waits_and_arrives_whole_and_in_order() {
    let modes = [
        vec!["--delivery", "unreliable"],
        vec!["--delivery", "reliable-unordered"],
        vec!["--delivery", "reliable-ordered"],
        vec!["--transport", "tcp"],
    ];
    let server = Server::start(&["--no-history", "--rate-limit", "5/100"]);
    let mut bob = server.join("bob");
    for mode in modes {
        let mut alice = server.client("alice", &[&["--no-cache"], &mode[..]].concat());
        let page: Vec<_> = (0..150).map(|line| format!("line {line} of {mode:?}")).collect();
        page.iter().for_each(|line| alice.type_line(line));
        alice.end_input();
        assert_eq!(alice.wait(), Some(0), "{}", alice.output());
        let waited = |event: &Value| {
            event["text"].as_str().is_some_and(|it| it.contains("rate limit of the server"))
        };
        assert!(alice.events("status").iter().any(waited), "{}", alice.output());
        for line in page {
            assert_eq!(bob.next("message")["text"], line);
        }
    }
}

fn delay_of_other_members_beside_a_flood_and_beside_stopped_processes() {
    for limit in ["20/10", "off"] {
        for mode in ["reliable-ordered", "tcp"] {
            for round in 0..ROUNDS {
                for beside in ["nothing", "flood", "standstill"] {
                    if (limit, beside) != ("off", "flood") {
                        measure(limit, mode, round, beside);
                    }
                }
            }
        }
    }
}

/// Runs `load` for ten seconds beside a flood or stopped processes, and prints its result.
fn measure(limit: &str, mode: &str, round: usize, beside: &str) {
    let server = Server::start(&["--no-history", "--rate-limit", limit]);
    let tcp = if mode == "tcp" { vec!["--transport", "tcp"] } else { vec![] };
    let flags = [&["--no-cache", "--stay", "forever"], &tcp[..]].concat();
    let mut still: Vec<_> = (0..4).map(|i| server.client(&format!("still{i}"), &flags)).collect();
    still.iter_mut().for_each(|client| drop(client.next("welcome")));
    let (address, dir) = (server.address.to_string(), tempfile::tempdir().unwrap());
    let out = dir.path().join("run");
    let rate = if limit == "off" { "50" } else { "10" };
    let mut args = vec!["load", &address, "--out", out.to_str().unwrap(), "--rate", rate];
    args.extend(["--senders", "10", "--receivers", "10", "--duration", "10s", "--size", "200"]);
    if mode == "tcp" {
        args.extend(["--transport", "tcp"]);
    }
    let over = AtomicBool::new(false);
    let mut load = Program::start(Path::new(dir.path()), &args);
    std::thread::scope(|scope| {
        match beside {
            "flood" => {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        flood_over_udp(server.address, "mallory");
                    }
                });
            }
            "standstill" => still.iter().for_each(|client| client.signal("STOP")),
            _ => {}
        }
        assert_eq!(load.wait(), Some(0), "{}", load.output());
        over.store(true, Ordering::Relaxed);
    });
    if beside == "standstill" {
        still.iter().for_each(|client| client.signal("CONT"));
    }
    let said = load.output();
    let result = said.lines().find(|line| line.contains("p99")).unwrap_or(&said);
    println!("limit {limit:6} {mode:16} round {round} beside {beside:10} {result}");
}

tests! {
    a_flooding_client_is_dropped_and_kept_out_over_either_transport,
    a_piped_page_waits_and_arrives_whole_and_in_order,
    @ignored delay_of_other_members_beside_a_flood_and_beside_stopped_processes,
}
