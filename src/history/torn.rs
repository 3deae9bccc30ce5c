//! What becomes of a last line that was never finished.

use std::{
    ffi::OsString,
    fmt,
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::files;

/// The bytes of a last line that the server could not finish, as when it was
/// killed or the disk was full.
#[derive(Debug)]
pub struct Torn {
    /// How many bytes.
    pub bytes: u64,
    /// Where they are now.
    pub fate: TornFate,
}

/// Where the bytes of a torn line are now.
#[derive(Debug)]
pub enum TornFate {
    /// At the end of this file, and no longer in the history.
    SavedTo(PathBuf),
    /// Still in the history, as a damaged line of its own, because they could
    /// not be saved elsewhere or not be cut off.
    KeptInPlace(io::Error),
}

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the last line was torn; its {} bytes ", self.bytes)?;
        match &self.fate {
            TornFate::SavedTo(path) => write!(f, "were moved to {}", path.display()),
            TornFate::KeptInPlace(cause) => {
                write!(f, "stay there as a damaged line, not moved: {cause}")
            }
        }
    }
}

/// Adds the bytes to the file beside the history, each torn line on its own,
/// and returns only when they are on the disk: then they may be cut off.
pub(super) fn save(history: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let mut name = OsString::from(history);
    name.push(".torn");
    let path = PathBuf::from(name);
    let mut file = files::private().create(true).append(true).open(&path)?;
    file.write_all(&[bytes, b"\n"].concat())?;
    file.sync_all()?;
    Ok(path)
}
