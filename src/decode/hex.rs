//! Parses bytes from text: hexadecimal with spaces, colons, commas, line breaks and `0x`; rows of a
//! dump; an array in C.

use super::dump::{self, Dump};
use std::borrow::Cow;
use thiserror::Error;

/// Limit on the input, bytes.
pub const MAX_INPUT: usize = 64 * 1024;

/// An error in hexadecimal text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HexError {
    /// A character that is neither a digit nor a separator.
    #[error("character {place} is not hexadecimal; write bytes as 43 47, 43:47, 0x43 0x47 or 4347")]
    NotHex {
        /// Its position, from 1.
        place: usize,
    },
    /// An odd number of digits.
    #[error("{digits} digits are an odd number: two make a byte, so add or remove one")]
    Odd {
        /// The number of digits, in all or after a `0x`.
        digits: usize,
    },
    /// A dump of 16-bit words, whose byte order is unknown.
    #[error(
        "this is hexdump's own format, which swaps bytes on most machines: use hexdump -C or xxd"
    )]
    Words,
    /// The input exceeds [`MAX_INPUT`].
    #[error("more than {MAX_INPUT} bytes of input: a datagram has 1,200 at most")]
    TooLong,
}

/// Parses hexadecimal text. White space, colons and commas are ignored; `0x` starts a whole byte. A
/// byte order mark, a dump's offsets and characters, and C syntax around an array are skipped.
///
/// # Errors
/// Any [`HexError`].
pub fn parse(text: &str) -> Result<Vec<u8>, HexError> {
    if text.len() > MAX_INPUT {
        return Err(HexError::TooLong);
    }
    let text = text.trim_start_matches('\u{feff}');
    match dump::read(text) {
        Some(Dump::Bytes(bytes)) => return Ok(bytes),
        Some(Dump::Words) => return Err(HexError::Words),
        None => {}
    }
    let text = array(text);
    let mut digits = Vec::new();
    // Digit index after the last `0x`: the digits up to the next separator must be whole bytes.
    let mut prefixed = None;
    let mut chars = text.chars().enumerate().peekable();
    while let Some((place, ch)) = chars.next() {
        if ch.is_whitespace() || matches!(ch, ':' | ',' | ';' | '"') {
            whole_since(prefixed.take(), &digits)?;
        } else if matches!(ch, '0' | '\\')
            && chars.next_if(|(_, next)| matches!(next, 'x' | 'X')).is_some()
        {
            whole_since(prefixed.take(), &digits)?;
            prefixed = Some(digits.len());
        } else if let Some(digit) = ch.to_digit(16) {
            digits.push(digit as u8);
        } else {
            return Err(HexError::NotHex { place: place + 1 });
        }
    }
    whole_since(prefixed, &digits)?;
    whole_since(Some(0), &digits)?;
    Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// The contents of the braces of an array in C, or the whole text. Comments become spaces, which
/// keeps the positions in error messages right.
fn array(text: &str) -> Cow<'_, str> {
    if !text.contains(['{', '/']) {
        return Cow::Borrowed(text);
    }
    let mut bare = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('/') {
        let (before, comment) = rest.split_at(start);
        let length = match comment.as_bytes().get(1) {
            Some(b'*') => comment.find("*/").map_or(comment.len(), |end| end + 2),
            Some(b'/') => comment.find('\n').unwrap_or(comment.len()),
            _ => {
                bare.push_str(&rest[..=start]);
                rest = &rest[start + 1..];
                continue;
            }
        };
        bare.push_str(before);
        bare.extend(comment[..length].chars().map(|_| ' '));
        rest = &comment[length..];
    }
    bare.push_str(rest);
    let inside = bare.split_once('{').map(|(_, rest)| rest.split('}').next().unwrap_or(rest));
    Cow::Owned(inside.map_or(bare.clone(), str::to_owned))
}

fn whole_since(begin: Option<usize>, digits: &[u8]) -> Result<(), HexError> {
    match begin.map(|begin| digits.len() - begin) {
        Some(digits) if digits % 2 == 1 => Err(HexError::Odd { digits }),
        _ => Ok(()),
    }
}

/// Parses standard input: hexadecimal text (UTF-8, or UTF-16 with a byte order mark), or else raw
/// bytes. Input that is printable throughout is text.
///
/// # Errors
/// A [`HexError`] for text that is not hexadecimal.
pub fn parse_input(input: Vec<u8>) -> Result<Vec<u8>, HexError> {
    if input.len() > MAX_INPUT {
        return Err(HexError::TooLong);
    }
    let text = match utf16(&input) {
        Some(text) => Cow::Owned(text),
        None => match str::from_utf8(&input) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => return Ok(input),
        },
    };
    match parse(&text) {
        Err(HexError::NotHex { .. }) if !is_printable(&text) => Ok(input),
        parsed => parsed,
    }
}

fn is_printable(text: &str) -> bool {
    text.chars().all(|ch| ch.is_whitespace() || !ch.is_control())
}

/// Decodes UTF-16 with a byte order mark, as PowerShell writes it.
fn utf16(input: &[u8]) -> Option<String> {
    let (mark, rest) = input.split_at_checked(2)?;
    let unit: fn([u8; 2]) -> u16 = match mark {
        [0xff, 0xfe] => u16::from_le_bytes,
        [0xfe, 0xff] => u16::from_be_bytes,
        _ => return None,
    };
    let units: Vec<u16> = rest.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
    String::from_utf16(&units).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn common_notations_of_bytes_are_read() {
        for text in [
            "434701ff",
            "43 47 01 FF",
            "43:47:01:ff",
            "0x43 0x47 0x01 0xff",
            "0x434701ff",
            "  4347\n01ff\r\n",
            "4347 0x01ff",
            "0X434701:ff",
            "4 3 4 7 01 f f",
            "0x430x470x010xff",
            "\u{feff}434701ff",
            "0x43, 0x47, 0x01, 0xff",
            "unsigned char a[] = {\n  0x43, 0x47, /* CG */\n  0x01, 0xff // end\n};\n\
             int a_len = 4;",
            "\"\\x43\\x47\\x01\\xff\"",
            "0000   43 47 01 ff   CG..",
        ] {
            assert_eq!(parse(text), Ok(vec![0x43, 0x47, 1, 0xff]), "{text}");
        }
        assert_eq!(parse(""), Ok(vec![]));
        assert_eq!(parse("00"), Ok(vec![0]));
    }

    #[test]
    fn errors_name_the_position() {
        assert_eq!(parse("434"), Err(HexError::Odd { digits: 3 }));
        assert_eq!(parse("0x4 0x3"), Err(HexError::Odd { digits: 1 }));
        assert_eq!(parse("43 4g"), Err(HexError::NotHex { place: 5 }));
        assert_eq!(parse("-"), Err(HexError::NotHex { place: 1 }));
        assert_eq!(parse("43 é"), Err(HexError::NotHex { place: 4 }));
        assert_eq!(parse(&"4".repeat(MAX_INPUT + 1)), Err(HexError::TooLong));
        assert_eq!(parse(&"4".repeat(MAX_INPUT)).map(|bytes| bytes.len()), Ok(MAX_INPUT / 2));
    }

    #[test]
    fn binary_input_is_taken_as_raw_bytes() {
        assert_eq!(parse_input(b"43 47\n".to_vec()), Ok(vec![0x43, 0x47]));
        assert_eq!(parse_input(b"CG\x01\x00".to_vec()), Ok(b"CG\x01\x00".to_vec()));
        assert_eq!(parse_input(b"\xff\xfd".to_vec()), Ok(b"\xff\xfd".to_vec()));
        assert_eq!(parse_input(b"\xff\xfe4\x003\x00".to_vec()), Ok(b"C".to_vec()));
        assert_eq!(parse_input(b"\xfe\xff\x004\x003".to_vec()), Ok(b"C".to_vec()));
        let text = b"no bytes at all\n".to_vec();
        assert_eq!(parse_input(text), Err(HexError::NotHex { place: 1 }), "text is not a datagram");
        let words = b"0000000 4743 0201\n0000004\n".to_vec();
        assert_eq!(parse_input(words), Err(HexError::Words));
        assert_eq!(parse_input(b"434\n".to_vec()), Err(HexError::Odd { digits: 3 }));
        assert_eq!(parse_input(vec![0xff; MAX_INPUT + 1]), Err(HexError::TooLong));
        assert_eq!(parse_input(Vec::new()), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[0-9a-fxX:|*/{} \\n]{0,60}|\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
