//! Memory of the server while a crowd joins and reads nothing yet. Each newcomer is told of all
//! peers, so a copy of the roll for each would grow with the square of the crowd.

use super::{path, server_config};
use crate::meter::{Part, live, on_account_of};
use chatagram::client::session::Transport;
use chatagram::hub::{Destination, Hub, Past, StreamId};
use chatagram::protocol::limits::{JOIN_SIZE, MAX_DATAGRAM};
use chatagram::protocol::{
    Cookie, Datagram, DatagramWriter, Delivery, Flags, Frame, Header, Join, Preface, write_record,
};
use chatagram::time::{Now, Timestamp, WallTime};
use std::time::Duration;

const CROWD: usize = 2_000;

/// A server, and the peers that have joined it.
struct Crowd {
    hub: Hub,
    now: Now,
    buffer: Vec<u8>,
}

fn join<'a>(nonce: u64, cookie: &'a [u8], nickname: &'a str) -> Frame<'a> {
    let (delivery, resume) = (Delivery::ReliableOrdered, &[][..]);
    Frame::Join(Join { nonce, cookie, nickname, delivery, resume, ..Join::default() })
}

impl Crowd {
    fn new() -> Self {
        let mono = Timestamp::from_micros(5_000_000);
        let now = Now { mono, wall: WallTime(1_800_000_000_000_000) };
        let mut config = server_config();
        (config.capacity.peers, config.capacity.peers_per_ip) = (CROWD, CROWD);
        let hub = on_account_of(Part::Server, || Hub::new(config, Past::default(), [1; 32], now));
        Self { hub, now, buffer: Vec::with_capacity(1 << 20) }
    }

    /// Lets the server send all that it may. Returns the cookie of the last challenge.
    fn transmit(&mut self) -> Option<Cookie> {
        let mut cookie = None;
        while self.hub.poll_event().is_some() {}
        while let Some(to) =
            on_account_of(Part::Server, || self.hub.poll_transmit(&mut self.buffer, self.now))
        {
            let Destination::Datagram(_) = to else { continue };
            for bytes in self.buffer.chunks(MAX_DATAGRAM) {
                if let Some(Frame::Challenge { cookie: issued, .. }) =
                    Datagram::decode(bytes).unwrap().frames().next()
                {
                    cookie = Some(issued);
                }
            }
        }
        cookie
    }

    /// Delivers a `Join` over UDP.
    fn ask(&mut self, index: usize, cookie: &[u8], nickname: &str) -> Option<Cookie> {
        let mut bytes = Vec::new();
        let mut writer = DatagramWriter::new(&mut bytes);
        writer.push(&join(index as u64 + 1, cookie, nickname));
        writer.pad_to(JOIN_SIZE);
        writer.finish(&Header::default());
        let from = path(([10, 0, 1, 1], 1_000 + index as u16).into());
        on_account_of(Part::Server, || self.hub.handle_datagram(from, &bytes, self.now));
        self.transmit()
    }

    fn join(&mut self, index: usize, transport: Transport) {
        let nickname = format!("member{index}");
        match transport {
            Transport::Udp => {
                let cookie = self.ask(index, &[], &nickname).unwrap();
                self.ask(index, &cookie, &nickname);
            }
            Transport::Tcp | Transport::Quic | Transport::Web => {
                let preface = Preface { flags: Flags::default(), session: 0 };
                let mut bytes = preface.encode().to_vec();
                write_record(&join(index as u64 + 1, &[], &nickname), &mut bytes);
                let (id, now) = (StreamId(index as u64), self.now);
                let from = path(([10, 0, 1, 1], 1_000 + index as u16).into());
                on_account_of(Part::Server, || {
                    self.hub.handle_stream_opened(id, from, now);
                    self.hub.handle_stream_bytes(id, &bytes, now);
                });
                self.transmit();
            }
        }
        self.now.mono = self.now.mono + Duration::from_micros(500);
        on_account_of(Part::Server, || self.hub.handle_timeout(self.now));
        self.transmit();
    }
}

/// Most bytes of the server for each peer while a crowd joins.
fn peak(transport: Transport) -> i64 {
    let before = live(Part::Server);
    let mut crowd = Crowd::new();
    let mut most = 0;
    for index in 0..CROWD {
        crowd.join(index, transport);
        most = most.max(live(Part::Server) - before);
    }
    assert_eq!(crowd.hub.sessions(), CROWD);
    on_account_of(Part::Server, || drop(crowd));
    most / CROWD as i64
}

pub(super) fn a_crowd_over_tcp_takes_no_more_memory_than_twice_that_of_one_over_udp() {
    let (udp, tcp) = (peak(Transport::Udp), peak(Transport::Tcp));
    println!("{udp} bytes for each peer over UDP, {tcp} over TCP");
    assert!(tcp <= 2 * udp, "{tcp} bytes for each peer over TCP, {udp} over UDP");
}
