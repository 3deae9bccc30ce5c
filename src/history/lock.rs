//! Locks the history's path against a second server. A lock on the history file itself moves with a
//! rename; this one, on a file beside it, stays with the path.

use std::{
    ffi::OsString,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use super::HistoryError;
use crate::files::{self, Named};

/// Held while the history is open; dropping it removes the lock file.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

/// Locks the path. Returns `None` if the directory allows no new file: the lock on the history
/// itself must suffice.
pub(super) fn lock(history: &Path) -> Result<Option<Lock>, HistoryError> {
    if cfg!(not(unix)) {
        return Ok(None);
    }
    let mut name = OsString::from(history);
    name.push(".lock");
    let path = PathBuf::from(name);
    loop {
        let file = match files::private().write(true).create(true).truncate(false).open(&path) {
            Ok(file) => file,
            Err(error) => {
                log::debug!("no lock {}: {error}", path.display());
                return Ok(None);
            }
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(HistoryError::InUse { path: history.to_owned() });
            }
            Err(TryLockError::Error(error)) => {
                log::debug!("no lock {}: {error}", path.display());
                return Ok(None);
            }
        }
        // The previous owner may have removed the file between opening and locking it.
        if matches!(files::compare(&file, &path), Ok(Named::Same)) {
            return Ok(Some(Lock { path, _file: file }));
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            log::debug!("{} stays: {error}", self.path.display());
        }
    }
}
