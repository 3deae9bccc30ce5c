use super::*;

use crate::history::record::checksum;
use crate::time::{NotAMoment, WallTime};

#[test]
fn a_record_is_one_line_with_its_keys_in_order() {
    let record = Record {
        at: WallTime(1_700_000_000_000_001),
        from: "a\"b".into(),
        text: "one\ntwo\u{2028}\u{7}".into(),
        epoch: Some(0xabc),
        pos: Some(1_000_001),
        owner: Some(u64::MAX),
        number: Some(0),
    };
    assert_eq!(
        String::from_utf8(record.encode().unwrap()).unwrap(),
        "{\"at\":\"2023-11-14T22:13:20.000001Z\",\"from\":\"a\\\"b\",\
         \"text\":\"one\\ntwo\u{2028}\\u0007\",\
         \"epoch\":\"0000000000000abc\",\"pos\":1000001,\
         \"owner\":\"ffffffffffffffff\",\"number\":0,\"crc\":\"a7affae5\"}\n"
    );
}

#[test]
fn additions_of_editors_and_unknown_fields_are_accepted() {
    let (at, from, text) = (WallTime(1_000_000), "a".into(), "b".into());
    let expected = Record { at, from, text, ..Record::default() };
    for line in [
        "{\"at\":\"1970-01-01T00:00:01Z\",\"from\":\"a\",\"text\":\"b\"}\r",
        "\u{feff}{\"at\":\"1970-01-01T00:00:01Z\",\"from\":\"a\",\"text\":\"b\"}",
        "{\"text\":\"b\", \"from\":\"a\", \"at\":\"1970-01-01T01:00:01.0+01:00\" }",
    ] {
        assert_eq!(Record::decode(line.as_bytes()), Ok(expected.clone()), "{line}");
    }
    let written = String::from_utf8(expected.encode().unwrap()).unwrap();
    let later = "{\"id\":[7],\"at\":\"1970-01-01T00:00:01Z\",\"from\":\"a\",\"text\":\"b\"";
    let later = format!("{later},\"crc\":\"{}\"}}", checksum(later.as_bytes()));
    for line in [format!("\u{feff}{}", written.trim_end()), written.replace('\n', "\r"), later] {
        assert_eq!(Record::decode(line.as_bytes()), Ok(expected.clone()), "{line}");
    }
}

#[test]
fn a_line_with_more_fields_than_a_handwritten_one_needs_a_checksum() {
    let three = "\"at\":\"1970-01-01T00:00:01Z\",\"from\":\"a\",\"text\":\"b\"";
    let sum = format!("\"crc\":\"{}\"", checksum(format!("{{{three}").as_bytes()));
    assert!(Record::decode(format!("{{{three},{sum}}}").as_bytes()).is_ok());
    for (line, reason) in [
        (format!("{{{sum},{three}}}"), Reason::Unsummed),
        (format!("{{{three}, {sum}}}"), Reason::Unsummed),
        (format!("{{{three},{sum},\"id\":7}}"), Reason::Unsummed),
        (format!("{{{three},\"id\":[7]}}"), Reason::Unsummed),
        (format!("{{{three},\"crc\":7}}"), Reason::Unsummed),
        (format!("{{{three},\"id\":7,{sum}}}"), Reason::Changed),
        (format!(" {{{three},{sum}}}"), Reason::Changed),
        (format!("{{{three},\"crc\":\"        \"}}"), Reason::Changed),
        (format!("{{{three},{}}}", sum.to_uppercase().replace("CRC", "crc")), Reason::Changed),
    ] {
        assert_eq!(Record::decode(line.as_bytes()), Err(reason), "{line}");
        assert!(!reason.to_string().is_empty());
    }
}

#[test]
fn every_flipped_bit_of_a_line_is_detected() {
    let (mut changed, mut unsummed) = (0, 0);
    let line = line(7);
    let body = &line[..line.len() - 1];
    for bit in 0..body.len() * 8 {
        let mut damaged = body.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        match Record::decode(&damaged) {
            Ok(record) => panic!("bit {bit} makes it {record:?}"),
            Err(Reason::Changed) => changed += 1,
            Err(Reason::Unsummed) => unsummed += 1,
            Err(_) => {}
        }
    }
    assert!(changed > 100, "{changed}");
    assert!(unsummed >= 3 * 5, "{unsummed}: the key of the checksum has three letters");
}

#[test]
fn every_kind_of_damage_has_its_reason() {
    let too_long = vec![b' '; MAX_LINE];
    let just_blank = vec![b' '; MAX_LINE - 1];
    let cases: [(&[u8], Reason); 12] = [
        (b"", Reason::Blank),
        (b" \r", Reason::Blank),
        (&just_blank, Reason::Blank),
        (&too_long, Reason::TooLong),
        (b"\0\0", Reason::Nul),
        (b"{\"at\":\"\xff\"}", Reason::NotUtf8),
        (b"{\"at\":?", Reason::NotJson { column: 7 }),
        (b"{\"at\"", Reason::NotJson { column: 5 }),
        (b"[\"1970-01-01T00:00:01Z\",\"a\",\"b\"]", Reason::NotARecord),
        (b"{\"at\":\"1970-01-01T00:00:01Z\",\"from\":\"a\"}", Reason::NotARecord),
        (b"{\"at\":\"now\",\"from\":\"a\",\"text\":\"b\"}", Reason::NotARecord),
        (b"{\"at\":1,\"from\":\"a\",\"text\":\"b\"}", Reason::NotARecord),
    ];
    for (line, reason) in cases {
        assert_eq!(Record::decode(line), Err(reason), "{}", line.escape_ascii());
        assert!(!reason.to_string().is_empty());
    }
}

#[test]
fn a_time_has_six_digits_and_never_panics() {
    assert_eq!(WallTime(0).to_string(), "1970-01-01T00:00:00.000000Z");
    assert_eq!(WallTime(1_700_000_000_120_000).to_string(), "2023-11-14T22:13:20.120000Z");
    let latest = "9999-12-30T22:00:00.999999Z";
    assert_eq!(WallTime(u64::MAX).to_string(), latest);
    assert_eq!(WallTime(i64::MAX as u64).to_string(), latest);
    let parsed: WallTime = latest.parse().unwrap();
    assert_eq!(parsed.to_string(), latest);
}

#[test]
fn a_time_is_read_with_any_offset_and_fraction() {
    let parse = |text: &str| text.parse::<WallTime>().map(|moment| moment.0);
    assert_eq!(parse("1970-01-01T00:00:01Z"), Ok(1_000_000));
    assert_eq!(parse("1970-01-01t00:00:01.5z"), Ok(1_500_000));
    assert_eq!(parse("1970-01-01T05:30:01.000001999+05:30"), Ok(1_000_001));
    assert_eq!(parse("1969-12-31T23:00:01-01:00"), Ok(1_000_000));
    assert_eq!(parse("1970-01-01T00:00:01-00:00"), Ok(1_000_000));
    assert_eq!(parse("1969-12-31T23:59:59Z"), Ok(0));
    assert_eq!(parse("0000-01-01T00:00:00+23:59"), Ok(0));
    assert_eq!(parse("-009999-01-01T00:00:00+23:59"), Ok(0));
    let latest = parse("9999-12-30T22:00:00.999999Z");
    assert_eq!(parse("9999-12-31T23:59:59.999Z"), latest);
    for text in [
        "",
        "now",
        "1970-01-01",
        "1970-01-01T00:00:01",
        "1970-13-01T00:00:01Z",
        "1970-01-01T25:00:00Z",
    ] {
        assert_eq!(parse(text), Err(NotAMoment), "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_survives_encoding(
        from in any_text(), text in any_text(), at in 0_u64..253_402_207_200_000_000,
    ) {
        let record = Record { at: WallTime(at), from, text, ..Record::default() };
        let line = record.encode().unwrap();
        let (end, body) = line.split_last().unwrap();
        prop_assert_eq!(*end, b'\n');
        prop_assert!(!body.contains(&b'\n'));
        prop_assert_eq!(Record::decode(body), Ok(record));
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Record::decode(&bytes);
        let _ = Disk::new(&bytes).try_open(3);
        let disk = Disk::new(&bytes);
        let len = bytes.len() as u64;
        prop_assert!(Verify::over(disk, Path::new("/disk"), len).all(|found| found.is_ok()));
    }
}

fn any_text() -> impl Strategy<Value = String> {
    let special = prop_oneof![
        any::<char>(),
        proptest::char::range('\0', '\u{9f}'),
        Just('"'),
        Just('\\'),
        Just('\u{2028}'),
        Just('\u{feff}'),
        Just('\u{1f600}'),
    ];
    proptest::collection::vec(special, 0..200).prop_map(String::from_iter)
}
