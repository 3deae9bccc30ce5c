//! Parses server and bind addresses, with errors that name the remedy.

use super::udp::canonical;
use super::{lan, zone};
use crate::protocol::limits::DEFAULT_PORT;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// An error in a typed address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The host is empty.
    #[error("the host is missing: give a name or an address, such as 192.168.1.5 or room.local")]
    NoHost,
    /// The port is not a number from 0 to 65535.
    #[error("{0:?} is not a port: ports are numbers from 0 to 65535")]
    Port(String),
    /// Port 0, which can be bound but not joined.
    #[error("port 0 cannot be joined: it only tells a server to choose a free port")]
    PortZero,
    /// An IPv6 address with a port but without brackets.
    #[error("{0:?} is not an address: write an IPv6 address with a port as [::1]:2428")]
    Brackets(String),
    /// A name where an IP address of this machine is needed.
    #[error("{0:?} is not an IP address of this machine: write 0.0.0.0:2428, [::]:2428 or such")]
    NotAnIp(String),
    /// The zone of a link-local address is not an interface of this machine.
    #[error("no network interface is called {zone:?}: this machine has {known}")]
    Zone {
        /// The typed zone.
        zone: String,
        /// The names of the interfaces.
        known: String,
    },
    /// A link-local address without a zone, which is ambiguous.
    #[error("{ip} is an address on one link: name the interface, as in {ip}%eth0 (here: {known})")]
    NoZone {
        /// The typed address.
        ip: Ipv6Addr,
        /// The names of the interfaces.
        known: String,
    },
    /// A multicast or broadcast address.
    #[error(
        "{0} is a multicast or broadcast address: name the server's own address or, with --bind, \
         all addresses: 0.0.0.0:2428 or [::]:2428"
    )]
    NotUnicast(IpAddr),
}

/// Why a server's name leads to no address. [`ServerName::resolve`] returns it in an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// A literal address that cannot be used here.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The resolver failed.
    #[error("cannot find {host}: {cause}")]
    NotFound {
        /// The typed host.
        host: String,
        /// The resolver's error.
        cause: io::Error,
    },
    /// The resolver found nothing.
    #[error("{host} has no address")]
    NoAddress {
        /// The typed host.
        host: String,
    },
}

/// A server's host (a name or an address) and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName {
    host: String,
    port: u16,
}

impl ServerName {
    /// Resolves the host to all its addresses. This can block for seconds.
    ///
    /// # Errors
    /// A [`ResolveError`], with the kind of the resolver's error.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let host = self.host.clone();
        let literal = zone::literal(&host, self.port)
            .map_err(|error| io::Error::new(ErrorKind::NotFound, ResolveError::Address(error)))?;
        if let Some(address) = literal {
            return Ok(reachable(address).collect());
        }
        let found: Vec<_> = match (host.as_str(), self.port).to_socket_addrs() {
            Ok(found) => found.flat_map(reachable).collect(),
            Err(cause) => {
                let kind = cause.kind();
                return Err(io::Error::new(kind, ResolveError::NotFound { host, cause }));
            }
        };
        if found.is_empty() {
            return Err(io::Error::new(ErrorKind::NotFound, ResolveError::NoAddress { host }));
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

/// `HOST`, `HOST:PORT`, `1.2.3.4`, `1.2.3.4:PORT`, `::1`, `[::1]` or `[::1]:PORT`; a link-local
/// address with its zone: `fe80::1%eth0`, `[fe80::1%eth0]:PORT`.
impl FromStr for ServerName {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (host, port) = split_port(text.trim())?;
        let port = port.unwrap_or(DEFAULT_PORT);
        if port == 0 {
            return Err(AddressError::PortZero);
        }
        match zone::literal(host, port)? {
            Some(address) if zone::is_multicast_or_broadcast(address.ip()) => {
                Err(AddressError::NotUnicast(address.ip()))
            }
            _ => Ok(Self { host: host.to_owned(), port }),
        }
    }
}

/// Parses `ADDR:PORT`, `ADDR` or `:PORT` of this machine; a link-local address with its zone.
///
/// # Errors
/// [`AddressError`] names the problem and the remedy.
pub fn parse_bind(text: &str) -> Result<SocketAddr, AddressError> {
    let text = text.trim();
    if let Some(port) = text.strip_prefix(':').filter(|rest| !rest.contains(':')) {
        return Ok(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), parse_port(port)?));
    }
    let (host, port) = split_port(text)?;
    let address = zone::literal(host, port.unwrap_or(DEFAULT_PORT))?
        .ok_or_else(|| AddressError::NotAnIp(host.to_owned()))?;
    if zone::is_multicast_or_broadcast(address.ip()) || lan::is_broadcast(address.ip()) {
        return Err(AddressError::NotUnicast(address.ip()));
    }
    Ok(address)
}

/// The addresses to send to, in canonical form. A server may print the unspecified address for "all
/// addresses"; here it becomes loopback, in both families for `::` (RFC 1122 §3.2.1.3), because not
/// every system accepts it as a destination.
fn reachable(address: SocketAddr) -> impl Iterator<Item = SocketAddr> {
    let address = canonical(address);
    let (here, here_too) = (Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into());
    let ips = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => [Some(here_too), None],
        IpAddr::V6(ip) if ip.is_unspecified() => [Some(here), Some(here_too)],
        _ => return [Some(address), None].into_iter().flatten(),
    };
    ips.map(|ip| ip.map(|ip| SocketAddr::new(ip, address.port()))).into_iter().flatten()
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), AddressError> {
    if zone::is_ipv6(text) {
        return Ok((text, None));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) =
            rest.split_once(']').ok_or_else(|| AddressError::Brackets(text.to_owned()))?;
        if !zone::is_ipv6(host) {
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
            ("fe80::1%1", "[fe80::1%1]:2428"),
            (" [fe80::1%1]:7 ", "[fe80::1%1]:7"),
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
    fn resolved_addresses_are_canonical_and_reachable() {
        for (typed, meant) in [
            ("[::]:7", "[::1]:7 127.0.0.1:7"),
            ("0.0.0.0:7", "127.0.0.1:7"),
            ("[::ffff:0.0.0.0]:7", "127.0.0.1:7"),
            ("[::ffff:10.0.0.1]:7", "10.0.0.1:7"),
            ("127.0.1.1", "127.0.1.1:2428"),
        ] {
            let name: ServerName = typed.parse().unwrap();
            let addresses =
                name.resolve().unwrap().iter().map(SocketAddr::to_string).collect::<Vec<_>>();
            assert_eq!(addresses.join(" "), meant, "{typed}");
        }
    }

    #[test]
    fn each_error_has_its_variant() {
        let wrong = |typed: &str| typed.parse::<ServerName>().unwrap_err();
        assert_eq!(wrong(""), AddressError::NoHost);
        assert!(matches!(wrong("ff02::1"), AddressError::NotUnicast(_)));
        assert!(matches!(wrong("fe80::1"), AddressError::NoZone { .. }));
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
    fn bind_addresses_are_parsed() {
        let parse = |typed| parse_bind(typed).map(|address| address.to_string());
        assert_eq!(parse(":7"), Ok("[::]:7".to_owned()));
        assert_eq!(parse("127.0.0.1"), Ok("127.0.0.1:2428".to_owned()));
        assert_eq!(parse("[::1]:0"), Ok("[::1]:0".to_owned()));
        assert_eq!(parse("[fe80::1%1]:7"), Ok("[fe80::1%1]:7".to_owned()));
        assert_eq!(parse("[::ffff:127.0.0.1]:7"), Ok("127.0.0.1:7".to_owned()));
        for many in ["224.0.0.1:7", "[ff02::1%1]:7", "255.255.255.255", "[::ffff:239.1.2.3]:7"] {
            assert!(matches!(parse(many), Err(AddressError::NotUnicast(_))), "{many}");
        }
        assert!(matches!(parse("[fe80::1]:7"), Err(AddressError::NoZone { .. })));
        assert!(matches!(parse("[fe80::1%no such]:7"), Err(AddressError::Zone { .. })));
        assert_eq!(parse("localhost:5"), Err(AddressError::NotAnIp("localhost".to_owned())));
        assert_eq!(parse("0.0.0.0:70000"), Err(AddressError::Port("70000".to_owned())));
    }
}
