//! A private room's key and secret, and the file that keeps them (`proto.md` §11.4).

use crate::files;
use crate::net::quic::{QuicError, ServerKey};
use crate::protocol::limits::SECRET_LEN;
use crate::ticket::{Secret, Ticket};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// The first line of the file.
const HEADING: &str = "chatagram private room 1";
/// Longest file that is read.
const MAX_FILE: u64 = 4_096;

/// The settings of a private room.
#[derive(Clone, Debug, Default)]
pub struct PrivateRoom {
    /// The file with key and secret. `None`: both end with the server.
    pub file: Option<PathBuf>,
    /// Replace the secret: earlier tickets admit no client any more.
    pub renew: bool,
}

/// Why a private room cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateError {
    /// The file cannot be read or written.
    #[error("cannot use the private room's key in {0}: {1}")]
    File(PathBuf, io::Error),
    /// The file is not one of [`PrivateRoom`].
    #[error("{0} is no key of a private room: move it away, and the server makes a new one")]
    Foreign(PathBuf),
    /// Other users can read the file.
    #[error("other users can read the private room's key: chmod 600 {0}")]
    Readable(PathBuf),
    /// QUIC has no key.
    #[error(transparent)]
    Quic(#[from] QuicError),
    /// The system provides no randomness for secrets.
    #[error("the operating system provides no random numbers: {0}")]
    Random(getrandom::Error),
}

/// Key and secret.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) key: ServerKey,
    pub(super) secret: Secret,
}

impl Keys {
    /// Reads the file, or makes it.
    pub(super) fn open(room: &PrivateRoom) -> Result<Self, PrivateError> {
        let Some(path) = &room.file else { return Self::generate() };
        // The file is replaced, so a link to it stays one.
        let path = files::behind_links(path);
        let known = match read(&path) {
            Ok(text) => {
                Some(Self::parse(&text).ok_or_else(|| PrivateError::Foreign(path.clone()))?)
            }
            Err(PrivateError::File(_, error)) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let keys = match known {
            Some(keys) if !room.renew => return Ok(keys),
            Some(keys) => Self { secret: secret()?, ..keys },
            None => Self::generate()?,
        };
        keys.write(&path).map_err(|error| PrivateError::File(path, error))?;
        Ok(keys)
    }

    fn generate() -> Result<Self, PrivateError> {
        Ok(Self { key: ServerKey::generate()?, secret: secret()? })
    }

    /// The ticket with these addresses of the server.
    pub(super) fn ticket(&self, places: Vec<String>) -> Option<Ticket> {
        Ticket::new(places, self.key.hash(), self.secret.clone())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let _heading = lines.next().filter(|line| *line == HEADING)?;
        let key = bytes(lines.next()?.strip_prefix("key ")?)?;
        let secret = bytes(lines.next()?.strip_prefix("secret ")?)?;
        let secret: [u8; SECRET_LEN] = secret.try_into().ok()?;
        Some(Self { key: ServerKey::from_bytes(&key).ok()?, secret: Secret(secret) })
    }

    /// Replaces the file in one step. A temporary file has mode 0600 from its first moment.
    fn write(&self, path: &Path) -> io::Result<()> {
        let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        let (key, secret) = (hex(&self.key.to_bytes()), hex(&self.secret.0));
        file.write_all(format!("{HEADING}\nkey {key}\nsecret {secret}\n").as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }
}

fn read(path: &Path) -> Result<String, PrivateError> {
    let failed = |error| PrivateError::File(path.to_owned(), error);
    let file = files::private().read(true).open(path).map_err(failed)?;
    if is_readable_by_others(&file).map_err(failed)? {
        return Err(PrivateError::Readable(path.to_owned()));
    }
    let mut text = String::new();
    match file.take(MAX_FILE).read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Err(PrivateError::Foreign(path.to_owned()))
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(unix)]
fn is_readable_by_others(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_readable_by_others(_: &File) -> io::Result<bool> {
    Ok(false)
}

fn secret() -> Result<Secret, PrivateError> {
    let mut secret = Secret([0; SECRET_LEN]);
    getrandom::fill(&mut secret.0).map_err(PrivateError::Random)?;
    Ok(secret)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).ok().filter(|it| it.len() == 2)?;
        u8::from_str_radix(text, 16).ok()
    };
    hex.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(all(test, feature = "quic", unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn ticket(file: &Path, renew: bool) -> Result<String, PrivateError> {
        let keys = Keys::open(&PrivateRoom { file: Some(file.to_owned()), renew })?;
        Ok(keys.ticket(vec!["10.0.0.1".to_owned()]).unwrap().reveal())
    }

    #[test]
    fn the_key_is_made_once_and_a_new_ticket_changes_the_secret_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state/chatagram/private.key");
        let first = ticket(&file, false).unwrap();
        assert_eq!(ticket(&file, false).unwrap(), first);
        let renewed: Ticket = ticket(&file, true).unwrap().parse().unwrap();
        let first: Ticket = first.parse().unwrap();
        assert_eq!(renewed.key(), first.key());
        assert_ne!(renewed.secret(), first.secret());
        assert_eq!(ticket(&file, false).unwrap(), renewed.reveal());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_is_foreign_or_open_to_others_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("private.key");
        ticket(&file, false).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(ticket(&file, true), Err(PrivateError::Readable(_))));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let good = fs::read(&file).unwrap();
        for at in 0..good.len() - 1 {
            fs::write(&file, &good[..at]).unwrap();
            assert!(matches!(ticket(&file, true), Err(PrivateError::Foreign(_))), "{at}");
        }
        for text in [&b"\xff"[..], b"key", &[b'a'; 9_000]] {
            fs::write(&file, text).unwrap();
            assert!(matches!(ticket(&file, true), Err(PrivateError::Foreign(_))));
            assert_eq!(fs::read(&file).unwrap(), text);
        }
    }

    #[test]
    fn a_room_without_a_file_has_a_key_of_its_own() {
        let open = || Keys::open(&PrivateRoom::default()).unwrap().key.hash();
        assert_ne!(open(), open());
    }
}
