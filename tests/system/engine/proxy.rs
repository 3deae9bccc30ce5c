//! A connection to Redis that can be frozen: it stays open and carries nothing. The next one may
//! lead to another Redis.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// A relay to a port of this machine.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    gate: Arc<Gate>,
    target: Arc<AtomicU16>,
}

#[derive(Default)]
struct Gate {
    frozen: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let frozen = self.frozen.lock().unwrap();
        drop(self.changed.wait_while(frozen, |it| *it).unwrap());
    }
}

impl Proxy {
    pub(crate) fn start(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let gate = Arc::new(Gate::default());
        let target = Arc::new(AtomicU16::new(port));
        let (its, to) = (gate.clone(), target.clone());
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let (gate, port) = (its.clone(), to.load(Ordering::Relaxed));
                thread::spawn(move || {
                    gate.pass();
                    let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return };
                    let (near2, far2) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                    let back = gate.clone();
                    thread::spawn(move || carry(far2, near2, &back));
                    carry(near, far, &gate);
                });
            }
        });
        Self { address, gate, target }
    }

    /// Connections from now on lead to this port.
    pub(crate) fn lead_to(&self, port: u16) {
        self.target.store(port, Ordering::Relaxed);
    }

    pub(crate) fn freeze(&self, frozen: bool) {
        *self.gate.frozen.lock().unwrap() = frozen;
        self.gate.changed.notify_all();
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, gate: &Gate) {
    let mut buffer = [0; 4_096];
    while let Ok(count) = from.read(&mut buffer) {
        gate.pass();
        if count == 0 || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
    let _ = from.shutdown(std::net::Shutdown::Both);
}
