//! Literal addresses, with the zone of a link-local one (RFC 4007 §11): `fe80::1%eth0` is the
//! address `fe80::1` on the link of the interface `eth0`.

use super::AddressError;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Parses a literal address; `None` if `host` is a name.
///
/// # Errors
/// [`AddressError::Zone`] and [`AddressError::NoZone`].
pub(super) fn literal(host: &str, port: u16) -> Result<Option<SocketAddr>, AddressError> {
    literal_on(host, port, interfaces)
}

/// Returns true if `host` is an IPv6 address, with or without a zone.
pub(super) fn is_ipv6(host: &str) -> bool {
    host.split('%').next().is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok())
}

/// Returns true for a multicast address and for the limited broadcast address.
pub(super) fn is_multicast_or_broadcast(ip: IpAddr) -> bool {
    ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST)
}

fn literal_on(
    host: &str,
    port: u16,
    interfaces: impl FnOnce() -> BTreeMap<u32, String>,
) -> Result<Option<SocketAddr>, AddressError> {
    let (ip, zone) = match host.split_once('%') {
        Some((ip, zone)) => (ip, Some(zone)),
        None => (host, None),
    };
    let Ok(ip) = ip.parse::<IpAddr>() else { return Ok(None) };
    // Other addresses are the same on every link, so their zone is ignored.
    let ip = match (ip.to_canonical(), zone) {
        (IpAddr::V6(v6), _) if v6.is_unicast_link_local() => v6,
        (IpAddr::V4(_), Some(_)) => return Ok(None),
        (ip, _) => return Ok(Some(SocketAddr::new(ip, port))),
    };
    let interfaces = interfaces();
    let named = |zone: &str| interfaces.iter().find(|(_, name)| *name == zone);
    let numbered = |zone: &str| interfaces.get_key_value(&zone.parse().ok()?);
    let known = || {
        let list: Vec<_> = interfaces.values().map(String::as_str).collect();
        if list.is_empty() { "none".to_owned() } else { list.join(", ") }
    };
    match zone {
        None => Err(AddressError::NoZone { ip, known: known() }),
        Some(zone) => match named(zone).or_else(|| numbered(zone)) {
            Some((index, _)) => Ok(Some(SocketAddrV6::new(ip, port, 0, *index).into())),
            None => Err(AddressError::Zone { zone: zone.to_owned(), known: known() }),
        },
    }
}

/// The names of the interfaces with an address, by index.
fn interfaces() -> BTreeMap<u32, String> {
    let found = if_addrs::get_if_addrs().unwrap_or_default();
    found.into_iter().filter_map(|one| Some((one.index?, one.name))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(host: &str) -> Result<Option<String>, AddressError> {
        let interfaces = || BTreeMap::from([(1, "lo".to_owned()), (7, "eth0".to_owned())]);
        literal_on(host, 9, interfaces).map(|found| found.map(|address| address.to_string()))
    }

    #[test]
    fn the_zone_of_a_link_local_address_is_a_name_or_a_number() {
        assert_eq!(read("fe80::1%eth0"), Ok(Some("[fe80::1%7]:9".to_owned())));
        assert_eq!(read("fe80::1%7"), Ok(Some("[fe80::1%7]:9".to_owned())));
        for zone in ["eth1", "8", "", "-1"] {
            let error = read(&format!("fe80::1%{zone}")).unwrap_err();
            assert!(error.to_string().contains("lo, eth0"), "{error}");
        }
        let error = read("fe80::1").unwrap_err().to_string();
        assert!(error.contains("fe80::1%") && error.contains("lo, eth0"), "{error}");
    }

    #[test]
    fn global_addresses_need_no_zone() {
        assert_eq!(read("2001:db8::1%eth0"), Ok(Some("[2001:db8::1]:9".to_owned())));
        assert_eq!(read("10.0.0.1"), Ok(Some("10.0.0.1:9".to_owned())));
        assert_eq!(read("::ffff:10.0.0.1"), Ok(Some("10.0.0.1:9".to_owned())));
        for name in ["room.local", "10.0.0.1%eth0", "fe80", "1"] {
            assert_eq!(read(name), Ok(None), "{name}");
        }
    }
}
