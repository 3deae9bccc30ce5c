//! What can go wrong with a history, in the words a user needs.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::MAX_LINE;

/// A history that cannot be opened, read or written.
///
/// The text is whole: it holds the cause, so there is no chain to print.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// The directory of the file does not exist.
    #[error("cannot create the history {path}: there is no directory {directory}; create it or name another file", path = .path.display(), directory = .directory.display())]
    NoDirectory {
        /// The history.
        path: PathBuf,
        /// What is missing.
        directory: PathBuf,
    },
    /// The path names something that is not a file.
    #[error("cannot open the history {path}: it is {what}, not a file; name a file, which need not exist", path = .path.display())]
    NotAFile {
        /// The history.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// The system does not permit it.
    #[error("cannot open the history {path}: {cause}; the server must be allowed to read and write the file: change its permissions or name another file", path = .path.display())]
    Denied {
        /// The history.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file cannot be opened for another reason.
    #[error("cannot open the history {path}: {cause}; name another file", path = .path.display())]
    Open {
        /// The history.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Another process holds the lock.
    #[error("cannot open the history {path}: another server is using it; stop that server or name another file", path = .path.display())]
    InUse {
        /// The history.
        path: PathBuf,
    },
    /// The file system has no locks.
    #[error("cannot lock the history {path}: {cause}; name a file on a local disk", path = .path.display())]
    Lock {
        /// The history.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The content is something else, and stays as it is.
    #[error("{path} is not a history file: {why}; nothing was changed; name another file, or move this one away to begin anew", path = .path.display())]
    NotHistory {
        /// The file.
        path: PathBuf,
        /// How that shows.
        why: String,
    },
    /// The disk does not give the content.
    #[error("cannot read the history {path}: {cause}; check the disk", path = .path.display())]
    Read {
        /// The history.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The disk does not take a record. The next one is tried again.
    #[error("cannot write to the history {path}: {cause}; this message is not recorded, the next one is tried again: check that the disk has room and can be written", path = .path.display())]
    Append {
        /// The history.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The record would not be found again.
    #[error("cannot write to the history {path}: a record of {bytes} bytes is longer than {MAX_LINE}; this message is not recorded: write shorter ones", path = .path.display())]
    TooLong {
        /// The history.
        path: PathBuf,
        /// The length of its line.
        bytes: usize,
    },
}

impl HistoryError {
    /// Tells apart the reasons for which a file does not open.
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
