//! One record, and what a line of the file is.

use std::{collections::HashMap, fmt};

use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::protocol::hex;
use crate::time::WallTime;

/// The longest line a history holds, its line end included. A longer one is
/// damage: this is what bounds every read of the file.
pub const MAX_LINE: usize = 8 * 1024;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// What stands before the checksum of a line and behind it: `,"crc":"cbf43926"}`.
const BEFORE_SUM: &[u8] = b",\"crc\":\"";
const BEHIND_SUM: &[u8] = b"\"}";
const SUM_DIGITS: usize = 8;
/// How many fields a line has that was written by hand, without a checksum.
const FIELDS: usize = 3;

/// One message as it is kept. The order of the fields is the order in the file,
/// where a checksum of them follows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When the server took the message, by its clock then.
    pub at: WallTime,
    /// Who wrote it.
    pub from: String,
    /// What was written.
    pub text: String,
    /// The log that the position is in. A line written by hand has neither.
    #[serde(default, with = "hex", skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The position in that log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pos: Option<u64>,
    /// Whose line it is: a hash of the token of the name.
    #[serde(default, with = "hex", skip_serializing_if = "Option::is_none")]
    pub owner: Option<u64>,
    /// The number that its author gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u16>,
}

/// Why a line is not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Longer than [`MAX_LINE`].
    TooLong,
    /// Nothing but white space.
    Blank,
    /// Holds NUL bytes, as a power cut leaves them.
    Nul,
    /// Not UTF-8.
    NotUtf8,
    /// Not JSON, from this byte of the line on.
    NotJson {
        /// 1-based byte within the line, as near as the parser tells.
        column: usize,
    },
    /// JSON, but not an object with a moment `at` and the texts `from` and `text`.
    NotARecord,
    /// A record that is not what was written: it does not fit its checksum.
    Changed,
    /// A record without a checksum, and with more in it than one that is written by hand.
    Unsummed,
    /// The file ends within the line.
    Unterminated,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "longer than {MAX_LINE} bytes"),
            Self::Blank => f.write_str("blank"),
            Self::Nul => f.write_str("holds NUL bytes, as a power cut leaves them"),
            Self::NotUtf8 => f.write_str("not UTF-8"),
            Self::NotJson { column } => write!(f, "not JSON from byte {column} on"),
            Self::NotARecord => f.write_str("JSON, but not a record of at, from and text"),
            Self::Changed => f.write_str("not what was written: its checksum says so"),
            Self::Unsummed => f.write_str("without its checksum"),
            Self::Unterminated => f.write_str("the file ends within this line"),
        }
    }
}

impl Record {
    /// The whole line, its line end included. Its last field is the CRC-32 of the
    /// bytes before that: JSON alone does not tell when a bit of a text has flipped.
    pub(super) fn encode(&self) -> serde_json::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        let brace = line.pop();
        debug_assert_eq!(brace, Some(b'}'));
        let sum = sum(&line);
        for part in [BEFORE_SUM, sum.as_bytes(), BEHIND_SUM, b"\n"] {
            line.extend_from_slice(part);
        }
        Ok(line)
    }

    /// Reads a line without its `\n`. A `\r` at the end and a byte order mark are
    /// what editors add: they pass. So do fields that later versions may add, but
    /// only where a checksum covers them. Else a flipped bit in the key of the
    /// checksum would pass for one.
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
            // Serde would take an array of three texts for a record as well.
            Some(b'[') => return Err(Reason::NotARecord),
            Some(_) => {}
        }
        let unreadable = |error: serde_json::Error| match error.classify() {
            serde_json::error::Category::Data => Reason::NotARecord,
            _ => Reason::NotJson { column: error.column() },
        };
        let record = serde_json::from_str(text).map_err(unreadable)?;
        match summed(line) {
            Some((covered, written)) if sum(covered).as_bytes() == written => Ok(record),
            Some(_) => Err(Reason::Changed),
            None => {
                let fields: HashMap<String, IgnoredAny> =
                    serde_json::from_str(text).map_err(unreadable)?;
                if fields.len() == FIELDS { Ok(record) } else { Err(Reason::Unsummed) }
            }
        }
    }
}

/// As it stands in a line: eight digits, in lower case.
pub(super) fn sum(bytes: &[u8]) -> String {
    format!("{:0SUM_DIGITS$x}", crc32fast::hash(bytes))
}

/// What the checksum of a line covers, and the checksum, if the line ends in one.
fn summed(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = line.trim_ascii_end().strip_suffix(BEHIND_SUM)?;
    let (rest, sum) = rest.split_at_checked(rest.len().checked_sub(SUM_DIGITS)?)?;
    Some((rest.strip_suffix(BEFORE_SUM)?, sum))
}

/// Whether a line that is a record has nothing that shows whether it was changed.
pub(super) fn is_unsummed(line: &[u8]) -> bool {
    summed(line).is_none()
}

/// Whether a file that begins with `head` may be a history none of whose last
/// lines is whole: it begins as a record does, even a torn one, or with the
/// NULs that a power cut leaves.
pub(super) fn begins_like_a_record(head: &[u8]) -> bool {
    const OPENING: &[u8] = b"{\"at\":";
    let head = strip_bom(head);
    head.starts_with(OPENING) || OPENING.starts_with(head) || head.iter().all(|&byte| byte == 0)
}

fn strip_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BOM).unwrap_or(bytes)
}
