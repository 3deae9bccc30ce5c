//! What can go wrong with a cache, in the words a user needs.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// A cache file that could not be used. The chat goes on without it.
#[derive(Debug, Error)]
#[error("cannot read the saved lines in {path}: {cause}; {}", aftermath(.moved_to.as_deref()), path = .path.display())]
pub struct CacheWarning {
    /// The cache file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub cause: io::Error,
    /// Where the file is now, if it could be moved.
    pub moved_to: Option<PathBuf>,
}

impl CacheWarning {
    /// The file stays as it is.
    pub(super) fn left(path: &Path, cause: io::Error) -> Self {
        Self { path: path.to_owned(), cause, moved_to: None }
    }
}

/// Lines that could not be saved. The text is whole: it holds the cause.
#[derive(Debug, Error)]
pub enum CacheError {
    /// The directory could not be made.
    #[error("cannot save the last lines: cannot create the directory {path}: {cause}; create it, or allow this program to", path = .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file could not be replaced.
    #[error("cannot save the last lines to {path}: {cause}; check that the disk has room and the directory can be written", path = .path.display())]
    Write {
        /// The cache file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// What stands in place of the file may be somebody's, and stays.
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
