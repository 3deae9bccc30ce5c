//! Guesses over sockets. Each comes from an address of its own in 127.0.0.0/8, so that the limit of
//! an address stops none of them.

use super::Room;
use crate::needs::amount;
use crate::program::DEADLINE;
use chatagram::link::Congestion;
use chatagram::net::Clock;
use chatagram::net::quic::{Event, Failure, Quic, Settings};
use chatagram::protocol::limits::GUESSES;
use chatagram::ticket::Ticket;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Why the server lets this ticket not in. One connection, from `from`.
fn guess(ticket: &Ticket, server: SocketAddr, from: Ipv4Addr) -> Failure {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let clock = Clock::start();
    let settings = Settings { idle: DEADLINE, congestion: Congestion::default() };
    let mut quic = Quic::private_client(settings, ticket, clock.now().mono).unwrap();
    quic.connect(server, clock.now().mono).unwrap();
    let (mut buffer, mut bytes) = ([0; 2_048], Vec::new());
    let deadline = Instant::now() + DEADLINE;
    loop {
        assert!(Instant::now() < deadline, "no answer to a guess");
        while let Some(event) = quic.poll_event() {
            match event {
                Event::Failed(_, why) => return why,
                Event::Connected(_) => panic!("a wrong secret was let in"),
                _ => {}
            }
        }
        while quic.poll_transmit(&mut bytes, clock.now().mono).is_some() {
            socket.send_to(&bytes, server).unwrap();
        }
        if let Ok((size, from)) = socket.recv_from(&mut buffer) {
            quic.handle_datagram(from.into(), &buffer[..size], clock.now().mono);
        }
        quic.handle_timeout(clock.now().mono);
    }
}

/// Resident memory of a process, KiB.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

pub(super) fn many_wrong_secrets_admit_nobody_and_take_no_memory() {
    let guesses = amount("CHATAGRAM_GUESSES", 200, 2_000) as u32;
    let room = Room::open(&[]);
    let (wrong, server) = (room.wrong_ticket(), room.bind.parse().unwrap());
    let from = |number: u32| Ipv4Addr::from_bits(0x7f01_0000 + number);
    let try_some = |numbers: std::ops::Range<u32>| {
        for number in numbers {
            assert_eq!(guess(&wrong, server, from(number)), Failure::Refused, "{number}");
        }
    };
    try_some(0..guesses / 2);
    let before = resident(room.program.id());
    let began = Instant::now();
    try_some(guesses / 2..guesses);
    let after = resident(room.program.id());
    println!(
        "{guesses} guesses, {:.1?} for the second half: {before} KiB, later {after} KiB",
        began.elapsed()
    );
    // Closed connections answer late packets for a while (RFC 9000 §10.2).
    assert!(after < before + 8 * 1_024, "{before} KiB, later {after} KiB");
    // The one address that guesses often is not heard any more, and a member elsewhere is.
    let mut refused = 0;
    while refused < 100 && guess(&wrong, server, Ipv4Addr::LOCALHOST) == Failure::Refused {
        refused += 1;
    }
    assert!((GUESSES..100).contains(&refused), "{refused}");
}
