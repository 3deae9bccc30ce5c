//! The destination of messages: a standard stream, or a file that may be rotated.

use super::spool::Target;
use chatagram::files::{self, Named};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Interval of checks that the log is still at its path.
const LOOK: Duration = Duration::from_millis(500);

/// Standard output or error.
pub(super) struct Standard<W>(pub(super) W);

impl<W: Write + Send> Target for Standard<W> {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.0.write_all(lines)?;
        self.0.flush()
    }

    fn look(&mut self, _: bool) -> Option<String> {
        None
    }

    fn period(&self) -> Option<Duration> {
        None
    }
}

/// The file of `--log-file`.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// The last write ended within a line.
    torn: bool,
    /// A failure to reopen was reported.
    lost: bool,
    /// A failure to write was reported.
    failing: bool,
}

impl LogFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        Ok(Self { path: path.to_owned(), file, torn: false, lost: false, failing: false })
    }

    fn reopen(&mut self, done: String) -> Option<String> {
        match open(&self.path) {
            Ok(file) => {
                (self.file, self.torn, self.lost) = (file, false, false);
                Some(done)
            }
            Err(error) => self.report_loss(format!("cannot be opened again: {error}")),
        }
    }

    /// The message about a failure to reopen, the first time.
    fn report_loss(&mut self, what: String) -> Option<String> {
        let news = !std::mem::replace(&mut self.lost, true);
        news.then(|| format!("the log {} {what}", self.path.display()))
    }
}

impl Target for LogFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut rest = lines;
        if self.torn {
            self.file.write_all(b"\n")?;
            self.torn = false;
        }
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.torn = rest[count - 1] != b'\n';
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if !std::mem::replace(&mut self.failing, true) {
                        let path = self.path.display();
                        super::complain(format!("the log {path} cannot be written: {error}"));
                    }
                    return Err(error);
                }
            }
        }
        self.failing = false;
        Ok(())
    }

    fn look(&mut self, reopen: bool) -> Option<String> {
        if !self.file.metadata().is_ok_and(|found| found.is_file()) {
            return None;
        }
        let path = self.path.display();
        match files::compare(&self.file, &self.path) {
            Ok(Named::Same) if !reopen => {
                self.lost = false;
                None
            }
            Ok(Named::Same) => self.reopen(format!("the log {path} was opened again")),
            Ok(Named::Moved) => self.reopen(format!(
                "the log {path} was moved away: what was written stays there; this is a new file"
            )),
            Ok(Named::Removed) => self.reopen(format!(
                "the log {path} was removed with what was written to it; this is a new file"
            )),
            Err(error) => self.report_loss(format!("cannot be found: {error}")),
        }
    }

    fn period(&self) -> Option<Duration> {
        Some(LOOK)
    }
}

fn open(path: &Path) -> io::Result<File> {
    let file = files::private().create(true).append(true).open(path)?;
    // Only opening must not block, since a thread of its own writes.
    #[cfg(unix)]
    rustix::fs::fcntl_setfl(&file, rustix::fs::OFlags::APPEND)?;
    Ok(file)
}
