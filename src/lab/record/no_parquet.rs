//! Replaces Parquet in a build without it: writing and reading return an error that names the
//! feature.

use super::{Error, FileSum, PARQUET, Record, Rows};
use std::path::Path;

/// Cannot be constructed.
#[derive(Debug)]
pub(super) enum Writer {}

impl Writer {
    pub(super) fn create(dir: &Path) -> Result<Self, Error> {
        Err(refusal(dir))
    }

    pub(super) fn write(&mut self, _: &Record) -> Result<(), Error> {
        match *self {}
    }

    pub(super) fn flush_due(&mut self) -> Result<(), Error> {
        match *self {}
    }

    pub(super) fn flush(&mut self) -> Result<(), Error> {
        match *self {}
    }

    pub(super) fn finish(self) -> Result<Vec<FileSum>, Error> {
        match self {}
    }
}

pub(super) fn read(dir: &Path) -> Result<Rows, Error> {
    Err(refusal(dir))
}

fn refusal(dir: &Path) -> Error {
    Error::NoParquet { path: dir.join(PARQUET) }
}
