//! The append-only log of messages: one JSON object per line.
//!
//! This module owns the history file: its lock, its lines, and what is done
//! about damage. Three promises shape it. Nothing is lost: bytes that are no
//! record are kept, in place or beside the file. Damage stays small: a failed
//! write never spoils a line but its own. And it is seen: each line has a
//! checksum.
//!
//! It must not know the network, the clients or a clock: a record comes with
//! its moment. It must not read the file whole either: opening looks at the
//! end only, so that the start of a server does not depend on its past.

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

use crate::files::{self, Named};

pub use error::HistoryError;
use lock::Lock;
pub use open::Opened;
pub use record::{MAX_LINE, Reason, Record};
pub use storage::Storage;
pub use tail::Skipped;
pub use torn::{Torn, TornFate};
pub use verify::{Damage, Verify};

/// An open history, ready to take records.
#[derive(Debug)]
pub struct History<S: Storage = File> {
    storage: S,
    path: PathBuf,
    /// How long the whole lines were when the file was opened.
    opened: u64,
    /// Everything before this offset is to be kept.
    end: u64,
    /// The bytes before `end` do not end a line.
    newline_due: bool,
    /// Behind `end` there may be remains of a failed write, which go.
    remains: bool,
    /// Keeps other servers from the path, whichever file it names.
    lock: Option<Lock>,
}

/// What became of the file while it was open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is where it was, and holds what it held.
    Here,
    /// So many bytes were cut off its end.
    Cut(u64),
    /// The path names another file, or none; this one has a name elsewhere.
    Moved,
    /// The path names another file, or none; this one has no name any more.
    Removed,
}

impl History {
    /// Opens or creates the history at `path`, locks it against other servers,
    /// repairs a torn last line, and reads the `last` records.
    pub fn open(path: &Path, last: usize) -> Result<Opened, HistoryError> {
        open::open(path, last)
    }

    /// A check of all lines the file had when it was opened, to be run in
    /// another thread. It has a read handle of its own.
    pub fn verify(&self) -> Result<Verify, HistoryError> {
        let reader = self.reader().map_err(|cause| HistoryError::read(&self.path, cause))?;
        Ok(Verify::over(reader, &self.path, self.opened))
    }

    /// Looks whether others moved, removed or emptied the file. What was cut off is told once.
    pub fn look(&mut self) -> io::Result<Place> {
        Ok(match files::compare(&self.storage, &self.path)? {
            Named::Moved => Place::Moved,
            Named::Removed => Place::Removed,
            Named::Same => {
                let (len, end) = (self.storage.size()?, self.end);
                self.end = end.min(len);
                if len < end { Place::Cut(end - len) } else { Place::Here }
            }
        })
    }

    /// Opens or creates the file that the path names now, in place of the one that it named.
    pub fn reopen(&mut self) -> Result<Option<Torn>, HistoryError> {
        let Opened { history, torn, .. } = open::open_unnamed(&self.path, 0)?;
        let lock = self.lock.take();
        *self = history;
        self.lock = lock;
        Ok(torn)
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A second opening of the file, which does not hold the lock.
    #[cfg(not(windows))]
    fn reader(&self) -> io::Result<File> {
        File::open(&self.path)
    }

    /// There, the lock keeps out every other opening, even one of this
    /// process, but not a duplicate of this one.
    #[cfg(windows)]
    fn reader(&self) -> io::Result<File> {
        self.storage.try_clone()
    }
}

impl<S: Storage> History<S> {
    /// Makes a history of what `storage` holds, as [`History::open`] does of a file. `save` puts the
    /// bytes of a torn line somewhere safe before they are cut off; `path` is for errors.
    pub fn recover(
        storage: S,
        path: &Path,
        last: usize,
        save: impl FnOnce(&[u8]) -> io::Result<PathBuf>,
    ) -> Result<Opened<S>, HistoryError> {
        open::recover(storage, path, last, save)
    }

    /// Adds one line, in one write.
    ///
    /// After an error the file holds what it held before, or, when even that
    /// cannot be restored, one damaged line more. The next call tries again.
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
        let newline = match len == self.end {
            true => self.newline_due,
            false => !self.ends_a_line(len),
        };
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

    /// Clears away what an earlier write left, if it can, and tells where the
    /// file ends. That is asked each time because others may have touched the
    /// file: an operator who empties it must not get a gap of NULs.
    fn cut_remains(&mut self) -> io::Result<u64> {
        let mut len = self.storage.size()?;
        self.remains &= len > self.end;
        if self.remains && self.storage.set_len(self.end).is_ok() {
            self.remains = false;
            len = self.end;
        }
        Ok(len)
    }

    /// When that cannot be read, a line end too many does less harm.
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
