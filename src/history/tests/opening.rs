use super::*;

#[test]
fn a_missing_file_is_created_empty() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new.jsonl");
    let opened = History::open(&path, 5).unwrap();
    assert!(opened.created && opened.last.is_empty() && opened.torn.is_none());
    drop(opened);
    assert_eq!(fs::read(&path).unwrap(), b"");
    assert!(!History::open(&path, 5).unwrap().created);
}

#[test]
fn an_unusable_path_is_an_error_with_a_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("none").join("h.jsonl");
    let error = History::open(&missing, 5).unwrap_err();
    assert!(matches!(&error, HistoryError::NoDirectory { directory: d, .. }
        if *d == directory.path().join("none")));
    let error = History::open(directory.path(), 5).unwrap_err();
    assert!(error.to_string().contains("it is a directory"), "{error}");
    let denied = HistoryError::open(&missing, io::ErrorKind::PermissionDenied.into());
    assert!(denied.to_string().contains("change its permissions"));
    assert!(denied.to_string().contains(&missing.display().to_string()));
}

#[cfg(unix)]
#[test]
fn a_device_is_rejected_without_blocking() {
    let error = History::open(Path::new("/dev/zero"), 5).unwrap_err();
    assert!(matches!(error, HistoryError::NotAFile { .. }), "{error}");
}

#[test]
fn a_history_is_locked_while_it_is_open() {
    let (_directory, path) = file(&lines(0..1));
    let first = History::open(&path, 5).unwrap();
    let error = History::open(&path, 5).unwrap_err();
    assert!(matches!(error, HistoryError::InUse { .. }), "{error}");
    drop(first);
    History::open(&path, 5).unwrap();
}

#[test]
fn the_last_records_are_oldest_first() {
    let (_directory, path) = file(&lines(0..10));
    let opened = History::open(&path, 3).unwrap();
    assert_eq!(opened.last, [record(7), record(8), record(9)]);
    drop(opened);
    assert_eq!(History::open(&path, 99).unwrap().last.len(), 10);
    assert!(History::open(&path, 0).unwrap().last.is_empty());
    assert_eq!(fs::read(&path).unwrap(), lines(0..10));
}

#[test]
fn a_file_cut_at_any_byte_keeps_every_whole_record_and_every_cut_byte() {
    let whole = lines(0..6);
    for cut in lines(0..3).len()..whole.len() {
        let (_directory, path) = file(&whole[..cut]);
        let mut opened = History::open(&path, 5).unwrap();
        let ended = (0..=6).rev().find(|&n| lines(0..n).len() <= cut).unwrap();
        let lacks_only_its_end = lines(0..=ended).len() == cut + 1;
        let kept = ended + u64::from(lacks_only_its_end);
        let expected: Vec<_> = (kept.saturating_sub(5)..kept).map(record).collect();
        assert_eq!(opened.last, expected, "cut at {cut}");

        let torn = &whole[lines(0..ended).len()..cut];
        if torn.is_empty() || lacks_only_its_end {
            assert!(opened.torn.is_none(), "cut at {cut}");
            assert!(!torn_path(&path).exists());
        } else {
            let found = opened.torn.unwrap();
            assert_eq!(found.bytes, torn.len() as u64);
            assert!(matches!(&found.fate, TornFate::SavedTo(to) if *to == torn_path(&path)));
            let saved = fs::read(torn_path(&path)).unwrap();
            assert_eq!(saved, [torn, b"\n"].concat(), "cut at {cut}");
        }
        opened.history.append(&record(100)).unwrap();
        let content = fs::read(&path).unwrap();
        assert_eq!(content, lines((0..kept).chain([100])), "cut at {cut}");
    }
}

#[test]
fn torn_lines_of_several_crashes_are_all_kept() {
    let (_directory, path) = file(&[lines(0..2), b"{\"at\"".to_vec()].concat());
    drop(History::open(&path, 5).unwrap());
    fs::write(&path, [lines(0..2), b"{\"at\":\"2".to_vec()].concat()).unwrap();
    drop(History::open(&path, 5).unwrap());
    assert_eq!(fs::read(torn_path(&path)).unwrap(), b"{\"at\"\n{\"at\":\"2\n");
}

#[test]
fn a_torn_line_that_cannot_be_saved_stays_in_place() {
    let (_directory, path) = file(&[lines(0..2), b"{\"at".to_vec()].concat());
    fs::create_dir(torn_path(&path)).unwrap();
    let mut opened = History::open(&path, 5).unwrap();
    let torn = opened.torn.unwrap();
    assert!(matches!(torn.fate, TornFate::KeptInPlace(_)), "{torn}");
    assert_eq!(opened.last, [record(0), record(1)]);
    opened.history.append(&record(2)).unwrap();
    let expected = [lines(0..2), b"{\"at\n".to_vec(), lines(2..3)].concat();
    assert_eq!(fs::read(&path).unwrap(), expected);
}

#[test]
fn a_torn_line_kept_in_place_survives_a_failed_append() {
    let disk = Disk::new(&[lines(0..1), b"{\"at".to_vec()].concat());
    disk.plan(&[Fault::Error]);
    let mut opened = disk.open(5);
    assert!(matches!(opened.torn.unwrap().fate, TornFate::KeptInPlace(_)));
    disk.plan(&[Fault::Partial(9), Fault::Error]);
    opened.history.append(&record(1)).unwrap_err();
    opened.history.append(&record(2)).unwrap();
    let expected = [lines(0..1), b"{\"at\n".to_vec(), lines(2..3)].concat();
    assert_eq!(disk.content(), expected);
}

#[test]
fn a_record_whose_line_break_cannot_be_written_is_kept() {
    let whole = lines(0..2);
    let disk = Disk::new(&whole[..whole.len() - 1]);
    disk.plan(&[Fault::Error]);
    let mut opened = disk.open(5);
    assert_eq!(opened.last, [record(0), record(1)]);
    opened.history.append(&record(2)).unwrap();
    assert_eq!(disk.content(), lines(0..3));
}

#[test]
fn damaged_lines_are_skipped_reported_and_kept() {
    let bad: &[u8] = b"what?\n\0\0\0\n\n";
    let long = [vec![b'x'; 40_000], b"\n".to_vec()].concat();
    let content = [lines(0..2), bad.to_vec(), lines(2..3), long, lines(3..4)].concat();
    let (_directory, path) = file(&content);
    let opened = History::open(&path, 4).unwrap();
    let first = lines(0..2).len() as u64;
    assert_eq!(opened.last, [0, 1, 2, 3].map(record));
    let at = |offset, reason| Skipped { offset, reason };
    assert_eq!(
        opened.skipped,
        [
            at(first, Reason::NotJson { column: 1 }),
            at(first + 6, Reason::Nul),
            at(first + 10, Reason::Blank),
            at(first + 11 + line(2).len() as u64, Reason::TooLong),
        ]
    );
    assert_eq!(fs::read(&path).unwrap(), content);
}

#[test]
fn a_damaged_line_that_ends_at_a_block_hides_no_record() {
    for size in 16 * 1024 - 2..16 * 1024 + 2 {
        let long = [vec![b'x'; size - 1], b"\n".to_vec()].concat();
        let opened = Disk::new(&[lines(0..300), long].concat()).open(2);
        assert_eq!(opened.last, [record(298), record(299)], "{size}");
        assert_eq!(opened.skipped[0].offset, lines(0..300).len() as u64);
    }
}

#[test]
fn a_history_is_recognised_even_if_no_record_is_wanted() {
    let other_order = b"{\"from\":\"a\",\"at\":\"1970-01-01T00:00:01Z\",\"text\":\"b\"}\n";
    let opened = Disk::new(other_order).open(0);
    assert!(opened.last.is_empty());
}

#[test]
fn a_flipped_bit_affects_only_its_record_and_is_reported() {
    let whole = lines(0..4);
    // A line break belongs to two lines, so it is left out.
    let second = line(0).len()..lines(0..2).len() - 1;
    for at in second.clone() {
        for bit in 0..8 {
            let mut content = whole.clone();
            content[at] ^= 1 << bit;
            let disk = Disk::new(&content);
            let opened = disk.open(10);
            assert_eq!(opened.last, [0, 2, 3].map(record), "{at}.{bit}");
            assert_eq!(opened.skipped[0].offset, second.start as u64, "{at}.{bit}");
            assert_eq!(disk.content(), content);
        }
    }
}

#[test]
fn nuls_after_a_power_failure_are_set_aside() {
    let (_directory, path) = file(&[lines(0..2), vec![0; 5000]].concat());
    let opened = History::open(&path, 5).unwrap();
    assert_eq!(opened.torn.unwrap().bytes, 5000);
    assert_eq!(opened.last, [record(0), record(1)]);
    assert_eq!(fs::read(&path).unwrap(), lines(0..2));

    let (_directory, path) = file(&[0; 5000]);
    assert_eq!(History::open(&path, 5).unwrap().torn.unwrap().bytes, 5000);
}

#[test]
fn another_kind_of_file_is_rejected_unchanged() {
    let two_mib = vec![b'x'; 2 << 20];
    let behind_a_history = [lines(0..2), vec![0; 2 << 20]].concat();
    for content in [
        &b"127.0.0.1 localhost\n"[..],
        b"no line end",
        b"{\"servers\": {}}",
        b"\n\n",
        &two_mib,
        &behind_a_history,
    ] {
        let (_directory, path) = file(content);
        let error = History::open(&path, 5).unwrap_err();
        assert!(matches!(error, HistoryError::NotHistory { .. }), "{error}");
        assert!(fs::read(&path).unwrap() == content);
        assert!(!torn_path(&path).exists());
    }
}

#[test]
fn a_huge_unterminated_line_is_rejected_after_a_bounded_search() {
    let (_directory, path) = file(b"");
    let sparse = fs::OpenOptions::new().write(true).open(&path).unwrap();
    sparse.set_len(1 << 30).unwrap();
    let counted = Counted::open(&path);
    let error = recover(counted.clone(), &path, 5, |_| Ok(path.clone())).unwrap_err();
    assert!(matches!(error, HistoryError::NotHistory { .. }), "{error}");
    assert!(counted.read.get() <= 1 << 20, "{}", counted.read.get());
    assert_eq!(fs::metadata(&path).unwrap().len(), 1 << 30);
}

#[test]
fn opening_a_long_history_reads_no_more_than_opening_a_short_one() {
    let (_directory, path) = file(&lines(0..1));
    let mut log = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let read = |last| {
        let counted = Counted::open(&path);
        let opened = recover(counted.clone(), &path, last, |_| Ok(path.clone())).unwrap();
        (opened.last.len(), counted.read.get())
    };
    // A gap of 64 MiB that a search for lines would have to cross.
    io::Seek::seek(&mut log, io::SeekFrom::Start(64 << 20)).unwrap();
    io::Write::write_all(&mut log, &[b"\n".to_vec(), lines(1..2000)].concat()).unwrap();
    let (count, bytes) = read(50);
    assert_eq!(count, 50);
    assert!(bytes <= 2 * 16 * 1024 + 1, "{bytes}");
    // The bound also holds with fewer records than requested.
    let (count, bytes) = read(3000);
    assert_eq!(count, 1999);
    assert!(bytes <= 3000 * 8192 + (1 << 20) + 1, "{bytes}");
}

#[test]
fn a_read_error_changes_nothing() {
    let content = [lines(0..3), b"{\"a".to_vec()].concat();
    for failing in 0..5 {
        let mut disk = Disk::new(&content);
        disk.reads_fail = true;
        let mut plan = vec![Fault::None; failing];
        plan.push(Fault::Error);
        disk.plan(&plan);
        let error = disk.try_open(5).unwrap_err();
        assert!(matches!(error, HistoryError::Read { .. }), "{error}");
        assert_eq!(disk.content(), content);
        if failing == 3 {
            break;
        }
    }
}

/// A real file that counts the bytes read.
#[derive(Clone, Debug)]
struct Counted {
    file: Rc<fs::File>,
    read: Rc<Cell<u64>>,
}

impl Counted {
    fn open(path: &Path) -> Self {
        Self { file: Rc::new(fs::File::open(path).unwrap()), read: Rc::default() }
    }
}

impl Storage for Counted {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let count = Storage::read_at(&*self.file, offset, buf)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }

    fn append(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_len(&mut self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
