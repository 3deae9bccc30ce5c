//! Records, and their encoding as lines.

use std::{collections::HashMap, fmt};

use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::protocol::hex;
use crate::time::WallTime;

/// Limit on a line's length, including its line break. It bounds every read of the file; a longer
/// line is damage.
pub const MAX_LINE: usize = 8 * 1024;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// The bytes around a line's checksum: `,"crc":"cbf43926"}`.
const BEFORE_SUM: &[u8] = b",\"crc\":\"";
const BEHIND_SUM: &[u8] = b"\"}";
const SUM_DIGITS: usize = 8;
/// Number of fields in a handwritten line, which may lack a checksum.
const FIELDS: usize = 3;

/// A message in the history. The fields are written in this order, followed by their checksum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When the server accepted the message, by its wall clock.
    pub at: WallTime,
    /// The sender's nickname.
    pub from: String,
    /// The message's text.
    pub text: String,
    /// The epoch of the log of `pos`. A handwritten line has neither.
    #[serde(default, with = "hex", skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The position in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pos: Option<u64>,
    /// The owner of the line: a hash of the token behind the nickname.
    #[serde(default, with = "hex", skip_serializing_if = "Option::is_none")]
    pub owner: Option<u64>,
    /// The number that the owner's client gave the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u16>,
}

/// The reason why a line is not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Longer than [`MAX_LINE`].
    TooLong,
    /// Only white space.
    Blank,
    /// Contains NUL bytes, as after a power failure.
    Nul,
    /// Not UTF-8.
    NotUtf8,
    /// Not JSON.
    NotJson {
        /// 1-based byte of the error within the line, as the parser reports it.
        column: usize,
    },
    /// JSON, but not an object with the time `at` and the strings `from` and `text`.
    NotARecord,
    /// The checksum does not match.
    Changed,
    /// A record without a checksum that has more fields than a handwritten one.
    Unsummed,
    /// The file ends within the line.
    Unterminated,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "longer than {MAX_LINE} bytes"),
            Self::Blank => f.write_str("blank"),
            Self::Nul => f.write_str("contains NUL bytes, as after a power failure"),
            Self::NotUtf8 => f.write_str("not UTF-8"),
            Self::NotJson { column } => write!(f, "not JSON from byte {column} on"),
            Self::NotARecord => f.write_str("JSON, but not a record of at, from and text"),
            Self::Changed => f.write_str("its checksum does not match"),
            Self::Unsummed => f.write_str("its checksum is missing"),
            Self::Unterminated => f.write_str("the file ends within this line"),
        }
    }
}

impl Record {
    /// The line, including its line break. Its last field is the CRC-32 of the bytes before it:
    /// JSON alone does not detect a flipped bit in a text.
    pub(super) fn encode(&self) -> serde_json::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        let brace = line.pop();
        debug_assert_eq!(brace, Some(b'}'));
        let sum = checksum(&line);
        for part in [BEFORE_SUM, sum.as_bytes(), BEHIND_SUM, b"\n"] {
            line.extend_from_slice(part);
        }
        Ok(line)
    }

    /// Decodes a line without its line feed. A trailing `\r` and a byte order mark, which editors
    /// add, are accepted. Unknown fields are accepted only under a checksum: otherwise a flipped
    /// bit in the key `crc` would go unnoticed.
    pub(super) fn decode(line: &[u8]) -> Result<Self, Reason> {
        if line.len() >= MAX_LINE {
            return Err(Reason::TooLong);
        }
        let line = strip_bom(line);
        let text = std::str::from_utf8(line).map_err(|_| Reason::NotUtf8)?;
        if text.contains('\0') {
            return Err(Reason::Nul);
        }
        match text.trim_ascii().as_bytes().first() {
            None => return Err(Reason::Blank),
            // Serde would also accept an array of three strings.
            Some(b'[') => return Err(Reason::NotARecord),
            Some(_) => {}
        }
        let unreadable = |error: serde_json::Error| match error.classify() {
            serde_json::error::Category::Data => Reason::NotARecord,
            _ => Reason::NotJson { column: error.column() },
        };
        let record = serde_json::from_str(text).map_err(unreadable)?;
        match summed(line) {
            Some((covered, written)) if checksum(covered).as_bytes() == written => Ok(record),
            Some(_) => Err(Reason::Changed),
            None => {
                let fields: HashMap<String, IgnoredAny> =
                    serde_json::from_str(text).map_err(unreadable)?;
                if fields.len() == FIELDS { Ok(record) } else { Err(Reason::Unsummed) }
            }
        }
    }
}

/// The CRC-32 as eight lower-case hexadecimal digits.
pub(super) fn checksum(bytes: &[u8]) -> String {
    format!("{:0SUM_DIGITS$x}", crc32fast::hash(bytes))
}

/// The bytes under a line's checksum, and the checksum, if the line has one.
fn summed(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = line.trim_ascii_end().strip_suffix(BEHIND_SUM)?;
    let (rest, sum) = rest.split_at_checked(rest.len().checked_sub(SUM_DIGITS)?)?;
    Some((rest.strip_suffix(BEFORE_SUM)?, sum))
}

/// Returns true for a line without a checksum.
pub(super) fn lacks_checksum(line: &[u8]) -> bool {
    summed(line).is_none()
}

/// Returns true if a file with this beginning may be a history in which none of the last lines is
/// intact: it begins like a record, even a torn one, or with the NULs that a power failure leaves.
pub(super) fn begins_like_a_record(head: &[u8]) -> bool {
    const OPENING: &[u8] = b"{\"at\":";
    let head = strip_bom(head);
    head.starts_with(OPENING) || OPENING.starts_with(head) || head.iter().all(|&byte| byte == 0)
}

fn strip_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BOM).unwrap_or(bytes)
}
