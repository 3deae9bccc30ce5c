//! Addresses as people type them, and what is wrong with them when something is.

use crate::protocol::limits::DEFAULT_PORT;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// What was typed is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing, or nothing before the colon.
    #[error("the host is missing: give a name or an address, such as 192.168.1.5 or room.local")]
    NoHost,
    /// Not a number from 0 to 65535.
    #[error("{0:?} is not a port: ports are numbers from 0 to 65535")]
    Port(String),
    /// A server is joined at a port, and none is called 0.
    #[error("port 0 cannot be joined: it only tells a server to choose a free port")]
    PortZero,
    /// An IPv6 address with a port needs brackets.
    #[error("{0:?} is not an address: write an IPv6 address with a port as [::1]:2428")]
    Brackets(String),
    /// A socket is bound to an address of this machine, not to a name.
    #[error("{0:?} is not an IP address of this machine: write 0.0.0.0:2428, [::]:2428 or such")]
    NotAnIp(String),
}

/// Where a server is: a name or an address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName {
    host: String,
    port: u16,
}

impl ServerName {
    /// Asks the resolver for all addresses. This can block for seconds.
    ///
    /// # Errors
    /// The resolver's, with the name in it.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let found: Vec<_> = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|error| {
                io::Error::new(error.kind(), format!("cannot find {}: {error}", self.host))
            })?
            .collect();
        if found.is_empty() {
            let message = format!("{} has no address", self.host);
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        Ok(found)
    }
}

impl From<SocketAddr> for ServerName {
    fn from(address: SocketAddr) -> Self {
        let host = match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
            _ => address.ip().to_string(),
        };
        Self { host, port: address.port() }
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// `HOST`, `HOST:PORT`, `1.2.3.4`, `1.2.3.4:PORT`, `::1`, `[::1]` or `[::1]:PORT`.
impl FromStr for ServerName {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (host, port) = split_port(text.trim())?;
        let port = port.unwrap_or(DEFAULT_PORT);
        if port == 0 {
            return Err(AddressError::PortZero);
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

/// `ADDR:PORT`, `ADDR` or `:PORT`, of this machine.
///
/// # Errors
/// [`AddressError`] says what is wrong and what would be right.
pub fn parse_bind(text: &str) -> Result<SocketAddr, AddressError> {
    let text = text.trim();
    if let Some(port) = text.strip_prefix(':').filter(|rest| !rest.contains(':')) {
        return Ok(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), parse_port(port)?));
    }
    let (host, port) = split_port(text)?;
    let ip: IpAddr = host.parse().map_err(|_| AddressError::NotAnIp(host.to_owned()))?;
    Ok(SocketAddr::new(ip, port.unwrap_or(DEFAULT_PORT)))
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), AddressError> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((text, None));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) =
            rest.split_once(']').ok_or_else(|| AddressError::Brackets(text.to_owned()))?;
        // A scope (fe80::1%eth0) is the resolver's to understand.
        if host.split('%').next().is_none_or(|ip| ip.parse::<Ipv6Addr>().is_err()) {
            return Err(AddressError::Brackets(text.to_owned()));
        }
        return match port.strip_prefix(':') {
            Some(port) => Ok((host, Some(parse_port(port)?))),
            None if port.is_empty() => Ok((host, None)),
            None => Err(AddressError::Brackets(text.to_owned())),
        };
    }
    let (host, port) = match text.split_once(':') {
        Some((_, port)) if port.contains(':') => {
            return Err(AddressError::Brackets(text.to_owned()));
        }
        Some((host, port)) => (host, Some(parse_port(port)?)),
        None => (text, None),
    };
    if host.is_empty() { Err(AddressError::NoHost) } else { Ok((host, port)) }
}

fn parse_port(text: &str) -> Result<u16, AddressError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| AddressError::Port(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_with_or_without_a_port() {
        for (typed, meant) in [
            ("room.local", "room.local:2428"),
            ("room.local:99", "room.local:99"),
            ("10.0.0.1", "10.0.0.1:2428"),
            ("::1", "[::1]:2428"),
            ("[::1]", "[::1]:2428"),
            (" [fe80::1%eth0]:7 ", "[fe80::1%eth0]:7"),
        ] {
            let parsed: Result<ServerName, _> = typed.parse();
            assert_eq!(parsed.map(|name| name.to_string()), Ok(meant.to_owned()), "{typed}");
        }
    }

    #[test]
    fn the_scope_of_an_address_is_kept() {
        for text in ["10.0.0.1:7", "[::1]:7", "[fe80::1%1]:7"] {
            let address: SocketAddr = text.parse().unwrap();
            let name = ServerName::from(address);
            assert_eq!(name.to_string(), text);
            assert_eq!(name.resolve().unwrap(), [address]);
        }
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said() {
        let wrong = |typed: &str| typed.parse::<ServerName>().unwrap_err();
        assert_eq!(wrong(""), AddressError::NoHost);
        assert_eq!(wrong(":5"), AddressError::NoHost);
        assert_eq!(wrong("host:0"), AddressError::PortZero);
        assert_eq!(wrong("host:70000"), AddressError::Port("70000".to_owned()));
        assert_eq!(wrong("host:+5"), AddressError::Port("+5".to_owned()));
        assert_eq!(wrong("host:"), AddressError::Port(String::new()));
        assert!(matches!(wrong("::1:x:5"), AddressError::Brackets(_)));
        assert!(matches!(wrong("[::1]5"), AddressError::Brackets(_)));
        assert!(matches!(wrong("[host]:5"), AddressError::Brackets(_)));
    }

    #[test]
    fn sockets_are_bound_to_addresses_and_ports() {
        let parse = |typed| parse_bind(typed).map(|address| address.to_string());
        assert_eq!(parse(":7"), Ok("[::]:7".to_owned()));
        assert_eq!(parse("127.0.0.1"), Ok("127.0.0.1:2428".to_owned()));
        assert_eq!(parse("[::1]:0"), Ok("[::1]:0".to_owned()));
        assert_eq!(parse("localhost:5"), Err(AddressError::NotAnIp("localhost".to_owned())));
        assert_eq!(parse("0.0.0.0:70000"), Err(AddressError::Port("70000".to_owned())));
    }
}
