//! The ports that the processes in a network namespace have opened, from `/proc/PID/net`.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An open port: a listening TCP socket, or a bound UDP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenPort {
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
}

impl OpenPort {
    /// Returns true if other machines reach it.
    pub(crate) fn is_reachable(self) -> bool {
        !self.address.is_loopback()
    }
}

/// The open ports in the process's namespace, TCP before UDP.
pub(crate) fn open_in(process: u32) -> io::Result<Vec<OpenPort>> {
    const LISTENING: &str = "0A";
    const BOUND: &str = "07";
    let mut ports = Vec::new();
    for (table, state) in [("tcp", LISTENING), ("tcp6", LISTENING), ("udp", BOUND), ("udp6", BOUND)]
    {
        match fs::read_to_string(format!("/proc/{process}/net/{table}")) {
            Ok(text) => ports.extend(text.lines().skip(1).filter_map(|line| parse(line, state))),
            // A kernel without IPv6 has no such table.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ports)
}

/// A line such as `0: 0100007F:1F90 00000000:0000 0A …`, if its state is this.
fn parse(line: &str, wanted: &str) -> Option<OpenPort> {
    let mut columns = line.split_whitespace().skip(1);
    let (local, _, state) = (columns.next()?, columns.next()?, columns.next()?);
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok().filter(|_| state == wanted)?;
    // Each group of eight digits is a word in the machine's byte order.
    let words = address.as_bytes().chunks(8).map(|word| {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        Some(word.to_ne_bytes())
    });
    let bytes = words.collect::<Option<Vec<_>>>()?.concat();
    let address = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => Ipv4Addr::from(four).into(),
        Err(_) => Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?).to_canonical(),
    };
    Some(OpenPort { address, port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn listening_and_bound_ports_are_found_and_others_not() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
        let client = std::net::TcpStream::connect(tcp.local_addr().unwrap()).unwrap();
        let open = open_in(std::process::id()).unwrap();
        let find = |port: u16| open.iter().find(|it| it.port == port);
        let listener = find(tcp.local_addr().unwrap().port()).unwrap();
        assert!(!listener.is_reachable(), "{listener:?}");
        assert!(find(udp.local_addr().unwrap().port()).unwrap().is_reachable());
        assert_eq!(find(client.local_addr().unwrap().port()), None, "a connection is no open port");
    }
}
