//! Joins from addresses that are not the sender's. The machine that floods is on the way back too:
//! it sees the answers, so that it can count them, and have as many joins under way as the server's
//! socket holds and no more. So the server has as much to do as it can, and loses nothing.

use crate::datagrams::{datagram, join};
use crate::raw::Raw;
use chatagram::protocol::limits::JOIN_SIZE;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, RecvFlags, SocketType, ipproto, recv, socket};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// The role of the process that floods.
pub(crate) const FLOOD: &str = "--flood";
/// Where the joins come from.
pub(crate) const FORGED: &str = "11.0.0.0/8";

/// Joins that have been sent and not been answered.
const UNDER_WAY: u64 = 64;
/// What is not answered by then was lost.
const PATIENCE: Duration = Duration::from_secs(1);
/// IPv4 and UDP.
const HEADERS: usize = 28;

/// Floods a server from so many addresses, this one first, and says what came back.
pub(crate) fn run(to: &str, first: &str, count: &str) {
    let to: SocketAddrV4 = to.parse().unwrap();
    let (first, count): (u32, u64) = (first.parse().unwrap(), count.parse().unwrap());
    let raw = Raw::open();
    let answers = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::UDP)).unwrap();
    set_socket_recv_buffer_size(&answers, 1 << 20).unwrap();
    let (mut sent, mut answered, mut lost, mut largest) = (0, 0, 0, 0);
    let mut buffer = [0; 2_048];
    loop {
        if sent < count && sent - answered - lost < UNDER_WAY {
            let n = first + sent as u32;
            let from = Ipv4Addr::from_bits(0x0b00_0000 | n);
            // By turns: a first join, and one with a cookie.
            let cookie = &[7; 20][..n as usize % 2 * 20];
            let bytes = datagram(0, JOIN_SIZE, &[join(n.into(), cookie)]);
            raw.send(SocketAddrV4::new(from, n as u16 | 1_024), to, &bytes);
            sent += 1;
            continue;
        }
        let mut ready = [PollFd::new(&answers, PollFlags::IN)];
        let timeout = Timespec::try_from(PATIENCE).unwrap();
        if sent == answered + lost {
            break;
        }
        if poll(&mut ready, Some(&timeout)).unwrap() == 0 {
            lost = sent - answered;
            continue;
        }
        let (length, _) = recv(&answers, &mut buffer, RecvFlags::empty()).unwrap();
        if buffer[12..16] == to.ip().octets() && buffer[20..22] == to.port().to_be_bytes() {
            answered += 1;
            largest = largest.max(length - HEADERS);
        }
    }
    // Whatever comes now was not asked for.
    let mut ready = [PollFd::new(&answers, PollFlags::IN)];
    let more = poll(&mut ready, Some(&Timespec::try_from(PATIENCE).unwrap())).unwrap();
    println!("{sent} {answered} {largest} {more}");
}
