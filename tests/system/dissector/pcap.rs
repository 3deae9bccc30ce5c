//! Captures in the classic pcap format: raw IPv4, one packet each millisecond.

use std::fs;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};

const RAW_IP: u32 = 101;
const UDP: u8 = 17;
const TCP: u8 = 6;
const ICMP: u8 = 1;

/// A capture.
#[derive(Clone)]
pub(crate) struct Pcap {
    bytes: Vec<u8>,
    packets: u32,
}

impl Pcap {
    pub(crate) fn new() -> Self {
        let mut bytes = Vec::new();
        bytes.extend(0xa1b2_c3d4_u32.to_le_bytes());
        bytes.extend([2, 0, 4, 0]);
        for field in [0, 0, u32::from(u16::MAX), RAW_IP] {
            bytes.extend(field.to_le_bytes());
        }
        Self { bytes, packets: 0 }
    }

    pub(crate) fn udp(&mut self, from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) {
        self.packet(&udp(from, to, payload), usize::MAX);
    }

    /// The capture with at most `kept` bytes of each packet.
    pub(crate) fn cut_udp(
        &mut self,
        from: SocketAddrV4,
        to: SocketAddrV4,
        payload: &[u8],
        kept: usize,
    ) {
        self.packet(&udp(from, to, payload), 28 + kept);
    }

    /// The answer of a closed port: an ICMP message that quotes the datagram.
    pub(crate) fn unreachable(&mut self, from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) {
        let mut body = vec![3, 3, 0, 0, 0, 0, 0, 0];
        body.extend(udp(from, to, payload));
        self.packet(&ip(ICMP, to, from, &body), usize::MAX);
    }

    pub(crate) fn tcp(
        &mut self,
        from: SocketAddrV4,
        to: SocketAddrV4,
        sequence: usize,
        payload: &[u8],
    ) {
        const PSH_ACK: u8 = 0x18;
        let mut segment = Vec::new();
        segment.extend(from.port().to_be_bytes());
        segment.extend(to.port().to_be_bytes());
        segment.extend(u32::try_from(sequence).unwrap().to_be_bytes());
        segment.extend(1_u32.to_be_bytes());
        segment.extend([0x50, PSH_ACK, 0xff, 0xff, 0, 0, 0, 0]);
        segment.extend(payload);
        self.packet(&ip(TCP, from, to, &segment), usize::MAX);
    }

    /// Appends a packet, of which at most `kept` bytes are captured.
    fn packet(&mut self, packet: &[u8], kept: usize) {
        let kept = &packet[..kept.min(packet.len())];
        let (seconds, micros) = (self.packets / 1_000, self.packets % 1_000 * 1_000);
        let sizes = [kept.len(), packet.len()].map(|size| u32::try_from(size).unwrap());
        for field in [1_700_000_000 + seconds, micros, sizes[0], sizes[1]] {
            self.bytes.extend(field.to_le_bytes());
        }
        self.bytes.extend(kept);
        self.packets += 1;
    }

    pub(crate) fn save(&self, dir: &Path) -> PathBuf {
        let path = dir.join("capture.pcap");
        fs::write(&path, &self.bytes).unwrap();
        path
    }
}

fn udp(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(from.port().to_be_bytes());
    datagram.extend(to.port().to_be_bytes());
    datagram.extend(u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
    datagram.extend([0, 0]); // no checksum, which IPv4 permits
    datagram.extend(payload);
    ip(UDP, from, to, &datagram)
}

fn ip(protocol: u8, from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend(u16::try_from(20 + payload.len()).unwrap().to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    packet.extend(from.ip().octets());
    packet.extend(to.ip().octets());
    packet.extend(payload);
    packet
}
