//! `proto.md` is the normative text. These tests compare its numbers, examples and references with
//! the code.

mod transcript;

use chatagram::hub::Limit;
use chatagram::protocol::{encode_message, limits};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).expect(file)
}

/// All files below these places whose names end like this.
fn files(places: &[&str], endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut places: Vec<_> = places.iter().map(|place| root().join(place)).collect();
    while let Some(place) = places.pop() {
        if place.is_dir() {
            places.extend(fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()));
        } else if endings.iter().any(|ending| place.to_string_lossy().ends_with(ending)) {
            found.push(place);
        }
    }
    found.sort();
    found
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

/// Name and value of each row of §9.
fn numbers() -> Vec<(String, u64)> {
    let rows = table(&read("proto.md"), "| name | value | unit | meaning |").into_iter();
    rows.map(|row| (row[0].clone(), row[1].replace(',', "").parse().expect("a number"))).collect()
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

impl Written for u8 {
    fn written(self) -> u64 {
        self.into()
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
fn the_table_of_numbers_says_what_the_code_does() {
    macro_rules! named {
        ($($name:ident)*) => {
            [$((stringify!($name).to_owned(), Written::written(limits::$name))),*]
        };
    }
    let code = BTreeMap::from(named! {
        MAX_DATAGRAM BASE_DATAGRAM PART_SIZE MAX_PARTS MAX_MESSAGE MAX_RECORD JOIN_SIZE MAX_TEXT
        MAX_ROLL MAX_RAW_NAME MAX_RAW_CHARS MAX_NAME_CHARS MAX_NAME MAX_MARKS DEFAULT_PORT
        DISCOVERY_PORT PROBE_SIZE ROOM_SIZE MESSAGE_WINDOW REPLAY_WINDOW ACK_BITMAP
        REMEMBERED_DATAGRAMS MAX_ASSEMBLIES MAX_QUEUE_BYTES PRESSURE_HIGH PRESSURE_LOW
        PRESSURE_FULL PRESSURE_STEP PRESSURE_WAIT PING_QUEUE TURN_BYTES STREAM_TURN_BYTES
        MAX_UNJOINED QUIC_RETRY_ABOVE QUIC_HANDSHAKES QUIC_RECEIPT_TRIPS REMEMBERED_NONCES
        SECRET_LEN PROOF_LEN MAX_TICKET TICKET_PLACES GUESSES GUESS_PAUSE
        MAX_ACCOUNTS MAX_OWNERS NUMBER_WINDOW REPLAY_LINES LOG_LINES MAX_REPLAY_BYTES
        POSITION_STEP MAX_POSITION MAX_ADDRESSES MAX_SERVERS LISTED_PAUSE MAX_ABOUT
        COOKIE_LIFE SECRET_LIFE NAME_HOLD BAN MUTE MAX_MUTE MAX_BANS MAX_TOPIC
        JOIN_RETRY JOIN_RETRY_MAX STAGGER JOIN_TIMEOUT
        JOIN_DEADLINE LOOKUP_INTERVAL LOOKUP_PAUSE_MAX LASTING REJOIN_PAUSE_MAX STREAM_JOIN_TIMEOUT
        CONNECT_TIMEOUT STREAM_ANSWER INITIAL_HEARTBEAT LEAVE_TIMEOUT RESTART_WAIT DWELL
        HEARTBEAT EXPIRY HEARTBEAT_SHARE MAX_HEARTBEAT MIN_HEARTBEAT
        ANNOUNCE_RATE MAX_ANNOUNCE_INTERVAL MAX_ANNOUNCEMENT QUIET SILENT STANDSTILL
        STREAM_STALL
        MAX_ACK_DELAY LAZY_ACK_DELAY ACK_INTERVAL STEADY ACK_DATAGRAMS ACK_BYTES
        INITIAL_RTT GRANULARITY SAMPLE_INTERVAL PACKET_THRESHOLD MAX_REORDERING
        REORDERING_PERSISTS MAX_PROBE_INTERVAL PERSISTENT_CONGESTION INITIAL_WINDOW MINIMUM_WINDOW
        GIVE_UP MAX_COPIED COPY_CREDIT MAX_RIDE_WAIT PAIRED_PROBES
        PATH_PROBES PATH_PROBE_PAUSE PATH_STEP PATH_RAISE REASSEMBLY
        BURST RATE TOKEN_BYTES MAX_UNSETTLED QUESTIONS_AHEAD MAX_PINGS ANSWER_TIMEOUT FREE_FRAMES
        FREE_PATH_PROBE SLOW_DEBT SLOW_AGAIN FLOOD_TOLERANCE FLOOD_HOLD
        PEERS PEERS_PER_IP JOINS_PERIOD MIN_JOINS
        GAP_WAIT GAP_WAIT_RELIABLE SEARCH_PROBES SEARCH_PAUSE
        CLAIM_WAIT ENGINE_EXPIRY ENGINE_QUIET ENGINE_RENEW LEASE_MARGIN MAIL_WAIT MAX_CLAIMS
        MAX_MAIL MAX_SEATS PROPOSED_FULL PROPOSED_HIGH
    });
    let rows = numbers();
    let text: BTreeMap<_, _> = rows.iter().cloned().collect();
    assert_eq!(rows.len(), text.len(), "a name stands in the table twice");
    assert_eq!(text, code);
    assert_eq!(Limit::USUAL, Limit::new(limits::BURST, limits::RATE).unwrap());

    let source = read("src/protocol/limits.rs");
    let defined =
        source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    for name in defined {
        assert!(text.contains_key(name), "{name} is not in the table of proto.md §9");
    }
}

/// Numbers of the core that neither a client author nor the network notices: how memory is laid
/// out, what one end tells its user, and values derived from others.
const INTERNAL: &str = "MAX_DETAIL LOOKUP_TIMEOUT HELD_BACK REMEMBERED CAPACITY REPORTED \
    MIN_REPORTED_WAIT MOST MAX_WAYS MAX_WAYS_EACH MAX_SERVERS MAX_ADDRESSES SEARCH_WINDOW \
    MAX_ROUTES MAX_ROUTES_EACH NONE N LOOK REASONS TICK MAX_POSTS MAX_BYTES RARE MANY COPIED \
    REFUSAL_PAUSE PATH_CHALLENGE_LEN ACK_DELAY_UNIT WORDS PIECE_LEN SPARE PIECE OVERHEAD \
    FRAME_OVERHEAD MAX_SAMPLED_DELAY WINDOW_RESERVE MAX_PAUSE ONE WEIGHT MIN_VERDICT_DELAY \
    MAX_VERDICT_DELAY SAMPLES KEPT CHUNK MAX_RUN USUAL_MESSAGE ONCE UNORDERED ORDERED LONG KNOWN \
    MAGIC VERSION HEADER_LEN MAX_PASSES PREFACE_LEN LENGTH_LEN MAX_TEXT_BYTES BRIEFING SHARED \
    NAMED ADDRESS ENTRY LIFE GRACE EPOCH_RANDOM MOST_MAIL \
    ATTACH_PAUSE FAULT_PAUSE MAX_IGNORED MAX_LINES MAX_PENDING MAX_SEEN MAX_STEPS";

#[test]
fn a_number_of_the_core_is_in_the_table_or_known_to_be_internal() {
    let internal: BTreeSet<_> = INTERNAL.split_whitespace().collect();
    let parts = "protocol link bucket registry room hub discovery client/session";
    let names = parts.split(' ').flat_map(|part| [format!("src/{part}"), format!("src/{part}.rs")]);
    let names: Vec<_> = names.collect();
    let places: Vec<_> = names.iter().map(|name| &**name).collect();
    let mut seen = 0;
    for file in files(&places, &[".rs"]) {
        let name = file.to_string_lossy().into_owned();
        if name.ends_with("limits.rs") || name.contains("/tests") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let (code, _) = text.split_once("\nmod tests {").unwrap_or((&text, ""));
        for line in code.lines() {
            let Some((_, rest)) = line.split_once("const ") else { continue };
            let Some((constant, kind)) = rest.split_once(": ") else { continue };
            let kind = kind.split([' ', '=']).next().unwrap_or_default();
            if !["Duration", "u8", "u16", "u32", "u64", "usize"].contains(&kind) {
                continue;
            }
            seen += 1;
            assert!(
                internal.contains(constant),
                "{name}: {constant} is a number of its own. If a client author or the network can \
                 notice it, move it to protocol/limits.rs and proto.md §9; if not, name it in \
                 INTERNAL in this test"
            );
        }
    }
    assert!(seen > 20, "{seen}");
}

/// Each word `IN_CAPITALS` of the text is the name of a number, a flag, or a field of an RFC.
#[test]
fn every_number_that_the_text_names_is_in_the_table() {
    let names: BTreeSet<_> = numbers().into_iter().map(|(name, _)| name).collect();
    for (index, quoted) in read("proto.md").split('`').enumerate() {
        let constant = quoted.len() > 1
            && quoted.contains('_')
            && quoted.chars().all(|ch| ch.is_ascii_uppercase() || ch == '_')
            && index % 2 == 1;
        let known = names.contains(quoted) || ["FROM_SERVER", "SO_REUSEADDR"].contains(&quoted);
        assert!(!constant || known, "{quoted} is not in the table of §9");
    }
}

/// The numbers of the sections of `proto.md`.
fn sections(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with("##"));
    let numbers =
        headings.filter_map(|line| line.trim_start_matches('#').split_whitespace().next());
    numbers.map(|number| number.trim_end_matches('.').to_owned()).collect()
}

#[test]
fn every_section_that_is_cited_exists() {
    let text = read("proto.md");
    let sections = sections(&text);
    let (mut cited, mut missing) = (0, Vec::new());
    let mut check = |place: &str, rest: &str| {
        let of_a_number = |ch: &char| ch.is_ascii_digit() || ".IAB".contains(*ch);
        let number: String = rest.chars().take_while(of_a_number).collect();
        let number = number.trim_end_matches('.');
        if !sections.contains(number) {
            missing.push(format!("{place} cites §{number}"));
        }
        cited += 1;
    };
    for file in
        files(&["src", "tests", "scripts", "README.md"], &[".rs", ".py", ".md", ".lua", ".sh"])
    {
        let content = fs::read_to_string(&file).unwrap();
        let name = file.to_string_lossy();
        if name.ends_with("minimal_client.py") {
            let cited = content.split('§').skip(1).filter(|rest| !rest.starts_with(' '));
            cited.for_each(|rest| check(&name, rest));
        }
        for mark in ["proto.md` §", "proto.md §"] {
            let rest = content.split(mark).skip(1);
            rest.filter(|it| it.starts_with(|ch: char| ch.is_ascii_digit() || ch == 'I'))
                .for_each(|rest| check(&name, rest));
        }
    }
    // Within the text itself: what no other document's name stands before.
    let parts: Vec<_> = text.split('§').collect();
    for pair in parts.windows(2) {
        let before = pair[0].trim_end();
        let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
        let foreign = word.starts_with('#') || word.parse::<u32>().is_ok();
        let listed = before.ends_with(',') || before.ends_with(" and");
        if !foreign && !listed {
            check("proto.md", pair[1]);
        }
    }
    assert!(cited > 100, "{cited}");
    assert!(missing.is_empty(), "proto.md has no such sections: {missing:#?}");
}

/// Part I repeats numbers of §9, each with its name: `8 s (JOIN_TIMEOUT)`.
#[test]
fn part_one_repeats_the_numbers_of_the_table() {
    let numbers: BTreeMap<_, _> = numbers().into_iter().collect();
    let text = read("proto.md");
    let (part_one, _) = text.split_once("\n# Part II").expect("Part II");
    let part_one = part_one.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut repeated = 0;
    let pieces: Vec<_> = part_one.split(" (`").collect();
    for pair in pieces.windows(2) {
        let Some((name, _)) = pair[1].split_once("`)") else { continue };
        let Some(expected) = numbers.get(name) else { continue };
        let words: Vec<_> = pair[0].split_whitespace().rev().take(2).collect();
        let value = |word: &str| word.replace(',', "").parse::<u64>().ok();
        let said = match words[..] {
            ["s", number] => value(number).map(|seconds| 1_000 * seconds),
            ["ms" | "bytes", number] => value(number),
            [number, _] => value(number),
            _ => None,
        };
        assert_eq!(said, Some(*expected), "{name}");
        repeated += 1;
    }
    assert!(repeated >= 10, "{repeated}");
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
    for path in files(&["tests/vectors"], &[".txt"]) {
        let name = path.file_name().unwrap().to_string_lossy();
        assert!(text.contains(&format!("`{name}`")), "{name} is not explained");
        vectors += &fs::read_to_string(&path).unwrap();
    }
    for mention in text.split("(vector `").skip(1) {
        let (name, _) = mention.split_once('`').unwrap();
        assert!(vectors.contains(&format!("\nvector {name}\n")), "no vector {name}");
    }
}
