//! The hand-written encoding of message frames against bincode.

use super::message_frame::{LONG, ONCE, ORDERED};
use super::*;

#[test]
fn message_frames_decode_as_with_bincode() {
    // Bytes at which a number has one byte or three, wrongly three, or an undefined length.
    const BYTES: [u8; 6] = [0, 1, LONG - 1, LONG, LONG + 1, 255];
    for tag in ONCE..=ORDERED {
        for case in 0..BYTES.len().pow(6) {
            let head = (0..6).map(|at| BYTES[case / BYTES.len().pow(at) % BYTES.len()]);
            let mut whole = vec![tag];
            whole.extend(head.chain([7; 300]));
            for length in [1, 3, 7, 257, whole.len()] {
                let bytes = &whole[..length];
                let read = read_message_frame(bytes)
                    .map(|(frame, behind)| (frame, bytes.len() - behind.len()));
                assert_eq!(read, decode_one(bytes).ok(), "{bytes:?}");
            }
        }
    }
}

#[test]
fn message_frames_encode_as_with_bincode_if_they_fit() {
    const BYTES: [u8; MAX_DATAGRAM] = [7; MAX_DATAGRAM];
    for length in 0..MAX_DATAGRAM {
        let payload = &BYTES[..length];
        for id in [0, 250, 251, 255, 256, 32_767, u16::MAX] {
            let frames = [
                Frame::Once { payload },
                Frame::Unordered { id, payload },
                Frame::Ordered { id, payload },
            ];
            for frame in frames {
                let mut expected = vec![0; HEADER_LEN];
                let fits = encode_into(&frame, &mut expected, MAX_DATAGRAM);
                let mut bytes = Vec::new();
                assert_eq!(DatagramWriter::new(&mut bytes).push(&frame), fits, "{length}");
                assert_eq!(bytes, expected, "{length} {id}");
            }
        }
    }
}
