//! The built program over UDP and TCP at once, on the loopback interface.

use crate::program::{Program, Server, free_port};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

const TCP: &[&str] = &["--transport", "tcp"];
const UNRELIABLE: &[&str] = &["--delivery", "unreliable"];
const ORDERED: &[&str] = &["--delivery", "reliable-ordered"];
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

fn join(server: &Server, name: &str, how: &[&str]) -> Program {
    let args = [&["--no-cache", "--stay", "forever"], how].concat();
    let mut client = server.client(name, &args);
    client.next("welcome");
    client
}

/// The texts of all lines from other peers that the client showed, in order.
fn texts(client: &Program) -> Vec<String> {
    let shown = [client.events("history"), client.events("message")].concat();
    shown.iter().map(|event| event["text"].as_str().unwrap().to_owned()).collect()
}

fn shows(client: &mut Program, text: &str) {
    let shown = |event: &Value| event["text"] == text && event["event"] != "confirmed";
    client.line(text, |line| serde_json::from_str(line).is_ok_and(|event| shown(&event)));
}

fn a_room_holds_all_transports_at_once() {
    let server = Server::start(&["--history", "h.jsonl"]);
    let kinds = [("alice", TCP), ("bob", UNRELIABLE), ("carl", ORDERED)];
    let mut clients = kinds.map(|(name, how)| join(&server, name, how));
    for (client, (name, _)) in clients.iter_mut().zip(kinds) {
        client.type_line(&format!("here is {name}"));
    }
    for (client, (name, _)) in clients.iter_mut().zip(kinds) {
        let heard = [client.next("message"), client.next("message")];
        assert!(heard.iter().all(|event| event["from"] != name), "{heard:?}");
        assert_ne!(heard[0]["from"], heard[1]["from"]);
    }
    let [mut alice, mut bob, mut carl] = clients;
    alice.type_line("@bob only you");
    let whisper = bob.next("message");
    assert_eq!((&whisper["text"], &whisper["private"]), (&json!("only you"), &json!(true)));
    assert_eq!(alice.next("message")["to"], "bob");
    alice.type_line("/quit");
    assert_eq!(alice.wait(), Some(0), "{}", alice.output());
    for other in [&mut bob, &mut carl] {
        let left = other.next("left");
        assert_eq!((&left["nickname"], &left["reason"]), (&json!("alice"), &json!("quit")));
    }
}

fn a_refusal_over_tcp_has_its_reason() {
    let mut server = Server::start(&[]);
    let mut alice = join(&server, "alice", TCP);
    for how in [TCP, ORDERED] {
        let mut other = server.client("ALICE", &[&["--no-cache"], how].concat());
        assert_eq!(other.wait(), Some(4), "{}", other.output());
        assert!(other.output().contains("in use"), "{}", other.output());
    }
    server.program.signal("INT");
    assert_eq!(alice.next("closed")["reason"], "shutdown");
    assert_eq!((alice.wait(), server.program.wait()), (Some(0), Some(0)));
    let mut late = server.client("late", &[&["--no-cache"], TCP].concat());
    assert_eq!(late.wait(), Some(3), "{}", late.output());
}

fn no_tcp_leaves_the_port_without_a_listener() {
    let server = Server::start(&["--no-tcp"]);
    assert!(TcpStream::connect(server.address).is_err());
    let mut alice = server.client("alice", &[&["--no-cache"], TCP].concat());
    assert_eq!(alice.wait(), Some(3), "{}", alice.output());
    join(&server, "bob", ORDERED);
}

fn a_killed_tcp_client_expires() {
    let server = Server::start(&[]);
    let mut watcher = join(&server, "watcher", ORDERED);
    join(&server, "alice", TCP).kill();
    let left = watcher.next("left");
    assert_eq!((&left["nickname"], &left["reason"]), (&json!("alice"), &json!("timeout")));
}

fn tcp_clients_return_to_a_restarted_server_with_every_line_once() {
    let bind = format!("127.0.0.1:{}", free_port());
    let history = ["--history", "h.jsonl"];
    let server = Server::start_at(&bind, tempfile::tempdir().unwrap(), &history);
    let kinds = [("alice", TCP), ("bob", TCP), ("carl", ORDERED)];
    let mut clients = kinds.map(|(name, how)| join(&server, name, how));
    clients[0].type_line("before");
    clients[1..].iter_mut().for_each(|client| shows(client, "before"));
    let Server { program, dir, .. } = server;
    program.kill();
    clients[0].type_line("while nobody listens");
    let _server = Server::start_at(&bind, dir, &history);
    clients.iter_mut().for_each(|client| drop(client.next("welcome")));
    clients[1..].iter_mut().for_each(|client| shows(client, "while nobody listens"));
    clients[0].type_line("after");
    clients[1..].iter_mut().for_each(|client| shows(client, "after"));
    for client in &clients[1..] {
        assert_eq!(texts(client).len(), 3, "{:?}", texts(client));
    }
}

/// A connection on which these bytes were written; the server may have closed it meanwhile.
fn connection(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(2 * JOIN_TIMEOUT)).unwrap();
    let _ = stream.write_all(bytes);
    stream
}

/// Everything the server sends until it closes the connection, which it has to do.
fn read_to_close(mut stream: TcpStream) -> Vec<u8> {
    let (mut said, mut buffer) = (Vec::new(), [0; 4_096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return said,
            Ok(length) => said.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return said,
            Err(error) => panic!("the server did not close the connection: {error}"),
        }
    }
}

fn a_connection_without_a_join_is_closed() {
    let server = Server::start(&[]);
    let slow = connection(server.address, b"CG\x01");
    let silent = connection(server.address, b"");
    assert_eq!(read_to_close(slow), b"");
    assert_eq!(read_to_close(silent), b"");
}

fn idle_connections_do_not_block_joins() {
    let server = Server::start(&[]);
    let _idle: Vec<_> = (0..100).map(|_| connection(server.address, b"CG")).collect();
    let mut alice = join(&server, "alice", TCP);
    let mut bob = join(&server, "bob", ORDERED);
    alice.type_line("room enough");
    shows(&mut bob, "room enough");
}

fn malformed_bytes_end_their_connection_and_no_other() {
    const PREFACE: &[u8; 12] = b"CG\x01\x00\0\0\0\0\0\0\0\0";
    let server = Server::start(&[]);
    let mut alice = join(&server, "alice", TCP);
    let mut bob = join(&server, "bob", ORDERED);
    let too_long = [&PREFACE[..], b"\xff\xff"].concat();
    let long_noise = vec![0x43; 1 << 20];
    let nonsense: [&[u8]; 4] = [b"GET / HTTP/1.1\r\n\r\n", &too_long, &[0; 64], &long_noise];
    for bytes in nonsense {
        let said = read_to_close(connection(server.address, bytes));
        assert!(said.is_empty() || said.starts_with(b"CG\x01\x01"), "{said:?}");
    }
    alice.type_line("still here");
    shows(&mut bob, "still here");
}

fn an_overlong_record_is_answered_with_the_preface_and_a_close() {
    let server = Server::start(&[]);
    let said = read_to_close(connection(server.address, b"CG\x01\x00\0\0\0\0\0\0\0\0\xff\xff"));
    assert_eq!(said, b"CG\x01\x01\0\0\0\0\0\0\0\0");
}

fn stopped_clients_delay_no_other_and_return() {
    let server = Server::start(&["--rate-limit", "off"]);
    let mut speaker = join(&server, "speaker", TCP);
    let mut listeners = [("alice", TCP), ("bob", ORDERED)].map(|(n, how)| join(&server, n, how));
    let mut stopped = [("carl", TCP), ("dora", ORDERED)].map(|(n, how)| join(&server, n, how));
    stopped.iter().for_each(|client| client.signal("STOP"));
    (0..2_000).for_each(|i| speaker.type_line(&format!("line {i} of many")));
    for listener in &mut listeners {
        shows(listener, "line 1999 of many");
        let all: Vec<_> = (0..2_000).map(|i| format!("line {i} of many")).collect();
        assert!(texts(listener) == all, "{:?}", listener.events("gap"));
        while listener.events("left").len() < stopped.len() {
            assert_eq!(listener.next("left")["reason"], "timeout");
        }
    }
    stopped.iter().for_each(|client| client.signal("CONT"));
    for client in &mut stopped {
        client.next("welcome");
    }
    speaker.type_line("all here again");
    for client in &mut stopped {
        shows(client, "all here again");
        let mut shown = texts(client);
        let count = shown.len();
        shown.sort();
        shown.dedup();
        assert_eq!(shown.len(), count, "a line was shown twice");
    }
}

/// The server is stopped for longer than the expiry. Meanwhile more datagrams arrive than it reads
/// in one round, and then those of its members.
fn a_server_that_stood_still_drops_no_member() {
    let server = Server::start(&[]);
    let members = [("alice", TCP), ("bob", ORDERED), ("carl", UNRELIABLE)];
    let mut members = members.map(|(name, how)| join(&server, name, how));
    server.program.signal("STOP");
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..600 {
        stranger.send_to(b"?", server.address).unwrap();
    }
    std::thread::sleep(Duration::from_secs(4));
    server.program.signal("CONT");
    members[0].type_line("all here");
    for member in &mut members[1..] {
        shows(member, "all here");
    }
    for member in &members {
        let came = member.events("welcome").len();
        assert_eq!((member.events("left").len(), came), (0, 1), "{}", member.output());
    }
}

/// A machine that vanishes sends nothing, not even a FIN.
fn a_half_open_connection_expires() {
    let server = Server::start(&[]);
    let mut watcher = join(&server, "watcher", ORDERED);
    let frozen = join(&server, "frozen", TCP);
    frozen.signal("STOP");
    let left = watcher.next("left");
    assert_eq!((&left["nickname"], &left["reason"]), (&json!("frozen"), &json!("timeout")));
}

tests! {
    a_room_holds_all_transports_at_once,
    a_refusal_over_tcp_has_its_reason,
    no_tcp_leaves_the_port_without_a_listener,
    a_killed_tcp_client_expires,
    tcp_clients_return_to_a_restarted_server_with_every_line_once,
    a_connection_without_a_join_is_closed,
    idle_connections_do_not_block_joins,
    malformed_bytes_end_their_connection_and_no_other,
    an_overlong_record_is_answered_with_the_preface_and_a_close,
    stopped_clients_delay_no_other_and_return,
    a_server_that_stood_still_drops_no_member,
    a_half_open_connection_expires,
}
