//! Whether a path still names the file that was opened by it: log rotation renames or removes files
//! that a program writes to.

use std::fs::File;
use std::io;
use std::path::Path;

/// What a path names, compared with an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// The open file.
    Same,
    /// Another file, or none; the open file has a name elsewhere.
    Moved,
    /// Another file, or none; the open file has no name any more.
    Removed,
}

/// Compares device and inode. Other systems than Unix do not let an open file be renamed.
#[cfg(unix)]
pub(crate) fn compare(file: &File, path: &Path) -> io::Result<Named> {
    use std::os::unix::fs::MetadataExt;
    let open = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(named) if (named.dev(), named.ino()) == (open.dev(), open.ino()) => Ok(Named::Same),
        Err(error) if !is_absent(&error) => Err(error),
        _ if open.nlink() == 0 => Ok(Named::Removed),
        _ => Ok(Named::Moved),
    }
}

#[cfg(unix)]
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(not(unix))]
pub(crate) fn compare(_: &File, _: &Path) -> io::Result<Named> {
    Ok(Named::Same)
}
