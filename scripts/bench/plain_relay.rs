//! The UDP relay of a first course in network programming: one socket, one `recv_from` for each
//! line, one `send_to` for each peer. The baseline of the comparison.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};

#[derive(Deserialize)]
enum Request<'a> {
    Join(&'a str),
    Say(&'a str),
}

#[derive(Serialize)]
struct Line<'a> {
    from: &'a str,
    text: &'a str,
}

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:2427".to_owned());
    let socket = UdpSocket::bind(address)?;
    let mut names: BTreeMap<SocketAddr, String> = BTreeMap::new();
    let mut buffer = [0; 2_048];
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        let decoded = bincode::serde::borrow_decode_from_slice(
            &buffer[..length],
            bincode::config::standard(),
        );
        match decoded {
            Ok((Request::Join(name), _)) => {
                names.insert(from, name.to_owned());
                socket.send_to(b"welcome", from)?;
            }
            Ok((Request::Say(text), _)) => {
                let Some(name) = names.get(&from) else { continue };
                let line = Line { from: name, text };
                let line = bincode::serde::encode_to_vec(line, bincode::config::standard());
                let line = line.map_err(std::io::Error::other)?;
                for peer in names.keys().filter(|peer| **peer != from) {
                    // A departed peer must not stop the relay.
                    let _ = socket.send_to(&line, peer);
                }
            }
            Err(_) => {}
        }
    }
}
