//! Records how long lines waited at the server for earlier ones of their authors: for the lab,
//! which tells these waits from those at the readers.

use super::Error;
use crate::hub::{Event, Hub};
use crate::time::micros;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

/// The columns: the author, the number of the line modulo 2^16, and the wait, empty if unknown.
const HEADER: &str = "sender,number,held_us";

/// A CSV file with one row for each line, if one was asked for.
#[derive(Debug)]
pub(super) struct Waits(Option<Rows>);

#[derive(Debug)]
struct Rows {
    file: BufWriter<File>,
    path: PathBuf,
}

impl Waits {
    /// Creates the file, which must not exist.
    pub(super) fn create(path: Option<PathBuf>) -> Result<Self, Error> {
        let Some(path) = path else { return Ok(Self(None)) };
        match File::create_new(&path).map(BufWriter::new) {
            Ok(file) => {
                let mut waits = Self(Some(Rows { file, path }));
                waits.write(|file| writeln!(file, "{HEADER}"))?;
                waits.flush()?;
                Ok(waits)
            }
            Err(error) => Err(Error::Waits(path, error)),
        }
    }

    /// Lets the hub report what this needs.
    pub(super) fn ask(&self, hub: &mut Hub) {
        if self.0.is_some() {
            hub.report_waits();
        }
    }

    /// Adds the row of a line.
    pub(super) fn add(&mut self, event: &Event) -> Result<(), Error> {
        let Event::Waited(line, time) = event else { return Ok(()) };
        let Some(identity) = line.identity else { return Ok(()) };
        let from = line.from.replace('"', "\"\"");
        let time = time.map(|time| micros(time).to_string()).unwrap_or_default();
        self.write(|file| writeln!(file, "\"{from}\",{},{time}", identity.number))
    }

    /// Hands the rows to the kernel. Called before the lines are sent: a reader's record of a line
    /// has its row here.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.write(BufWriter::flush)
    }

    fn write(
        &mut self,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<(), Error> {
        let Some(Rows { file, path }) = &mut self.0 else { return Ok(()) };
        write(file).map_err(|error| Error::Waits(path.clone(), error))
    }
}
