//! Bytes as people write them: hexadecimal, with spaces, colons, line breaks and `0x` wherever.

use thiserror::Error;

/// What is not looked at any more, bytes of input.
pub const MAX_INPUT: usize = 64 * 1024;

/// Why a text is not bytes in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HexError {
    /// Some character is no digit and nothing that may stand between digits.
    #[error("character {place} is not hexadecimal; write bytes as 43 47, 43:47, 0x43 0x47 or 4347")]
    NotHex {
        /// Which one, from 1.
        place: usize,
    },
    /// Half a byte is left.
    #[error("{digits} digits are not whole bytes: one is missing or too many")]
    Odd {
        /// How many there are, in all or after a `0x`.
        digits: usize,
    },
    /// More than [`MAX_INPUT`].
    #[error("more than {MAX_INPUT} bytes of input: a datagram has 1,200 at most")]
    TooLong,
}

/// Reads bytes in hexadecimal. White space and colons mean nothing; a `0x` begins whole bytes.
///
/// # Errors
/// [`HexError`].
pub fn parse(text: &str) -> Result<Vec<u8>, HexError> {
    if text.len() > MAX_INPUT {
        return Err(HexError::TooLong);
    }
    let mut digits = Vec::new();
    // Where the last `0x` began, in digits: what follows it up to the next separator is whole bytes.
    let mut prefixed = None;
    let mut chars = text.chars().enumerate().peekable();
    while let Some((place, ch)) = chars.next() {
        if ch.is_whitespace() || ch == ':' {
            whole_since(prefixed.take(), &digits)?;
        } else if ch == '0' && chars.next_if(|(_, next)| matches!(next, 'x' | 'X')).is_some() {
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

fn whole_since(begin: Option<usize>, digits: &[u8]) -> Result<(), HexError> {
    match begin.map(|begin| digits.len() - begin) {
        Some(digits) if digits % 2 == 1 => Err(HexError::Odd { digits }),
        _ => Ok(()),
    }
}

/// What came on standard input: hexadecimal if it is nothing else, or else the bytes themselves.
///
/// # Errors
/// [`HexError::TooLong`], and [`HexError::Odd`] where all are digits.
pub fn parse_input(input: Vec<u8>) -> Result<Vec<u8>, HexError> {
    if input.len() > MAX_INPUT {
        return Err(HexError::TooLong);
    }
    match str::from_utf8(&input).map(parse) {
        Ok(Err(HexError::NotHex { .. })) | Err(_) => Ok(input),
        Ok(parsed) => parsed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_are_read_however_people_write_them() {
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
        ] {
            assert_eq!(parse(text), Ok(vec![0x43, 0x47, 1, 0xff]), "{text}");
        }
        assert_eq!(parse(""), Ok(vec![]));
        assert_eq!(parse("00"), Ok(vec![0]));
    }

    #[test]
    fn what_is_not_bytes_is_said_and_where() {
        assert_eq!(parse("434"), Err(HexError::Odd { digits: 3 }));
        assert_eq!(parse("0x4 0x3"), Err(HexError::Odd { digits: 1 }));
        assert_eq!(parse("43 4g"), Err(HexError::NotHex { place: 5 }));
        assert_eq!(parse("-"), Err(HexError::NotHex { place: 1 }));
        assert_eq!(parse("43 é"), Err(HexError::NotHex { place: 4 }));
        assert_eq!(parse(&"4".repeat(MAX_INPUT + 1)), Err(HexError::TooLong));
        assert_eq!(parse(&"4".repeat(MAX_INPUT)).map(|bytes| bytes.len()), Ok(MAX_INPUT / 2));
    }

    #[test]
    fn input_that_is_not_hexadecimal_is_taken_as_it_is() {
        assert_eq!(parse_input(b"43 47\n".to_vec()), Ok(vec![0x43, 0x47]));
        assert_eq!(parse_input(b"CG\x01\x00".to_vec()), Ok(b"CG\x01\x00".to_vec()));
        assert_eq!(parse_input(b"\xff\xfe".to_vec()), Ok(b"\xff\xfe".to_vec()));
        assert_eq!(parse_input(b"434\n".to_vec()), Err(HexError::Odd { digits: 3 }));
        assert_eq!(parse_input(vec![0xff; MAX_INPUT + 1]), Err(HexError::TooLong));
        assert_eq!(parse_input(Vec::new()), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[0-9a-fxX: \\n]{0,40}|\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
