//! The referee's sockets, read by threads: UDP, and TCP (§11.2), which is written in pieces.

use super::process::Input;
use crate::protocol::limits::MAX_DATAGRAM;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

/// Connections of a client, beyond which none is accepted.
const MAX_CONNECTIONS: u64 = 32;
/// Interval at which the listener looks for a connection, and a thread for its end.
const LOOK: Duration = Duration::from_millis(10);
/// Pause between two pieces, so that a client that reads at once reads them apart.
const PAUSE: Duration = Duration::from_millis(2);
/// Write timeout of a connection. After it the server writes nothing more to it.
const STALL: Duration = Duration::from_secs(1);

/// The number of the first connection.
pub(super) const FIRST_STREAM: u64 = 1;

/// The open connections.
#[derive(Default)]
pub(super) struct Streams {
    open: BTreeMap<u64, TcpStream>,
    /// Sizes of the pieces, in turn; none: whole.
    pieces: Vec<usize>,
    turn: usize,
}

impl Streams {
    /// Listens in a thread, until `stop`.
    pub(super) fn listen(
        &mut self,
        pieces: Vec<usize>,
        inputs: SyncSender<Input>,
        stop: Arc<AtomicBool>,
    ) -> io::Result<SocketAddr> {
        self.pieces = pieces;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        thread::Builder::new().spawn(move || {
            let mut id = FIRST_STREAM;
            while !stop.load(Ordering::Relaxed) && id <= MAX_CONNECTIONS {
                match listener.accept() {
                    Ok((stream, from)) => {
                        // A connection without a thread is closed.
                        let _ = accept(id, stream, from, inputs.clone(), stop.clone());
                        id += 1;
                    }
                    Err(_) => thread::sleep(LOOK),
                }
            }
        })?;
        Ok(address)
    }

    pub(super) fn opened(&mut self, id: u64, stream: TcpStream) {
        self.open.insert(id, stream);
    }

    pub(super) fn close(&mut self, id: u64) {
        if let Some(stream) = self.open.remove(&id) {
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
    }

    /// Writes in pieces. An error is the client's end, which its reader reports.
    pub(super) fn write(&mut self, id: u64, mut bytes: &[u8]) {
        let Some(stream) = self.open.get_mut(&id) else { return };
        while !bytes.is_empty() {
            let size = match self.pieces.len() {
                0 => bytes.len(),
                many => self.pieces[self.turn % many].clamp(1, bytes.len()),
            };
            self.turn += 1;
            if stream.write_all(&bytes[..size]).is_err() {
                self.open.remove(&id);
                return;
            }
            bytes = &bytes[size..];
            if !self.pieces.is_empty() {
                thread::sleep(PAUSE);
            }
        }
    }
}

/// Reports a connection, and reads it in a thread.
fn accept(
    id: u64,
    stream: TcpStream,
    from: SocketAddr,
    inputs: SyncSender<Input>,
    stop: Arc<AtomicBool>,
) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(STALL))?;
    let mut reader = stream.try_clone()?;
    reader.set_read_timeout(Some(LOOK * 20))?;
    thread::Builder::new().spawn(move || {
        let mut sent = inputs.send(Input::Opened(id, stream, from)).is_ok();
        let mut buffer = [0; 4_096];
        while sent && !stop.load(Ordering::Relaxed) {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(size) => sent = inputs.send(Input::Bytes(id, buffer[..size].to_vec())).is_ok(),
                Err(error) if is_timeout(&error) => {}
                Err(_) => break,
            }
        }
        let _ = inputs.send(Input::Closed(id));
    })?;
    Ok(())
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Ends the threads that read the sockets.
pub(super) struct Stop(pub(super) Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reads the UDP socket in a thread, until `stop`.
pub(super) fn listen(
    socket: Arc<UdpSocket>,
    inputs: SyncSender<Input>,
    stop: Arc<AtomicBool>,
) -> io::Result<()> {
    socket.set_read_timeout(Some(LOOK * 20))?;
    thread::Builder::new().spawn(move || {
        let mut buffer = [0; 2 * MAX_DATAGRAM];
        while !stop.load(Ordering::Relaxed) {
            // An error is the timeout, or is about an earlier datagram, which proves nothing.
            if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let input = Input::Datagram(buffer[..length].to_vec(), from);
                if inputs.send(input).is_err() {
                    return;
                }
            }
        }
    })?;
    Ok(())
}
