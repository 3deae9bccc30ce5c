//! Errors of the cache, worded for the user.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// An unusable cache file. The chat continues without it.
#[derive(Debug, Error)]
#[error(
    "cannot read the saved lines in {path}: {cause}; {}",
    aftermath(.moved_to.as_deref()), path = .path.display()
)]
pub(crate) struct CacheWarning {
    /// The cache file.
    pub path: PathBuf,
    /// The fault.
    pub cause: io::Error,
    /// New path of the file, if it was moved.
    pub moved_to: Option<PathBuf>,
}

impl CacheWarning {
    /// The file is left as it is.
    pub(super) fn left(path: &Path, cause: io::Error) -> Self {
        Self { path: path.to_owned(), cause, moved_to: None }
    }
}

/// Lines that could not be saved. The text includes the cause.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum CacheError {
    /// The directory could not be created.
    #[error(
        "cannot save the last lines: cannot create the directory {path}: {cause}; create it, or \
         allow this program to", path = .path.display()
    )]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The file could not be replaced.
    #[error(
        "cannot save the last lines to {path}: {cause}; check that the disk has room and the \
         directory can be written", path = .path.display()
    )]
    Write {
        /// The cache file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// Another file is at the path and is left alone.
    #[error("cannot save the last lines: {0}")]
    Damaged(CacheWarning),
}

fn aftermath(moved_to: Option<&Path>) -> String {
    match moved_to {
        Some(path) => format!("it was moved to {}, and a new one is begun", path.display()),
        None => {
            "it was left as it is: move it away to begin a new one, or name another with --cache"
                .to_owned()
        }
    }
}
