//! The history: an append-only file of messages, one JSON object per line.
//!
//! This module owns the file, its lock, and the recovery from damage. It keeps three promises.
//! Nothing is lost: bytes that are not a record are kept, in place or in a file beside it. Damage
//! stays local: a failed write affects only its own line. Damage is detected: each line has a
//! checksum.
//!
//! It knows neither network nor clock: a record has its time. It never reads the whole file at
//! once: opening reads only the end, so that a server starts in the same time with any history.

mod error;
mod lock;
mod open;
mod record;
mod storage;
mod tail;
#[cfg(test)]
pub(crate) mod tests;
mod torn;
mod verify;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use crate::files::{self, Lock, Named};

pub use error::{HistoryError, NotHistory};
pub use open::Opened;
pub use record::{MAX_LINE, Reason, Record};
pub use storage::Storage;
pub use tail::Skipped;
pub use torn::{Torn, TornFate};
pub use verify::{Damage, Verify};

/// An open history that can be appended to.
#[derive(Debug)]
pub struct History<S: Storage = File> {
    storage: S,
    path: PathBuf,
    /// The length of the complete lines when the file was opened.
    opened: u64,
    /// Everything before this offset is kept.
    end: u64,
    /// The bytes before `end` do not end with a line break.
    newline_due: bool,
    /// The remains of a failed write may follow `end`; they are to be truncated.
    remains: bool,
    /// Keeps other servers from the path, even after log rotation.
    lock: Option<Lock>,
}

/// The state of the file behind the path, compared with the open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// The path names the open file, and the file is as long as before.
    Unchanged,
    /// The file was truncated by this many bytes.
    Truncated(u64),
    /// The path names another file or none; the open file has another name.
    Moved,
    /// The path names another file or none; the open file has no name.
    Removed,
}

impl History {
    /// Opens or creates the history at `path`, locks it against other servers, repairs a torn last
    /// line, and reads the `last` records.
    ///
    /// # Errors
    /// The file cannot be opened, locked, repaired or read, or is no history.
    pub fn open(path: &Path, last: usize) -> Result<Opened, HistoryError> {
        open::open(path, last)
    }

    /// Returns a check of all lines that the file had when it was opened. It has its own read
    /// handle and can run in another thread.
    ///
    /// # Errors
    /// The file cannot be opened a second time.
    pub fn verify(&self) -> Result<Verify, HistoryError> {
        let reader = self.reader().map_err(|cause| HistoryError::read(&self.path, cause))?;
        Ok(Verify::over(reader, &self.path, self.opened))
    }

    /// Detects whether the file was moved, removed or truncated. A truncation is reported once.
    ///
    /// # Errors
    /// The file's metadata, or that of the path, cannot be read.
    pub fn file_state(&mut self) -> io::Result<FileState> {
        Ok(match files::compare(&self.storage, &self.path)? {
            Named::Moved => FileState::Moved,
            Named::Removed => FileState::Removed,
            Named::Same => {
                let (len, end) = (self.storage.size()?, self.end);
                self.end = end.min(len);
                if len < end { FileState::Truncated(end - len) } else { FileState::Unchanged }
            }
        })
    }

    /// Opens or creates the file that the path names now, and writes to it from then on.
    ///
    /// # Errors
    /// Those of [`History::open`]; the file opened before stays open.
    pub fn reopen(&mut self) -> Result<Option<Torn>, HistoryError> {
        let Opened { history, torn, .. } = open::open_unnamed(&self.path, 0)?;
        let lock = self.lock.take();
        *self = history;
        self.lock = lock;
        Ok(torn)
    }

    /// The path of the history.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file a second time, without the lock.
    #[cfg(not(windows))]
    fn reader(&self) -> io::Result<File> {
        File::open(&self.path)
    }

    /// Windows' lock keeps out every other opening, even of this process, but not a duplicated
    /// handle.
    #[cfg(windows)]
    fn reader(&self) -> io::Result<File> {
        self.storage.try_clone()
    }
}

impl<S: Storage> History<S> {
    /// Recovers a history from `storage`, like [`History::open`] from a file. `save` stores the
    /// bytes of a torn line before they are truncated; `path` is for error messages.
    ///
    /// # Errors
    /// Those of [`History::open`].
    pub fn recover(
        storage: S,
        path: &Path,
        last: usize,
        save: impl FnOnce(&[u8]) -> io::Result<PathBuf>,
    ) -> Result<Opened<S>, HistoryError> {
        open::recover(storage, path, last, save)
    }

    /// Appends one line, in one write.
    ///
    /// After an error the file is as before or, if it could not be truncated, has one more damaged
    /// line. The next call tries again.
    ///
    /// # Errors
    /// The line is longer than a history allows, or cannot be written.
    pub fn append(&mut self, record: &Record) -> Result<(), HistoryError> {
        let mut line =
            record.encode().map_err(|error| HistoryError::append(&self.path, error.into()))?;
        if line.len() > MAX_LINE {
            return Err(HistoryError::TooLong { path: self.path.clone(), bytes: line.len() });
        }
        self.write_line(&mut line).map_err(|cause| HistoryError::append(&self.path, cause))
    }

    fn write_line(&mut self, line: &mut Vec<u8>) -> io::Result<()> {
        let len = self.cut_remains()?;
        let newline = if len == self.end { self.newline_due } else { !self.ends_a_line(len) };
        if !self.remains {
            self.end = len;
            self.newline_due = newline;
        }
        if newline {
            line.insert(0, b'\n');
        }
        let outcome = match self.storage.append(line) {
            Ok(count) if count == line.len() => {
                self.end = len + count as u64;
                self.newline_due = false;
                self.remains = false;
                return Ok(());
            }
            Ok(count) => Err(partial_write(count, line.len())),
            Err(error) => Err(error),
        };
        self.remains |= self.storage.set_len(len).is_err();
        outcome
    }

    /// Truncates the remains of an earlier write, if possible, and returns the file's length. The
    /// length is read each time because an operator may have truncated the file: writing at the old
    /// offset would leave a gap of NULs.
    fn cut_remains(&mut self) -> io::Result<u64> {
        let mut len = self.storage.size()?;
        self.remains &= len > self.end;
        if self.remains && self.storage.set_len(self.end).is_ok() {
            self.remains = false;
            len = self.end;
        }
        Ok(len)
    }

    /// Returns false if the byte cannot be read: a superfluous line break does less harm.
    fn ends_a_line(&self, len: u64) -> bool {
        let mut byte = [0];
        match len.checked_sub(1) {
            None => true,
            Some(at) => matches!(self.storage.read_at(at, &mut byte), Ok(1)) && byte == *b"\n",
        }
    }
}

fn partial_write(count: usize, size: usize) -> io::Error {
    io::Error::new(
        io::ErrorKind::StorageFull,
        format!("only {count} of {size} bytes went in; the disk is probably full"),
    )
}
