//! The cache: the last lines that a client showed, per server.
//!
//! This module owns the cache file and its bounds: a few lines for a few servers, the least
//! recently used evicted first. It has no access to network, screen or clock.
//!
//! A cache error never stops a chat: a damaged file is moved aside with a warning, an unreadable
//! one is left alone. Two clients may share the file: [`Cache::save`] reads it again and replaces
//! only the entries of servers with new lines of this client. If both save at once, or chat with
//! the same server, the later one wins; the file is never half written.

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
pub(crate) use error::{CacheError, CacheWarning};
use file::{Found, Servers};

/// Lines per server.
pub(crate) const CACHE_LINES: usize = 5;

/// Number of servers.
pub(crate) const CACHE_SERVERS: usize = 32;

/// Largest size of the file, bytes. A longer one is treated as damaged, and none is written.
pub(crate) const CACHE_BYTES: usize = 1024 * 1024;

/// A line as it was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CachedLine {
    /// Epoch of its log, if known.
    #[serde(default, with = "hex")]
    pub epoch: Option<u64>,
    /// Position in that log.
    #[serde(default)]
    pub id: Option<u64>,
    /// Wall-clock time.
    pub at: WallTime,
    /// Author.
    pub from: String,
    /// Text.
    pub text: String,
}

impl CachedLine {
    /// Epoch and position, if the file has them.
    #[must_use]
    pub(crate) fn mark(&self) -> Option<Mark> {
        self.epoch.zip(self.id).map(|(epoch, position)| Mark { epoch, position })
    }
}

/// The cached lines of all servers.
#[derive(Debug)]
pub(crate) struct Cache {
    path: PathBuf,
    servers: Servers,
    /// Servers with new lines of this client: `save` replaces their entries.
    touched: HashSet<String>,
}

impl Cache {
    /// Reads the cache at `path`. On an error the cache is empty, and the warning says what became
    /// of the file.
    #[must_use]
    pub(crate) fn open(path: &Path) -> (Self, Option<CacheWarning>) {
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
    pub(crate) fn lines(&self, server: &str) -> &[CachedLine] {
        self.servers.lines(server)
    }

    /// Adds the newest line of a server, which becomes the most recently used.
    pub(crate) fn push(&mut self, server: &str, line: CachedLine) {
        let mut lines = self.servers.take(server);
        lines.push(line);
        self.servers.put(server.to_owned(), lines);
        self.touched.insert(server.to_owned());
    }

    /// Atomically replaces the file by one with this client's lines. Creates the directory if
    /// necessary.
    ///
    /// A file damaged in the meantime is moved aside first; if that fails, nothing is written.
    ///
    /// # Errors
    /// The file or its directory cannot be read or written.
    pub(crate) fn save(&mut self) -> Result<(), CacheError> {
        let base = match file::read(&self.path) {
            Found::Servers(servers) => servers,
            // The file was erased: drops the entries read from it.
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
