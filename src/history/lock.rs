//! Keeps a second server from a path. The lock on the history file itself goes with the file when that
//! is renamed; this one, on a file beside it, stays with the name.

use std::{
    ffi::OsString,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use super::HistoryError;
use crate::files::{self, Named};

/// Held for as long as the history is open; then the file goes.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

/// `None` where the directory takes no new file: the lock on the history itself has to do.
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
        // Its last owner may have removed it between the two calls.
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
