use super::*;

fn damage(disk: Disk) -> Vec<Damage> {
    let len = disk.size().unwrap();
    Verify::over(disk, Path::new("/disk"), len).collect::<Result<_, _>>().unwrap()
}

#[test]
fn an_intact_history_has_no_damage() {
    assert_eq!(damage(Disk::new(b"")), []);
    assert_eq!(damage(Disk::new(&lines(0..2000))), []);
}

#[test]
fn every_damaged_line_is_reported_with_its_number_and_offset() {
    let long = [vec![b'x'; 200_000], b"\n".to_vec()].concat();
    let parts = [lines(0..1000), b"\n".to_vec(), lines(0..1), long.clone()];
    let content = [parts.concat(), lines(0..1), b"{\"at".to_vec()].concat();
    let first = lines(0..1000).len() as u64;
    let one = line(0).len() as u64;
    let third = first + 1 + one;
    let at = |line, offset, reason| Damage { line, offset, reason };
    assert_eq!(
        damage(Disk::new(&content)),
        [
            at(1001, first, Reason::Blank),
            at(1003, third, Reason::TooLong),
            at(1005, third + 200_001 + one, Reason::Unterminated),
        ]
    );
}

#[test]
fn every_flipped_bit_is_reported_with_its_line() {
    let whole = lines(0..3);
    for bit in 0..whole.len() * 8 {
        let (mut content, at) = (whole.clone(), bit / 8);
        content[at] ^= 1 << (bit % 8);
        let before = whole[..at].iter().filter(|&&b| b == b'\n').count() as u64;
        let found = damage(Disk::new(&content));
        // A byte that becomes a line break splits one line into two damaged ones.
        assert!(matches!(found.len(), 1 | 2), "bit {bit}: {found:?}");
        assert_eq!(found[0].line, before + 1, "bit {bit}");
        // A line break that becomes another byte joins two lines into one.
        let lost = if whole[at] == b'\n' { 2 } else { 1 };
        assert!(records_in(&[content, b"\n".to_vec()].concat()).len() >= 3 - lost, "bit {bit}");
    }
}

#[test]
fn handwritten_records_are_accepted_and_counted() {
    let older = b"{\"at\":\"1970-01-01T00:00:01Z\",\"from\":\"a\",\"text\":\"b\"}\n";
    let content = [lines(0..2), older.repeat(3), b"?\n".to_vec(), lines(2..3)].concat();
    let mut verify = Verify::over(Disk::new(&content), Path::new("/disk"), content.len() as u64);
    assert_eq!(verify.by_ref().count(), 1);
    assert_eq!(verify.unsummed(), 3);
    let other = String::from_utf8(older.to_vec()).unwrap().replace("b\"", "c\"");
    assert_eq!(damage(Disk::new(other.as_bytes())), [], "damage that is not detected");
    assert_eq!(Disk::new(&content).open(9).last.len(), 6);
}

#[test]
fn a_line_of_any_length_is_checked_with_bounded_memory() {
    let (_directory, path) = file(&lines(0..1));
    let sparse = fs::OpenOptions::new().write(true).open(&path).unwrap();
    sparse.set_len(64 << 20).unwrap();
    let mut verify = Verify::open(&path).unwrap();
    let found = verify.next().unwrap().unwrap();
    assert_eq!((found.line, found.reason), (2, Reason::TooLong));
    assert!(verify.held() <= 80 * 1024);
    assert!(verify.next().is_none());
}

#[test]
fn a_check_runs_in_another_thread_during_appends() {
    let (_directory, path) = file(&[lines(0..1), b"?\n".to_vec(), lines(1..2)].concat());
    let mut history = History::open(&path, 5).unwrap().history;
    let verify = history.verify().unwrap();
    history.append(&record(2)).unwrap();
    fs::write(&path, [fs::read(&path).unwrap(), b"!\n".to_vec()].concat()).unwrap();
    let found = std::thread::spawn(|| verify.map(Result::unwrap).collect::<Vec<_>>());
    let found = found.join().unwrap();
    assert_eq!(found.len(), 1, "only what was there at open: {found:?}");
    assert_eq!(found[0].line, 2);
}

#[test]
fn a_check_does_not_take_the_lock() {
    let (_directory, path) = file(&lines(0..1));
    let history = History::open(&path, 5).unwrap().history;
    let _verify = history.verify().unwrap();
    drop(history);
    History::open(&path, 5).unwrap();
}

#[test]
fn a_check_ends_after_an_error() {
    let mut verify = Verify::over(Disk::new(&lines(0..1)), Path::new("/disk"), 9999);
    let error = verify.next().unwrap().unwrap_err();
    assert!(error.to_string().contains("truncated"), "{error}");
    assert!(verify.next().is_none());
}
