//! Reading the parts back.
//!
//! A part is untrusted input. Its claims are bounded before they cost memory: the sizes of the file
//! and the footer, the number of rows, the ranges of the columns, and the [number of
//! values](super::pages) of each page. A part of equal rows can be a thousand times smaller than
//! its contents, about 10 MB; a small file cannot make the reader allocate more.

use super::pages::CheckedPages;
use super::{HEADER, PARQUET, PART_ROWS, PartError, UNFINISHED, part_name, part_path, schema};
use crate::lab::record::names::Names;
use crate::lab::record::{Error, FileSum, Mode, Record, RowError, Rows, Verdict};
use parquet::basic::Type;
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArrayType, DataType, Int64Type};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Limit on a part's size: all its rows with the longest names.
const PART_BYTES: u64 = 64 << 20;

/// Limit on a footer's size. Decoded, it takes a hundred times its size in memory.
const FOOTER_BYTES: u32 = 64 << 10;
/// The end of a file: the footer's length and the magic number `PAR1`.
const TAIL_BYTES: u64 = 8;

/// The rows in a run's directory.
pub(in crate::lab::record) fn read(run: &Path) -> Result<Rows, Error> {
    let (parts, torn) = parts(&run.join(PARQUET))?;
    let (mut names, mut records, mut files) = (Names::default(), vec![], vec![]);
    for (number, path) in parts.into_iter().enumerate() {
        let file = File::open(&path).map_err(Error::io("read", &path))?;
        let size = file.metadata().map_err(Error::io("read", &path))?.len();
        // The library asserts properties of its input. The known ones are checked before; an
        // unknown one must not end the report without naming the file.
        let read = || read_part(file, size, &mut names);
        let rows = catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(PartError::Damaged));
        let failed = |problem| Error::Part { path: path.clone(), problem };
        let rows = rows.map_err(failed)?;
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        files.push(FileSum::of(part_path(number), rows.len(), &bytes));
        records.extend(rows);
    }
    Ok(Rows { records, torn, files })
}

/// The paths of all parts in order; true if there is an unfinished one.
fn parts(dir: &Path) -> Result<(Vec<PathBuf>, bool), Error> {
    let (mut numbers, mut torn) = (vec![], false);
    for entry in fs::read_dir(dir).map_err(Error::io("read", dir))? {
        let path = entry.map_err(Error::io("read", dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(['.', '_']) {
            torn |= name.ends_with(UNFINISHED);
            continue;
        }
        let number = name.strip_suffix(".parquet").and_then(|digits| digits.parse().ok());
        let Some(number) = number.filter(|number| part_name(*number) == name) else {
            return Err(Error::Part { path, problem: PartError::NotAPart });
        };
        numbers.push(number);
    }
    numbers.sort_unstable();
    if let Some(hole) = (0..).zip(&numbers).find(|(meant, number)| meant != *number) {
        let path = dir.join(part_name(hole.0));
        return Err(Error::Part { path, problem: PartError::Missing });
    }
    Ok((numbers.into_iter().map(|number| dir.join(part_name(number))).collect(), torn))
}

fn read_part(file: File, size: u64, names: &mut Names) -> Result<Vec<Record>, PartError> {
    if size > PART_BYTES {
        return Err(PartError::TooLarge(size));
    }
    if footer(&file, size)? > FOOTER_BYTES {
        return Err(PartError::FooterTooLarge);
    }
    let reader = SerializedFileReader::new(file)?;
    let metadata = reader.metadata();
    check_columns(metadata.file_metadata().schema())?;
    let mut records = vec![];
    for at in 0..metadata.num_row_groups() {
        let left = PART_ROWS - records.len();
        let group = metadata.row_group(at);
        check_ranges(group, size)?;
        let rows = usize::try_from(group.num_rows()).ok().filter(|rows| *rows <= left);
        let rows = rows.ok_or(PartError::TooManyRows)?;
        let columns = Columns { group: &*reader.get_row_group(at)?, rows, names };
        records.append(&mut columns.read()?);
    }
    Ok(records)
}

/// The footer's length; 0 for a file that is too short to have one.
fn footer(mut file: &File, size: u64) -> io::Result<u32> {
    let Some(tail) = size.checked_sub(TAIL_BYTES) else { return Ok(0) };
    let mut length = [0; 4];
    file.seek(SeekFrom::Start(tail))?;
    file.read_exact(&mut length)?;
    Ok(u32::from_le_bytes(length))
}

/// Compares names and types with those written; annotations may differ.
fn check_columns(found: &types::Type) -> Result<(), PartError> {
    let kind = |column: &types::Type| {
        let basic = column.get_basic_info();
        let kind = column.is_primitive().then(|| column.get_physical_type());
        (basic.name().to_owned(), kind, basic.has_repetition().then(|| basic.repetition()))
    };
    let meant = schema()?;
    if meant.get_fields().iter().map(|it| kind(it)).eq(found.get_fields().iter().map(|it| kind(it)))
    {
        return Ok(());
    }
    Err(PartError::Columns)
}

/// Checks that every column exists and lies within the file.
fn check_ranges(group: &RowGroupMetaData, size: u64) -> Result<(), PartError> {
    if group.num_columns() != HEADER.len() {
        return Err(PartError::ColumnsMissing);
    }
    for column in group.columns() {
        let first = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
        let end = first.checked_add(column.compressed_size());
        let within = |place: i64| u64::try_from(place).is_ok_and(|place| place <= size);
        let length = column.compressed_size();
        if ![Some(first), Some(length), end].into_iter().all(|it| it.is_some_and(within)) {
            return Err(PartError::ColumnOutside);
        }
    }
    Ok(())
}

/// The columns of one row group.
struct Columns<'a> {
    group: &'a dyn RowGroupReader,
    rows: usize,
    names: &'a mut Names,
}

impl Columns<'_> {
    fn read(mut self) -> Result<Vec<Record>, PartError> {
        let [run, transport, mode, sender, receiver] =
            [self.text(0)?, self.text(1)?, self.text(2)?, self.text(3)?, self.text(4)?];
        let [id, intended] = [self.numbers(5)?, self.numbers(6)?];
        let [sent, arrived, delivered] = [self.times(7)?, self.times(8)?, self.times(9)?];
        let verdict = self.text(10)?;
        let record = |at: usize| -> Result<Record, RowError> {
            Ok(Record {
                run: run[at].clone(),
                mode: Mode::from_columns(&transport[at], &mode[at])?,
                sender: sender[at].clone(),
                receiver: receiver[at].clone(),
                id: id[at],
                intended_us: intended[at],
                sent_us: sent[at],
                arrived_us: arrived[at],
                delivered_us: delivered[at],
                server_held_us: None,
                verdict: Verdict::from_column(&verdict[at], delivered[at])?,
            })
        };
        (0..self.rows)
            .map(|at| record(at).map_err(|problem| PartError::Row { row: at + 1, problem }))
            .collect()
    }

    fn text(&mut self, column: usize) -> Result<Vec<Arc<str>>, PartError> {
        let (_, values) = self.column::<ByteArrayType>(column, false)?;
        values.iter().map(|it| Ok(self.names.get(it.as_utf8()?))).collect()
    }

    fn numbers(&self, column: usize) -> Result<Vec<u64>, PartError> {
        let (_, values) = self.column::<Int64Type>(column, false)?;
        values.into_iter().map(|it| unsigned(it, column)).collect()
    }

    fn times(&self, column: usize) -> Result<Vec<Option<u64>>, PartError> {
        let (present, values) = self.column::<Int64Type>(column, true)?;
        let mut values = values.into_iter();
        let times = present.into_iter().map(|present| {
            let value = if present == 1 { values.next() } else { None };
            value.map(|it| unsigned(it, column)).transpose()
        });
        times.collect()
    }

    /// A column's definition levels (if it is optional) and its values.
    fn column<T: DataType>(
        &self,
        at: usize,
        is_optional: bool,
    ) -> Result<(Vec<i16>, Vec<T::T>), PartError> {
        let (mut present, mut values) = (vec![], vec![]);
        let named = |cause| PartError::Column { column: HEADER[at], cause };
        let is_text = T::get_physical_type() == Type::BYTE_ARRAY;
        let pages = self.group.get_column_page_reader(at).map_err(named)?;
        let pages = CheckedPages::new(pages, is_text, self.rows);
        let column = self.group.metadata().schema_descr().column(at);
        let mut reader = ColumnReaderImpl::<T>::new(column, Box::new(pages));
        let levels = is_optional.then_some(&mut present);
        let read = reader.read_records(self.rows, levels, None, &mut values).map_err(named)?;
        let found = if is_optional { present.len() } else { values.len() };
        if (read.0, found) != (self.rows, self.rows) {
            let (column, rows) = (HEADER[at], self.rows);
            return Err(PartError::ColumnTooShort { column, values: found, rows });
        }
        Ok((present, values))
    }
}

fn unsigned(number: i64, column: usize) -> Result<u64, PartError> {
    u64::try_from(number).map_err(|_| PartError::Negative { column: HEADER[column], number })
}
