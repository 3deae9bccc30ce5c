//! Rows as CSV.

use super::names::Names;
use super::sum::Summed;
use super::{Error, FileSum, HEADER, LineError, Mode, RECORDS, Record, RowError, Rows, Verdict};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Limits on buffered rows by number and age: a kill loses at most these.
const FLUSH_ROWS: u32 = 256;
const FLUSH_AFTER: Duration = Duration::from_secs(1);

/// Writes `records.csv` during the run.
#[derive(Debug)]
pub(super) struct Writer {
    csv: csv::Writer<Summed>,
    path: PathBuf,
    rows: u64,
    waiting: u32,
    flushed: Instant,
}

impl Writer {
    pub(super) fn create(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(RECORDS);
        let file = File::create_new(&path).map_err(Error::io("create", &path))?;
        let csv = csv::WriterBuilder::new().has_headers(false).from_writer(Summed::new(file));
        let mut writer = Self { csv, path, rows: 0, waiting: 0, flushed: Instant::now() };
        writer.row(HEADER)?;
        writer.flush()?;
        Ok(writer)
    }

    pub(super) fn write(&mut self, record: &Record) -> Result<(), Error> {
        let micros = |it: Option<u64>| it.map(|it| it.to_string()).unwrap_or_default();
        self.row([
            &*record.run,
            record.mode.transport(),
            record.mode.column(),
            &*record.sender,
            &*record.receiver,
            &record.id.to_string(),
            &record.intended_us.to_string(),
            &micros(record.sent_us),
            &micros(record.arrived_us),
            &micros(record.delivered_us),
            record.verdict.name(),
        ])?;
        self.rows += 1;
        self.waiting += 1;
        self.flush_due()
    }

    pub(super) fn flush_due(&mut self) -> Result<(), Error> {
        let is_late = self.waiting > 0 && self.flushed.elapsed() >= FLUSH_AFTER;
        if self.waiting >= FLUSH_ROWS || is_late { self.flush() } else { Ok(()) }
    }

    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.waiting = 0;
        self.flushed = Instant::now();
        self.csv.flush().map_err(Error::io("write", &self.path))
    }

    pub(super) fn finish(mut self) -> Result<Vec<FileSum>, Error> {
        self.flush()?;
        let sum = self.csv.get_ref().finish(RECORDS, self.rows);
        Ok(vec![sum.map_err(Error::io("write", &self.path))?])
    }

    fn row(&mut self, fields: [&str; 11]) -> Result<(), Error> {
        self.csv.write_record(fields).map_err(|e| Error::io("write", &self.path)(e.into()))
    }
}

/// The rows in a run's directory.
pub(super) fn read(dir: &Path) -> Result<Rows, Error> {
    let path = dir.join(RECORDS);
    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
    // Only a line break completes a row: half a number is still a number.
    let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    let records = parse_rows(&bytes[..whole]).map_err(|(line, problem)| Error::Line {
        path,
        line,
        problem,
    })?;
    let files = vec![FileSum::of(RECORDS.to_owned(), records.len(), &bytes)];
    Ok(Rows { records, torn: whole < bytes.len(), files })
}

/// Parses the rows under the header. An error names its line.
fn parse_rows(bytes: &[u8]) -> Result<Vec<Record>, (u64, LineError)> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let (mut row, mut names, mut records) = (csv::StringRecord::new(), Names::default(), vec![]);
    let mut first = true;
    loop {
        let line = reader.position().line();
        match reader.read_record(&mut row) {
            Ok(false) => return Ok(records),
            Ok(true) if first && row != HEADER[..] => {
                return Err((line, LineError::Header));
            }
            Ok(true) if first => first = false,
            Ok(true) => {
                records.push(parse_row(&row, &mut names).map_err(|error| (line, error.into()))?);
            }
            Err(error) => return Err((line, LineError::Csv(error))),
        }
    }
}

fn parse_row(row: &csv::StringRecord, names: &mut Names) -> Result<Record, RowError> {
    if row.len() != HEADER.len() {
        return Err(RowError::Columns(row.len()));
    }
    let number = |at: usize| {
        let text = &row[at];
        text.parse().map_err(|_| RowError::NotANumber { column: HEADER[at], text: text.to_owned() })
    };
    let time = |at: usize| if row[at].is_empty() { Ok(None) } else { number(at).map(Some) };
    let delivered_us = time(9)?;
    Ok(Record {
        run: names.get(&row[0]),
        mode: Mode::from_columns(&row[1], &row[2])?,
        sender: names.get(&row[3]),
        receiver: names.get(&row[4]),
        id: number(5)?,
        intended_us: number(6)?,
        sent_us: time(7)?,
        arrived_us: time(8)?,
        delivered_us,
        server_held_us: None,
        verdict: Verdict::from_column(&row[10], delivered_us)?,
    })
}
