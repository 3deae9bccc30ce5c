//! What was sent to many need not come in at all: if everybody who hears a broadcast answers the sender
//! it names, whoever writes that name sends a crowd there (RFC 1122 §3.2.2 forbids it to ICMP for that
//! reason). It is cut down to nothing rather than dropped, for the kernel has one count for what a filter
//! drops and what the receive buffer has no room for, and the latter is told to people.

use super::Socket;
use socket2::{SockFilter, SockRef};
use std::io;

/// Of classic BPF: load a byte, compare with a constant, return (bpf(4), linux/filter.h).
const LOAD: u16 = 0x30;
const EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// Where the kernel shows how a packet was addressed on its link: `SKF_AD_OFF + SKF_AD_PKTTYPE`.
const PACKET_TYPE: u32 = 0xffff_f004;
/// Bytes to keep. The header of UDP always stays.
const HEADER_ONLY: u32 = 1;
/// To this machine, and not to many.
const PACKET_HOST: u32 = 0;

impl Socket {
    /// From now on broadcasts and multicasts come in empty.
    ///
    /// # Errors
    /// The kernel's.
    pub fn ignore_what_went_to_many(&self) -> io::Result<()> {
        SockRef::from(self.inner()).attach_filter(&[
            SockFilter::new(LOAD, 0, 0, PACKET_TYPE),
            SockFilter::new(EQUAL, 0, 1, PACKET_HOST),
            SockFilter::new(RETURN, 0, 0, u32::MAX),
            SockFilter::new(RETURN, 0, 0, HEADER_ONLY),
        ])
    }
}
