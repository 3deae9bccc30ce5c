//! `--impair` over real sockets: it affects the datagrams of this process and no others.

use chatagram::net::{BadNetwork, Clock, Datagrams, End, Incoming, Read, Socket};
use chatagram::time::Timestamp;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

const FAR: Timestamp = Timestamp::from_micros(u64::MAX);

fn impaired(spec: &str, end: End) -> (Datagrams, SocketAddr) {
    let network = BadNetwork { spec: spec.parse().unwrap(), seed: 1 };
    let mut datagrams = Datagrams::new(end, Some(&network));
    let socket = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    datagrams.add(socket);
    (datagrams, address)
}

fn peer() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn read(socket: &UdpSocket) -> u8 {
    let mut buffer = [0; 16];
    let length = socket.recv(&mut buffer).unwrap();
    assert_eq!(length, 1);
    buffer[0]
}

/// Receives until `count` datagrams have arrived, or for 10 s.
fn come_in(datagrams: &mut Datagrams, count: usize, now: Timestamp) -> Vec<u8> {
    let mut incoming = Incoming::default();
    let mut seen = Vec::new();
    let clock = Clock::start();
    while seen.len() < count && clock.now().mono < Timestamp::from_micros(10_000_000) {
        while let Some(read) = datagrams.receive(0, &mut incoming, now).unwrap() {
            if let Read::Datagram(_, bytes) = read {
                seen.push(bytes[0]);
            }
        }
        while let Some((_, bytes)) = datagrams.receive_due(now) {
            seen.push(bytes[0]);
        }
    }
    seen
}

#[test]
fn a_client_impairs_sending_up_and_receiving_down() {
    let (mut client, address) = impaired("up: drop 0,2; down: drop 1", End::Client);
    let (server, to) = peer();
    for byte in 0..4 {
        client.send(&[byte], to.into(), Timestamp::from_micros(byte.into()));
    }
    assert_eq!([read(&server), read(&server)], [1, 3]);
    for byte in 0..3 {
        server.send_to(&[byte], address).unwrap();
    }
    assert_eq!(come_in(&mut client, 2, FAR), [0, 2]);
    let counts = client.impairment_counts().unwrap();
    assert_eq!((counts.up.drops.as_str(), counts.down.drops.as_str()), ("0,2", "1"));
    assert_eq!(counts.to_string(), "up: 4 packets, 2 lost; down: 3 packets, 1 lost");
}

#[test]
fn a_server_impairs_sending_down_and_receiving_up() {
    let (mut server, address) = impaired("up: drop 0; down: drop 1", End::Server);
    let (client, to) = peer();
    client.send_to(&[7], address).unwrap();
    client.send_to(&[8], address).unwrap();
    assert_eq!(come_in(&mut server, 1, FAR), [8]);
    for byte in 0..3 {
        server.send(&[byte], to.into(), FAR);
    }
    assert_eq!([read(&client), read(&client)], [0, 2]);
}

#[test]
fn delayed_datagrams_are_sent_when_due_or_on_drop() {
    let (mut client, address) = impaired("delay 50ms", End::Client);
    let (server, to) = peer();
    let at = |ms: u64| Timestamp::from_micros(ms * 1_000);
    client.send(&[1], to.into(), at(0));
    client.send(&[2], to.into(), at(10));
    server.set_nonblocking(true).unwrap();
    client.flush(at(49));
    assert!(server.recv(&mut [0; 16]).is_err(), "nothing leaves before its time");
    assert_eq!(client.poll_timeout(), Some(at(50)));
    server.set_nonblocking(false).unwrap();
    client.flush(at(50));
    assert_eq!(read(&server), 1);
    assert_eq!(client.poll_timeout(), Some(at(60)));

    server.send_to(&[3], address).unwrap();
    // Received at 20 ms, so due at 70 ms.
    while client.poll_timeout() == Some(at(60))
        && client.impairment_counts().unwrap().down.packets == 0
    {
        let mut incoming = Incoming::default();
        let read = client.receive(0, &mut incoming, at(20)).unwrap();
        assert!(matches!(read, None | Some(Read::HeldBack)));
    }
    assert!(client.receive_due(at(69)).is_none());
    let (path, bytes) = client.receive_due(at(70)).unwrap();
    assert_eq!((path.local.socket, path.remote, bytes), (0, to, vec![3]));

    drop(client);
    assert_eq!(read(&server), 2, "dropping the sender sends delayed datagrams");
}

#[test]
fn without_impairment_nothing_changes() {
    let mut datagrams = Datagrams::new(End::Client, None);
    let socket = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    datagrams.add(socket);
    let (other, to) = peer();
    datagrams.send(&[5], to.into(), Timestamp::from_micros(0));
    datagrams.flush(Timestamp::from_micros(0));
    assert_eq!(read(&other), 5);
    other.send_to(&[6], address).unwrap();
    assert_eq!(come_in(&mut datagrams, 1, Timestamp::from_micros(0)), [6]);
    assert_eq!((datagrams.impairment_counts(), datagrams.poll_timeout()), (None, None));
}
