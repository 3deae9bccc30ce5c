//! Opening a history: the lock, the repair of a torn end, the last records.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use super::{
    History, HistoryError, NotHistory, Record, Skipped, Storage, Torn, TornFate, lock,
    record::begins_like_a_record, tail, torn,
};
use crate::files;

/// Bytes at the beginning of a file that distinguish a history from another file.
const HEAD: u64 = 16;

/// An opened history and its last records.
#[derive(Debug)]
pub struct Opened<S: Storage = File> {
    /// The history.
    pub history: History<S>,
    /// True if the file was created.
    pub created: bool,
    /// The last records, oldest first.
    pub last: Vec<Record>,
    /// Number of records at the end of `last` that follow the last damaged line.
    pub intact: usize,
    /// The unfinished last line, if there was one. A line that lacked only its line break is a
    /// record and not reported.
    pub torn: Option<Torn>,
    /// Damaged lines near the end, oldest first; at most 64.
    pub skipped: Vec<Skipped>,
}

pub(super) fn open(path: &Path, last: usize) -> Result<Opened, HistoryError> {
    let lock = lock::lock(path)?;
    let mut opened = open_unnamed(path, last)?;
    opened.history.lock = lock;
    Ok(opened)
}

/// Like `open`, for a path that is already locked.
pub(super) fn open_unnamed(path: &Path, last: usize) -> Result<Opened, HistoryError> {
    let (file, created) = open_file(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let path = path.to_owned();
            return Err(HistoryError::InUse { path });
        }
        Err(TryLockError::Error(cause)) => {
            let path = path.to_owned();
            return Err(HistoryError::Lock { path, cause });
        }
    }
    let opened = recover(file, path, last, |bytes| torn::save(path, bytes))?;
    Ok(Opened { created, ..opened })
}

/// Opens regular files only: a pipe would block, and a device has no length.
fn open_file(path: &Path) -> Result<(File, bool), HistoryError> {
    let created = match fs::metadata(path) {
        Ok(found) if found.is_file() => false,
        Ok(found) => {
            return Err(HistoryError::NotAFile {
                path: path.to_owned(),
                what: if found.is_dir() { "a directory" } else { "a device or a pipe" },
            });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(HistoryError::open(path, error)),
    };
    let mut options = files::private();
    let file = options.read(true).write(true).create(true).truncate(false);
    let file = file.open(path).map_err(|cause| HistoryError::open(path, cause))?;
    Ok((file, created))
}

/// Recovers a history from `storage`. `save` stores the bytes of a torn line before they are
/// truncated.
pub(super) fn recover<S: Storage>(
    mut storage: S,
    path: &Path,
    last: usize,
    save: impl FnOnce(&[u8]) -> io::Result<PathBuf>,
) -> Result<Opened<S>, HistoryError> {
    let end = look_at_end(&storage, last)
        .map_err(|cause| HistoryError::read(path, cause))?
        .map_err(|why| HistoryError::NotHistory { path: path.to_owned(), why })?;
    let mut records = end.tail.records;
    let mut intact = end.tail.intact;
    let mut torn = None;
    // Bytes that can be neither completed nor truncated stay after `whole`, where the next append
    // finds them and starts a new line.
    let mut whole = end.whole;
    if let Some(record) = end.unended {
        records.push(record);
        intact += 1;
        if matches!(storage.append(b"\n"), Ok(1)) {
            whole = end.len + 1;
        }
    } else if !end.rest.is_empty() {
        let fate = match save(&end.rest).and_then(|to| storage.set_len(whole).map(|()| to)) {
            Ok(to) => TornFate::SavedTo(to),
            Err(cause) => TornFate::KeptInPlace(cause),
        };
        let bytes = end.len - whole;
        torn = Some(Torn { bytes, fate });
    }
    records.drain(..records.len().saturating_sub(last));
    let history = History {
        storage,
        path: path.to_owned(),
        opened: whole,
        end: whole,
        newline_due: false,
        remains: false,
        lock: None,
    };
    let intact = intact.min(records.len());
    let skipped = end.tail.skipped;
    Ok(Opened { history, created: false, last: records, intact, torn, skipped })
}

/// The end of a file, before any change.
struct End {
    len: u64,
    /// The end of the last complete line.
    whole: u64,
    /// The bytes after it.
    rest: Vec<u8>,
    /// The record in `rest`, if only the line break is missing.
    unended: Option<Record>,
    tail: tail::Tail,
}

/// Reads the end of the file. The inner error is the evidence that the file is not a history.
fn look_at_end<S: Storage>(storage: &S, last: usize) -> io::Result<Result<End, NotHistory>> {
    let len = storage.size()?;
    let Some(whole) = tail::last_line_end(storage, len)? else {
        return Ok(Err(NotHistory::NoLineEnd));
    };
    let rest = tail::read_range(storage, whole, len)?;
    let unended = Record::decode(&rest).ok();
    // Read at least one record, to recognise a history.
    let tail = tail::tail(storage, whole, last.max(1))?;
    if unended.is_none() && tail.records.is_empty() {
        let head = tail::read_range(storage, 0, len.min(HEAD))?;
        if !begins_like_a_record(&head) {
            return Ok(Err(NotHistory::NoRecords));
        }
    }
    Ok(Ok(End { len, whole, rest, unended, tail }))
}
