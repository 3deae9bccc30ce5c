//! Writing a run's files during the run, and reading them back.

use super::{
    Change, Error, FileSum, Format, LineError, PARQUET, RECORDS, RUN, Record, RunInfo, csv,
    parquet, waits,
};
use crate::files::behind_links;
use crate::protocol::is_clean;
use serde::Serialize;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Writes a file atomically, through a temporary file and a rename. A symbolic link is kept and its
/// target written.
///
/// Each call has a temporary name of its own: another process may write the same file.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let path = &behind_links(path);
    replace(path, bytes).map_err(Error::io("write", path))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".chatagram-");
    // Readable by others, as far as the umask allows it: the default is for secrets.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// JSON with control characters and other unsafe characters escaped (RFC 8259 §7).
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

/// Writes a run's rows.
#[derive(Debug)]
pub struct RecordWriter(Writer);

#[derive(Debug)]
enum Writer {
    Csv(Box<csv::Writer>),
    Parquet(parquet::Writer),
}

impl RecordWriter {
    /// Creates `records.csv` or `records.parquet` in `dir`, which must exist.
    ///
    /// # Errors
    /// An error of the file system, existing rows, or a format that this build lacks.
    pub fn create(dir: &Path, format: Format) -> Result<Self, Error> {
        Ok(Self(match format {
            Format::Csv => Writer::Csv(Box::new(csv::Writer::create(dir)?)),
            Format::Parquet => Writer::Parquet(parquet::Writer::create(dir)?),
        }))
    }

    /// Writes a row. CSV is flushed every 256 rows, or 1 s after the previous flush. A Parquet part
    /// ends after 65,536 rows, or 5 s after its first row.
    ///
    /// # Errors
    /// An error of the file system, such as a full disk.
    pub fn write(&mut self, record: &Record) -> Result<(), Error> {
        match &mut self.0 {
            Writer::Csv(rows) => rows.write(record),
            Writer::Parquet(rows) => rows.write(record),
        }
    }

    /// Flushes rows that have waited long enough. Call it about every second when rows are rare.
    ///
    /// # Errors
    /// An error of the file system, such as a full disk.
    pub fn flush_due(&mut self) -> Result<(), Error> {
        match &mut self.0 {
            Writer::Csv(rows) => rows.flush_due(),
            Writer::Parquet(rows) => rows.flush_due(),
        }
    }

    /// Flushes all rows to the kernel; Parquet ends its part.
    ///
    /// # Errors
    /// An error of the file system, such as a full disk.
    pub fn flush(&mut self) -> Result<(), Error> {
        match &mut self.0 {
            Writer::Csv(rows) => rows.flush(),
            Writer::Parquet(rows) => rows.flush(),
        }
    }

    /// Syncs all rows to the disk and closes the files. Returns their sums, for `run.json`.
    ///
    /// # Errors
    /// An error of the file system, such as a full disk.
    pub fn finish(self) -> Result<Vec<FileSum>, Error> {
        match self.0 {
            Writer::Csv(rows) => rows.finish(),
            Writer::Parquet(rows) => rows.finish(),
        }
    }
}

/// The rows of a run as they are on the disk.
pub(super) struct Rows {
    pub(super) records: Vec<Record>,
    /// True if the last row or part was incomplete and is left out.
    pub(super) torn: bool,
    pub(super) files: Vec<FileSum>,
}

/// The files of a run, read back.
#[derive(Clone, Debug)]
pub struct Run {
    /// The name of the run's directory: one component of a path, whatever `run.json` says.
    pub name: String,
    /// The contents of `run.json`; `None` for a run that did not finish.
    pub info: Option<RunInfo>,
    /// The rows, in the order written.
    pub records: Vec<Record>,
    /// True if the last row or part was incomplete and is left out.
    pub torn: bool,
}

/// Reads a run's directory. An incomplete last row or part is left out, and `info` is `None`
/// without `run.json`. Anything else that is wrong is an error.
///
/// # Errors
/// An error of the file system, a malformed line or part, rows other than those that `run.json`
/// counts, rows in both formats, or a format that this build lacks.
pub fn read_run(dir: &Path) -> Result<Run, Error> {
    let info = read_info(dir)?;
    let Rows { mut records, torn, mut files } =
        match (dir.join(RECORDS).exists(), dir.join(PARQUET).exists()) {
            (true, true) => return Err(Error::Both { dir: dir.to_owned() }),
            (false, true) => parquet::read(dir)?,
            (_, false) => csv::read(dir)?,
        };
    files.extend(waits::read(dir, &mut records)?);
    if let Some(info) = &info {
        compare(dir, &info.files, &files)?;
    }
    let name = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let name = name.file_name().unwrap_or(OsStr::new("run")).to_string_lossy().into_owned();
    Ok(Run { name, info, records, torn })
}

/// Reads `run.json` alone; `None` without it.
pub(in crate::lab) fn read_info(dir: &Path) -> Result<Option<RunInfo>, Error> {
    let path = dir.join(RUN);
    let Some(bytes) = read_if_there(&path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|e| Error::Line {
        path,
        line: e.line() as u64,
        problem: LineError::Json(e),
    })
}

/// The bytes of a file; `None` if there is none.
pub(super) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", path)(e)),
    }
}

/// Checks that the files are those that the run wrote.
fn compare(dir: &Path, written: &[FileSum], found: &[FileSum]) -> Result<(), Error> {
    let changed = |file: &FileSum, change| Error::Changed { path: dir.join(&file.file), change };
    for was in written {
        match found.iter().find(|it| it.file == was.file) {
            None => return Err(changed(was, Change::Missing)),
            Some(is) if is.rows != was.rows => {
                return Err(changed(is, Change::Rows { found: is.rows, written: was.rows }));
            }
            Some(is) if is.crc32 != was.crc32 => return Err(changed(is, Change::Bytes)),
            Some(_) => {}
        }
    }
    match found.iter().find(|is| written.iter().all(|was| was.file != is.file)) {
        Some(extra) => Err(changed(extra, Change::Extra)),
        None => Ok(()),
    }
}
