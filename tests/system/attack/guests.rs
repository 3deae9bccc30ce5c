//! Guests: honest clients that join and leave, one after the other, and measure how long a join
//! takes.

use chatagram::client::session::{Config, Event, Session, Transport};
use chatagram::protocol::Delivery;
use chatagram::time::{Now, Timestamp, WallTime};
use std::io::Read;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The role of the process with the guests, who join until the input ends. Prints the time of each
/// join in ms, or that it failed.
pub(crate) fn run(args: &[&str]) {
    let [to] = args else { panic!("{args:?}") };
    let over = Arc::new(AtomicBool::new(false));
    let flag = over.clone();
    thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        flag.store(true, Ordering::Relaxed);
    });
    let server = to.parse().unwrap();
    for n in 0_u32.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        match visit(server, n) {
            Some(took) => println!("{}", took.as_millis()),
            None => println!("never"),
        }
        // No more than the limit of joins from one address (`proto.md` §7.14).
        thread::sleep(Duration::from_millis(250));
    }
}

/// Joins and leaves.
fn visit(server: SocketAddr, n: u32) -> Option<Duration> {
    let start = Instant::now();
    let now = || Now {
        mono: Timestamp::from_micros(start.elapsed().as_micros() as u64),
        wall: WallTime(0),
    };
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let config = Config {
        nickname: format!("guest{n}"),
        transport: Transport::Udp,
        delivery: Delivery::ReliableOrdered,
        give_up: Duration::ZERO,
        shown: vec![],
    };
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&n.to_be_bytes());
    let mut session = Session::new(config, vec![server], seed, now());
    let mut took = None;
    let (mut out, mut buffer) = (Vec::new(), [0; 2_048]);
    loop {
        session.handle_timeout(now());
        while let Some(event) = session.poll_event() {
            if let Event::Welcome { .. } = event {
                took = Some(start.elapsed());
                session.leave(now());
            }
        }
        while let Some(to) = session.poll_transmit(&mut out, now()) {
            socket.send_to(&out, to).unwrap();
        }
        let Some(wake) = session.poll_timeout() else { return took };
        let wait = wake.since(now().mono).max(Duration::from_millis(1));
        socket.set_read_timeout(Some(wait)).unwrap();
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            session.handle_datagram(from, &buffer[..length], now());
        }
    }
}
