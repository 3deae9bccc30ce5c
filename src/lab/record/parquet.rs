//! Rows as Parquet: a directory of parts.
//!
//! A Parquet file is readable only once its footer is written, so a killed run would lose all rows
//! of a single file. A part is small, and is renamed to its final name when it is complete.

use super::{Error, HEADER, PARQUET, PartError};
use parquet::errors::ParquetError;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::TypePtr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

mod pages;
mod read;
mod write;

pub(super) use read::read;
pub(super) use write::Writer;

/// Limits on a part by rows and age: a kill loses at most one part.
pub(super) const PART_ROWS: usize = 65_536;
const PART_AFTER: Duration = Duration::from_secs(5);

/// The columns, in the order of [`HEADER`].
const SCHEMA: &str = "message records {
    required binary run (string);
    required binary transport (string);
    required binary mode (string);
    required binary sender (string);
    required binary receiver (string);
    required int64 id;
    required int64 intended_us;
    optional int64 sent_us;
    optional int64 arrived_us;
    optional int64 delivered_us;
    required binary verdict (string);
}";

fn schema() -> Result<TypePtr, ParquetError> {
    parse_message_type(SCHEMA).map(Arc::new)
}

/// The file name of a part.
fn part_name(number: usize) -> String {
    format!("{number:05}.parquet")
}

/// A part in `run.json`: its path in the run's directory.
fn part_path(number: usize) -> String {
    format!("{PARQUET}/{}", part_name(number))
}

/// The temporary name of a part: readers of data sets skip names that start with a dot.
fn unfinished_name(number: usize) -> String {
    format!(".{}{UNFINISHED}", part_name(number))
}

const UNFINISHED: &str = ".part";

/// The error for a part that is malformed or could not be written.
fn problem(path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(cause) => Error::io("write", path)(std::io::Error::other(cause)),
        other => Error::Part { path: path.to_owned(), problem: other.into() },
    }
}

/// The library's message without the prefix "Parquet error: ".
pub(super) fn message(error: &ParquetError) -> String {
    match error {
        ParquetError::General(text) | ParquetError::EOF(text) => text.clone(),
        other => other.to_string(),
    }
}
