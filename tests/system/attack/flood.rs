//! Joins with forged source addresses. The flooding machine is also the gateway of these addresses:
//! it receives the answers and counts them. It keeps as many joins in flight as the server's socket
//! holds, so that the server is fully loaded and loses no datagram.

use super::datagrams::{datagram, join};
use crate::raw::Raw;
use chatagram::protocol::limits::JOIN_SIZE;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, RecvFlags, SocketType, ipproto, recv, socket};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// Network of the forged source addresses.
pub(crate) const FORGED: &str = "11.0.0.0/8";

/// Joins in flight: sent and not answered.
const UNDER_WAY: u64 = 64;
/// A join without an answer after this time is lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes of the headers of IPv4 and UDP.
const HEADERS: usize = 28;

/// The role of the flooding process: floods a server from `count` addresses, beginning with
/// `first`, and prints the numbers of the answers.
pub(crate) fn run(args: &[&str]) {
    let [to, first, count] = args else { panic!("{args:?}") };
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
            // Alternates between a first join and a join with a cookie.
            let cookie = &[7; 20][..n as usize % 2 * 20];
            let bytes = datagram(0, JOIN_SIZE, &[join(n.into(), cookie)]);
            raw.send(SocketAddrV4::new(from, n as u16 | 1_024), to, &bytes);
            sent += 1;
            continue;
        }
        let mut ready = [PollFd::new(&answers, PollFlags::IN)];
        let timeout = Timespec::try_from(ANSWER_TIMEOUT).unwrap();
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
    // Nothing is in flight any more: further datagrams are unsolicited.
    let mut ready = [PollFd::new(&answers, PollFlags::IN)];
    let more = poll(&mut ready, Some(&Timespec::try_from(ANSWER_TIMEOUT).unwrap())).unwrap();
    println!("{sent} {answered} {largest} {more}");
}
