#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use redis::parse_redis_value;

const EPOCH: u64 = 7;

fn bulk(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

/// An item of a stream with this id, as Redis replies.
fn item(id: &str, fields: &[&str]) -> Value {
    let fields = fields.iter().map(|it| bulk(it)).collect();
    Value::Array(vec![bulk(id), Value::Array(fields)])
}

const SAID: &[&str] = &[
    "chain", "0a", "before", "09", "server", "0b", "request", "3", "change", "said", "fence", "5",
    "owner", "0c", "number", "9", "at", "1000", "upstream", "-7", "from", "alice", "text", "hello",
];
const JOINED: &[&str] = &[
    "chain", "0a", "before", "09", "server", "0b", "request", "3", "change", "joined", "nickname",
    "alice", "owner", "0c", "next", "9", "replaces", "4",
];
const LEFT: &[&str] = &[
    "chain", "0a", "before", "09", "server", "0b", "request", "3", "change", "left", "fence", "5",
    "reason", "timeout", "next", "",
];
const WHISPER: &[&str] = &[
    "to", "8", "from", "5", "until", "99", "whisper", "1", "at", "1000", "upstream", "-7", "text",
    "psst",
];
const SEAT: &str = "0b\n3\nproof\n0c\n9\nalice\nAlice";

fn with(fields: &[&'static str], name: &str, value: &'static str) -> Vec<&'static str> {
    let mut fields = fields.to_vec();
    let at = fields.iter().position(|it| *it == name).unwrap();
    fields[at + 1] = value;
    fields
}

#[test]
fn entries_that_scripts_write_are_read() {
    let place = Place { epoch: EPOCH, position: 6, chain: 10 };
    let (fence, identity) = (Fence(5), LineIdentity { owner: Owner(12), number: 9 });
    let (from, text) = ("alice".to_owned(), "hello".to_owned());
    let said = Said { fence, identity, at: WallTime(1_000), upstream: -7, from, text };
    let of = |fields: &[&str]| entry(&item("6-0", fields), EPOCH).unwrap();
    assert_eq!(of(SAID).change, Change::Said(said.clone()));
    assert_eq!((of(SAID).place, of(SAID).server, of(SAID).request), (place, ServerId(11), 3));
    assert_eq!(of(SAID).before, 9);
    assert_eq!(line(&item("6-0", SAID)), Some((6, said)));
    assert_eq!(line(&item("6-0", LEFT)), None);
    let left = Change::Left { fence: Fence(5), reason: LeaveReason::Timeout, next: None };
    assert_eq!(of(LEFT).change, left);
    let (nickname, owner) = ("alice".to_owned(), Owner(12));
    let seat_ = Seat { fence: Fence(6), server: ServerId(11), nickname, owner, next: 9 };
    assert_eq!(of(JOINED).change, Change::Joined { seat: seat_, replaces: Some(Fence(4)) });
    let read = seat(&Value::Array(vec![bulk("6"), bulk(SEAT), bulk("10")])).unwrap();
    assert_eq!((read.nickname.as_str(), read.next), ("Alice", 10));
    let text = "psst".to_owned();
    let content = Content::Whisper { number: 1, at: WallTime(1_000), upstream: -7, text };
    let wanted = Mail { from: Fence(5), to: Fence(8), until: 99, content };
    assert_eq!(mail(&item("6-0", WHISPER)), Some(wanted));
}

#[test]
fn ids_and_numbers_out_of_range_make_an_entry_malformed() {
    for id in ["", "6", "-6-0", "x-0", "0x6-0", "18446744073709551616-0", "18446744073709551615-0"]
    {
        assert_eq!(entry(&item(id, SAID), EPOCH), None, "{id}");
    }
    for (name, value) in [
        ("chain", "xyz"),
        ("before", ""),
        ("server", ""),
        ("request", "-1"),
        ("change", "sung"),
        ("fence", "5.0"),
        ("owner", "123456789012345678901"),
        ("number", "65536"),
        ("at", "-5"),
        ("upstream", "2147483648"),
    ] {
        assert_eq!(entry(&item("6-0", &with(SAID, name, value)), EPOCH), None, "{name}");
    }
    assert_eq!(entry(&item("6-0", &with(LEFT, "reason", "boredom")), EPOCH), None);
    assert_eq!(entry(&item("6-0", &with(JOINED, "next", "-1")), EPOCH), None);
}

#[test]
fn texts_are_clean_and_short() {
    let long: &'static str = "\u{20ac}".repeat(20_000).leak();
    for text in ["\u{1b}[2J\u{7}", "a\r\nb\u{0}", "\u{202e}\u{9b}", long] {
        for fields in [with(SAID, "text", text), with(SAID, "from", text)] {
            let Change::Said(said) = entry(&item("6-0", &fields), EPOCH).unwrap().change else {
                panic!();
            };
            check(&said.text, MAX_TEXT);
            check(&said.from, MAX_NAME);
        }
    }
}

fn check(text: &str, most: usize) {
    assert!(text.len() <= most && !text.chars().any(char::is_control), "{text:?}");
}

/// A value that a script may send, as far as its parts go, in any place.
fn value(rng: &mut ChaCha20Rng, depth: u32) -> Value {
    const WORDS: [&str; 24] = [
        "",
        "-1",
        "0",
        "6-0",
        "1-1",
        "18446744073709551615-0",
        "9223372036854775808",
        "-0",
        "\u{1b}[2J",
        "renewed",
        "held",
        "kept",
        "repeated",
        "fresh",
        "change",
        "said",
        "joined",
        "left",
        "whisper",
        "text",
        "0b\n3\n\n0c\n9\na\n\u{7}",
        "\n\n\n\n\n\n\n",
        "1.5",
        "00",
    ];
    let any = rng.next_u64();
    match any % if depth == 0 { 8 } else { 11 } {
        0 => Value::Nil,
        1 => Value::Int(any as i64),
        2 => Value::Int(i64::MIN),
        3 => Value::SimpleString(WORDS[any as usize / 16 % WORDS.len()].to_owned()),
        4 => Value::BulkString((0..any / 16 % 40).map(|_| rng.next_u32() as u8).collect()),
        5 => parse_redis_value(b"-ERR \xc2\x9b no\r\n").unwrap(),
        6 | 7 => bulk(WORDS[any as usize / 16 % WORDS.len()]),
        _ => Value::Array((0..any / 16 % 12).map(|_| value(rng, depth - 1)).collect()),
    }
}

#[test]
fn any_value_is_read_or_refused() {
    let mut rng = ChaCha20Rng::from_seed([3; 32]);
    let mut read = 0;
    for _ in 0..50_000 {
        let fields = [SAID, JOINED, LEFT, WHISPER][rng.next_u32() as usize % 4];
        // An item of which parts are others.
        let mut fields: Vec<_> = fields.iter().map(|it| bulk(it)).collect();
        for _ in 0..rng.next_u32() % 3 {
            let at = rng.next_u32() as usize % fields.len();
            fields[at] = value(&mut rng, 2);
        }
        fields.truncate((fields.len() + 1).saturating_sub(rng.next_u32() as usize % 3));
        let id_ = if rng.next_u32().is_multiple_of(8) { value(&mut rng, 1) } else { bulk("6-0") };
        for it in [Value::Array(vec![id_, Value::Array(fields)]), value(&mut rng, 4)] {
            read += u32::from(entry(&it, EPOCH).is_some());
            if let Some(Change::Said(said)) = entry(&it, EPOCH).map(|it| it.change) {
                check(&said.text, MAX_TEXT);
                check(&said.from, MAX_NAME);
            }
            if let Some(Content::Whisper { text, .. }) = mail(&it).map(|it| it.content) {
                check(&text, MAX_TEXT);
            }
            if let Some(seat) = seat(&it) {
                check(&seat.nickname, MAX_NAME);
            }
            let _ = (line(&it), super::id(&it), answer(1, &it), servers(&it));
        }
    }
    assert!(read > 10_000, "{read}");
}

#[test]
fn a_flood_of_servers_is_bounded() {
    let addresses = "127.0.0.1:1 ".repeat(1_000);
    let pairs = (0..10_000).flat_map(|_| [bulk("0b"), bulk(&addresses)]).collect();
    let all = servers(&Value::Array(pairs));
    assert_eq!(all.len(), SERVERS);
    assert!(all.iter().all(|it| it.addresses.len() == MAX_ADVERTISED));
}
