//! The torn last line of a history.

use std::{
    ffi::OsString,
    fmt,
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::files;

/// A last line that was not completed, because the server was killed or the disk was full.
#[derive(Debug)]
pub struct Torn {
    /// Its length in bytes.
    pub bytes: u64,
    /// Where its bytes are now.
    pub fate: TornFate,
}

/// Where the bytes of a torn line are.
#[derive(Debug)]
pub enum TornFate {
    /// Appended to this file and truncated from the history.
    SavedTo(PathBuf),
    /// In the history, as a damaged line, because they could not be saved or truncated.
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

/// Appends the bytes as a line to the file beside the history. Returns after they are synced to
/// disk, so they may be truncated.
pub(super) fn save(history: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let mut name = OsString::from(history);
    name.push(".torn");
    let path = PathBuf::from(name);
    let mut file = files::private().create(true).append(true).open(&path)?;
    file.write_all(&[bytes, b"\n"].concat())?;
    file.sync_all()?;
    Ok(path)
}
