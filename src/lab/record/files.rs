//! Writing a run's files as it goes, and reading them back however it ended.

use super::{Error, Format, PARQUET, RECORDS, RUN, Record, RunInfo, csv, parquet};
use crate::files::behind_links;
use crate::protocol::is_clean;
use serde::Serialize;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Writes a file through another one and a rename, so that nobody ever reads half of it. A symbolic
/// link stays one: what it names is written.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let path = &behind_links(path);
    let temporary = path.with_extension("part");
    let mut file = File::create(&temporary).map_err(Error::io("create", &temporary))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io("write", &temporary))?;
    fs::rename(&temporary, path).map_err(Error::io("write", path))
}

/// JSON in which no character steers a terminal: such ones are escaped (RFC 8259 §7).
pub(crate) fn json_text(value: &impl Serialize) -> io::Result<String> {
    let json = serde_json::to_string_pretty(value)?;
    let mut text = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        if c == '\n' || is_clean(c.encode_utf8(&mut [0; 4])) {
            text.push(c);
        } else {
            text += &format!("\\u{:04x}", u32::from(c));
        }
    }
    text.push('\n');
    Ok(text)
}

/// Writes a run's rows as they come.
#[derive(Debug)]
pub struct RecordWriter(Rows);

#[derive(Debug)]
enum Rows {
    Csv(Box<csv::Writer>),
    Parquet(parquet::Writer),
}

impl RecordWriter {
    /// Creates `records.csv` or `records.parquet` in `dir`, which must exist.
    ///
    /// # Errors
    /// What the system refuses, rows that are there already, and a form this build does not have.
    pub fn create(dir: &Path, format: Format) -> Result<Self, Error> {
        Ok(Self(match format {
            Format::Csv => Rows::Csv(Box::new(csv::Writer::create(dir)?)),
            Format::Parquet => Rows::Parquet(parquet::Writer::create(dir)?),
        }))
    }

    /// Takes a row. CSV goes to the disk every 256 rows, and with the first row after a second; a
    /// part of Parquet is written every 65,536 rows, and with the first row after 5 s.
    ///
    /// # Errors
    /// What the system refuses: a full disk.
    pub fn write(&mut self, record: &Record) -> Result<(), Error> {
        match &mut self.0 {
            Rows::Csv(rows) => rows.write(record),
            Rows::Parquet(rows) => rows.write(record),
        }
    }

    /// Hands rows to the system that have waited long enough. Call it about every second when rows
    /// come seldom.
    ///
    /// # Errors
    /// What the system refuses: a full disk.
    pub fn flush_due(&mut self) -> Result<(), Error> {
        match &mut self.0 {
            Rows::Csv(rows) => rows.flush_due(),
            Rows::Parquet(rows) => rows.flush_due(),
        }
    }

    /// Hands all rows to the system; Parquet ends its part for that.
    ///
    /// # Errors
    /// What the system refuses: a full disk.
    pub fn flush(&mut self) -> Result<(), Error> {
        match &mut self.0 {
            Rows::Csv(rows) => rows.flush(),
            Rows::Parquet(rows) => rows.flush(),
        }
    }

    /// Hands all rows to the disk and ends.
    ///
    /// # Errors
    /// What the system refuses: a full disk.
    pub fn finish(self) -> Result<(), Error> {
        match self.0 {
            Rows::Csv(rows) => rows.finish(),
            Rows::Parquet(rows) => rows.finish(),
        }
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
    /// The last row, or part, was cut off and left out.
    pub torn: bool,
}

/// Reads a run's directory. A last row or part that was cut off is left out, and a missing
/// `run.json` makes a run that did not finish; anything else that is wrong is an error.
///
/// # Errors
/// What the system refuses, a line or a part that is not what it should be, by name, rows in both
/// forms, and Parquet in a build without it.
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
    let (records, torn) = match (dir.join(RECORDS).exists(), dir.join(PARQUET).exists()) {
        (true, true) => return Err(Error::Both { dir: dir.to_owned() }),
        (false, true) => parquet::read(dir)?,
        (_, false) => csv::read(dir)?,
    };
    let name = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Run { name, info, records, torn })
}
