//! Errors of the history, each with the way out.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{MAX_LINE, tail::SLACK};

/// An error in opening, reading or writing a history.
///
/// Its text includes the cause, so there is no source chain to print.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The directory of the file does not exist.
    #[error(
        "cannot create the history {path}: there is no directory {directory}; create it or name \
         another file",
        path = .path.display(), directory = .directory.display()
    )]
    NoDirectory {
        /// The history's path.
        path: PathBuf,
        /// The missing directory.
        directory: PathBuf,
    },
    /// The path does not name a regular file.
    #[error(
        "cannot open the history {path}: it is {what}, not a file; name a file, which need not \
         exist",
        path = .path.display()
    )]
    NotAFile {
        /// The history's path.
        path: PathBuf,
        /// The kind of file.
        what: &'static str,
    },
    /// Permission denied, or a read-only file system.
    #[error(
        "cannot open the history {path}: {cause}; the server must be allowed to read and write \
         the file: change its permissions or name another file",
        path = .path.display()
    )]
    Denied {
        /// The history's path.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The file cannot be opened for another reason.
    #[error("cannot open the history {path}: {cause}; name another file", path = .path.display())]
    Open {
        /// The history's path.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// Another server has locked the history.
    #[error(
        "cannot open the history {path}: another server is using it; stop that server or name \
         another file",
        path = .path.display()
    )]
    InUse {
        /// The history's path.
        path: PathBuf,
    },
    /// The file system does not support locks.
    #[error(
        "cannot lock the history {path}: {cause}; name a file on a local disk",
        path = .path.display()
    )]
    Lock {
        /// The history's path.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The file has other contents, which are kept.
    #[error(
        "{path} is not a history file: {why}; the file was not changed; name another \
         file, or move this one away",
        path = .path.display()
    )]
    NotHistory {
        /// The file's path.
        path: PathBuf,
        /// The evidence.
        why: NotHistory,
    },
    /// The file cannot be read.
    #[error("cannot read the history {path}: {cause}; check the disk", path = .path.display())]
    Read {
        /// The history's path.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// A record could not be written. The next one is written again.
    #[error(
        "cannot write to the history {path}: {cause}; this message is not recorded, the next \
         one is tried again: check that the disk has room and can be written",
        path = .path.display()
    )]
    Append {
        /// The history's path.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The record's line exceeds the limit, so it would read as damage.
    #[error(
        "cannot write to the history {path}: a record of {bytes} bytes is longer than \
         {MAX_LINE}; this message is not recorded: write shorter ones",
        path = .path.display()
    )]
    TooLong {
        /// The history's path.
        path: PathBuf,
        /// The length of its line, bytes.
        bytes: usize,
    },
}

/// Evidence that a file is not a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotHistory {
    /// A line at the end is longer than any record.
    #[error("its last {SLACK} bytes hold no line end")]
    NoLineEnd,
    /// Neither the beginning nor the end holds a record.
    #[error("it does not hold records")]
    NoRecords,
}

impl HistoryError {
    /// The error for a file that could not be opened, by the system's error.
    pub(super) fn open(path: &Path, cause: io::Error) -> Self {
        let path = path.to_owned();
        match cause.kind() {
            io::ErrorKind::NotFound => match missing_directory(&path) {
                Some(directory) => Self::NoDirectory { path, directory },
                None => Self::Open { path, cause },
            },
            io::ErrorKind::IsADirectory => Self::NotAFile { path, what: "a directory" },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Denied { path, cause }
            }
            _ => Self::Open { path, cause },
        }
    }

    pub(super) fn read(path: &Path, cause: io::Error) -> Self {
        let path = path.to_owned();
        Self::Read { path, cause }
    }

    pub(super) fn append(path: &Path, cause: io::Error) -> Self {
        let path = path.to_owned();
        Self::Append { path, cause }
    }
}

fn missing_directory(path: &Path) -> Option<PathBuf> {
    let directory = path.parent()?;
    (!directory.as_os_str().is_empty() && !directory.exists()).then(|| directory.to_owned())
}
