//! Rows as CSV and Parquet: they are read back as written, a killed run keeps its rows, and damage
//! is reported with the file.

use chatagram::lab::record::{Format, RecordWriter, read_run};
use std::fs;

#[cfg(feature = "parquet")]
mod with_parquet {
    use super::*;
    use chatagram::lab::record::{Mode, Record, Run, Verdict};
    use std::io::{Seek, SeekFrom, Write};
    use std::path::Path;
    use std::time::{Duration, Instant};

    /// Rows with every verdict and mode; the last ones have the largest numbers of both formats.
    fn rows(count: u64) -> Vec<Record> {
        let row = |id: u64| {
            let verdict = [Verdict::Delivered, Verdict::Lost, Verdict::Duplicate][id as usize % 3];
            let large = if id + 3 > count { i64::MAX as u64 - count * 20_000 } else { 0 };
            let time = |after: u64| (id % 3 != 1).then_some(large + id * 20_000 + after);
            Record {
                run: "a, \"run\" in Ελλάδα".into(),
                mode: Mode::ALL[id as usize % 4],
                sender: format!("s{}", id % 7).into(),
                receiver: format!("r{}", id % 50).into(),
                id: large + id,
                intended_us: id * 20_000,
                sent_us: (!id.is_multiple_of(5)).then_some(id * 20_000 + 7),
                arrived_us: time(100),
                delivered_us: time(200),
                server_held_us: None,
                verdict,
            }
        };
        (0..count).map(row).collect()
    }

    fn write(dir: &Path, format: Format, rows: &[Record]) {
        let mut writer = RecordWriter::create(dir, format).unwrap();
        rows.iter().for_each(|row| writer.write(row).unwrap());
        writer.finish().unwrap();
    }

    fn written(rows: &[Record]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), Format::Parquet, rows);
        dir
    }

    /// The names of the files in a directory of parts.
    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir.join("records.parquet")).unwrap();
        let name = |it: std::io::Result<fs::DirEntry>| it.unwrap().file_name().into_string();
        let mut names: Vec<_> = entries.map(|it| name(it).unwrap()).collect();
        names.sort();
        names
    }

    fn error(dir: &Path) -> String {
        read_run(dir).unwrap_err().to_string()
    }

    #[test]
    fn csv_and_parquet_hold_the_same_rows() {
        for count in [0, 1, 1_000, 65_536, 150_000] {
            let (rows, csv) = (rows(count), tempfile::tempdir().unwrap());
            write(csv.path(), Format::Csv, &rows);
            let parquet = written(&rows);
            let [csv, read] = [csv.path(), parquet.path()].map(|dir| read_run(dir).unwrap());
            assert!(csv.records == rows && read.records == rows, "{count} rows");
            assert!(read.info.is_none() && !read.torn);
            let parts = count.div_ceil(65_536).max(1);
            let meant: Vec<_> = (0..parts).map(|it| format!("{it:05}.parquet")).collect();
            assert_eq!(names(parquet.path()), meant);
        }
    }

    #[test]
    fn a_killed_run_keeps_its_finished_parts() {
        let (dir, rows) = (tempfile::tempdir().unwrap(), rows(5));
        let mut writer = RecordWriter::create(dir.path(), Format::Parquet).unwrap();
        let read = || read_run(dir.path()).unwrap();
        assert!(read().records.is_empty());
        rows[..3].iter().for_each(|row| writer.write(row).unwrap());
        writer.flush().unwrap();
        writer.write(&rows[3]).unwrap();
        writer.flush_due().unwrap();
        drop(writer);
        let Run { info, records, torn, .. } = read();
        assert!(info.is_none() && !torn && records == rows[..3], "{records:?}");
        // A process killed while it wrote a part leaves this file.
        let parts = dir.path().join("records.parquet");
        fs::write(parts.join(".00001.parquet.part"), "PAR1").unwrap();
        assert!(read().torn && read().records == rows[..3]);
    }

    #[test]
    fn a_part_ends_after_five_seconds() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = RecordWriter::create(dir.path(), Format::Parquet).unwrap();
        let began = Instant::now();
        writer.write(&rows(1)[0]).unwrap();
        while names(dir.path()) != ["00000.parquet"] {
            assert!(began.elapsed() < Duration::from_secs(30), "{:?}", names(dir.path()));
            std::thread::sleep(Duration::from_millis(50));
            writer.flush_due().unwrap();
        }
        assert!(began.elapsed() >= Duration::from_secs(5), "one part for each row");
    }

    #[test]
    fn a_write_error_is_reported_by_the_next_flush() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = RecordWriter::create(dir.path(), Format::Parquet).unwrap();
        fs::remove_dir(dir.path().join("records.parquet")).unwrap();
        writer.write(&rows(1)[0]).unwrap();
        let error = writer.flush().unwrap_err().to_string();
        assert!(error.contains("cannot create") && error.contains("00000.parquet"), "{error}");
        // A value out of the column's range is an error too, and the next part takes the number.
        fs::create_dir(dir.path().join("records.parquet")).unwrap();
        writer.write(&Record { id: u64::MAX, ..rows(1)[0].clone() }).unwrap();
        let error = writer.flush().unwrap_err().to_string();
        assert!(error.contains("18446744073709551615 is too large"), "{error}");
        writer.write(&rows(1)[0]).unwrap();
        writer.finish().unwrap();
        assert_eq!(names(dir.path()), ["00000.parquet"]);
        assert!(RecordWriter::create(dir.path(), Format::Parquet).is_err(), "it exists already");
    }

    #[test]
    fn missing_and_unknown_parts_are_named() {
        let dir = written(&rows(70_000));
        let parts = dir.path().join("records.parquet");
        fs::write(parts.join("notes.parquet"), "").unwrap();
        assert!(
            error(dir.path()).contains("notes.parquet: it is not a part"),
            "{}",
            error(dir.path())
        );
        fs::rename(parts.join("notes.parquet"), parts.join("_notes")).unwrap();
        assert_eq!(read_run(dir.path()).unwrap().records.len(), 70_000);
        fs::remove_file(parts.join("00000.parquet")).unwrap();
        assert!(
            error(dir.path()).contains("00000.parquet: it is missing"),
            "{}",
            error(dir.path())
        );
    }

    #[test]
    fn malformed_parts_are_reported_with_their_file() {
        let dir = written(&rows(10));
        let part = dir.path().join("records.parquet").join("00000.parquet");
        let whole = fs::read(&part).unwrap();
        for bytes in [&b""[..], b"PAR1", b"run,transport\n", &whole[..whole.len() / 2]] {
            fs::write(&part, bytes).unwrap();
            assert!(error(dir.path()).contains("00000.parquet: "), "{}", error(dir.path()));
        }
        fs::File::create(&part).unwrap().set_len(1 << 40).unwrap();
        assert!(error(dir.path()).contains("exceed the limit of a part"), "{}", error(dir.path()));
        let tail = [&(1_u32 << 20).to_le_bytes(), &b"PAR1"[..]].concat();
        fs::write(&part, [&vec![0; 2 << 20], &tail[..]].concat()).unwrap();
        assert!(
            error(dir.path()).contains("its footer exceeds the limit"),
            "{}",
            error(dir.path())
        );
        // A damaged value makes the whole row invalid.
        let bytes = |from: &str, to: &str| {
            let at = whole.windows(from.len()).position(|it| it == from.as_bytes()).unwrap();
            [&whole[..at], to.as_bytes(), &whole[at + to.len()..]].concat()
        };
        fs::write(&part, bytes("delivered", "belivered")).unwrap();
        assert!(error(dir.path()).contains("verdict \"belivered\""), "{}", error(dir.path()));
    }

    /// Flips every bit pattern in a small part and many in a large one, one byte at a time: the
    /// result is rows or an error with the file's name, never a panic.
    #[test]
    fn no_damage_makes_the_reader_panic() {
        for (count, step) in [(6, 1), (3_000, 101)] {
            let dir = written(&rows(count));
            let part = dir.path().join("records.parquet").join("00000.parquet");
            let whole = fs::read(&part).unwrap();
            let mut errors = 0;
            let mut file = fs::File::options().write(true).open(&part).unwrap();
            for at in (0..whole.len()).step_by(step) {
                let mut write_byte = |byte: u8| {
                    file.seek(SeekFrom::Start(at as u64)).unwrap();
                    file.write_all(&[byte]).unwrap();
                };
                for damage in [0x01, 0x08, 0x80, 0xFF] {
                    // In place: a file system may write a truncated file to the disk at once.
                    write_byte(whole[at] ^ damage);
                    if let Err(error) = read_run(dir.path()) {
                        errors += 1;
                        let error = error.to_string();
                        assert!(error.contains("00000.parquet: "), "{error}");
                        assert!(!error.contains("it is damaged"), "a panic at {at}, {damage:x}");
                    }
                }
                write_byte(whole[at]);
            }
            assert!(errors > 50, "only {errors} errors");
        }
    }
}

#[test]
fn rows_in_both_formats_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    RecordWriter::create(dir.path(), Format::Csv).unwrap().finish().unwrap();
    fs::create_dir(dir.path().join("records.parquet")).unwrap();
    let error = read_run(dir.path()).unwrap_err().to_string();
    assert!(error.contains("both records.csv and records.parquet"), "{error}");
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_build_without_parquet_names_the_feature() {
    let dir = tempfile::tempdir().unwrap();
    let check = |error: chatagram::lab::record::Error| {
        let error = error.to_string();
        assert!(error.contains("records.parquet is Parquet"), "{error}");
        assert!(error.contains("--features parquet"), "{error}");
    };
    check(RecordWriter::create(dir.path(), Format::Parquet).unwrap_err());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    fs::create_dir(dir.path().join("records.parquet")).unwrap();
    check(read_run(dir.path()).unwrap_err());
    check(chatagram::lab::report::write(dir.path()).unwrap_err());
}
