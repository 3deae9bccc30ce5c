//! Batches of datagrams with one system call over the loopback interface: every datagram arrives
//! unchanged.

use chatagram::hub::Path;
use chatagram::net::{Incoming, Listen, Listener, Outgoing, Socket, listen};
use chatagram::protocol::limits::MAX_DATAGRAM;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

fn socket() -> (Socket, SocketAddr) {
    let socket = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Distinct datagrams, all but the last of the maximum size.
fn run(count: usize, last: usize) -> Vec<Vec<u8>> {
    let length = |i| if i + 1 == count { last } else { MAX_DATAGRAM };
    (0..count).map(|i| vec![i as u8; length(i)]).collect()
}

/// The next datagram and its source address.
fn next(socket: &Socket, incoming: &mut Incoming) -> (SocketAddr, Vec<u8>) {
    let (path, bytes) = next_with_path(socket, incoming);
    (path.remote, bytes)
}

/// The next datagram and its path.
fn next_with_path(socket: &Socket, incoming: &mut Incoming) -> (Path, Vec<u8>) {
    let begin = Instant::now();
    loop {
        if let Some((path, bytes)) = socket.receive(incoming).unwrap() {
            return (path, bytes.to_vec());
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "no datagram came");
        std::thread::yield_now();
    }
}

#[test]
fn a_run_of_datagrams_arrives_as_separate_datagrams() {
    let (sender, from) = socket();
    let (receiver, to) = socket();
    let plain = UdpSocket::bind("127.0.0.1:0").unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for (count, last) in [(1, 5), (1, MAX_DATAGRAM), (2, 1), (7, 700), (32, MAX_DATAGRAM)] {
        let datagrams = run(count, last);
        sender.send(&datagrams.concat(), plain.local_addr().unwrap());
        sender.send(&datagrams.concat(), to);
        // A plain receiver gets them as if they had been sent one by one ...
        let mut buffer = [0; 2 * MAX_DATAGRAM];
        for datagram in &datagrams {
            let length = plain.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], datagram, "{count} datagrams");
        }
        // ... and a receiver that coalesces splits them again.
        let mut incoming = Incoming::default();
        for datagram in datagrams {
            assert_eq!(next(&receiver, &mut incoming), (from, datagram), "{count} datagrams");
        }
        assert!(receiver.receive(&mut incoming).unwrap().is_none());
    }
}

#[test]
fn a_burst_of_several_senders_is_read_completely_and_in_order() {
    let (receiver, to) = socket();
    let senders: Vec<_> = (0..3).map(|_| socket()).collect();
    for number in 0..100_u8 {
        for (sender, _) in &senders {
            sender.send(&[number], to);
        }
    }
    let mut incoming = Incoming::default();
    let mut seen = vec![Vec::new(); senders.len()];
    for _ in 0..300 {
        let (from, bytes) = next(&receiver, &mut incoming);
        let sender = senders.iter().position(|(_, address)| *address == from).unwrap();
        seen[sender].push(bytes[0]);
    }
    assert!(seen.iter().all(|numbers| numbers.iter().copied().eq(0..100)));
}

/// The batch includes an unreachable address, and more datagrams than a system call takes.
#[test]
fn batched_datagrams_reach_each_peer_in_order() {
    let (plain, _) = socket();
    let both_families = Socket::for_client().unwrap();
    let nobody: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let receivers: Vec<_> = (0..50).map(|_| socket()).collect();
    let runs = [(1, 5), (3, 700), (1, 0), (32, MAX_DATAGRAM), (2, 1)];
    for sender in [plain, both_families] {
        let mut outgoing = Outgoing::default();
        for (count, last) in runs {
            for (index, (_, to)) in receivers.iter().enumerate() {
                sender.send_with(&mut outgoing, &run(count, last).concat(), *to);
                if index % 20 == 7 {
                    sender.send_with(&mut outgoing, b"lost", nobody);
                }
            }
        }
        sender.flush(&mut outgoing);
        assert!(outgoing.is_empty());
        for (receiver, _) in &receivers {
            let mut incoming = Incoming::default();
            let expected = runs.iter().flat_map(|(count, last)| run(*count, *last));
            for datagram in expected {
                assert_eq!(next(receiver, &mut incoming).1, datagram);
            }
            assert!(receiver.receive(&mut incoming).unwrap().is_none());
        }
    }
}

/// Several sockets share one reader: an empty socket says nothing about another.
#[test]
fn sockets_that_share_a_reader_miss_no_datagram() {
    let (sender, _) = socket();
    let (one, to_one) = socket();
    let (other, to_other) = socket();
    let mut incoming = Incoming::default();
    sender.send(b"one", to_one);
    assert_eq!(next(&one, &mut incoming).1, b"one");
    sender.send(b"other", to_other);
    // The loopback interface has delivered it when the send returns.
    let (_, bytes) = other.receive(&mut incoming).unwrap().expect("a datagram");
    assert_eq!(bytes, b"other");
}

#[test]
fn both_wildcards_listen_at_one_port() {
    let orders = [["0.0.0.0", "[::]"], ["[::]", "0.0.0.0"]];
    for [first, second] in orders {
        let port = socket().1.port();
        let addresses =
            [first, second].map(|ip| format!("{ip}:{port}").parse::<SocketAddr>().unwrap());
        let open = |one: &Listen| (Socket::listen(*one).unwrap(), Listener::listen(*one).unwrap());
        let open: Vec<_> = listen(&addresses).iter().map(open).collect();
        for (one, to) in open.iter().zip(addresses) {
            let localhost = if to.is_ipv4() { "127.0.0.1" } else { "[::1]" };
            let to: SocketAddr = format!("{localhost}:{port}").parse().unwrap();
            let sender = UdpSocket::bind(format!("{localhost}:0")).unwrap();
            sender.send_to(b"hello", to).unwrap();
            let (from, bytes) = next(&one.0, &mut Incoming::default());
            assert_eq!((from, &bytes[..]), (sender.local_addr().unwrap(), &b"hello"[..]));
            std::net::TcpStream::connect(to).unwrap();
            assert_eq!(one.1.local_addr().unwrap().is_ipv4(), to.is_ipv4());
        }
    }
}

/// A server's socket has several addresses, and a client asks at each. A single answer, answers in
/// a batch and a run of datagrams all leave from the address that was asked.
#[test]
#[cfg(target_os = "linux")]
fn an_answer_leaves_from_the_address_that_was_asked() {
    let asked = ["127.0.0.1", "127.0.0.2", "127.9.9.9", "::1"];
    for bound in ["0.0.0.0:0", "[::]:0"] {
        let server = Socket::bind(bound.parse().unwrap()).unwrap();
        let port = server.local_addr().unwrap().port();
        let mut incoming = Incoming::default();
        for at in asked.map(|ip| SocketAddr::new(ip.parse().unwrap(), port)) {
            if at.is_ipv6() && !bound.contains("::") {
                continue;
            }
            let client = Socket::for_client().unwrap();
            client.send(b"question", at);
            let (path, _) = next_with_path(&server, &mut incoming);
            assert_eq!(path.local.ip, Some(at.ip()), "{bound}");
            let answers = [(1, 5), (1, 6), (7, 700)];
            let mut outgoing = Outgoing::default();
            for (count, last) in answers {
                server.send(&run(count, last).concat(), path);
                server.send_with(&mut outgoing, &run(count, last).concat(), path);
            }
            server.flush(&mut outgoing);
            let mut answered = Incoming::default();
            for _ in 0..2 * answers.iter().map(|(count, _)| count).sum::<usize>() {
                assert_eq!(next(&client, &mut answered).0, at, "{bound}");
            }
        }
    }
}

/// Another source address is better than no datagram: the peer can challenge it.
#[test]
#[cfg(target_os = "linux")]
fn datagrams_for_a_removed_source_address_leave_from_another() {
    use chatagram::hub::Local;
    for (bound, gone, interface) in
        [("0.0.0.0:0", "192.0.2.1", 0), ("[::]:0", "192.0.2.1", 0), ("[::]:0", "fe80::77", 99_999)]
    {
        let server = Socket::bind(bound.parse().unwrap()).unwrap();
        let client = Socket::for_client().unwrap();
        let port = client.local_addr().unwrap().port();
        let ip = if gone.contains(':') { "::1" } else { "127.0.0.1" };
        let remote = SocketAddr::new(ip.parse().unwrap(), port);
        let local = Local { ip: Some(gone.parse().unwrap()), interface, ..Local::default() };
        let path = Path { local, remote };
        let mut outgoing = Outgoing::default();
        for (count, last) in [(1, 5), (3, 700)] {
            server.send(&run(count, last).concat(), path);
            server.send_with(&mut outgoing, &run(count, last).concat(), path);
            server.send_with(&mut outgoing, &run(count, last).concat(), remote);
        }
        server.flush(&mut outgoing);
        let mut incoming = Incoming::default();
        for _ in 0..3 * (1 + 3) {
            assert_eq!(next(&client, &mut incoming).0.ip(), remote.ip(), "{bound} {gone}");
        }
    }
}
