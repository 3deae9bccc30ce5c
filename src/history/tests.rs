//! The history on real files and on a failing disk.

use crate::time::WallTime;
use std::{
    cell::{Cell, RefCell},
    fs, io,
    path::{Path, PathBuf},
    rc::Rc,
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{open::recover, *};

mod appending;
mod opening;
mod records;
mod verifying;

fn record(number: u64) -> Record {
    Record {
        at: WallTime(1_700_000_000_000_000 + number),
        from: format!("user{number}"),
        text: format!("message \"{number}\" \u{1f600}"),
        epoch: Some(0x1234_5678_9abc_def0),
        pos: Some(number + 1),
        owner: Some(number << 32),
        number: Some(number as u16),
    }
}

fn line(number: u64) -> Vec<u8> {
    record(number).encode().unwrap()
}

fn lines(numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
    numbers.into_iter().flat_map(line).collect()
}

/// A directory with a history file of the given content.
fn file(content: &[u8]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("history.jsonl");
    fs::write(&path, content).unwrap();
    (directory, path)
}

fn torn_path(path: &Path) -> PathBuf {
    path.with_extension("jsonl.torn")
}

/// Every line of the file, decoded.
fn decoded(content: &[u8]) -> Vec<Result<Record, Reason>> {
    let whole = content.strip_suffix(b"\n").expect("ends with a line end");
    whole.split(|&b| b == b'\n').map(Record::decode).collect()
}

fn records_in(content: &[u8]) -> Vec<Record> {
    decoded(content).into_iter().flatten().collect()
}

/// The result of one call on a failing disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    None,
    /// Writes nothing and returns an error.
    Error,
    /// Writes this many bytes and returns no error.
    Partial(usize),
    /// Writes this many bytes and returns an error.
    PartialError(usize),
}

/// A disk in memory that counts reads and fails by plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    bytes: Rc<RefCell<Vec<u8>>>,
    read: Rc<Cell<u64>>,
    /// The fault of each further call; none after the last.
    plan: Rc<RefCell<std::collections::VecDeque<Fault>>>,
    /// The plan applies to writes and truncations, and to reads if this is set.
    reads_fail: bool,
    writes: Rc<Cell<u64>>,
}

impl Disk {
    pub(crate) fn new(content: &[u8]) -> Self {
        let disk = Self::default();
        disk.bytes.borrow_mut().extend_from_slice(content);
        disk
    }

    pub(crate) fn plan(&self, faults: &[Fault]) {
        *self.plan.borrow_mut() = faults.iter().copied().collect();
    }

    pub(crate) fn content(&self) -> Vec<u8> {
        self.bytes.borrow().clone()
    }

    fn fault(&self) -> Fault {
        self.plan.borrow_mut().pop_front().unwrap_or(Fault::None)
    }

    fn read_fault(&self) -> io::Result<()> {
        if self.reads_fail && self.fault() != Fault::None {
            Err(io::Error::other("cannot read"))
        } else {
            Ok(())
        }
    }

    pub(crate) fn open(&self, last: usize) -> Opened<Self> {
        self.try_open(last).unwrap()
    }

    fn try_open(&self, last: usize) -> Result<Opened<Self>, HistoryError> {
        let to = || Ok(PathBuf::from("/disk.torn"));
        recover(self.clone(), Path::new("/disk"), last, |_| to())
    }
}

impl Storage for Disk {
    fn size(&self) -> io::Result<u64> {
        self.read_fault()?;
        Ok(self.bytes.borrow().len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.read_fault()?;
        let bytes = self.bytes.borrow();
        let rest = bytes.get(offset as usize..).unwrap_or(&[]);
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }

    fn append(&mut self, new: &[u8]) -> io::Result<usize> {
        self.writes.set(self.writes.get() + 1);
        let fault = self.fault();
        let count = match fault {
            Fault::None => new.len(),
            Fault::Error => 0,
            Fault::Partial(count) | Fault::PartialError(count) => count.min(new.len()),
        };
        self.bytes.borrow_mut().extend_from_slice(&new[..count]);
        match fault {
            Fault::None | Fault::Partial(_) => Ok(count),
            _ => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        match self.fault() {
            Fault::None => {
                self.bytes.borrow_mut().resize(len as usize, 0);
                Ok(())
            }
            _ => Err(io::Error::other("cannot cut")),
        }
    }
}
