//! A stream: its records do not depend on where it is cut, and they encode to the same bytes.

use super::assert_clean;
use super::input::Input;
use super::meter::allocated;
use chatagram::decode;
use chatagram::protocol::{DecodeError, Piece, StreamReader, write_record};

/// Bytes that a reader allocates: space for one record, doubled up to its length.
const READER: usize = 4_096;

pub(crate) fn stream(data: &[u8]) {
    let mut input = Input::new(data);
    let mut cuts = Input::new(input.bytes());
    let mut rest = Vec::new();
    while !input.is_over() {
        rest.push(input.byte());
    }
    if cuts.byte() & 1 == 0 && rest.len() >= 3 {
        rest[..3].copy_from_slice(b"CG\x01"); // a fuzzer does not guess these
    }
    let (whole, outcome) = read(&rest, || usize::MAX);
    let expected = (whole.clone(), outcome);
    assert_eq!(read(&rest, || 1), expected, "byte by byte");
    assert_eq!(read(&rest, || usize::from(cuts.byte())), expected, "in pieces");
    if outcome.is_none() {
        // The beginning of another record may follow the last whole one.
        assert!(rest.starts_with(&whole), "the encoding is not canonical");
    }
    let shown = decode::stream(&rest);
    assert!(!shown.accepted || outcome.is_none());
    shown.text.lines().for_each(assert_clean);
}

/// Encodes the records before the first error again; the error.
fn read(bytes: &[u8], mut size: impl FnMut() -> usize) -> (Vec<u8>, Option<DecodeError>) {
    let mut reader = StreamReader::default();
    let (mut again, mut rest) = (Vec::new(), bytes);
    let mut cost = 0;
    while !rest.is_empty() {
        let (mut piece, later) = rest.split_at(size().clamp(1, rest.len()));
        rest = later;
        loop {
            let (outcome, bytes) = allocated(|| reader.next(&mut piece));
            cost += bytes;
            match outcome {
                Ok(None) => break,
                Ok(Some(Piece::Preface(preface))) => again.extend(preface.encode()),
                Ok(Some(Piece::Frame(frame))) => assert!(write_record(&frame, &mut again)),
                Err(error) => return (again, Some(error)),
            }
        }
        assert!(piece.is_empty());
    }
    assert!(cost <= READER, "{cost} bytes allocated by a reader of {}", bytes.len());
    (again, None)
}
