//! One record, and what a line of the file is.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::WallTime;

/// The longest line a history holds, its line end included. A longer one is
/// damage: this is what bounds every read of the file.
pub const MAX_LINE: usize = 8 * 1024;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// One message as it is kept. The order of the fields is the order in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When the server took the message.
    pub at: WallTime,
    /// Who wrote it.
    pub from: String,
    /// What was written.
    pub text: String,
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
            Self::Unterminated => f.write_str("the file ends within this line"),
        }
    }
}

impl Record {
    /// The whole line, its line end included.
    pub(super) fn encode(&self) -> serde_json::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }

    /// Reads a line without its `\n`. Unknown fields, a `\r` at the end and a
    /// byte order mark are what editors and later versions add: they pass.
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
        serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Reason::NotARecord,
            _ => Reason::NotJson { column: error.column() },
        })
    }
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
