//! A conversation over real sockets is captured and replayed, to the server and to the clients,
//! from the original and from other source addresses. The replay has no effect.

use crate::program::{Program, Server};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A proxy between the clients and the server that records all datagrams.
struct Tap {
    /// The proxy's address for the clients.
    front: Arc<UdpSocket>,
    lines: Arc<Mutex<BTreeMap<SocketAddr, Line>>>,
    server: SocketAddr,
}

/// The proxy's sockets for one client.
struct Line {
    /// The client's address for the server.
    back: Arc<UdpSocket>,
    up: Vec<Vec<u8>>,
    down: Vec<Vec<u8>>,
}

fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

/// The threads end with the process.
fn carry(from: Arc<UdpSocket>, mut to: impl FnMut(SocketAddr, &[u8]) + Send + 'static) {
    thread::spawn(move || {
        let mut buffer = [0; 2_048];
        loop {
            if let Ok((length, sender)) = from.recv_from(&mut buffer) {
                to(sender, &buffer[..length]);
            }
        }
    });
}

impl Tap {
    fn start(server: SocketAddr) -> Self {
        let front = Arc::new(socket());
        let lines = Arc::new(Mutex::new(BTreeMap::<SocketAddr, Line>::new()));
        let (entry, all) = (front.clone(), lines.clone());
        carry(front.clone(), move |client, bytes| {
            let mut lines = all.lock().unwrap();
            let line = lines.entry(client).or_insert_with(|| {
                let back = Arc::new(socket());
                let (entry, all) = (entry.clone(), all.clone());
                carry(back.clone(), move |_, bytes| {
                    all.lock().unwrap().get_mut(&client).unwrap().down.push(bytes.to_vec());
                    let _ = entry.send_to(bytes, client);
                });
                Line { back, up: vec![], down: vec![] }
            });
            line.up.push(bytes.to_vec());
            let _ = line.back.send_to(bytes, server);
        });
        Self { front, lines, server }
    }

    fn join(&self, server: &Server, name: &str, delivery: &str) -> Program {
        let address = self.front.local_addr().unwrap().to_string();
        let usual = ["--output", "json", "--no-cache", "--stay", "forever"];
        let own = ["client", &address, "--nick", name, "--delivery", delivery];
        let mut client = Program::start(server.dir.path(), &[&own[..], &usual].concat());
        client.next("welcome");
        client
    }

    /// Replays everything from the original and from other addresses. Returns the bytes sent from
    /// the latter and those that came back.
    fn replay(&self) -> (usize, usize) {
        let stranger = socket();
        stranger.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let (mut sent, mut back) = (0, 0);
        let lines = self.lines.lock().unwrap();
        let tape: Vec<_> = lines
            .iter()
            .map(|(client, line)| (*client, line.back.clone(), line.up.clone(), line.down.clone()))
            .collect();
        drop(lines);
        for (client, own, up, down) in &tape {
            for bytes in up {
                own.send_to(bytes, self.server).unwrap();
                stranger.send_to(bytes, self.server).unwrap();
                sent += bytes.len();
            }
            for bytes in down {
                self.front.send_to(bytes, client).unwrap();
                stranger.send_to(bytes, client).unwrap();
                // Also to the server, as datagrams of another server.
                stranger.send_to(bytes, self.server).unwrap();
            }
        }
        let mut buffer = [0; 2_048];
        while let Ok((length, from)) = stranger.recv_from(&mut buffer) {
            assert_eq!(from, self.server, "a client has answered a stranger");
            back += length;
        }
        (sent, back)
    }
}

/// Relays one connection and returns the bytes sent to the server.
fn tap_connection(server: SocketAddr) -> (SocketAddr, thread::JoinHandle<Vec<u8>>) {
    let front = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = front.local_addr().unwrap();
    let tape = thread::spawn(move || {
        let (mut client, _) = front.accept().unwrap();
        let mut up = TcpStream::connect(server).unwrap();
        let (mut from_server, mut to_client) =
            (up.try_clone().unwrap(), client.try_clone().unwrap());
        thread::spawn(move || {
            let _ = io::copy(&mut from_server, &mut to_client);
            let _ = to_client.shutdown(Shutdown::Write);
        });
        let mut tape = Vec::new();
        let mut buffer = [0; 2_048];
        while let Ok(length @ 1..) = client.read(&mut buffer) {
            tape.extend(&buffer[..length]);
            let _ = up.write_all(&buffer[..length]);
        }
        tape
    });
    (address, tape)
}

fn texts(client: &Program) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let events = client.events("message").into_iter();
    events.map(|event| (word(&event["from"]), word(&event["text"]))).collect()
}

fn a_replayed_connection_admits_no_client() {
    let mut server = Server::start(&["--no-history"]);
    let mut bob = server.join("bob");
    let (front, tape) = tap_connection(server.address);
    let front = front.to_string();
    let args = ["client", &front, "--nick", "alice", "--transport", "tcp", "--output", "json"];
    let mut alice = Program::start(
        server.dir.path(),
        &[&args[..], &["--no-cache", "--stay", "forever"]].concat(),
    );
    alice.next("welcome");
    alice.type_line("hi");
    bob.next_where("message", |event| event["text"] == "hi");
    assert_eq!(alice.leave(), Some(0), "{}", alice.output());
    bob.next_where("left", |event| event["nickname"] == "alice");
    let tape = tape.join().unwrap();
    assert!(tape.len() > 50);
    let mut again = TcpStream::connect(server.address).unwrap();
    again.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let _ = again.write_all(&tape);
    // The server may close the connection before it has read everything.
    let mut answer = Vec::new();
    let _ = again.read_to_end(&mut answer);
    assert!(answer.len() <= 12, "{answer:?}");
    let mut carol = server.join("carol");
    assert_eq!(carol.events("welcome")[0]["peers"], 2, "{}", carol.output());
    for client in [&mut bob, &mut carol] {
        assert_eq!(client.leave(), Some(0), "{}", client.output());
    }
    server.program.signal("TERM");
    assert_eq!(server.program.wait(), Some(0));
    let log = server.program.output();
    assert_eq!(log.matches(" joined from ").count(), 3, "{log}");
}

fn a_replayed_conversation_has_no_effect() {
    let mut server = Server::start(&["--no-history"]);
    let tap = Tap::start(server.address);
    let mut alice = tap.join(&server, "alice", "reliable-ordered");
    let mut bob = tap.join(&server, "bob", "unreliable");
    let mut carol = server.join("carol");
    for n in 0..10 {
        for client in [&mut alice, &mut bob] {
            client.type_line(&format!("line {n}"));
        }
    }
    bob.type_line("@alice secret");
    for (client, from) in [(&mut alice, "bob"), (&mut bob, "alice"), (&mut carol, "bob")] {
        client.next_where("message", |e| e["from"] == from && e["text"] == "line 9");
    }
    alice.next_where("message", |e| e["text"] == "secret");

    let (sent, back) = tap.replay();
    assert!(sent > 2_000 && back <= sent, "{back} bytes in answer to {sent}");
    // Traffic after the replay shows that the replay has been handled.
    alice.type_line("the end");
    for client in [&mut bob, &mut carol] {
        client.next_where("message", |e| e["text"] == "the end");
    }
    carol.type_line("heard");
    for client in [&mut alice, &mut bob] {
        client.next_where("message", |e| e["text"] == "heard");
    }
    let lines = |from: &'static str| (0..10).map(move |n| (from, format!("line {n}")));
    let once = |from: &'static str, text: &str| [(from, text.to_owned())].into_iter();
    let heard = || once("carol", "heard");
    for (client, meant) in [
        (&alice, lines("bob").chain(once("bob", "secret")).chain(heard()).collect::<Vec<_>>()),
        (
            &bob,
            // The echo of the client's own whisper.
            lines("alice")
                .chain(once("bob", "secret"))
                .chain(once("alice", "the end"))
                .chain(heard())
                .collect(),
        ),
        (&carol, lines("alice").chain(once("alice", "the end")).chain(lines("bob")).collect()),
    ] {
        let mut seen = texts(client);
        seen.sort_unstable();
        let mut meant: Vec<_> = meant.into_iter().map(|(from, it)| (from.to_owned(), it)).collect();
        meant.sort_unstable();
        assert_eq!(seen, meant);
        assert_eq!((client.events("welcome").len(), client.events("left").len()), (1, 0));
    }

    for client in [&mut alice, &mut bob, &mut carol] {
        assert_eq!(client.leave(), Some(0), "{}", client.output());
    }
    tap.replay();
    let mut dave = server.client("dave", &["--no-cache", "--stay", "forever"]);
    assert_eq!(dave.next("welcome")["peers"], 1, "the replay admitted a client");
    assert_eq!(dave.leave(), Some(0));
    server.program.signal("TERM");
    assert_eq!(server.program.wait(), Some(0));
    let log = server.program.output();
    for (what, times) in [(" joined from ", 4), (" left, ", 4), (" is at ", 0), ("timed out", 0)] {
        assert_eq!(log.matches(what).count(), times, "{what:?} in {log}");
    }
}

tests! {
    a_replayed_connection_admits_no_client,
    a_replayed_conversation_has_no_effect,
}
