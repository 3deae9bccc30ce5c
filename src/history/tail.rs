//! Finds the last lines without reading the earlier ones.

use std::io;

use super::{
    MAX_LINE, Storage,
    record::{Reason, Record},
    storage::read_full,
};

/// Limit on the distance to the last line break, and on the bytes of damage that the search for the
/// last records crosses.
pub(super) const SLACK: u64 = 1024 * 1024;

/// Limit on the damaged lines that [`tail`] reports; [`super::Verify`] reports all.
const MAX_SKIPPED: usize = 64;

const BLOCK: u64 = 16 * 1024;

/// A damaged line near the end. It stays in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The offset of its first byte.
    pub offset: u64,
    /// The reason.
    pub reason: Reason,
}

/// The end of a file; both lists are oldest first.
#[derive(Debug, Default)]
pub(super) struct Tail {
    pub(super) records: Vec<Record>,
    pub(super) skipped: Vec<Skipped>,
    /// Number of records after the last damaged line.
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

/// The end of the last complete line: after the last line break before `len`, or 0 if there is
/// none.
/// `None` if it is more than [`SLACK`] away.
pub(super) fn last_line_end<S: Storage>(storage: &S, len: u64) -> io::Result<Option<u64>> {
    let mut end = len;
    let floor = len.saturating_sub(SLACK);
    // An intact file ends with a line break: usually one byte is enough.
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

/// Reads between two offsets, which must be near each other.
pub(super) fn read_range<S: Storage>(storage: &S, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let size = usize::try_from(end.saturating_sub(start)).map_err(io::Error::other)?;
    let mut bytes = vec![0; size];
    read_full(storage, start, &mut bytes)?;
    Ok(bytes)
}

/// The lines of a file, last one first, within a budget of bytes.
struct LinesBack<'s, S> {
    storage: &'s S,
    /// The offset of `bytes` in the file.
    start: u64,
    /// Bytes read and not yet returned. They end with a line break and never exceed one line and
    /// one block.
    bytes: Vec<u8>,
    budget: u64,
}

impl<S: Storage> LinesBack<'_, S> {
    /// The next earlier line and its offset.
    fn next(&mut self) -> io::Result<Option<(u64, Result<Record, Reason>)>> {
        let mut whole = true;
        loop {
            // The last byte ends this line, not the one before.
            let before = self.bytes.len().saturating_sub(usize::from(whole));
            let found = last_newline(&self.bytes[..before]).map(|at| at + 1);
            let reached_start = self.start == 0 && !(whole && self.bytes.is_empty());
            if let Some(at) = found.or(reached_start.then_some(0)) {
                let line = if whole {
                    Record::decode(&self.bytes[at..before])
                } else {
                    Err(Reason::TooLong)
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

    /// Prepends the block before `bytes`. Returns false at the start of the file or without budget.
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
