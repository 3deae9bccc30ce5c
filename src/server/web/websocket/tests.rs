use super::*;
use proptest::prelude::*;

/// A client's frame, with this mask.
fn frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_frame(0, payload, &mut bytes);
    let head = bytes.len() - payload.len();
    bytes[0] = first;
    bytes[1] |= 0x80;
    let masked = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    [&bytes[..head], &mask, &masked.collect::<Vec<_>>()].concat()
}

fn read(mut bytes: &[u8]) -> Result<Vec<Input>, Violation> {
    let (mut reader, mut inputs) = (Reader::default(), Vec::new());
    while let Some(input) = reader.next(&mut bytes)? {
        inputs.push(input);
    }
    Ok(inputs)
}

/// The messages and control frames, whatever the pieces.
fn joined(inputs: Vec<Input>) -> Vec<(Option<Kind>, Vec<u8>)> {
    let (mut all, mut open) = (Vec::new(), Vec::new());
    for input in inputs {
        match input {
            Input::Piece { kind, bytes, last } => {
                open.extend(bytes);
                if last {
                    all.push((Some(kind), std::mem::take(&mut open)));
                }
            }
            Input::Ping(bytes) => all.push((None, bytes)),
            Input::Pong | Input::Close => all.push((None, vec![])),
        }
    }
    all
}

/// The examples of RFC 6455 §1.3 and §5.7.
#[test]
fn the_examples_of_the_rfc() {
    assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert!(is_key("dGhlIHNhbXBsZSBub25jZQ=="));
    for wrong in
        ["", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25j====", "dGhlIHNhbXBsZSBub25j-Q=="]
    {
        assert!(!is_key(wrong), "{wrong}");
    }
    let masked = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58];
    assert_eq!(frame(0x81, b"Hello", [0x37, 0xFA, 0x21, 0x3D]), masked);
    assert_eq!(joined(read(&masked).unwrap()), [(Some(Kind::Text), b"Hello".to_vec())]);
    let mut out = Vec::new();
    write_message(Kind::Text, b"Hello", &mut out);
    assert_eq!(out, [0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F]);
    out.clear();
    write_pong(b"Hello", &mut out);
    assert_eq!(out, [0x8A, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F]);
    out.clear();
    write_message(Kind::Binary, &[0; 256], &mut out);
    assert_eq!(out[..4], [0x82, 0x7E, 0x01, 0x00]);
    out.clear();
    write_message(Kind::Binary, &[0; 65_536], &mut out);
    assert_eq!(out[..10], [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0]);
}

#[test]
fn frames_that_break_the_protocol_are_refused() {
    let close = |payload: &[u8]| frame(0x88, payload, [9; 4]);
    let start = frame(0x01, b"a", [1; 4]);
    for (name, bytes) in [
        ("no mask", vec![0x81, 0x05]),
        ("extension", vec![0xC1, 0x85]),
        ("opcode", vec![0x83, 0x85]),
        ("control in parts", vec![0x09, 0x80]),
        ("long control", vec![0x89, 0xFE]),
        ("long form of 125", vec![0x81, 0xFE, 0, 125, 0, 0, 0, 0]),
        ("long form of 65535", vec![0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0]),
        ("negative length", vec![0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("continues nothing", frame(0x80, b"a", [1; 4])),
        ("within another", [start.clone(), frame(0x81, b"b", [2; 4])].concat()),
        ("half a code", close(&[3])),
        ("code 1005", close(&[0x03, 0xED])),
        ("code 999", close(&[0x03, 0xE7])),
        ("reason", close(&[0x03, 0xE8, 0xFF])),
    ] {
        assert!(read(&bytes).is_err(), "{name}");
    }
    for bytes in [close(&[]), close(&[0x03, 0xE8]), close(b"\x0f\xa0bye")] {
        assert_eq!(read(&bytes).unwrap(), [Input::Close]);
    }
}

#[test]
fn control_frames_may_lie_between_the_parts_of_a_message() {
    let parts = [
        frame(0x02, b"one", [1, 2, 3, 4]),
        frame(0x89, b"ping", [5, 6, 7, 8]),
        frame(0x00, b"", [0; 4]),
        frame(0x80, b"two", [9, 9, 9, 9]),
    ];
    let wanted = [(None, b"ping".to_vec()), (Some(Kind::Binary), b"onetwo".to_vec())];
    assert_eq!(joined(read(&parts.concat()).unwrap()), wanted);
}

proptest! {
    #[test]
    fn messages_are_read_alike_wherever_they_are_cut(
        messages in prop::collection::vec(
            (any::<bool>(), prop_oneof![0..200_usize, Just(70_000)], any::<[u8; 4]>()), 0..5
        ),
        cut in 1..5_000_usize,
    ) {
        let (mut bytes, mut wanted) = (Vec::new(), Vec::new());
        for (is_text, length, mask) in messages {
            let payload: Vec<u8> = (0..length).map(|n| n as u8).collect();
            bytes.extend(frame(if is_text { 0x81 } else { 0x82 }, &payload, mask));
            wanted.push((Some(if is_text { Kind::Text } else { Kind::Binary }), payload));
        }
        let (mut reader, mut inputs) = (Reader::default(), Vec::new());
        for mut part in bytes.chunks(cut) {
            while let Some(input) = reader.next(&mut part).unwrap() {
                inputs.push(input);
            }
        }
        prop_assert_eq!(joined(inputs), wanted);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
    }
}
