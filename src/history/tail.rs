//! Finds the last lines without reading the ones before.

use std::io;

use super::{
    MAX_LINE, Storage,
    record::{Reason, Record},
    storage::read_full,
};

/// How far back the end of the last whole line is looked for, and how many
/// bytes of damage the search for the last records may cross.
pub(super) const SLACK: u64 = 1024 * 1024;

/// How many damaged lines [`tail`] names; a check of the whole file names all.
const MAX_SKIPPED: usize = 64;

const BLOCK: u64 = 16 * 1024;

/// A line near the end that is not a record. It stays in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Why it is not a record.
    pub reason: Reason,
}

/// The end of a file: both oldest first.
#[derive(Debug, Default)]
pub(super) struct Tail {
    pub(super) records: Vec<Record>,
    pub(super) skipped: Vec<Skipped>,
    /// How many records stand behind the last damaged line.
    pub(super) intact: usize,
}

/// The last `count` records before `end`, which must be the end of a line.
pub(super) fn tail<S: Storage>(storage: &S, end: u64, count: usize) -> io::Result<Tail> {
    let mut lines = LinesBack {
        storage,
        start: end,
        bytes: Vec::new(),
        budget: (count as u64).saturating_mul(MAX_LINE as u64).saturating_add(SLACK),
    };
    let mut tail = Tail::default();
    while tail.records.len() < count {
        let Some((offset, line)) = lines.next()? else {
            break;
        };
        match line {
            Ok(record) => {
                tail.records.push(record);
                tail.intact += usize::from(tail.skipped.is_empty());
            }
            Err(reason) if tail.skipped.len() < MAX_SKIPPED => {
                tail.skipped.push(Skipped { offset, reason });
            }
            Err(_) => {}
        }
    }
    tail.records.reverse();
    tail.skipped.reverse();
    Ok(tail)
}

/// Where the last whole line ends: behind the last `\n` before `len`, or at 0
/// when there is none. `None` when that is more than [`SLACK`] away.
pub(super) fn last_line_end<S: Storage>(storage: &S, len: u64) -> io::Result<Option<u64>> {
    let mut end = len;
    let floor = len.saturating_sub(SLACK);
    // A whole file ends with it: one byte is mostly all there is to read.
    let mut step = 1;
    while end > floor {
        let start = end.saturating_sub(step).max(floor);
        let block = read_range(storage, start, end)?;
        if let Some(at) = last_newline(&block) {
            return Ok(Some(start + at as u64 + 1));
        }
        end = start;
        step = BLOCK;
    }
    Ok((end == 0).then_some(0))
}

/// Reads what lies between two offsets that are known to be near.
pub(super) fn read_range<S: Storage>(storage: &S, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let size = usize::try_from(end.saturating_sub(start)).map_err(io::Error::other)?;
    let mut bytes = vec![0; size];
    read_full(storage, start, &mut bytes)?;
    Ok(bytes)
}

/// The lines of a file, the last one first, within a budget of bytes.
struct LinesBack<'s, S> {
    storage: &'s S,
    /// Where `bytes` begins in the file.
    start: u64,
    /// What is read and not yet given out. It ends with a line's end, and is
    /// never longer than a line and a block.
    bytes: Vec<u8>,
    budget: u64,
}

impl<S: Storage> LinesBack<'_, S> {
    /// The line before the last one given, and where it begins.
    fn next(&mut self) -> io::Result<Option<(u64, Result<Record, Reason>)>> {
        let mut whole = true;
        loop {
            // The last byte is the end of this line, not of the one before.
            let before = self.bytes.len().saturating_sub(usize::from(whole));
            let found = last_newline(&self.bytes[..before]).map(|at| at + 1);
            let reached_start = self.start == 0 && !(whole && self.bytes.is_empty());
            if let Some(at) = found.or(reached_start.then_some(0)) {
                let line = match whole {
                    true => Record::decode(&self.bytes[at..before]),
                    false => Err(Reason::TooLong),
                };
                self.bytes.truncate(at);
                return Ok(Some((self.start + at as u64, line)));
            }
            if self.bytes.len() > MAX_LINE {
                whole = false;
                self.bytes.clear();
            }
            if !self.read_block()? {
                return Ok(None);
            }
        }
    }

    /// Puts the block before `bytes` in front of them, unless there is none or
    /// the budget is spent.
    fn read_block(&mut self) -> io::Result<bool> {
        let size = BLOCK.min(self.start).min(self.budget);
        if size == 0 {
            return Ok(false);
        }
        let mut block = read_range(self.storage, self.start - size, self.start)?;
        block.append(&mut self.bytes);
        self.bytes = block;
        self.start -= size;
        self.budget -= size;
        Ok(true)
    }
}

fn last_newline(bytes: &[u8]) -> Option<usize> {
    bytes.iter().rposition(|&byte| byte == b'\n')
}
