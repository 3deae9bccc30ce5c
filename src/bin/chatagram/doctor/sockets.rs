//! Sockets: buffers, ports, address families. Each is tried on a socket that is closed again; none
//! listens.

use super::remedy::{Fix, Remedy};
use super::{Check, State};
use chatagram::net::SOCKET_BUFFER;
use chatagram::protocol::limits::{DEFAULT_PORT, DISCOVERY_PORT};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// The facts. Errors are the kernel's.
#[derive(Debug)]
pub(super) struct Facts {
    /// Granted receive buffer, bytes.
    pub(crate) buffer: io::Result<usize>,
    /// UDP 2428, TCP 2428 and UDP 2429.
    pub(crate) ports: [Port; 3],
    /// Binding `[::1]`.
    pub(crate) ipv6: io::Result<()>,
    /// Receiving IPv4 on an IPv6 socket.
    pub(crate) dual: io::Result<()>,
}

/// The state of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// Free.
    Free,
    /// In use.
    Taken,
    /// Another error.
    Refused(String),
}

pub(super) fn examine(remedy: &Remedy) -> Vec<Check> {
    judge(&Facts::gather(), remedy)
}

impl Facts {
    fn gather() -> Self {
        Self {
            buffer: buffer(),
            ports: [
                port(Type::DGRAM, DEFAULT_PORT, false),
                port(Type::STREAM, DEFAULT_PORT, true),
                port(Type::DGRAM, DISCOVERY_PORT, true),
            ],
            ipv6: UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).map(drop),
            dual: dual(),
        }
    }
}

fn judge(facts: &Facts, remedy: &Remedy) -> Vec<Check> {
    let [udp, tcp, discovery] = &facts.ports;
    let other = "another program uses the port, perhaps a server of this chat; a second server \
                 needs another one, with --bind. This command shows the program:";
    vec![
        receive_buffer(&facts.buffer, remedy),
        port_check("udp-2428", udp, "the port is free for a server", other),
        port_check("tcp-2428", tcp, "the port is free for a server", other),
        port_check(
            "udp-2429",
            discovery,
            "the port is free for discovery",
            "another program uses the port exclusively, so clients cannot discover a server here. \
             This command shows the program:",
        ),
        families(facts, remedy),
    ]
}

fn receive_buffer(granted: &io::Result<usize>, remedy: &Remedy) -> Check {
    let check = |state, means| Check::new("udp-buffer", state, means);
    let sysctl = if cfg!(target_os = "macos") {
        format!("sysctl -w kern.ipc.maxsockbuf={}", 2 * SOCKET_BUFFER)
    } else {
        format!("sysctl -w net.core.rmem_max={SOCKET_BUFFER}")
    };
    match granted {
        Ok(bytes) if *bytes >= SOCKET_BUFFER => {
            check(State::Ok, format!("the kernel grants a receive buffer of {}", size(*bytes)))
        }
        Ok(bytes) => check(
            State::Limited,
            format!(
                "the kernel grants a receive buffer of {}, not {}: a burst of a full room may \
                 overflow it",
                size(*bytes),
                size(SOCKET_BUFFER)
            ),
        )
        .with((!cfg!(windows)).then(|| remedy.as_root(&sysctl))),
        Err(error) => check(State::Unknown, format!("no UDP socket can be opened: {error}")),
    }
}

fn size(bytes: usize) -> String {
    match bytes {
        bytes if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => {
            format!("{} MiB", bytes >> 20)
        }
        bytes => format!("{} KiB", bytes >> 10),
    }
}

fn port_check(name: &'static str, port: &Port, free: &str, taken: &str) -> Check {
    match port {
        Port::Free => Check::new(name, State::Ok, free),
        Port::Taken => Check::new(name, State::Limited, taken).with(owner(name)),
        Port::Refused(error) => {
            Check::new(name, State::Unknown, format!("the port cannot be bound: {error}"))
        }
    }
}

/// The command that shows the owner of a port.
fn owner(name: &str) -> Option<Fix> {
    let (transport, number) = name.split_once('-')?;
    let command = match std::env::consts::OS {
        "linux" => format!("ss -l{}np 'sport = :{number}'", &transport[..1]),
        "macos" => format!("lsof -n -i {transport}:{number}"),
        "windows" => format!("netstat -ano -p {transport}"),
        _ => return None,
    };
    Some(Fix::Run(command))
}

fn families(facts: &Facts, remedy: &Remedy) -> Check {
    let check = |state, means| Check::new("ipv6", state, means);
    match (&facts.ipv6, &facts.dual) {
        (Ok(()), Ok(())) => check(State::Ok, "one socket serves IPv6 and IPv4".to_owned()),
        (Ok(()), Err(error)) => check(
            State::Limited,
            format!("an IPv6 socket receives no IPv4 ({error}): a server needs both addresses"),
        )
        .with(Fix::Run("chatagram server --bind 0.0.0.0:2428,[::]:2428".to_owned())),
        (Err(error), _) => {
            check(State::Limited, format!("no IPv6 ({error}): servers and clients here use IPv4"))
                .with(
                    cfg!(target_os = "linux")
                        .then(|| remedy.as_root("sysctl -w net.ipv6.conf.all.disable_ipv6=0")),
                )
        }
    }
}

fn buffer() -> io::Result<usize> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // Some kernels grant less, others refuse: the resulting size counts.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let bytes = socket.recv_buffer_size()?;
    // Linux includes its bookkeeping (socket(7), SO_RCVBUF).
    Ok(if cfg!(target_os = "linux") { bytes / 2 } else { bytes })
}

/// Binds as the server does, without listening. `shared`: with address reuse.
fn port(kind: Type, number: u16, shared: bool) -> Port {
    let bind = |address: SocketAddr| {
        let socket = Socket::new(Domain::for_address(address), kind, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // On Windows the option would steal the port from its owner.
        socket.set_reuse_address(shared && cfg!(not(windows)))?;
        socket.bind(&SockAddr::from(address))
    };
    let v6 = bind((Ipv6Addr::UNSPECIFIED, number).into());
    let outcome = match &v6 {
        Err(error) if error.kind() != ErrorKind::AddrInUse => {
            bind((Ipv4Addr::UNSPECIFIED, number).into())
        }
        _ => v6,
    };
    match outcome {
        Ok(()) => Port::Free,
        Err(error) if error.kind() == ErrorKind::AddrInUse => Port::Taken,
        Err(error) => Port::Refused(error.to_string()),
    }
}

fn dual() -> io::Result<()> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_only_v6(false)?;
    socket.bind(&SockAddr::from(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))))?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    let socket = UdpSocket::from(socket);
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    sender.send_to(b"doctor", (Ipv4Addr::LOCALHOST, socket.local_addr()?.port()))?;
    let mut buffer = [0; 16];
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        if buffer.get(..length) == Some(b"doctor".as_slice())
            && from.port() == sender.local_addr()?.port()
        {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let free = || Port::Free;
        Facts { buffer: Ok(4 << 20), ports: [free(), free(), free()], ipv6: Ok(()), dual: Ok(()) }
    }

    fn find(facts: &Facts, name: &str) -> Check {
        let mut all = judge(facts, &Remedy::default()).into_iter();
        all.find(|check| check.name == name).unwrap()
    }

    #[test]
    fn good_findings_need_no_remedy() {
        for check in judge(&facts(), &Remedy::default()) {
            assert_eq!((check.state, check.fix), (State::Ok, None), "{}", check.name);
        }
    }

    #[test]
    fn a_small_buffer_comes_with_its_remedy() {
        let check = find(&Facts { buffer: Ok(212_992), ..facts() }, "udp-buffer");
        assert_eq!(check.state, State::Limited);
        assert!(check.means.contains("208 KiB") && check.means.contains("4 MiB"), "{check:?}");
        #[cfg(target_os = "linux")]
        assert_eq!(check.fix.unwrap().text(), "sudo sysctl -w net.core.rmem_max=4194304");
    }

    #[test]
    fn a_port_in_use_comes_with_the_command_that_shows_its_owner() {
        let own = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))
            .or_else(|_| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))
            .unwrap();
        let number = own.local_addr().unwrap().port();
        assert_eq!(port(Type::DGRAM, number, false), Port::Taken);
        let ports = [Port::Taken, Port::Free, Port::Taken];
        let check = find(&Facts { ports, ..facts() }, "udp-2428");
        assert_eq!(check.state, State::Limited);
        #[cfg(target_os = "linux")]
        assert_eq!(check.fix.unwrap().text(), "ss -lunp 'sport = :2428'");
    }

    #[test]
    fn a_server_binds_both_families_where_one_socket_serves_one() {
        let no = || Err(ErrorKind::Unsupported.into());
        let without = find(&Facts { ipv6: no(), dual: no(), ..facts() }, "ipv6");
        assert!(without.state == State::Limited && without.means.contains("IPv4"), "{without:?}");
        let apart = find(&Facts { dual: no(), ..facts() }, "ipv6");
        assert_eq!(apart.state, State::Limited);
        assert_eq!(apart.fix.unwrap().text(), "chatagram server --bind 0.0.0.0:2428,[::]:2428");
    }
}
