//! A lock on a path against other processes: a file that names the process holding it.

use super::{Named, compare, private};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Held until it is dropped, which removes the file. A process that is killed leaves the file
/// unlocked, so the next one takes it.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    _file: File,
}

/// A lock that could not be taken.
#[derive(Debug)]
pub enum LockError {
    /// Another process holds it: this one, if it could write its number.
    Held(Option<u32>),
    /// The file cannot be created, or its file system has no locks.
    Io(io::Error),
}

impl Lock {
    /// Locks the file at `path` and writes this process's number into it.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn take(path: &Path) -> Result<Self, LockError> {
        loop {
            let mut options = private();
            options.read(true).write(true).create(true).truncate(false);
            let mut file = options.open(path).map_err(LockError::Io)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(LockError::Held(holder(&mut file))),
                Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
            }
            // The previous owner may have removed the file between opening and locking it.
            if matches!(compare(&file, path), Ok(Named::Same)) {
                // The number is for people: the lock holds without it.
                let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
                return Ok(Self { path: path.to_owned(), _file: file });
            }
        }
    }
}

/// The process that has the lock, as it says in the file.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            log::debug!("{} stays: {error}", self.path.display());
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_names_its_process_and_a_left_file_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        fs::write(&path, "1234567890\n").unwrap();
        let lock = Lock::take(&path).unwrap();
        match Lock::take(&path) {
            Err(LockError::Held(Some(holder))) => assert_eq!(holder, std::process::id()),
            other => panic!("{other:?}"),
        }
        drop(lock);
        assert!(!path.exists());
        assert!(matches!(Lock::take(&dir.path().join("no/lock")), Err(LockError::Io(_))));
    }
}
