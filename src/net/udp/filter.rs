//! Ignores broadcasts and multicasts on a unicast socket. If every receiver of a broadcast
//! answered, a forged source address would direct all the answers to a victim (RFC 1122 §3.2.2
//! forbids such ICMP errors for that reason). The filter truncates these datagrams instead of
//! dropping them: the kernel counts drops by a filter together with buffer overflows, and the
//! latter are reported to the user.

use super::Socket;
use socket2::{SockFilter, SockRef};
use std::io;

/// Classic BPF instructions: load a byte, compare with a constant, return (bpf(4), linux/filter.h).
const LOAD: u16 = 0x30;
const EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// The kernel's packet type field: `SKF_AD_OFF + SKF_AD_PKTTYPE`.
const PACKET_TYPE: u32 = 0xffff_f004;
/// Bytes to keep; the UDP header always stays.
const HEADER_ONLY: u32 = 1;
/// The packet was sent to this machine's own address.
const PACKET_HOST: u32 = 0;

impl Socket {
    /// Truncates received broadcasts and multicasts to nothing from now on.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn ignore_multicast_and_broadcast(&self) -> io::Result<()> {
        SockRef::from(self.inner()).attach_filter(&[
            SockFilter::new(LOAD, 0, 0, PACKET_TYPE),
            SockFilter::new(EQUAL, 0, 1, PACKET_HOST),
            SockFilter::new(RETURN, 0, 0, u32::MAX),
            SockFilter::new(RETURN, 0, 0, HEADER_ONLY),
        ])
    }
}
