use super::*;

#[test]
fn appended_records_survive_reopening() {
    let (_directory, path) = file(b"");
    let mut history = History::open(&path, 5).unwrap().history;
    for number in 0..4 {
        history.append(&record(number)).unwrap();
    }
    drop(history);
    assert_eq!(fs::read(&path).unwrap(), lines(0..4));
    let last = History::open(&path, 2).unwrap().last;
    assert_eq!(last, [record(2), record(3)]);
}

#[test]
fn a_record_is_one_write() {
    let disk = Disk::new(&lines(0..1));
    let mut history = disk.open(5).history;
    history.append(&record(1)).unwrap();
    assert_eq!(disk.writes.get(), 1);
}

#[test]
fn a_failed_write_leaves_the_file_unchanged() {
    let size = line(1).len();
    for count in 0..=size {
        for fault in [Fault::Partial(count), Fault::PartialError(count)] {
            if fault == Fault::Partial(size) {
                continue;
            }
            let disk = Disk::new(&lines(0..1));
            let mut history = disk.open(5).history;
            disk.plan(&[fault]);
            let error = history.append(&record(1)).unwrap_err();
            assert!(error.to_string().contains("/disk"), "{error}");
            assert_eq!(disk.content(), lines(0..1), "{fault:?}");
            history.append(&record(2)).unwrap();
            assert_eq!(disk.content(), lines([0, 2]), "{fault:?}");
        }
    }
}

#[test]
fn remains_of_a_failed_write_are_truncated_later() {
    let disk = Disk::new(&lines(0..1));
    let mut history = disk.open(5).history;
    disk.plan(&[Fault::Partial(7), Fault::Error]);
    history.append(&record(1)).unwrap_err();
    history.append(&record(2)).unwrap();
    assert_eq!(disk.content(), lines([0, 2]));
}

#[test]
fn remains_that_cannot_be_truncated_are_one_damaged_line() {
    let disk = Disk::new(&lines(0..1));
    let mut history = disk.open(5).history;
    disk.plan(&[Fault::Partial(7), Fault::Error, Fault::Error]);
    history.append(&record(1)).unwrap_err();
    history.append(&record(2)).unwrap();
    history.append(&record(3)).unwrap();
    let damage = [&line(1)[..7], b"\n"].concat();
    assert_eq!(disk.content(), [lines(0..1), damage, lines(2..4)].concat());
}

#[test]
fn remains_of_several_writes_are_truncated_later() {
    let disk = Disk::new(&lines(0..1));
    let mut history = disk.open(5).history;
    disk.plan(&[Fault::Partial(7), Fault::Error]);
    history.append(&record(1)).unwrap_err();
    disk.plan(&[Fault::Error, Fault::Partial(7), Fault::Error]);
    history.append(&record(2)).unwrap_err();
    history.append(&record(3)).unwrap();
    assert_eq!(disk.content(), lines([0, 3]));
}

#[test]
fn remains_truncated_by_another_program_leave_no_gap() {
    let disk = Disk::new(&lines(0..1));
    let mut history = disk.open(5).history;
    disk.plan(&[Fault::Partial(7), Fault::Error]);
    history.append(&record(1)).unwrap_err();
    disk.bytes.borrow_mut().clear();
    history.append(&record(2)).unwrap();
    assert_eq!(disk.content(), lines(2..3));
}

#[test]
fn lines_of_another_program_are_not_truncated() {
    let disk = Disk::new(&lines(0..1));
    let mut history = disk.open(5).history;
    disk.bytes.borrow_mut().extend_from_slice(b"a note");
    disk.plan(&[Fault::Partial(7)]);
    history.append(&record(1)).unwrap_err();
    disk.plan(&[Fault::Partial(7), Fault::Error]);
    history.append(&record(2)).unwrap_err();
    history.append(&record(3)).unwrap();
    let expected = [lines(0..1), b"a note\n".to_vec(), lines(3..4)].concat();
    assert_eq!(disk.content(), expected);
}

#[test]
fn a_record_over_the_line_limit_is_rejected() {
    let disk = Disk::new(b"");
    let mut history = disk.open(5).history;
    let mut record = record(0);
    record.text = String::new();
    let room = MAX_LINE - record.encode().unwrap().len();
    record.text = "x".repeat(room + 1);
    let error = history.append(&record).unwrap_err();
    assert!(matches!(error, HistoryError::TooLong { bytes, .. } if bytes == MAX_LINE + 1));
    assert_eq!(disk.content(), b"");
    record.text = "x".repeat(room);
    history.append(&record).unwrap();
    assert_eq!(disk.open(5).last, [record]);
}

#[test]
fn an_edited_file_gets_neither_gaps_nor_joined_lines() {
    let (_directory, path) = file(&lines(0..3));
    let mut history = History::open(&path, 5).unwrap().history;
    fs::write(&path, b"").unwrap();
    history.append(&record(3)).unwrap();
    assert_eq!(fs::read(&path).unwrap(), lines(3..4));
    fs::write(&path, [lines(3..4), b"a note".to_vec()].concat()).unwrap();
    history.append(&record(4)).unwrap();
    let expected = [lines(3..4), b"a note\n".to_vec(), lines(4..5)].concat();
    assert_eq!(fs::read(&path).unwrap(), expected);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_with_a_remedy() {
    let full = fs::OpenOptions::new().read(true).write(true).open("/dev/full").unwrap();
    let mut history = History {
        storage: full,
        path: "/dev/full".into(),
        opened: 0,
        end: 0,
        newline_due: false,
        remains: false,
        lock: None,
    };
    for _ in 0..2 {
        let error = history.append(&record(0)).unwrap_err();
        assert!(error.to_string().contains("No space left"), "{error}");
        assert!(error.to_string().contains("has room"), "{error}");
    }
}

/// Appends six records on a disk that fails by `plan`. Every record reported as written must be
/// there, in order, and there must be no more damaged lines than failed writes.
fn survives(start: &[u8], plan: &[Fault], reads_fail: bool) {
    let mut disk = Disk::new(start);
    disk.reads_fail = reads_fail;
    let mut opened = disk.open(5);
    let mut taken = records_in(start);
    let mut failed = 0;
    disk.plan(plan);
    for number in 10..16 {
        match opened.history.append(&record(number)) {
            Ok(()) => taken.push(record(number)),
            Err(_) => failed += 1,
        }
    }
    // The disk works again: the last record must be written, on its own line.
    disk.plan(&[]);
    opened.history.append(&record(99)).unwrap();
    taken.push(record(99));
    let content = disk.content();
    let mut found = records_in(&content);
    // A write that was complete but returned an error may or may not be there.
    found.retain(|record| taken.contains(record));
    assert_eq!(found, taken, "{plan:?}");
    let damaged = decoded(&content).iter().filter(|l| l.is_err()).count();
    assert!(damaged <= failed + usize::from(reads_fail), "{plan:?}");
}

#[test]
fn a_fault_at_any_call_damages_no_other_line() {
    for at in 0..12 {
        for count in 0..line(10).len() + 2 {
            for first in [Fault::Partial(count), Fault::PartialError(count)] {
                for then in [Fault::None, Fault::Error, Fault::Partial(3)] {
                    for last in [Fault::None, Fault::Error, Fault::PartialError(1)] {
                        let mut plan = vec![Fault::None; at];
                        plan.extend([first, then, last]);
                        survives(&lines(0..2), &plan, false);
                    }
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn random_faults_damage_no_other_line(
        plan in proptest::collection::vec(any_fault(), 0..30), reads_fail: bool,
    ) {
        survives(&lines(0..2), &plan, reads_fail);
    }
}

fn any_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        2 => Just(Fault::None),
        1 => Just(Fault::Error),
        1 => (0..100_usize).prop_map(Fault::Partial),
        1 => (0..100_usize).prop_map(Fault::PartialError),
    ]
}
