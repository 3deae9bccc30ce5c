//! Writing a run's files as it goes, and reading them back however it ended.

use super::{Error, HEADER, Mode, RECORDS, RUN, Record, RunInfo, Verdict};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rows that may wait in memory, and for how long: what a kill can cost.
const FLUSH_ROWS: u32 = 256;
const FLUSH_AFTER: Duration = Duration::from_secs(1);

/// Writes a file through another one and a rename, so that nobody ever reads half of it.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let temporary = path.with_extension("part");
    let mut file = File::create(&temporary).map_err(Error::io("create", &temporary))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io("write", &temporary))?;
    fs::rename(&temporary, path).map_err(Error::io("write", path))
}

/// Writes a run's rows as they come.
#[derive(Debug)]
pub struct RecordWriter {
    csv: csv::Writer<BufWriter<File>>,
    path: PathBuf,
    waiting: u32,
    flushed: Instant,
}

impl RecordWriter {
    /// Creates `records.csv` in `dir`, which must exist, and writes the header.
    ///
    /// # Errors
    /// What the system refuses, and a file that is there already.
    pub fn create(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(RECORDS);
        let file = File::create_new(&path).map_err(Error::io("create", &path))?;
        let csv = csv::WriterBuilder::new().has_headers(false).from_writer(BufWriter::new(file));
        let mut writer = Self { csv, path, waiting: 0, flushed: Instant::now() };
        writer.row(HEADER)?;
        writer.flush()?;
        Ok(writer)
    }

    /// Writes a row. Every 256 rows, and with the first row after a second, they go to the disk.
    ///
    /// # Errors
    /// What the system refuses: a full disk.
    pub fn write(&mut self, record: &Record) -> Result<(), Error> {
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
        self.waiting += 1;
        if self.waiting >= FLUSH_ROWS || self.flushed.elapsed() >= FLUSH_AFTER {
            self.flush()?;
        }
        Ok(())
    }

    /// Hands all rows to the system. Call it about every second when rows come seldom.
    ///
    /// # Errors
    /// What the system refuses: a full disk.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.waiting = 0;
        self.flushed = Instant::now();
        self.csv.flush().map_err(Error::io("write", &self.path))
    }

    /// Hands all rows to the disk and ends.
    ///
    /// # Errors
    /// What the system refuses: a full disk.
    pub fn finish(mut self) -> Result<(), Error> {
        self.flush()?;
        self.csv.get_ref().get_ref().sync_all().map_err(Error::io("write", &self.path))
    }

    fn row(&mut self, fields: [&str; 11]) -> Result<(), Error> {
        self.csv.write_record(fields).map_err(|e| Error::io("write", &self.path)(e.into()))
    }
}

/// What a run left.
#[derive(Clone, Debug)]
pub struct Run {
    /// The name of its directory.
    pub name: String,
    /// About it; none when it did not finish.
    pub info: Option<RunInfo>,
    /// Its rows, in the order written.
    pub records: Vec<Record>,
    /// The last row was cut off and left out.
    pub torn: bool,
}

/// Reads a run's directory. A last row that was cut off is left out, and a missing `run.json` makes
/// a run that did not finish; anything else that is wrong is an error.
///
/// # Errors
/// What the system refuses, and a line that is not what it should be, with the file and the line.
pub fn read_run(dir: &Path) -> Result<Run, Error> {
    let path = dir.join(RUN);
    let info = match fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(|e| Error::Line {
            path: path.clone(),
            line: e.line() as u64,
            problem: e.to_string(),
        })?),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(Error::io("read", &path)(e)),
    };
    let path = dir.join(RECORDS);
    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
    // A row is whole when its line ends: half a number is still a number, so what follows the last
    // line break cannot be trusted.
    let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    let records = parse_rows(&bytes[..whole]).map_err(|(line, problem)| Error::Line {
        path,
        line,
        problem,
    })?;
    let name = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Run { name, info, records, torn: whole < bytes.len() })
}

/// The rows under a header, or a line and what is wrong with it.
fn parse_rows(bytes: &[u8]) -> Result<Vec<Record>, (u64, String)> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let (mut row, mut names, mut records) = (csv::StringRecord::new(), Names::default(), vec![]);
    let mut first = true;
    loop {
        let line = reader.position().line();
        match reader.read_record(&mut row) {
            Ok(false) => return Ok(records),
            Ok(true) if first && row != HEADER[..] => {
                return Err((line, format!("the header must be {}", HEADER.join(","))));
            }
            Ok(true) if first => first = false,
            Ok(true) => records.push(parse_row(&row, &mut names).map_err(|e| (line, e))?),
            Err(e) => return Err((line, e.to_string())),
        }
    }
}

fn parse_row(row: &csv::StringRecord, names: &mut Names) -> Result<Record, String> {
    if row.len() != HEADER.len() {
        return Err(format!("{} columns where {} are expected", row.len(), HEADER.len()));
    }
    let number = |at: usize| {
        row[at]
            .parse()
            .map_err(|_| format!("{} \"{}\" is not a whole number", HEADER[at], &row[at]))
    };
    let time = |at: usize| if row[at].is_empty() { Ok(None) } else { number(at).map(Some) };
    let verdict = [Verdict::Delivered, Verdict::Lost, Verdict::Duplicate];
    let verdict = verdict.into_iter().find(|it| it.name() == &row[10]);
    let delivered_us = time(9)?;
    if delivered_us.is_none() && verdict.is_some_and(|it| it != Verdict::Lost) {
        return Err(format!("verdict \"{}\" without delivered_us", &row[10]));
    }
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
        verdict: verdict.ok_or_else(|| format!("there is no verdict \"{}\"", &row[10]))?,
    })
}

/// Each name once in memory: a thousand peers share a few thousand strings, not millions.
#[derive(Default)]
struct Names(HashSet<Arc<str>>);

impl Names {
    fn get(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return known.clone();
        }
        let new: Arc<str> = name.into();
        self.0.insert(new.clone());
        new
    }
}
