//! The storage interface of the history, and its implementation for files.

use std::{fs::File, io};

/// An append-only sequence of bytes.
///
/// The tests implement it with a disk that fails on request.
pub trait Storage {
    /// The length in bytes.
    ///
    /// # Errors
    /// The length cannot be read.
    fn size(&self) -> io::Result<u64>;

    /// Reads at most `buf.len()` bytes at `offset`; 0 is the end.
    ///
    /// # Errors
    /// The bytes cannot be read.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Appends `bytes` in one write and returns how many were written.
    ///
    /// # Errors
    /// The write failed; any number of the bytes may have been written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Truncates to `len` bytes.
    ///
    /// # Errors
    /// The length cannot be changed.
    fn set_len(&mut self, len: u64) -> io::Result<()>;
}

/// All reads and writes name their offset: a duplicated handle shares the file's cursor.
impl Storage for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| positioned_read(self, offset, buf))
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let end = self.size()?;
        uninterrupted(|| positioned_write(self, end, bytes))
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }
}

/// Fills `buf` from `offset` on, or fails if the file ends before.
pub(super) fn read_full<S: Storage>(
    storage: &S,
    mut offset: u64,
    mut buf: &mut [u8],
) -> io::Result<()> {
    while !buf.is_empty() {
        let count = storage.read_at(offset, buf)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        offset += count as u64;
        buf = &mut buf[count..];
    }
    Ok(())
}

fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

#[cfg(unix)]
fn positioned_read(file: &File, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, offset)
}

#[cfg(unix)]
fn positioned_write(file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, bytes, offset)
}

#[cfg(windows)]
fn positioned_read(file: &File, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    use std::os::windows::fs::FileExt;
    file.seek_read(buf, offset)
}

#[cfg(windows)]
fn positioned_write(file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
    use std::os::windows::fs::FileExt;
    file.seek_write(bytes, offset)
}
