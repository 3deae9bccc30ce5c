//! Checks every line of a history, in the background and with little memory.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use super::{
    HistoryError, MAX_LINE, Storage,
    record::{Reason, Record, lacks_checksum},
};

const BLOCK: u64 = 64 * 1024;

/// A line that is not a record. It stays in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The line's number, from 1.
    pub line: u64,
    /// The offset of its first byte.
    pub offset: u64,
    /// The reason.
    pub reason: Reason,
}

/// A check of a whole history: an iterator over its damaged lines, in order.
///
/// It reads through its own handle up to a fixed length, so it can run in another thread while the
/// server appends. It never writes, and never holds more than one line and one block. It ends after
/// an error.
#[derive(Debug)]
pub struct Verify<S: Storage = File> {
    storage: S,
    path: PathBuf,
    /// The offsets that are still to be read.
    next: u64,
    end: u64,
    block: Vec<u8>,
    /// Number of bytes of `block` that are processed.
    used: usize,
    /// The current line, up to the limit of a line.
    text: Vec<u8>,
    /// The number of the next line.
    line: u64,
    offset: u64,
    /// Records so far without a checksum.
    unsummed: u64,
}

impl Verify {
    /// Checks the file in its current length, without taking its lock.
    ///
    /// # Errors
    /// The file cannot be opened, or its length cannot be read.
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        let file = File::open(path).map_err(|cause| HistoryError::open(path, cause))?;
        let len = file.size().map_err(|cause| HistoryError::read(path, cause))?;
        Ok(Self::over(file, path, len))
    }
}

impl<S: Storage> Verify<S> {
    /// Checks the first `len` bytes of `storage`; `path` is for error messages.
    pub fn over(storage: S, path: &Path, len: u64) -> Self {
        Self {
            storage,
            path: path.to_owned(),
            next: 0,
            end: len,
            block: Vec::new(),
            used: 0,
            text: Vec::new(),
            line: 1,
            offset: 0,
            unsummed: 0,
        }
    }

    /// Number of handwritten records so far, without a checksum. Damage that leaves such a record
    /// readable is not detected.
    pub fn unsummed(&self) -> u64 {
        self.unsummed
    }

    /// Checks one line. `None` is the end, `Some(None)` an intact record.
    fn check_line(&mut self) -> io::Result<Option<Option<Damage>>> {
        self.text.clear();
        let mut size = 0;
        let ended = loop {
            if self.used == self.block.len() && !self.read_block()? {
                break false;
            }
            let rest = &self.block[self.used..];
            let end = rest.iter().position(|&byte| byte == b'\n');
            let piece = &rest[..end.unwrap_or(rest.len())];
            size += piece.len() as u64;
            // One byte over the limit is enough to detect a line that is too long.
            let room = MAX_LINE - self.text.len();
            self.text.extend_from_slice(&piece[..piece.len().min(room)]);
            self.used += piece.len() + usize::from(end.is_some());
            if end.is_some() {
                break true;
            }
        };
        if !ended && size == 0 {
            return Ok(None);
        }
        let reason = match Record::decode(&self.text) {
            Err(Reason::TooLong) => Some(Reason::TooLong),
            _ if !ended => Some(Reason::Unterminated),
            outcome => {
                self.unsummed += u64::from(outcome.is_ok() && lacks_checksum(&self.text));
                outcome.err()
            }
        };
        let damage = reason.map(|reason| Damage { line: self.line, offset: self.offset, reason });
        self.line += 1;
        self.offset += size + u64::from(ended);
        Ok(Some(damage))
    }

    /// Bytes of the file in memory.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.block.capacity() + self.text.capacity()
    }

    fn read_block(&mut self) -> io::Result<bool> {
        let size = BLOCK.min(self.end - self.next);
        if size == 0 {
            return Ok(false);
        }
        self.block.resize(size as usize, 0);
        let count = self.storage.read_at(self.next, &mut self.block)?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it was truncated during the check",
            ));
        }
        self.block.truncate(count);
        self.used = 0;
        self.next += count as u64;
        Ok(true)
    }
}

impl<S: Storage> Iterator for Verify<S> {
    type Item = Result<Damage, HistoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.check_line() {
                Ok(None) => return None,
                Ok(Some(None)) => {}
                Ok(Some(Some(damage))) => return Some(Ok(damage)),
                Err(cause) => {
                    self.next = self.end;
                    self.used = self.block.len();
                    return Some(Err(HistoryError::read(&self.path, cause)));
                }
            }
        }
    }
}
