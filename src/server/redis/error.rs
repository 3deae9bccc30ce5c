//! Why an engine cannot be used.

use super::url::UrlError;
use crate::protocol::{clean, clip};
use redis::{ErrorKind, RedisError, ServerErrorKind};
use std::fmt::{self, Display};

/// Bytes of what Redis says that an error shows.
const LONGEST: usize = 300;

/// From here on `WAITAOF` tells what is on the disk.
pub(super) const WAITAOF: Version = Version(7, 2);

/// The version of a Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16, pub u16);

impl Version {
    /// The oldest Redis that knows the commands in use: `XADD` with half of an id.
    pub(crate) const OLDEST: Self = Self(7, 0);

    /// The first two numbers of `7.0.15`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|it| it.parse().ok());
        Some(Self(numbers.next()??, numbers.next()??))
    }
}

impl Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// Why an engine cannot be used. No text contains a password.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The URL is wrong.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// No connection.
    #[error("cannot reach the engine at {place}: {why}")]
    Unreachable {
        /// Its address.
        place: String,
        /// The error of the system or of TLS.
        why: String,
    },
    /// The login is refused.
    #[error(
        "the engine at {place} refuses the login: check the user and the password in its URL \
         ({why})"
    )]
    Login {
        /// Its address.
        place: String,
        /// The engine's message.
        why: String,
    },
    /// The user may not do what is needed.
    #[error("the engine at {place} does not allow its user what a server needs: {why}")]
    Denied {
        /// Its address.
        place: String,
        /// The engine's message.
        why: String,
    },
    /// Its version is too old.
    #[error(
        "the engine at {place} is Redis {found}: Redis {oldest} or later, or Valkey, is needed",
        oldest = Version::OLDEST
    )]
    TooOld {
        /// Its address.
        place: String,
        /// Its version.
        found: Version,
    },
    /// It is a read-only replica.
    #[error(
        "the engine at {place} is a read-only replica: name its master, or the Sentinels that \
         know it (redis+sentinel://HOST:PORT/ROOM?master=NAME)"
    )]
    Replica {
        /// Its address.
        place: String,
    },
    /// No Sentinel knows a master of this name.
    #[error("no Sentinel names a master {master:?}: {why}")]
    NoMaster {
        /// The name.
        master: String,
        /// The last Sentinel's answer.
        why: String,
    },
    /// A key of the room holds something else.
    #[error(
        "the engine at {place} has a {found} under the key {key}, not a {wanted}: name another \
         room, or remove that key"
    )]
    Occupied {
        /// Its address.
        place: String,
        /// The key.
        key: String,
        /// The type of its value.
        found: String,
        /// The type that a room has there.
        wanted: &'static str,
    },
    /// `--engine-durable` without an append-only file.
    #[error(
        "--engine-durable needs an engine that writes each line to its disk, and the one at \
         {place} does not: set `appendonly yes` in its configuration{}",
        if *.always { " and `appendfsync always`, or use Redis 7.2 or later" } else { "" }
    )]
    NotDurable {
        /// Its address.
        place: String,
        /// Its version is below 7.2.
        always: bool,
    },
    /// Anything else.
    #[error("the engine at {place} does not work: {why}")]
    Broken {
        /// Its address.
        place: String,
        /// The engine's message.
        why: String,
    },
    /// The threads could not be started.
    #[error("cannot start a thread for the engine: {0}")]
    Thread(String),
}

impl EngineError {
    /// The error for a failed login.
    pub(super) fn login(error: &RedisError, place: &str) -> Self {
        Self::Login { place: place.to_owned(), why: why(error) }
    }

    /// The error for a failed command.
    pub(super) fn of(error: &RedisError, place: &str) -> Self {
        let (place, why) = (place.to_owned(), why(error));
        match (error.kind(), error.code()) {
            (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => {
                Self::Login { place, why }
            }
            (ErrorKind::Server(ServerErrorKind::NoPerm), _) => Self::Denied { place, why },
            (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => Self::Replica { place },
            (ErrorKind::Io, _) => Self::Unreachable { place, why },
            _ => Self::Broken { place, why },
        }
    }
}

fn why(error: &RedisError) -> String {
    clip(&clean(&error.to_string()), LONGEST).to_owned()
}
