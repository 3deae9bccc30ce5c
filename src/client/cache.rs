//! What a client remembers of each server: the last few lines it showed.
//!
//! This module owns the cache file, and the bounds on it: a few lines for a few
//! servers, the least recently used going first. It must not know the network
//! or the screen, and never reads a clock.
//!
//! A cache is a convenience, so nothing about it may stop a chat: what is
//! damaged is moved aside and becomes a warning; what the system does not let
//! be read is left alone. Two clients may share the
//! file. [`Cache::save`] reads it again and replaces the entries of those
//! servers alone to which this client added lines; every other entry is the
//! file's. When both save in the same moment, or chat with the same server, the
//! later one wins; in no case is the file half written.

mod error;
mod file;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::protocol::{Mark, hex};
use crate::time::WallTime;
pub use error::{CacheError, CacheWarning};
use file::{Found, Servers};

/// How many lines are kept for a server.
pub const CACHE_LINES: usize = 5;

/// How many servers are kept.
pub const CACHE_SERVERS: usize = 32;

/// How long the file may be, in bytes. A longer one is taken for damaged, and
/// none longer is written.
pub const CACHE_BYTES: usize = 1024 * 1024;

/// A line as it was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedLine {
    /// The log that it is in, if that is known.
    #[serde(default, with = "hex")]
    pub epoch: Option<u64>,
    /// Its position there.
    #[serde(default)]
    pub id: Option<u64>,
    /// When it was written.
    pub at: WallTime,
    /// Who wrote it.
    pub from: String,
    /// What was written.
    pub text: String,
}

impl CachedLine {
    /// Its name for good, if the file has one.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        self.epoch.zip(self.id).map(|(epoch, position)| Mark { epoch, position })
    }
}

/// The remembered lines of all servers.
#[derive(Debug)]
pub struct Cache {
    path: PathBuf,
    servers: Servers,
    /// The servers to which lines were added here: theirs are not the file's.
    touched: HashSet<String>,
}

impl Cache {
    /// Reads the cache at `path`. When that fails the cache is empty, and the
    /// warning tells what became of the file.
    #[must_use]
    pub fn open(path: &Path) -> (Self, Option<CacheWarning>) {
        let (servers, warning) = match file::read(path) {
            Found::Nothing => (Servers::default(), None),
            Found::Servers(servers) => (servers, None),
            Found::Damage(cause) => {
                let warning = file::set_aside(path, cause);
                (Servers::default(), Some(warning))
            }
            Found::Unreadable(cause) => (Servers::default(), Some(CacheWarning::left(path, cause))),
        };
        let cache = Self { path: path.to_owned(), servers, touched: HashSet::new() };
        (cache, warning)
    }

    /// The last lines of a server, oldest first.
    #[must_use]
    pub fn lines(&self, server: &str) -> &[CachedLine] {
        self.servers.lines(server)
    }

    /// Adds the newest line of a server, which becomes the last one used.
    pub fn push(&mut self, server: &str, line: CachedLine) {
        let mut lines = self.servers.take(server);
        lines.push(line);
        self.servers.put(server.to_owned(), lines);
        self.touched.insert(server.to_owned());
    }

    /// Replaces the file by one that holds this client's lines as well, in one
    /// step. Makes the directory if need be.
    ///
    /// A file that was damaged in the meantime is moved aside first. If it
    /// cannot be, nothing is written.
    ///
    /// # Errors
    /// The file or its directory cannot be read or written.
    pub fn save(&mut self) -> Result<(), CacheError> {
        let base = match file::read(&self.path) {
            Found::Servers(servers) => servers,
            // Somebody erased it: what was only read from it is gone as well.
            Found::Nothing => Servers::default(),
            Found::Unreadable(cause) => {
                return Err(CacheError::Damaged(CacheWarning::left(&self.path, cause)));
            }
            Found::Damage(cause) => match file::set_aside(&self.path, cause) {
                warning if warning.moved_to.is_none() => return Err(CacheError::Damaged(warning)),
                _ => self.servers.clone(),
            },
        };
        self.servers = self.merged_into(base);
        file::write(&self.path, &self.servers)
    }

    fn merged_into(&mut self, mut base: Servers) -> Servers {
        for (server, lines) in std::mem::take(&mut self.servers) {
            if self.touched.contains(&server) {
                base.take(&server);
                base.put(server, lines);
            }
        }
        base
    }
}
