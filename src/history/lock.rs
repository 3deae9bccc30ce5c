//! Locks the history's path against a second server. A lock on the history file itself moves with a
//! rename; this one, on a file beside it, stays with the path.

use super::HistoryError;
use crate::files::{Lock, LockError};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Locks the path. Returns `None` if the directory allows no new file: the lock on the history
/// itself must suffice.
pub(super) fn lock(history: &Path) -> Result<Option<Lock>, HistoryError> {
    if cfg!(not(unix)) {
        return Ok(None);
    }
    let mut name = OsString::from(history);
    name.push(".lock");
    let path = PathBuf::from(name);
    match Lock::take(&path) {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::Held(_)) => Err(HistoryError::InUse { path: history.to_owned() }),
        Err(LockError::Io(error)) => {
            log::debug!("no lock {}: {error}", path.display());
            Ok(None)
        }
    }
}
