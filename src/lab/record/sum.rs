//! Checksums of the files of rows.

use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufWriter, Write};

/// A file of rows as the run wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSum {
    /// Its path in the run's directory.
    pub file: String,
    /// Its number of rows.
    pub rows: u64,
    /// The CRC-32 (ISO 3309) of its bytes.
    pub crc32: u32,
}

impl FileSum {
    /// The sum of a whole file.
    pub(super) fn of(file: String, rows: usize, bytes: &[u8]) -> Self {
        Self { file, rows: rows as u64, crc32: crc32fast::hash(bytes) }
    }
}

/// A file, and the checksum of what was written to it.
#[derive(Debug)]
pub(super) struct Summed {
    file: BufWriter<File>,
    crc32: crc32fast::Hasher,
}

impl Summed {
    pub(super) fn new(file: File) -> Self {
        Self { file: BufWriter::new(file), crc32: crc32fast::Hasher::new() }
    }

    /// Syncs the flushed file to the disk. Returns its sum under this name.
    pub(super) fn finish(&self, file: &str, rows: u64) -> io::Result<FileSum> {
        self.file.get_ref().sync_all()?;
        Ok(FileSum { file: file.to_owned(), rows, crc32: self.crc32.clone().finalize() })
    }
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.crc32.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
