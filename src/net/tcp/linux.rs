//! `TCP_INFO` and `TCP_CONGESTION` (tcp(7)). `socket2` has only the second, and libc's `tcp_info`
//! lacks the fields that came after Linux 2.6.
#![allow(unsafe_code)]

use crate::link::{CongestionControl, TcpInfo};
use socket2::SockRef;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// Bytes of `struct tcp_info` (linux/tcp.h) up to `tcpi_delivery_rate`, of Linux 4.9.
const LENGTH: usize = 168;
/// Offsets of its fields.
const LOST: usize = 32;
const RTT: usize = 68;
const RTTVAR: usize = 72;
const SND_CWND: usize = 80;
const TOTAL_RETRANS: usize = 100;
const DATA_SEGS_IN: usize = 152;
const DATA_SEGS_OUT: usize = 156;
const DELIVERY_RATE: usize = 160;

/// The kernel's report about the connection; `None` if the kernel refuses it.
pub(super) fn info(socket: &(impl AsFd + AsRawFd)) -> Option<TcpInfo> {
    let mut bytes = [0_u8; LENGTH];
    let mut length = LENGTH as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `bytes`, which is that long and outlives
    // the call, and sets `length` to their number.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            bytes.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result < 0 {
        return None;
    }
    // An older kernel writes fewer fields.
    let known = bytes.get(..length as usize)?;
    let number = |at: usize| {
        let field = known.get(at..)?.first_chunk()?;
        Some(u64::from(u32::from_ne_bytes(*field)))
    };
    let time = |at| number(at).filter(|it| *it > 0).map(Duration::from_micros);
    let rate = known.get(DELIVERY_RATE..).and_then(|rest| rest.first_chunk());
    Some(TcpInfo {
        rtt: time(RTT),
        rttvar: time(RTTVAR),
        sent: number(DATA_SEGS_OUT),
        retransmitted: number(TOTAL_RETRANS),
        lost: number(LOST),
        received: number(DATA_SEGS_IN),
        congestion_window: number(SND_CWND),
        delivery_rate: rate.map(|it| u64::from_ne_bytes(*it)).filter(|it| *it > 0),
        congestion_control: congestion_control(socket),
    })
}

/// Bytes that the kernel has taken and the other end has not acknowledged (SIOCOUTQ of tcp(7));
/// `None` if the kernel does not tell.
pub(super) fn unacknowledged(socket: &impl AsRawFd) -> Option<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the kernel writes one int to `bytes`, which outlives the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result < 0 { None } else { u64::try_from(bytes).ok() }
}

/// The connection's congestion control; `None` if the kernel does not tell.
fn congestion_control(socket: &impl AsFd) -> Option<CongestionControl> {
    let name = SockRef::from(socket).tcp_congestion().ok()?;
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    str::from_utf8(&name[..end]).ok()?.parse().ok()
}
