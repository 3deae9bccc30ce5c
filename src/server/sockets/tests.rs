//! Connections that do not join.

#![allow(clippy::unwrap_used)]

use crate::hub;
use crate::protocol::{Delivery, Flags, Frame, Join, Preface, write_record};
use crate::registry::Capacity;
use crate::server::{Config, Server};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::Duration;

#[test]
fn idle_connections_do_not_keep_a_client_from_joining() {
    let capacity = Capacity { peers: 8, peers_per_ip: 8, expiry: Duration::from_secs(10) };
    let server = Server::start(Config {
        bind: vec![(Ipv4Addr::LOCALHOST, 0).into()],
        tcp: true,
        no_delay: true,
        quic: None,
        discovery: false,
        pace: Duration::ZERO,
        copies: crate::link::Copies::Auto,
        impair: None,
        history: None,
        engine: None,
        metrics: None,
        metrics_hosts: Vec::new(),
        web: None,
        script: None,
        waits: None,
        hub: hub::Config {
            room: "room".to_owned(),
            heartbeat: Duration::from_secs(2),
            capacity,
            replay: 0,
            limit: None,
            discovery: None,
        },
    })
    .unwrap();
    let address = server.addresses().next().unwrap();
    let mut join = Preface { flags: Flags::default(), session: 0 }.encode().to_vec();
    let delivery = Delivery::ReliableOrdered;
    let (nickname, cookie, resume) = ("alice", &[][..], &[][..]);
    let (nonce, epoch, seen, next) = (1, 0, 0, 0);
    write_record(
        &Frame::Join(Join { nonce, cookie, nickname, delivery, resume, epoch, seen, next }),
        &mut join,
    );
    // All connections wait in the backlog when the server starts to accept.
    let mut alice = TcpStream::connect(address).unwrap();
    alice.write_all(&join).unwrap();
    let _others: Vec<_> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
    let stopper = server.stopper();
    let serving = thread::spawn(move || server.run());
    let mut preface = [0; 12];
    let answer = alice.read_exact(&mut preface);
    stopper.stop();
    serving.join().unwrap().unwrap();
    answer.unwrap();
    assert!(preface[4..] != [0; 8], "refused: {preface:?}");
}
