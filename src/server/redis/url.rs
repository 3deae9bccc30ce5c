//! The URL of an engine. Errors never contain it: it may hold a password.

use redis::{ConnectionAddr, RedisConnectionInfo};
use std::path::PathBuf;

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
const LONGEST_ROOM: usize = 32;

/// Why a text is no engine's URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Another scheme, or none.
    #[error(
        "an engine's URL begins with redis://, rediss:// (TLS), redis+unix:// (a socket) or \
         redis+sentinel://"
    )]
    Scheme,
    /// The host is missing, or a port is no number.
    #[error("the engine's URL has no valid host: write redis://HOST:PORT/ROOM")]
    Host,
    /// The room is missing, too long, or has other characters.
    #[error(
        "the engine's URL ends with the name of a room, 1 to 32 letters, digits, '-', '_' or '.': \
         redis://HOST:PORT/ROOM"
    )]
    Room,
    /// Only Sentinel URLs list several hosts.
    #[error("the engine's URL has several hosts: only redis+sentinel:// URLs list several")]
    SeveralHosts,
    /// A Sentinel URL without the master's name.
    #[error(
        "a Sentinel URL ends with the master's name: redis+sentinel://HOST:PORT/ROOM?master=NAME"
    )]
    Master,
    /// An unknown parameter, or a database that is no number.
    #[error("the engine's URL has a parameter that is none of db=NUMBER and master=NAME")]
    Parameter,
    /// A `%` without two hexadecimal digits, or text that is not UTF-8.
    #[error("the engine's URL has a '%' that is not followed by two hexadecimal digits of UTF-8")]
    Escape,
}

/// Where the engine is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Direct(ConnectionAddr),
    /// These Sentinels know the address of the master with this name.
    Sentinels {
        sentinels: Vec<ConnectionAddr>,
        master: String,
        tls: bool,
    },
}

/// A parsed URL.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) place: Place,
    /// Hides the password in its `Debug`.
    pub(super) login: RedisConnectionInfo,
    pub(super) room: String,
}

impl Target {
    /// Parses `SCHEME://[[USER]:PASSWORD@]HOST[:PORT]/ROOM[?PARAMETERS]`.
    ///
    /// # Errors
    /// [`UrlError`]
    pub(super) fn parse(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.trim().split_once("://").ok_or(UrlError::Scheme)?;
        let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let mut login = RedisConnectionInfo::default();
        let mut master = None;
        for parameter in parameters.split('&').filter(|it| !it.is_empty()) {
            match parameter.split_once('=') {
                Some(("db", number)) => {
                    let number = number.parse::<u16>().map_err(|_| UrlError::Parameter)?;
                    login = login.set_db(number.into());
                }
                Some(("master", name)) if !name.is_empty() => master = Some(unescape(name)?),
                _ => return Err(UrlError::Parameter),
            }
        }
        let (path, room) = rest.rsplit_once('/').ok_or(UrlError::Room)?;
        let room = unescape(room)?;
        let is_plain = |ch: char| ch.is_alphanumeric() || "-_.".contains(ch);
        if !(1..=LONGEST_ROOM).contains(&room.chars().count()) || !room.chars().all(is_plain) {
            return Err(UrlError::Room);
        }
        let (user, hosts) = path.rsplit_once('@').map_or((None, path), |(it, to)| (Some(it), to));
        if let Some(user) = user {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            if !name.is_empty() {
                login = login.set_username(unescape(name)?);
            }
            login = login.set_password(unescape(password)?);
        }
        let place = match (scheme, master) {
            ("redis" | "rediss", None) => Place::Direct(address(hosts, PORT, scheme == "rediss")?),
            ("redis+unix", None) if !hosts.is_empty() => {
                Place::Direct(ConnectionAddr::Unix(PathBuf::from(unescape(hosts)?)))
            }
            ("redis+unix", None) => return Err(UrlError::Host),
            ("redis+sentinel" | "rediss+sentinel", Some(master)) => {
                let tls = scheme == "rediss+sentinel";
                let sentinels = hosts.split(',').map(|host| address(host, SENTINEL_PORT, tls));
                Place::Sentinels { sentinels: sentinels.collect::<Result<_, _>>()?, master, tls }
            }
            ("redis+sentinel" | "rediss+sentinel", None) => return Err(UrlError::Master),
            ("redis" | "rediss" | "redis+unix", Some(_)) => return Err(UrlError::Parameter),
            _ => return Err(UrlError::Scheme),
        };
        Ok(Self { place, login, room })
    }
}

/// The address in `HOST`, `HOST:PORT`, `[::1]` or `[::1]:PORT`.
fn address(text: &str, usual: u16, tls: bool) -> Result<ConnectionAddr, UrlError> {
    if text.contains(',') {
        return Err(UrlError::SeveralHosts);
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or(UrlError::Host)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| UrlError::Host)?;
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return Err(UrlError::Host),
            }
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Ok(usual), str::parse).map_err(|_| UrlError::Host)?;
    let is_plain = |ch: char| ch.is_ascii_alphanumeric() || "-_.:".contains(ch);
    if host.is_empty() || port == 0 || !host.chars().all(is_plain) {
        return Err(UrlError::Host);
    }
    Ok(located(host.to_owned(), port, tls))
}

/// An address with or without TLS.
pub(super) fn located(host: String, port: u16, tls: bool) -> ConnectionAddr {
    if tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    }
}

/// Decodes percent-encoding (RFC 3986 §2.1).
fn unescape(text: &str) -> Result<String, UrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push(match byte {
            b'%' => match (digit(), digit()) {
                (Some(high), Some(low)) => (high * 16 + low) as u8,
                _ => return Err(UrlError::Escape),
            },
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| UrlError::Escape)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> (String, String) {
        let target = Target::parse(url).unwrap();
        let place = match target.place {
            Place::Direct(address @ ConnectionAddr::TcpTls { .. }) => format!("{address} tls"),
            Place::Direct(address) => address.to_string(),
            Place::Sentinels { sentinels, master, tls } => {
                let all: Vec<_> = sentinels.iter().map(ToString::to_string).collect();
                format!("{master} of {} tls {tls}", all.join(" "))
            }
        };
        (place, target.room)
    }

    #[test]
    fn urls_name_a_place_and_a_room() {
        for (url, place, room) in [
            ("redis://localhost/physics", "localhost:6379", "physics"),
            ("redis://10.0.0.1:7000/a.b-c_d", "10.0.0.1:7000", "a.b-c_d"),
            ("redis://[::1]:7000/r", "::1:7000", "r"),
            ("rediss://u:p@[::1]/r", "::1:6379 tls", "r"),
            ("redis+unix:///run/redis/redis.sock/r", "/run/redis/redis.sock", "r"),
            ("redis://h/Caf%C3%A9", "h:6379", "Caf\u{e9}"),
            (
                "redis+sentinel://:p@a,b:7,[::1]:8/r?master=m",
                "m of a:26379 b:7 ::1:8 tls false",
                "r",
            ),
        ] {
            assert_eq!(parsed(url), (place.to_owned(), room.to_owned()), "{url}");
        }
    }

    #[test]
    fn logins_are_unescaped_and_never_shown() {
        let target = Target::parse("redis://us%3Aer:p%40ss%2Fword@h/r?db=3").unwrap();
        assert_eq!(target.login.username(), Some("us:er"));
        assert_eq!(target.login.password(), Some("p@ss/word"));
        assert_eq!(target.login.db(), 3);
        assert!(!format!("{target:?}").contains("p@ss"), "{target:?}");
    }

    #[test]
    fn each_wrong_url_has_its_error_without_the_password() {
        for (url, wanted) in [
            ("localhost:6379/r", UrlError::Scheme),
            ("http://h/r", UrlError::Scheme),
            ("redis://:secret@/r", UrlError::Host),
            ("redis://:secret@h:x/r", UrlError::Host),
            ("redis://:secret@h:0/r", UrlError::Host),
            ("redis://[::1/r", UrlError::Host),
            ("redis+unix:///r", UrlError::Host),
            ("redis://:secret@a,b/r", UrlError::SeveralHosts),
            ("redis://:secret@h", UrlError::Room),
            ("redis://:secret@h/", UrlError::Room),
            ("redis://:secret@h/a%7Bb", UrlError::Room),
            ("redis://:secret@h/a b", UrlError::Room),
            ("redis://:secret@h/r?db=x", UrlError::Parameter),
            ("redis://:secret@h/r?master=m", UrlError::Parameter),
            ("redis+sentinel://:secret@h/r", UrlError::Master),
            ("redis://:secr%zzet@h/r", UrlError::Escape),
            ("redis://:secr%ffet@h/r", UrlError::Escape),
        ] {
            let error = Target::parse(url).unwrap_err();
            assert_eq!(error, wanted, "{url}");
            assert!(!error.to_string().contains("secr"), "{error}");
        }
    }
}
