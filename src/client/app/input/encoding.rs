//! Guesses the encoding of bytes that are not UTF-8, as a name for `iconv`. No I/O.

/// The most frequent letters of Russian text, оеаинтсрвлк and their capitals, by encoding.
const CYRILLIC: [(&str, &[u8]); 3] = [
    (
        "CP1251",
        b"\xee\xe5\xe0\xe8\xed\xf2\xf1\xf0\xe2\xeb\xea\xce\xc5\xc0\xc8\xcd\xd2\xd1\xd0\xc2\xcb\xca",
    ),
    (
        "KOI8-R",
        b"\xcf\xc5\xc1\xc9\xce\xd4\xd3\xd2\xd7\xcc\xcb\xef\xe5\xe1\xe9\xee\xf4\xf3\xf2\xf7\xec\xeb",
    ),
    (
        "CP866",
        b"\xae\xa5\xa0\xa8\xad\xe2\xe1\xe0\xa2\xab\xaa\x8e\x85\x80\x88\x8d\x92\x91\x90\x82\x8b\x8a",
    ),
];
/// Least percentage of frequent letters among non-ASCII ones in the right encoding.
const FREQUENT: usize = 50;
/// Least number of non-ASCII letters for a frequency.
const FEW: usize = 3;

/// The encoding of a first line that may be UTF-16 or UTF-32, much of which is valid UTF-8. `next`
/// is the byte after the line, if known.
pub(super) fn wide(line: &[u8], next: Option<u8>) -> Option<&'static str> {
    match line {
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => return Some("UTF-32"),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => return Some("UTF-16"),
        [a, 0, 0, 0, ..] if *a != 0 => return Some("UTF-32LE"),
        [0, 0, 0, a, ..] if *a != 0 => return Some("UTF-32BE"),
        _ => {}
    }
    // The line feed has two bytes too.
    let even = line.len().is_multiple_of(2);
    if even && line.ends_with(b"\0\n") {
        return Some("UTF-16BE");
    }
    if !even && line.ends_with(b"\n") && next == Some(0) {
        return Some("UTF-16LE");
    }
    // Characters of one alphabet share their high byte, which in most alphabets is a control
    // character.
    let is_high = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x1B);
    let count = |at: usize| line.iter().skip(at).step_by(2).filter(|byte| is_high(byte)).count();
    let (big, little) = (count(0), count(1));
    let enough =
        |high: usize, other: usize| high >= FEW && high * 4 >= line.len() && other * 8 < high;
    if enough(little, big) {
        return Some("UTF-16LE");
    }
    enough(big, little).then_some("UTF-16BE")
}

/// The encoding of a line that is not UTF-8; `None` if there is no indication.
pub(super) fn narrow(line: &[u8]) -> Option<&'static str> {
    let letters = line.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let beyond: Vec<u8> = line.iter().copied().filter(|byte| !byte.is_ascii()).collect();
    // Text in Latin letters has some non-ASCII ones, other text only those.
    if letters > beyond.len() || beyond.len() < FEW {
        let is_latin_1 = !beyond.iter().any(|byte| (0x80..0xA0).contains(byte));
        return Some(if is_latin_1 { "ISO-8859-1" } else { "CP1252" });
    }
    let frequent = |of: &[u8]| beyond.iter().filter(|byte| of.contains(byte)).count();
    let scores = CYRILLIC.iter().map(|(name, letters)| (frequent(letters), *name));
    let best = scores.max_by_key(|(score, _)| *score);
    best.filter(|(score, _)| score * 100 >= beyond.len() * FREQUENT).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    /// The first line as the reader splits it, and the byte after it.
    fn first_line(bytes: &[u8]) -> (&[u8], Option<u8>) {
        let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        (&bytes[..end], bytes.get(end).copied())
    }

    #[test]
    fn wide_encodings_are_detected_with_and_without_mark_and_line_feed() {
        for text in
            ["hello\n", "привет\nмир\n", "γεια σου", "שלום\n", "@bob secret\r\n", "日本語\n"]
        {
            for mark in ["\u{feff}", ""] {
                let text = format!("{mark}{text}");
                let forms = [
                    ("LE", utf16(&text, u16::to_le_bytes)),
                    ("BE", utf16(&text, u16::to_be_bytes)),
                ];
                for (order, bytes) in forms {
                    let (line, next) = first_line(&bytes);
                    let wanted =
                        if mark.is_empty() { format!("UTF-16{order}") } else { "UTF-16".into() };
                    assert_eq!(wide(line, next), Some(&*wanted), "{text:?} {order}");
                }
            }
        }
        let bytes: Vec<u8> = "hi".chars().flat_map(|ch| u32::from(ch).to_le_bytes()).collect();
        assert_eq!(wide(&bytes, None), Some("UTF-32LE"));
    }

    #[test]
    fn utf_8_is_not_taken_for_a_wide_encoding() {
        for text in [
            "hello\n",
            "\n",
            "",
            "x\u{7}\n",
            "a\tb\tc\td\n",
            "\u{1b}[31mred\u{1b}[0m\n",
            "привет\r\n",
            "a\0b",
        ] {
            assert_eq!(wide(text.as_bytes(), Some(b'x')), None, "{text:?}");
            assert_eq!(wide(text.as_bytes(), None), None, "{text:?}");
        }
    }

    #[test]
    fn one_byte_encodings_are_distinguished_by_letter_frequency() {
        for (bytes, name) in [
            (&b"\xcf\xf0\xe8\xe2\xe5\xf2, \xea\xe0\xea \xe4\xe5\xeb\xe0?\n"[..], "CP1251"),
            (b"\xcf\xd0\xc8\xc2\xc5\xd2\n", "CP1251"),
            (b"@bob \xf1\xe5\xea\xf0\xe5\xf2\n", "CP1251"),
            (b"\xf0\xd2\xc9\xd7\xc5\xd4, \xcb\xc1\xcb \xc4\xc5\xcc\xc1?\n", "KOI8-R"),
            (b"\x8f\xe0\xa8\xa2\xa5\xe2, \xaa\xa0\xaa \xa4\xa5\xab\xa0?\n", "CP866"),
            (b"d\xe9j\xe0 vu\n", "ISO-8859-1"),
            (b"\xe9\n", "ISO-8859-1"),
            (b"\x93quoted\x94\n", "CP1252"),
        ] {
            assert_eq!(narrow(bytes), Some(name), "{bytes:x?}");
        }
        // Chinese in GBK is none of these.
        assert_eq!(narrow(b"\xc4\xe3\xba\xc3\xa3\xac\xca\xc0\xbd\xe7\n"), None);
    }
}
