//! `chatagram decode`: it shows every vector with the fields that the vector's file names, rejects
//! every invalid one for the reason that the file gives, and works in a pipe.

use crate::catalogue::checksummed;
use crate::format::Golden;
use crate::{catalogue, format};
use chatagram::decode::{self, Decoded};
use chatagram::protocol::{
    Datagram, DatagramWriter, DecodeError, Flags, Frame, HEADER_LEN, Header, Preface, Refusal,
    ServerMessage, Trace, encode_message, is_clean, write_record,
};
use proptest::prelude::*;
use std::io::Write;
use std::process::{Command, Output, Stdio};

fn datagrams() -> Vec<Golden> {
    catalogue::groups().iter().flat_map(|group| format::read(group.file)).collect()
}

fn vector(name: &str) -> Vec<u8> {
    let mut all = datagrams();
    all.extend(format::read("streams"));
    all.into_iter().find(|vector| vector.name == name).expect(name).bytes
}

/// The fields of a line: its last two columns.
fn rows(decoded: &Decoded) -> Vec<(String, String)> {
    let lines = decoded.text.lines().skip(1);
    let fields =
        lines.filter_map(|line| line.char_indices().nth(35).map(|(at, _)| line[at..].trim()));
    let split = |field: &str| {
        let (name, value) = field.split_once(' ').unwrap_or((field, ""));
        (name.to_owned(), value.trim().to_owned())
    };
    fields.map(split).collect()
}

/// The clause that the verdict has to name for a vector's reason.
fn clause(reason: &str) -> &'static str {
    let checks = [
        "TooShort",
        "TooLong",
        "Magic",
        "Checksum",
        "Version",
        "Flags",
        "Malformed",
        "NotCanonical",
    ];
    let clauses = [
        "§8.1, check 1",
        "§8.1, check 2",
        "§8.1, check 3",
        "§8.1, check 4",
        "§8.1, check 5",
        "§8.1, check 6",
        "§8.1, check 7",
        "§8.1, check 8",
    ];
    clauses[checks.iter().position(|check| reason.starts_with(check)).expect(reason)]
}

/// The parts "name: value" of a meaning, in order. A text may contain commas.
fn named(meaning: &str) -> Vec<(&str, &str)> {
    let inner = meaning.lines().filter_map(|line| line.split_once(" { ")?.1.strip_suffix(" }"));
    let parts = inner.flat_map(|inner| inner.split(", "));
    parts.filter_map(|part| part.split_once(": ")).collect()
}

#[test]
fn every_datagram_vector_is_shown_or_rejected_as_its_file_says() {
    for Golden { name, bytes, meaning } in datagrams() {
        let decoded = decode::datagram(&bytes);
        let verdict = decoded.text.lines().last().unwrap();
        if let Some(reason) = meaning.strip_prefix("rejected ") {
            assert!(!decoded.accepted, "{name}");
            let word = reason.split(['(', ' ']).next().unwrap();
            assert!(verdict.starts_with(&format!("rejected, {word}: ")), "{name}: {verdict}");
            assert!(
                verdict.contains(&format!("(proto.md {}", clause(reason))),
                "{name}: {verdict}"
            );
            continue;
        }
        assert!(decoded.accepted && verdict.starts_with("accepted"), "{name}: {verdict}");
        assert_shows(&decoded, &meaning, &name);
        for word in ["FROM_SERVER", "ACK"] {
            let flags = rows(&decoded).into_iter().find(|(field, _)| field == "flags").unwrap().1;
            let header = meaning.lines().next().unwrap();
            let set = header.split(']').next().unwrap().contains(word);
            assert_eq!(flags.contains(word), set, "{name}: {flags}");
        }
    }
}

/// Asserts that the table shows everything that the meaning names, in this order.
fn assert_shows(decoded: &Decoded, meaning: &str, name: &str) {
    let rows = rows(decoded);
    let mut rest = rows.iter();
    for (field, value) in named(meaning) {
        // These entries are shown in other words: flags by name, and fields that mean nothing
        // without ACK.
        if ["flags", "ack_bitmap", "acknowledgment", "ack_delay"].contains(&field) {
            continue;
        }
        if field == "roll" {
            let entries = meaning.split_once("roll: [").unwrap().1.split_once(']').unwrap().0;
            for entry in entries.split(", ") {
                let [peer, nickname, next] = entry.split(' ').collect::<Vec<_>>()[..] else {
                    panic!("{name}: {entry}");
                };
                let wanted = format!("peer {peer}, {nickname}, next {next}");
                let found = rest.any(|(row, shown)| row == "entry" && *shown == wanted);
                assert!(found, "{name}: no {wanted} in\n{}", decoded.text);
            }
            continue;
        }
        if field == "servers" && value != "<>" {
            let entries = meaning.split_once("servers: [").unwrap().1.split_once("] }").unwrap().0;
            for entry in entries.split(", ").filter(|entry| !entry.is_empty()) {
                let found = rest.any(|(row, shown)| row == "entry" && *shown == entry);
                assert!(found, "{name}: no {entry} in\n{}", decoded.text);
            }
            continue;
        }
        // The table shows a part by its length.
        let part = format!("{} bytes", (value.len() - value.len().min(2)) / 2);
        let value = match field {
            "payload" => part.as_str(),
            _ if value.ends_with("<>") => "0 bytes",
            _ => value,
        };
        let found = rest.any(|(row, shown)| row == field && shown.starts_with(value));
        assert!(found, "{name}: no {field} {value} in\n{}", decoded.text);
    }
    for line in meaning.lines().skip(1) {
        let frame = line.split([' ', ':', '(']).next().unwrap();
        let shown = rows.iter().any(|(row, value)| row == "frame" && value.starts_with(frame));
        assert!(shown, "{name}: no {frame}");
        if let Some((_, message)) = line.split_once(": ").filter(|(frame, _)| !frame.contains('{'))
        {
            let word = message.split([' ', '(']).next().unwrap();
            let shown = match word {
                "unreadable" => {
                    decoded.text.contains("! unreadable, ") && decoded.text.contains("§8.3")
                }
                word => rows.iter().any(|(row, value)| row == "message" && value.starts_with(word)),
            };
            assert!(shown, "{name}: no {word} in\n{}", decoded.text);
        }
    }
}

#[test]
fn every_stream_vector_is_shown_or_rejected_as_its_file_says() {
    for Golden { name, bytes, meaning } in format::read("streams") {
        let decoded = decode::stream(&bytes);
        let verdict = decoded.text.lines().last().unwrap();
        match meaning.lines().last().unwrap_or_default().strip_prefix("rejected ") {
            Some(reason) => {
                let word = reason.split('(').next().unwrap();
                assert!(!decoded.accepted, "{name}");
                assert!(verdict.contains(&format!(", {word}: ")), "{name}: {verdict}");
                assert!(verdict.contains("proto.md §11.2"), "{name}: {verdict}");
            }
            None => assert!(decoded.accepted, "{name}: {verdict}"),
        }
        let read: Vec<_> = meaning.lines().filter(|line| !line.starts_with("rejected")).collect();
        assert_shows(&decoded, &read.join("\n"), &name);
    }
}

#[test]
fn a_truncated_stream_is_accepted_up_to_its_end() {
    let bytes = vector("stream-client");
    for length in 0..bytes.len() {
        let decoded = decode::stream(&bytes[..length]);
        assert!(decoded.accepted, "{length}: {}", decoded.text);
    }
    let decoded = decode::stream(&bytes[..bytes.len() - 1]);
    assert!(
        decoded.text.ends_with("3 records; the last 5 bytes are incomplete"),
        "{}",
        decoded.text
    );
}

#[test]
fn the_table_of_a_say_is_as_documented() {
    let wanted = "\
offset  bytes                      field
     0  43 47                      magic            0x4347
     2  01                         version          1
     3  02                         flags            ACK
     4  35 d1 80 a5                checksum         0x35d180a5, right
     8  01 23 45 67 89 ab cd ef    session          0x0123456789abcdef
    16  00 00 00 07                sequence         7
    20  00 00 00 05                acknowledgment   5
    24  00 00 00 00 00 00 00 0f    ack_bitmap       also 4 3 2 1
    32  00 16 e3 60                timestamp        1500000 µs
    36  00 00                      ack_delay        0: 0.0 ms
    38  01 02                      window           258
    40  04                         frame            Ordered (4)
    41  02                           id             2
    42  11 00 01 fd 00 06 49 ad …    payload        17 bytes
    43  00                           message        Say (0)
    44  01                             number       1
    45  fd 00 06 49 ad d4 49 30 …      sent         1769860800000000, 2026-01-31T12:00:00.000000Z
    54  05 68 65 6c 6c 6f              text         \"hello\"
accepted: 60 bytes, 1 frame";
    assert_eq!(decode::datagram(&vector("say")).text, wanted);
}

#[test]
fn fields_before_a_failure_are_shown() {
    let text = decode::datagram(&vector("join-utf8")).text;
    let wanted = "\
    41  00                           nonce          0
    42  00                           cookie         0 bytes
    43  02 c3 28 02 00 00 00 00      (not decoded)
                                   ! byte 43: nickname is not UTF-8
rejected, Malformed: no frame or message of this protocol begins at byte 40: nickname is not UTF-8 \
                  (proto.md §8.1, check 7)";
    assert!(text.ends_with(wanted), "{text}");
    let text = decode::datagram(&vector("checksum")).text;
    assert!(text.contains("0xca96575f, wrong: these bytes give 0x48c3c982"), "{text}");
    assert!(text.contains("Reset (10)"), "{text}");
    let text = decode::stream(&vector("stream-frame-truncated")).text;
    let wanted = "rejected at byte 36, Malformed: payload should have 5 bytes, 3 are left \
                  (proto.md §11.2: the receiver hangs up)";
    assert!(text.ends_with(wanted), "{text}");
}

proptest! {
    /// The verdict is that of `Datagram::decode`, and the table agrees with it about the frames.
    #[test]
    fn the_table_fails_where_the_decoder_fails(
        pick: prop::sample::Index,
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), prop_oneof![any::<u8>(), 0..13_u8, 250..=255_u8]),
            0..4,
        ),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let vectors = datagrams();
        let mut bytes = vectors[pick.index(vectors.len())].bytes.clone();
        prop_assume!(bytes.len() > HEADER_LEN);
        for (at, byte) in changes {
            let at = HEADER_LEN + at.index(bytes.len() - HEADER_LEN);
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(HEADER_LEN + cut.index(bytes.len() - HEADER_LEN));
        }
        let bytes = checksummed(bytes);
        let mut at = HEADER_LEN;
        let mut expected = None;
        while at < bytes.len() && expected.is_none() {
            let trace = Trace::frame(&bytes, at);
            prop_assert!(trace.steps.iter().all(|step| step.at.end <= bytes.len()));
            if trace.trouble.is_some() {
                expected = Some(DecodeError::Malformed(at));
            } else if trace.steps.iter().any(|step| step.loose) {
                expected = Some(DecodeError::NotCanonical(at));
            }
            at = trace.end;
        }
        match Datagram::decode(&bytes).map(|_| ()) {
            Ok(()) => prop_assert_eq!(expected, None),
            Err(error @ (DecodeError::Malformed(_) | DecodeError::NotCanonical(_))) => {
                prop_assert_eq!(expected, Some(error));
            }
            Err(_) => {}
        }
        let decoded = decode::datagram(&bytes);
        prop_assert_eq!(decoded.accepted, Datagram::decode(&bytes).is_ok());
    }

    #[test]
    fn no_bytes_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        begin in 0..3_usize,
    ) {
        let begins = [&[][..], b"CG\x01\x01\x23\x45\x67\x89\0\0\0\0", &vector("notice")[..42]];
        let all = [begins[begin], &bytes].concat();
        let _ = (decode::datagram(&all), decode::stream(&all));
    }

    #[test]
    fn text_from_a_datagram_is_shown_cleaned(
        text in "[\\x00-\\x20\\x7f-\\u{a0}\\u{200e}-\\u{202e}\\u{2066}-\\u{2069}\\u{61c}a-c]{0,40}",
    ) {
        let payload = encode_message(&ServerMessage::Notice { text: &text });
        let frames = [
            Frame::Once { payload: &payload },
            Frame::Refused { nonce: 1, reason: Refusal::NameTaken, detail: &text },
        ];
        let mut bytes = Vec::new();
        let mut writer = DatagramWriter::new(&mut bytes);
        let preface = Preface { flags: Flags::FROM_SERVER, session: 1 };
        let mut stream = preface.encode().to_vec();
        for frame in &frames {
            prop_assert!(writer.push(frame) && write_record(frame, &mut stream));
        }
        writer.finish(&Header { flags: Flags::FROM_SERVER, ..Header::default() });
        for decoded in [decode::datagram(&bytes), decode::stream(&stream)] {
            prop_assert!(decoded.accepted);
            prop_assert!(decoded.text.lines().all(is_clean), "{}", decoded.text);
            prop_assert_eq!(decoded.text.contains("§4.2"), !is_clean(&text));
        }
    }
}

/// Runs the program with these bytes on standard input.
fn program(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_chatagram"))
        .arg("decode")
        .args(args)
        .env_remove("CHATAGRAM_HEX")
        .env_remove("CHATAGRAM_STREAM")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The program may exit before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_program_reads_hex_and_its_exit_code_is_the_verdict() {
    let (say, broken) = (vector("say"), vector("checksum"));
    let text = hex(&say);
    let (left, right) = text.split_at(24);
    let spaced: String = say.iter().map(|byte| format!("0x{byte:02X}:\n")).collect();
    let wanted = format!("{}\n", decode::datagram(&say).text);
    for (args, input) in [
        (vec![&*text], &b""[..]),
        (vec![left, right], b""),
        (vec!["-"], text.as_bytes()),
        (vec!["-"], spaced.as_bytes()),
        (vec!["-"], &say),
    ] {
        let output = program(&args, input);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), wanted, "{args:?}");
    }
    assert_eq!(program(&["-"], &broken).status.code(), Some(1));
    assert_eq!(program(&["--stream", "-"], &vector("stream-client")).status.code(), Some(0));
    assert_eq!(program(&["--stream", "-"], &vector("stream-magic")).status.code(), Some(1));
    for (args, input, why) in [
        (vec!["4g"], &b""[..], "character 2"),
        (vec!["434"], b"", "3 digits"),
        (vec!["-"], &[0xff; 70_000], "65536"),
        (vec![], b"", "HEX"),
    ] {
        let output = program(&args, input);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {complaint}");
        assert!(complaint.contains(why) && output.stdout.is_empty(), "{args:?}: {complaint}");
    }
}

#[test]
fn a_closed_output_pipe_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_chatagram"))
        .args(["decode", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(&vector("say")).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
}
