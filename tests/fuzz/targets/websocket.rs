//! A request to the page, and the frames of a WebSocket: what they mean does not depend on where
//! they are cut, and no frame takes more memory than has arrived of it.

use super::assert_clean;
use super::input::Input;
use super::meter::allocated;
use chatagram::server::web::{answer, websocket};
use websocket::{Kind, Reader};

/// Bytes that a reader allocates beyond those that it hands out.
const READER: usize = 1_024;

pub(crate) fn websocket(data: &[u8]) {
    let mut input = Input::new(data);
    if input.below(2) == 0 {
        return request(input.rest());
    }
    let cut = 1 + usize::from(input.below(200));
    let frames = input.rest();
    let (whole, cost) = allocated(|| read(&[frames]));
    assert!(cost <= READER + 64 * frames.len(), "{} bytes took {cost}", frames.len());
    let parts: Vec<&[u8]> = frames.chunks(cut).collect();
    assert_eq!(whole, read(&parts), "cut at {cut}");
}

/// What the frames mean, whatever the pieces.
#[derive(Debug, PartialEq)]
enum Read {
    Message { kind: Kind, bytes: Vec<u8>, whole: bool },
    Control(websocket::Input),
    Broken,
}

fn read(parts: &[&[u8]]) -> Vec<Read> {
    let (mut reader, mut all) = (Reader::default(), Vec::new());
    for part in parts {
        let mut part = *part;
        loop {
            match reader.next(&mut part) {
                Ok(None) => break,
                Ok(Some(websocket::Input::Piece { kind, bytes, last })) => {
                    take(&mut all, kind, bytes, last)
                }
                Ok(Some(control)) => all.push(Read::Control(control)),
                Err(_) => {
                    all.push(Read::Broken);
                    return all;
                }
            }
        }
    }
    all
}

/// Adds a piece to the message that is open, or begins one. Control frames may lie between.
fn take(all: &mut Vec<Read>, kind: Kind, piece: Vec<u8>, last: bool) {
    let messages = all.iter_mut().rev().filter_map(|it| match it {
        Read::Message { kind, bytes, whole } => Some((kind, bytes, whole)),
        _ => None,
    });
    match messages.take(1).find(|(_, _, whole)| !**whole) {
        Some((same, bytes, whole)) => {
            assert_eq!(*same, kind);
            bytes.extend(piece);
            *whole = last;
        }
        None => all.push(Read::Message { kind, bytes: piece, whole: last }),
    }
}

fn request(bytes: &[u8]) {
    let Some(answer) = answer(bytes) else { return };
    let text = String::from_utf8(answer).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 "), "{head}");
    // Nothing of the request is in the head of the answer but the key's digest.
    head.split("\r\n").for_each(assert_clean);
}
