//! The sockets for a list of bind addresses. `[::]` includes IPv4 unless the list has an IPv4
//! address with the same port, as in `0.0.0.0:2428,[::]:2428`: then each family has its own socket.

use std::net::{IpAddr, SocketAddr};

/// A socket to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Its local address.
    pub address: SocketAddr,
    /// True if `[::]` includes IPv4.
    pub dual: bool,
}

/// The sockets for these addresses, in their order, without those that a wildcard covers.
pub fn listen(addresses: &[SocketAddr]) -> Vec<Listen> {
    let mut sockets: Vec<Listen> = Vec::new();
    for &address in addresses {
        let mut same_port = addresses.iter().filter(|it| it.port() == address.port());
        let covered = address.port() != 0
            && (sockets.iter().any(|it| it.address == address)
                || same_port.clone().any(|it| it != &address && covers(it.ip(), address.ip())));
        let dual = address.port() == 0 || !same_port.any(SocketAddr::is_ipv4);
        if !covered {
            sockets.push(Listen { address, dual });
        }
    }
    sockets
}

fn covers(wildcard: IpAddr, ip: IpAddr) -> bool {
    wildcard.is_unspecified() && wildcard.is_ipv4() == ip.is_ipv4()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn plan(list: &str) -> String {
        let addresses: Vec<_> = list.split(',').map(|it| it.parse().unwrap()).collect();
        let text = |it: Listen| format!("{}{}", it.address, if it.dual { "" } else { " alone" });
        listen(&addresses).into_iter().map(text).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn wildcards_of_both_families_share_a_port() {
        assert_eq!(plan("[::]:7"), "[::]:7");
        assert_eq!(plan("0.0.0.0:7,[::]:7"), "0.0.0.0:7 alone, [::]:7 alone");
        assert_eq!(plan("[::]:7,0.0.0.0:7"), "[::]:7 alone, 0.0.0.0:7 alone");
        assert_eq!(plan("[::]:7,10.0.0.1:7"), "[::]:7 alone, 10.0.0.1:7 alone");
        assert_eq!(plan("[::]:7,0.0.0.0:8"), "[::]:7, 0.0.0.0:8 alone");
    }

    #[test]
    fn covered_and_repeated_addresses_need_no_socket() {
        assert_eq!(plan("127.0.0.1:7,0.0.0.0:7,[::1]:7"), "0.0.0.0:7 alone, [::1]:7 alone");
        assert_eq!(plan("[::1]:7,[::]:7,[::]:7"), "[::]:7");
        assert_eq!(plan("0.0.0.0:0,0.0.0.0:0,[::]:0"), "0.0.0.0:0, 0.0.0.0:0, [::]:0");
    }
}
