//! A history file with any content: opening it loses no line, both readers agree, it takes new
//! lines, and a flipped bit in one of these is found.

use super::assert_clean;
use super::input::Input;
use chatagram::history::{
    History, HistoryError, MAX_LINE, Opened, Record, Storage, TornFate, Verify,
};
use chatagram::time::WallTime;
use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A disk in memory, shared by its handles.
#[derive(Clone, Debug)]
struct Disk(Rc<RefCell<Vec<u8>>>);

impl Storage for Disk {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.borrow().len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let bytes = self.0.borrow();
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend(bytes);
        Ok(bytes.len())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.0.borrow_mut().truncate(len as usize);
        Ok(())
    }
}

pub(crate) fn history(data: &[u8]) {
    let mut input = Input::new(data);
    let (last, can_save) = (usize::from(input.below(64)), input.below(4) != 0);
    let mut content = Vec::new();
    while !input.is_over() {
        content.push(input.byte());
    }
    let disk = Disk(Rc::new(RefCell::new(content.clone())));
    let Some(Opened { mut history, last: records, skipped, .. }) =
        open(&disk, last, can_save, &content)
    else {
        assert_eq!(*disk.0.borrow(), content, "a file that is no history was changed");
        return;
    };
    let damage = verify(&disk);
    for line in &skipped {
        let named = damage.iter().find(|(offset, _)| *offset == line.offset);
        assert_eq!(named, Some(&(line.offset, line.reason)), "the two readers disagree");
    }
    let record = Record {
        at: WallTime(1),
        from: "bob".to_owned(),
        text: "hello".to_owned(),
        ..Record::default()
    };
    history.append(&record).unwrap();
    assert!(disk.0.borrow().ends_with(b"\n"));
    assert!(verify(&disk).len() <= damage.len() + 1, "a record is not damage");
    let again = open(&disk, last + 1, true, &disk.0.borrow().clone()).unwrap();
    assert!(again.torn.is_none());
    assert_eq!(again.last.last(), Some(&record), "the new record is read");
    assert_eq!(again.last[..again.last.len() - 1], records[..], "the old records are read");
    drop(again);
    let bit = content
        .iter()
        .fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    assert_flip_is_found(&disk, bit, &records);
}

/// Flips a bit in the last line, except in its line end.
fn assert_flip_is_found(disk: &Disk, bit: usize, before: &[Record]) {
    let offset = {
        let bytes = &mut *disk.0.borrow_mut();
        let whole = &bytes[..bytes.len() - 1];
        let offset = whole.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let bit = bit % ((whole.len() - offset) * 8);
        bytes[offset + bit / 8] ^= 1 << (bit % 8);
        offset
    };
    assert!(verify(disk).iter().any(|(at, _)| *at == offset as u64), "a flipped bit is not found");
    let whole = disk.0.borrow().clone();
    let Some(opened) = open(disk, before.len(), true, &whole) else {
        return assert!(before.is_empty(), "no other line shows that the file is a history");
    };
    assert_eq!(opened.last, before, "a flipped bit loses another line");
}

/// Opens the history, and compares the file before and after.
fn open(disk: &Disk, last: usize, can_save: bool, content: &[u8]) -> Option<Opened<Disk>> {
    let mut saved = Vec::new();
    let save = |bytes: &[u8]| {
        saved = bytes.to_vec();
        if can_save { Ok(PathBuf::from("torn")) } else { Err(io::ErrorKind::StorageFull.into()) }
    };
    let opened = match History::recover(disk.clone(), Path::new("history"), last, save) {
        Ok(opened) => opened,
        Err(error @ HistoryError::NotHistory { .. }) => {
            assert_clean(&error.to_string());
            return None;
        }
        Err(error) => panic!("the disk works: {error}"),
    };
    assert!(opened.last.len() <= last && opened.skipped.len() <= 64);
    for Record { from, text, .. } in &opened.last {
        assert!(from.len() + text.len() < MAX_LINE);
    }
    let now = disk.0.borrow();
    match &opened.torn {
        Some(torn) => {
            assert_clean(&torn.to_string());
            assert_eq!(saved.len() as u64, torn.bytes);
            match &torn.fate {
                TornFate::SavedTo(_) => assert_eq!([&now[..], &saved].concat(), content),
                TornFate::KeptInPlace(_) => assert_eq!(*now, content),
            }
        }
        None => assert!(*now == content || now.strip_suffix(b"\n") == Some(content)),
    }
    drop(now);
    Some(opened)
}

/// The damaged lines of the whole file.
fn verify(disk: &Disk) -> Vec<(u64, chatagram::history::Reason)> {
    let length = disk.size().unwrap();
    let found = Verify::over(disk.clone(), Path::new("history"), length);
    let mut all = Vec::new();
    for damage in found {
        let damage = damage.unwrap();
        assert!(all.last().is_none_or(|(offset, _)| *offset < damage.offset));
        assert!(damage.offset <= length);
        assert_clean(&damage.reason.to_string());
        all.push((damage.offset, damage.reason));
    }
    all
}
