//! Writes the parts in a separate thread, so that the disk does not delay the measurement.

use super::{
    HEADER, PARQUET, PART_AFTER, PART_ROWS, part_name, part_path, problem, schema, unfinished_name,
};
use crate::lab::record::{Error, FileSum, Record};
use parquet::basic::{Encoding, Type};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use std::fs::{self, File};
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::thread;
use std::time::Instant;

/// Collects rows and hands complete parts to the writing thread.
#[derive(Debug)]
pub(in crate::lab::record) struct Writer {
    dir: PathBuf,
    rows: Vec<Record>,
    /// When the part's first row was added.
    since: Instant,
    /// Capacity of one part: a producer two parts ahead of the disk waits.
    parts: SyncSender<Vec<Record>>,
    done: Receiver<Result<FileSum, Error>>,
    pending: usize,
    files: Vec<FileSum>,
    is_empty: bool,
}

impl Writer {
    pub(in crate::lab::record) fn create(run: &Path) -> Result<Self, Error> {
        let dir = run.join(PARQUET);
        fs::create_dir(&dir).map_err(Error::io("create", &dir))?;
        let (parts, to_write) = sync_channel(1);
        let (report, done) = channel();
        let place = dir.clone();
        thread::Builder::new()
            .name("parts".into())
            .spawn(move || write_parts(&place, &to_write, &report))
            .map_err(Error::io("start the thread for", &dir))?;
        let since = Instant::now();
        let (rows, files) = (vec![], vec![]);
        Ok(Self { dir, rows, since, parts, done, pending: 0, files, is_empty: true })
    }

    pub(in crate::lab::record) fn write(&mut self, record: &Record) -> Result<(), Error> {
        if self.rows.is_empty() {
            self.since = Instant::now();
        }
        self.rows.push(record.clone());
        self.flush_due()
    }

    pub(in crate::lab::record) fn flush_due(&mut self) -> Result<(), Error> {
        // Report an error at once, not with the next part.
        self.collect_results(false)?;
        let is_late = !self.rows.is_empty() && self.since.elapsed() >= PART_AFTER;
        if is_late || self.rows.len() >= PART_ROWS { self.end_part() } else { Ok(()) }
    }

    pub(in crate::lab::record) fn flush(&mut self) -> Result<(), Error> {
        if !self.rows.is_empty() {
            self.end_part()?;
        }
        self.collect_results(true)
    }

    pub(in crate::lab::record) fn finish(mut self) -> Result<Vec<FileSum>, Error> {
        if self.is_empty {
            // A run without rows still has a part with its columns.
            self.end_part()?;
        }
        self.flush()?;
        Ok(self.files)
    }

    fn end_part(&mut self) -> Result<(), Error> {
        let rows = mem::take(&mut self.rows);
        self.is_empty = false;
        self.parts.send(rows).map_err(|_| self.gone())?;
        self.pending += 1;
        Ok(())
    }

    /// Collects the results of the writing thread; with `wait`, those of all parts.
    fn collect_results(&mut self, wait: bool) -> Result<(), Error> {
        while self.pending > 0 {
            let result = match self.done.try_recv() {
                Err(TryRecvError::Empty) if !wait => return Ok(()),
                Err(TryRecvError::Empty) => self.done.recv().map_err(|_| self.gone())?,
                Err(TryRecvError::Disconnected) => return Err(self.gone()),
                Ok(result) => result,
            };
            self.pending -= 1;
            self.files.push(result?);
        }
        Ok(())
    }

    fn gone(&self) -> Error {
        Error::io("write", &self.dir)(io::Error::other("the thread for it has ended"))
    }
}

/// The writing thread. A failed part's number is used again: the numbers have no gaps.
fn write_parts(dir: &Path, parts: &Receiver<Vec<Record>>, report: &Sender<Result<FileSum, Error>>) {
    let mut number = 0;
    for rows in parts {
        let result = write_part(dir, number, &rows);
        number += usize::from(result.is_ok());
        // A part is written even if its producer no longer listens for the result.
        let _ = report.send(result);
    }
}

fn write_part(dir: &Path, number: usize, rows: &[Record]) -> Result<FileSum, Error> {
    let path = dir.join(part_name(number));
    let temporary = dir.join(unfinished_name(number));
    let file = File::create(&temporary).map_err(Error::io("create", &temporary))?;
    let file = encode(file, rows).map_err(|error| problem(&temporary, error))?;
    file.sync_all().map_err(Error::io("write", &temporary))?;
    let bytes = fs::read(&temporary).map_err(Error::io("read", &temporary))?;
    fs::rename(&temporary, &path).map_err(Error::io("write", &path))?;
    Ok(FileSum::of(part_path(number), rows.len(), &bytes))
}

fn encode(file: File, rows: &[Record]) -> Result<File, ParquetError> {
    let schema = schema()?;
    let mut properties = WriterProperties::builder()
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true);
    for (name, column) in HEADER.into_iter().zip(schema.get_fields()) {
        // Numbers and times differ little between rows; there are few distinct names.
        if column.get_physical_type() == Type::INT64 {
            properties = properties
                .set_column_dictionary_enabled(name.into(), false)
                .set_column_encoding(name.into(), Encoding::DELTA_BINARY_PACKED);
        }
    }
    let mut file = SerializedFileWriter::new(file, schema, Arc::new(properties.build()))?;
    if !rows.is_empty() {
        let mut columns = Columns { group: file.next_row_group()?, rows };
        columns.text(|row| &row.run)?;
        columns.text(|row| row.mode.transport())?;
        columns.text(|row| row.mode.column())?;
        columns.text(|row| &row.sender)?;
        columns.text(|row| &row.receiver)?;
        columns.number(|row| row.id)?;
        columns.number(|row| row.intended_us)?;
        columns.time(|row| row.sent_us)?;
        columns.time(|row| row.arrived_us)?;
        columns.time(|row| row.delivered_us)?;
        columns.text(|row| row.verdict.name())?;
        columns.group.close()?;
    }
    file.into_inner()
}

/// Writes one column after the other.
struct Columns<'a> {
    group: SerializedRowGroupWriter<'a, File>,
    rows: &'a [Record],
}

impl Columns<'_> {
    fn text(&mut self, of: impl Fn(&Record) -> &str) -> Result<(), ParquetError> {
        let values: Vec<_> = self.rows.iter().map(|row| ByteArray::from(of(row))).collect();
        self.column::<ByteArrayType>(&values, None)
    }

    fn number(&mut self, of: impl Fn(&Record) -> u64) -> Result<(), ParquetError> {
        let values: Result<Vec<_>, _> = self.rows.iter().map(|row| signed(of(row))).collect();
        self.column::<Int64Type>(&values?, None)
    }

    fn time(&mut self, of: impl Fn(&Record) -> Option<u64>) -> Result<(), ParquetError> {
        let present: Vec<_> = self.rows.iter().map(|row| i16::from(of(row).is_some())).collect();
        let values: Result<Vec<_>, _> = self.rows.iter().filter_map(of).map(signed).collect();
        self.column::<Int64Type>(&values?, Some(&present))
    }

    fn column<T: DataType>(
        &mut self,
        values: &[T::T],
        present: Option<&[i16]>,
    ) -> Result<(), ParquetError> {
        let column = self.group.next_column()?;
        let mut column = column.ok_or_else(|| ParquetError::General("no such column".into()))?;
        column.typed::<T>().write_batch(values, present, None)?;
        column.close()
    }
}

fn signed(number: u64) -> Result<i64, ParquetError> {
    i64::try_from(number).map_err(|_| ParquetError::General(format!("{number} is too large")))
}
