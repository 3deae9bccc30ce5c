//! The golden vectors of streams: `tests/vectors/streams.txt`, maintained like those of datagrams
//! in `vectors.rs`.

use crate::format;
use crate::format::{Golden, bless, flag_names, frame_line, is_current, written_again};
use crate::streams;
use chatagram::protocol::{Flags, Frame, Piece, Preface, StreamReader, write_record};

const PREFACE_LEN: usize = 12;
const MAX_RECORD: usize = 1_160;

fn golden() -> Vec<Golden> {
    bless(&[streams::group()], meaning);
    let vectors = format::read(streams::group().file);
    assert!(vectors.len() > 20, "only {} vectors", vectors.len());
    vectors
}

/// The meaning of a stream: a line for the preface, for each record and for the error that ended
/// it.
fn meaning(bytes: &[u8]) -> String {
    lines([bytes]).join("\n")
}

/// The same for a stream that arrives in these pieces.
fn lines<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let (mut reader, mut from_server, mut lines) = (StreamReader::default(), false, Vec::new());
    for mut input in pieces {
        loop {
            lines.push(match reader.next(&mut input) {
                Ok(None) => break,
                Ok(Some(Piece::Preface(Preface { flags, session }))) => {
                    from_server = flags.contains(Flags::FROM_SERVER);
                    let names = flag_names(flags);
                    format!("preface {{ flags: [{names}], session: {session:#018x} }}")
                }
                Ok(Some(Piece::Frame(frame))) => frame_line(&frame, from_server),
                Err(error) => {
                    lines.push(format!("rejected {error:?}"));
                    return lines;
                }
            });
        }
        assert!(input.is_empty(), "the reader leaves {} bytes", input.len());
    }
    lines
}

/// Encodes again what the reader read from the stream.
fn rewritten(mut bytes: &[u8]) -> Vec<u8> {
    let (mut reader, mut from_server, mut again) = (StreamReader::default(), false, Vec::new());
    while let Some(piece) = reader.next(&mut bytes).unwrap() {
        match piece {
            Piece::Preface(preface) => {
                from_server = preface.flags.contains(Flags::FROM_SERVER);
                again.extend(preface.encode());
            }
            Piece::Frame(frame) => {
                assert!(written_again(frame, from_server, |frame| write_record(frame, &mut again)));
            }
        }
    }
    again
}

/// The offsets at which the preface and the records of a valid stream end, counted without the
/// reader.
fn ends(bytes: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut end = PREFACE_LEN;
    while end <= bytes.len() {
        ends.push(end);
        let Some(length) = bytes[end..].first_chunk() else { break };
        end += 2 + usize::from(u16::from_be_bytes(*length));
    }
    ends
}

#[test]
fn the_file_holds_what_this_implementation_writes_and_reads() {
    let group = streams::group();
    bless(&[streams::group()], meaning);
    assert!(is_current(&group, meaning), "{}.txt is out of date", group.file);
}

#[test]
fn every_stream_has_the_meaning_of_its_file() {
    for vector in golden() {
        assert_eq!(meaning(&vector.bytes), vector.meaning, "{}", vector.name);
        if vector.is_valid() {
            assert_eq!(rewritten(&vector.bytes), vector.bytes, "{}", vector.name);
        }
    }
}

#[test]
fn the_meaning_of_a_stream_does_not_depend_on_its_cuts() {
    for Golden { name, bytes, meaning } in golden() {
        for at in 0..=bytes.len() {
            let (left, right) = bytes.split_at(at);
            assert_eq!(lines([left, right]).join("\n"), meaning, "{name} cut at {at}");
        }
        assert_eq!(lines(bytes.chunks(1)).join("\n"), meaning, "{name} byte by byte");
    }
}

#[test]
fn a_truncated_stream_has_the_records_before_the_cut() {
    for vector in golden() {
        let whole: Vec<_> = vector.meaning.lines().collect();
        let ends = ends(&vector.bytes);
        for length in 0..=vector.bytes.len() {
            let part = lines([&vector.bytes[..length]]);
            assert!(whole.starts_with(&part.iter().map(|line| &**line).collect::<Vec<_>>()));
            if vector.is_valid() {
                let complete = ends.iter().filter(|end| **end <= length).count();
                assert_eq!(part.len(), complete, "{} at {length}", vector.name);
            }
        }
    }
}

#[test]
fn every_stream_error_has_a_vector() {
    let all: Vec<_> = golden().into_iter().filter(|vector| !vector.is_valid()).collect();
    for error in "TooLong Magic Version Flags Malformed NotCanonical".split_whitespace() {
        let rejected = format!("rejected {error}");
        let found = all.iter().any(|vector| {
            vector.meaning.lines().next_back().is_some_and(|line| line.starts_with(&rejected))
        });
        assert!(found, "no {error}");
    }
}

#[test]
fn the_largest_record_is_written_and_a_larger_one_is_not() {
    let vectors = golden();
    let vector = vectors.iter().find(|vector| vector.name == "stream-largest-record").unwrap();
    let largest = ends(&vector.bytes).windows(2).map(|ends| ends[1] - ends[0] - 2).max();
    assert_eq!(largest, Some(MAX_RECORD));
    let mut bytes = vec![7];
    assert!(!write_record(&Frame::Padding(&[0; MAX_RECORD - 3]), &mut bytes));
    assert_eq!(bytes, [7]);
}
