//! Rows as Parquet: a directory of parts, each a file of its own.
//!
//! A Parquet file can be read only once its end is written, so one file would lose a killed run all
//! its rows. A part is small, and has its name from the moment when it is whole.

use super::{Error, HEADER, PARQUET};
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

/// Rows in a part at most, and how long the first of them waits for its end: what a kill can cost.
const PART_ROWS: usize = 65_536;
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

/// What a part is called.
fn part_name(number: usize) -> String {
    format!("{number:05}.parquet")
}

/// What it is called until it is whole: readers of data sets skip names with a dot before them.
fn unfinished_name(number: usize) -> String {
    format!(".{}{UNFINISHED}", part_name(number))
}

const UNFINISHED: &str = ".part";

/// What is wrong with a part, or with writing it.
fn problem(path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(cause) => Error::io("write", path)(std::io::Error::other(cause)),
        other => Error::Part { path: path.to_owned(), problem: words(other) },
    }
}

/// The library begins what it says with its name; the file's name is there already.
fn words(error: ParquetError) -> String {
    match error {
        ParquetError::General(text) | ParquetError::EOF(text) => text,
        other => other.to_string(),
    }
}
