//! The congestion control of each connection, as the kernel lists it.

use crate::needs::skip;
use chatagram::net::emulated::controls_at;
use std::net::{Ipv4Addr, TcpListener, TcpStream};

pub(super) fn the_kernel_lists_what_each_socket_has() {
    // An address of this test, whose connections no other test has.
    let local = Ipv4Addr::new(127, 23, 5, 7);
    let listener = TcpListener::bind((local, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let found = controls_at(local)
        .unwrap_or_else(|error| skip(format!("this kernel lists no sockets (sock_diag): {error}")));
    let name = |stream: &TcpStream| {
        let name = socket2::SockRef::from(stream).tcp_congestion().unwrap();
        String::from_utf8(name.into_iter().take_while(|byte| *byte != 0).collect()).unwrap()
    };
    assert!(found.contains(&name(&server)), "{found:?}");
    // Reno is in every kernel.
    socket2::SockRef::from(&server).set_tcp_congestion(b"reno").unwrap();
    assert_eq!(name(&server), "reno");
    assert!(controls_at(local).unwrap().contains("reno"));
    assert!(controls_at(Ipv4Addr::new(127, 23, 5, 8)).unwrap().is_empty());
    drop(client);
}
