//! Given: the header (proto.md §I.3) and the integers (§I.2). You need not change this file.
// The client uses the rest as you write it.
#![allow(dead_code)]

pub const HEADER_LEN: usize = 40;
pub const MAX_DATAGRAM: usize = 1200;
pub const FROM_SERVER: u8 = 1;
pub const ACK: u8 = 2;
const MAGIC: u16 = 0x4347;
const VERSION: u8 = 1;

/// The fields of the header that have no constant value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    pub flags: u8,
    pub session: u64,
    pub sequence: u32,
    pub acknowledgment: u32,
    pub ack_bitmap: u64,
    pub timestamp: u32,
    pub ack_delay: u16,
    pub window: u16,
}

fn crc32<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    !bytes.fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

/// Of all bytes but those of the checksum itself.
fn checksum(data: &[u8]) -> u32 {
    crc32(data[..4].iter().chain(&data[8..]))
}

/// The datagram with this header and these frames.
pub fn encode(header: &Header, frames: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_LEN + frames.len());
    out.extend(MAGIC.to_be_bytes());
    out.extend([VERSION, header.flags, 0, 0, 0, 0]);
    out.extend(header.session.to_be_bytes());
    out.extend(header.sequence.to_be_bytes());
    out.extend(header.acknowledgment.to_be_bytes());
    out.extend(header.ack_bitmap.to_be_bytes());
    out.extend(header.timestamp.to_be_bytes());
    out.extend(header.ack_delay.to_be_bytes());
    out.extend(header.window.to_be_bytes());
    out.extend(frames);
    let sum = checksum(&out);
    out[4..8].copy_from_slice(&sum.to_be_bytes());
    out
}

fn field<const N: usize>(data: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|i| data[at + i])
}

/// The header, and the bytes of the frames. None: drop the datagram.
pub fn decode(data: &[u8]) -> Option<(Header, &[u8])> {
    if !(HEADER_LEN..=MAX_DATAGRAM).contains(&data.len()) {
        return None;
    }
    let is_ours = field(data, 0) == MAGIC.to_be_bytes() && data[2] == VERSION;
    let is_whole = field(data, 4) == checksum(data).to_be_bytes();
    if !is_ours || !is_whole || data[3] & !(FROM_SERVER | ACK) != 0 {
        return None;
    }
    let header = Header {
        flags: data[3],
        session: u64::from_be_bytes(field(data, 8)),
        sequence: u32::from_be_bytes(field(data, 16)),
        acknowledgment: u32::from_be_bytes(field(data, 20)),
        ack_bitmap: u64::from_be_bytes(field(data, 24)),
        timestamp: u32::from_be_bytes(field(data, 32)),
        ack_delay: u16::from_be_bytes(field(data, 36)),
        window: u16::from_be_bytes(field(data, 38)),
    };
    Some((header, &data[HEADER_LEN..]))
}

/// Appends the value in its shortest form.
pub fn put_integer(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=250 => out.push(value as u8),
        251..=0xffff => {
            out.push(251);
            out.extend((value as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(252);
            out.extend((value as u32).to_be_bytes());
        }
        _ => {
            out.push(253);
            out.extend(value.to_be_bytes());
        }
    }
}

/// The integer at the beginning of the bytes, and the rest. None: there is none.
pub fn take_integer(data: &[u8]) -> Option<(u64, &[u8])> {
    let (first, rest) = data.split_first()?;
    let size = match first {
        0..=250 => return Some((u64::from(*first), rest)),
        251 => 2,
        252 => 4,
        253 => 8,
        _ => return None,
    };
    let (bytes, rest) = (rest.get(..size)?, &rest[size..]);
    let value = bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    let mut shortest = Vec::new();
    put_integer(&mut shortest, value);
    (shortest.len() == 1 + size).then_some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len() / 2)
            .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
            .collect()
    }

    /// The test vectors of proto.md §13 that are about headers and integers.
    #[test]
    fn vectors() {
        let lines = include_str!("../vectors.txt").lines().filter(|line| !line.starts_with('#'));
        let mut count = 0;
        for line in lines {
            let words: Vec<_> = line.split(' ').collect();
            let data = unhex(words[words.len() - 1]);
            let number = |at: usize| u64::from_str_radix(words[at], 16).unwrap();
            match words[0] {
                "header" => {
                    let header = Header {
                        flags: number(1) as u8,
                        session: number(2),
                        sequence: number(3) as u32,
                        acknowledgment: number(4) as u32,
                        ack_bitmap: number(5),
                        timestamp: number(6) as u32,
                        ack_delay: number(7) as u16,
                        window: number(8) as u16,
                    };
                    assert_eq!(decode(&data), Some((header, &data[HEADER_LEN..])), "{line}");
                    assert_eq!(encode(&header, &data[HEADER_LEN..]), data, "{line}");
                }
                "rejected" => assert_eq!(decode(&data), None, "{line}"),
                _ => {
                    let mut out = Vec::new();
                    put_integer(&mut out, number(1));
                    assert_eq!(out, data, "{line}");
                    assert_eq!(take_integer(&data), Some((number(1), &[][..])), "{line}");
                    assert_eq!(take_integer(&data[..data.len() - 1]), None, "{line}");
                }
            }
            count += 1;
        }
        assert!(count > 50);
    }
}
