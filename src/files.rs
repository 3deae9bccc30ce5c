//! Long-lived files: how they are opened and locked, and whether their path still names them, since
//! log rotation renames or removes them.

mod lock;

pub use lock::{Lock, LockError};

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Options for a file that only its owner can access, since it may contain messages. Opening never
/// blocks: a pipe without a reader is an error (open(2), O_NONBLOCK).
#[must_use]
pub fn private() -> OpenOptions {
    #[allow(unused_mut)]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600).custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32);
    }
    options
}

/// Resolves symbolic links; the target need not exist. A file that is replaced by a rename must
/// replace the target, not the link.
#[must_use]
pub fn behind_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    // The kernel's limit (path_resolution(7)).
    for _ in 0..40 {
        let Ok(target) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    path
}

/// The result of comparing a path with an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code))]
pub enum Named {
    /// The path names the open file.
    Same,
    /// The path names another file or none; the open file has another name.
    Moved,
    /// The path names another file or none; the open file has no name.
    Removed,
}

/// Compares device and inode. Systems other than Unix do not let an open file be renamed.
///
/// # Errors
/// The metadata of the file or of the path cannot be read.
#[cfg(unix)]
pub fn compare(file: &File, path: &Path) -> io::Result<Named> {
    use std::os::unix::fs::MetadataExt;
    let open = file.metadata()?;
    match fs::metadata(path) {
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
pub fn compare(_: &File, _: &Path) -> io::Result<Named> {
    Ok(Named::Same)
}
