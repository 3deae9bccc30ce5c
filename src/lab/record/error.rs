//! Errors in a run's files.

use super::mode::MAX_NAME;
#[cfg(feature = "parquet")]
use super::parquet::{PART_ROWS, message};
use super::{HEADER, Mode, Verdict};
#[cfg(feature = "parquet")]
use parquet::errors::ParquetError;
use std::io;
use std::path::{Path, PathBuf};

/// An error in reading or writing a run's files. Its text includes the cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of the file system.
    #[error("cannot {what} {path}: {cause}", path = .path.display())]
    Io {
        /// The failed operation: a verb.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// A line is malformed.
    #[error("{path}, line {line}: {problem}", path = .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The problem.
        problem: LineError,
    },
    /// A Parquet part is malformed.
    #[cfg(feature = "parquet")]
    #[error("{path}: {problem}", path = .path.display())]
    Part {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: PartError,
    },
    /// A file of rows is not as the run wrote it.
    #[error("{path}: {change}", path = .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// The difference.
        change: Change,
    },
    /// The run has rows in both formats.
    #[error(
        "{dir} holds both records.csv and records.parquet: move one of them to another directory",
        dir = .dir.display()
    )]
    Both {
        /// The run's directory.
        dir: PathBuf,
    },
    /// This build lacks Parquet.
    #[error(
        "{path} is Parquet, which this build neither writes nor reads: \
         build with `cargo build --release --features parquet`", path = .path.display()
    )]
    NoParquet {
        /// The file of rows.
        path: PathBuf,
    },
    /// The name has the suffix of a file of rows but is none of the two names.
    #[error(
        "{path} is not a valid name for a run: name the rows records.csv or records.parquet, or \
         name a directory", path = .path.display()
    )]
    Name {
        /// The path.
        path: PathBuf,
    },
    /// The directory has failed runs only.
    #[error(
        "no run in {path} finished: {reason}\n\
         try them again with `chatagram lab --resume --out {path}`",
        path = .path.display()
    )]
    AllFailed {
        /// The directory.
        path: PathBuf,
        /// The reason of the first one.
        reason: String,
    },
    /// The directory has no runs.
    #[error(
        "{path} holds no runs: name a directory written by `lab` or `load`",
        path = .path.display()
    )]
    NoRuns {
        /// The directory.
        path: PathBuf,
    },
}

impl Error {
    /// For `map_err`: the system error of `what` on `path`.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io { what, path: path.to_owned(), cause }
    }
}

/// How a file of rows differs from what `run.json` says that the run wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Change {
    /// The file is not there.
    #[error("it is missing")]
    Missing,
    /// The run wrote no such file.
    #[error("run.json does not list it")]
    Extra,
    /// Rows are missing, or there are too many.
    #[error("it has {found} rows where the run wrote {written}")]
    Rows {
        /// Rows in the file.
        found: u64,
        /// Rows written.
        written: u64,
    },
    /// The number of rows is right.
    #[error("it was changed after the run: its checksum is not the one in run.json")]
    Bytes,
}

/// The problem of a line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// The first line is not the header.
    #[error("the header must be {}", HEADER.join(","))]
    Header,
    /// The line is not CSV.
    #[error("{0}")]
    Csv(csv::Error),
    /// The line is not JSON, or not what `run.json` holds.
    #[error("{0}")]
    Json(serde_json::Error),
    /// The line is CSV but no row.
    #[error("{0}")]
    Row(#[from] RowError),
}

/// The problem of a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// The row has too few or too many columns.
    #[error("{0} columns where {expected} are expected", expected = HEADER.len())]
    Columns(usize),
    /// A number is none, or too large.
    #[error("{column} \"{text}\" is not a whole number")]
    NotANumber {
        /// The column.
        column: &'static str,
        /// The text in that column.
        text: String,
    },
    /// The two columns name no [`Mode`].
    #[error("there is no transport \"{transport}\" with mode \"{mode}\"")]
    UnknownMode {
        /// The column `transport`.
        transport: String,
        /// The column `mode`.
        mode: String,
    },
    /// The column names no [`Verdict`].
    #[error("there is no verdict \"{0}\"")]
    UnknownVerdict(String),
    /// A delivered message has no time of delivery.
    #[error("verdict \"{}\" without delivered_us", .0.name())]
    NoDeliveryTime(Verdict),
}

/// A text that names no [`Mode`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no \"{0}\": choose from {names}",
    names = Mode::ALL.each_ref().map(Mode::name).join(", ")
)]
pub struct UnknownMode(pub String);

/// A text that cannot name a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" cannot name a program: take 1 to {MAX_NAME} letters, digits, `-` and `_`, and no name \
     of a mode"
)]
pub struct InvalidName(pub String);

/// The problem of a Parquet part.
#[cfg(feature = "parquet")]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartError {
    /// Another file lies among the parts.
    #[error("it is not a part of a run; other programs would read it as one")]
    NotAPart,
    /// The numbers of the parts have a gap here.
    #[error("it is missing")]
    Missing,
    /// The Parquet library panicked.
    #[error("it is damaged")]
    Damaged,
    /// The file is larger than all rows of a part.
    #[error("its {0} bytes exceed the limit of a part")]
    TooLarge(u64),
    /// The footer is larger than that of a part.
    #[error("its footer exceeds the limit of a part")]
    FooterTooLarge,
    /// The part has too many rows.
    #[error("it has more than {PART_ROWS} rows")]
    TooManyRows,
    /// The columns are not those of a run, or have other types.
    #[error("the columns must be {}, with their types", HEADER.join(","))]
    Columns,
    /// A row group lacks columns.
    #[error("columns are missing")]
    ColumnsMissing,
    /// A column's bytes are not in the file.
    #[error("a column lies outside of the file")]
    ColumnOutside,
    /// A column has fewer values than the part has rows.
    #[error("column {column} has {values} of {rows} rows")]
    ColumnTooShort {
        /// The column.
        column: &'static str,
        /// The number of its values.
        values: usize,
        /// The number of rows.
        rows: usize,
    },
    /// A number is negative.
    #[error("{column} {number} is negative")]
    Negative {
        /// The column.
        column: &'static str,
        /// The number.
        number: i64,
    },
    /// The file could not be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file is not Parquet, or could not be written as such.
    #[error("{}", message(.0))]
    Parquet(#[from] ParquetError),
    /// A column could not be decoded.
    #[error("column {column}: {}", message(.cause))]
    Column {
        /// The column.
        column: &'static str,
        /// The library's error.
        cause: ParquetError,
    },
    /// A row is malformed.
    #[error("row {row}: {problem}")]
    Row {
        /// The row, from 1.
        row: usize,
        /// Its problem.
        problem: RowError,
    },
}
