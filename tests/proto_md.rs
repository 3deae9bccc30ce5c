//! `proto.md` is the normative text: what it says in numbers is compared with the code here.

// A test that cannot go on fails: that is what these are for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use chatagram::protocol::{encode_message, limits};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect(file)
}

/// The cells of the table that follows this header row.
fn table(text: &str, header: &str) -> Vec<Vec<String>> {
    let (_, rest) = text.split_once(&format!("\n{header}\n")).expect(header);
    let rows = rest.lines().skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    })
    .collect()
}

/// A limit as the table gives it.
trait Written {
    fn written(self) -> u64;
}

impl Written for Duration {
    fn written(self) -> u64 {
        u64::try_from(self.as_millis()).unwrap()
    }
}

impl Written for u16 {
    fn written(self) -> u64 {
        self.into()
    }
}

impl Written for u32 {
    fn written(self) -> u64 {
        self.into()
    }
}

impl Written for u64 {
    fn written(self) -> u64 {
        self
    }
}

impl Written for usize {
    fn written(self) -> u64 {
        self as u64
    }
}

#[test]
fn the_table_of_limits_says_what_the_code_does() {
    macro_rules! named {
        ($($name:ident)*) => {
            [$((stringify!($name).to_owned(), Written::written(limits::$name))),*]
        };
    }
    let code = BTreeMap::from(named! {
        MAX_DATAGRAM BASE_DATAGRAM PART_SIZE PATH_RAISE REASSEMBLY JOIN_SIZE MAX_MESSAGE MAX_TEXT MAX_RAW_NAME MAX_NAME DEFAULT_PORT DISCOVERY_PORT PROBE_SIZE ROOM_SIZE MAX_ABOUT MESSAGE_WINDOW REPLAY_WINDOW
        MAX_QUEUE_BYTES MAX_REPLAY_BYTES COOKIE_LIFE SECRET_LIFE NAME_HOLD MAX_ACK_DELAY LAZY_ACK_DELAY ACK_INTERVAL ACK_DATAGRAMS ACK_BYTES INITIAL_RTT GIVE_UP
        JOIN_RETRY STAGGER JOIN_RETRY_MAX JOIN_TIMEOUT JOIN_DEADLINE LOOKUP_INTERVAL LASTING REJOIN_PAUSE_MAX STREAM_JOIN_TIMEOUT INITIAL_HEARTBEAT LEAVE_TIMEOUT RESTART_WAIT ANSWER_TIMEOUT QUIET SILENT
        NUMBER_WINDOW TOKEN_BYTES MAX_UNSETTLED SLOW_DEBT FLOOD_TOLERANCE FLOOD_HOLD JOINS_PERIOD MIN_JOINS REPLAY_LINES LOG_LINES
    });
    let rows = table(&read("proto.md"), "| name | value | unit | meaning |");
    let text: BTreeMap<_, _> = rows
        .into_iter()
        .map(|row| (row[0].clone(), row[1].replace(',', "").parse().expect("a number")))
        .collect();
    assert_eq!(text, code);

    let source = read("src/protocol/limits.rs");
    let defined =
        source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    for name in defined {
        assert!(text.contains_key(name), "{name} is not in the table");
    }
}

#[test]
fn the_worked_encodings_are_right() {
    let rows = table(&read("proto.md"), "| type | value | bytes |");
    assert!(rows.len() >= 15);
    for row in rows {
        let (kind, value, bytes) = (&*row[0], &*row[1], &row[2]);
        let encoded = match kind {
            "u16" => encode_message(&value.parse::<u16>().unwrap()),
            "u32" => encode_message(&value.parse::<u32>().unwrap()),
            "u64" => encode_message(&value.parse::<u64>().unwrap()),
            "i32" => encode_message(&value.parse::<i32>().unwrap()),
            "bool" => encode_message(&value.parse::<bool>().unwrap()),
            "string" => encode_message(&value),
            other => panic!("what is a {other}?"),
        };
        let encoded: Vec<_> = encoded.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(&encoded.join(" "), bytes, "{kind} {value}");
    }
}

#[test]
fn the_examples_are_the_vectors_of_their_names() {
    let text = read("proto.md");
    let files = ["handshake", "frames", "client-messages"];
    let vectors = files.map(|file| read(&format!("tests/vectors/{file}.txt"))).concat();
    let mut examples = 0;
    for block in text.split("```text vector=").skip(1) {
        let (block, _) = block.split_once("\n```").expect("the end of the block");
        let (name, rows) = block.split_once('\n').expect("rows");
        // The bytes end where two spaces begin.
        let hex = rows.lines().map(|row| row.split("  ").next().unwrap_or_default());
        let hex: String = hex.flat_map(str::split_whitespace).collect();
        let entry = vectors.split("\nvector ").find(|entry| entry.lines().next() == Some(name));
        let (_, entry) = entry.expect(name).split_once("bytes\n").expect("bytes");
        let (golden, _) = entry.split_once("meaning\n").expect("a meaning");
        let golden: String = golden.split_whitespace().collect();
        assert_eq!(hex, golden, "{name}");
        examples += 1;
    }
    assert_eq!(examples, 3);
}

#[test]
fn every_vector_file_and_named_vector_exists() {
    let text = read("proto.md");
    let mut vectors = String::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")).unwrap()
    {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let name = path.file_name().unwrap().to_string_lossy();
            assert!(text.contains(&format!("`{name}`")), "{name} is not explained");
            vectors += &fs::read_to_string(&path).unwrap();
        }
    }
    for mention in text.split("(vector `").skip(1) {
        let (name, _) = mention.split_once('`').unwrap();
        assert!(vectors.contains(&format!("\nvector {name}\n")), "no vector {name}");
    }
}
