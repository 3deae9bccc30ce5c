//! The cache file: format, reading, replacement, moving aside.

use std::{
    ffi::OsString,
    fmt,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    vec,
};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};

use crate::files::behind_links;

use super::{CACHE_BYTES, CACHE_LINES, CACHE_SERVERS, CacheError, CacheWarning, CachedLine};

/// The state of a cache's path.
pub(super) enum Found {
    Nothing,
    Servers(Servers),
    /// A damaged cache or another file.
    Damage(io::Error),
    /// Unreadable, so its contents are unknown.
    Unreadable(io::Error),
}

/// The lines of each server, the least recently used server first, in the order of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Servers(Vec<(String, Vec<CachedLine>)>);

#[derive(Serialize, Deserialize)]
struct Content<S> {
    servers: S,
}

impl Servers {
    pub(super) fn lines(&self, server: &str) -> &[CachedLine] {
        self.position(server).map_or(&[], |at| &self.0[at].1)
    }

    pub(super) fn take(&mut self, server: &str) -> Vec<CachedLine> {
        self.position(server).map_or_else(Vec::new, |at| self.0.remove(at).1)
    }

    /// Adds a new server as the most recently used, within bounds.
    pub(super) fn put(&mut self, server: String, mut lines: Vec<CachedLine>) {
        lines.drain(..lines.len().saturating_sub(CACHE_LINES));
        self.0.push((server, lines));
        self.0.drain(..self.0.len().saturating_sub(CACHE_SERVERS));
    }

    fn position(&self, server: &str) -> Option<usize> {
        self.0.iter().position(|(name, _)| name == server)
    }

    fn encode(&self) -> serde_json::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(&Content { servers: self })?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The most recently used servers that fit the file.
    fn encode_bounded(&self) -> serde_json::Result<Vec<u8>> {
        let mut kept = self.clone();
        loop {
            let bytes = kept.encode()?;
            if bytes.len() <= CACHE_BYTES || kept.0.is_empty() {
                return Ok(bytes);
            }
            kept.0.remove(0);
        }
    }
}

impl IntoIterator for Servers {
    type Item = (String, Vec<CachedLine>);
    type IntoIter = vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Serialize for Servers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(server, lines)| (server, lines)))
    }
}

impl<'de> Deserialize<'de> for Servers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ServersVisitor)
    }
}

struct ServersVisitor;

impl<'de> Visitor<'de> for ServersVisitor {
    type Value = Servers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lines by server")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Servers, A::Error> {
        let mut servers = Servers::default();
        while let Some((server, lines)) = map.next_entry::<String, _>()? {
            servers.take(&server);
            servers.put(server, lines);
        }
        Ok(servers)
    }
}

pub(super) fn read(path: &Path) -> Found {
    match content(path) {
        Ok(servers) => Found::Servers(servers),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Nothing,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Found::Damage(error),
        Err(error) => Found::Unreadable(error),
    }
}

/// Opens regular files only, because a pipe would block.
fn content(path: &Path) -> io::Result<Servers> {
    if !fs::metadata(path)?.is_file() {
        return Err(invalid("it is not a file".to_owned()));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(CACHE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > CACHE_BYTES {
        return Err(invalid(format!("it is longer than {CACHE_BYTES} bytes")));
    }
    let content: Content<Servers> = serde_json::from_slice(&bytes)
        .map_err(|error| invalid(format!("it is damaged ({error})")))?;
    Ok(content.servers)
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Moves the file to `<path>.damaged`, replacing an earlier one. Other kinds of files are left
/// alone.
pub(super) fn set_aside(path: &Path, cause: io::Error) -> CacheWarning {
    let path = &behind_links(path);
    let mut name = OsString::from(path);
    name.push(".damaged");
    let aside = PathBuf::from(name);
    let is_file = fs::metadata(path).is_ok_and(|found| found.is_file());
    CacheWarning {
        path: path.to_owned(),
        cause,
        moved_to: (is_file && fs::rename(path, &aside).is_ok()).then_some(aside),
    }
}

/// Writes a new file and renames it over the old one. A symbolic link is kept.
pub(super) fn write(path: &Path, servers: &Servers) -> Result<(), CacheError> {
    let path = &behind_links(path);
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(directory)
        .map_err(|cause| CacheError::Directory { path: directory.to_owned(), cause })?;
    replace(path, directory, servers)
        .map_err(|cause| CacheError::Write { path: path.to_owned(), cause })
}

fn replace(path: &Path, directory: &Path, servers: &Servers) -> io::Result<()> {
    let bytes = servers.encode_bounded()?;
    let mut file = tempfile::Builder::new().prefix(".chatagram-").tempfile_in(directory)?;
    file.write_all(&bytes)?;
    // Without the sync a power cut could leave the new name without its content.
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
