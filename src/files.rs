//! Files that are written to for as long as the program runs: how they are opened, and whether a path
//! still names them, for log rotation renames or removes them meanwhile.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Options with which a new file is for its owner alone, for what people said may be in it, and no
/// open blocks: a pipe without a reader is an error (open(2), O_NONBLOCK).
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

/// The path of the file that `path` leads to, which need not exist: a file that is replaced as a whole
/// must not take the place of a symbolic link to it.
pub fn behind_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    // As many as the kernel follows (path_resolution(7)).
    for _ in 0..40 {
        let Ok(target) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    path
}

/// What a path names, compared with an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code))]
pub enum Named {
    /// The open file.
    Same,
    /// Another file, or none; the open file has a name elsewhere.
    Moved,
    /// Another file, or none; the open file has no name any more.
    Removed,
}

/// Compares device and inode. Other systems than Unix do not let an open file be renamed.
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
