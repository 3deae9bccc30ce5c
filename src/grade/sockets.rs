//! The referee's sockets, read by threads: UDP, and TCP (§11.2), which is written in pieces.

use super::process::Input;
use crate::net::{Clock, receive_stamped, stamp_arrivals};
use crate::protocol::limits::MAX_DATAGRAM;
use crate::time::{Now, Timestamp, WallTime};
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

/// Readings of both clocks for each datagram: a thread that loses the processor between them is
/// unlikely to lose it in all.
const READINGS: usize = 3;

/// When a datagram arrived, on the monotonic clock: after the one before it, and before it was
/// read. `stamp` is the kernel's time of arrival, on the wall clock, which may be set meanwhile.
fn arrival(stamp: Option<WallTime>, readings: &[Now], before: Timestamp) -> Timestamp {
    let age = |now: &Now| stamp.map_or(0, |stamp| now.wall.0.saturating_sub(stamp.0));
    let at = readings.iter().map(|now| now.mono - Duration::from_micros(age(now))).min();
    at.map_or(before, |at| at.max(before))
}

/// Reads the UDP socket in a thread, until `stop`.
pub(super) fn listen(
    socket: Arc<UdpSocket>,
    inputs: SyncSender<Input>,
    stop: Arc<AtomicBool>,
    clock: Clock,
) -> io::Result<()> {
    socket.set_read_timeout(Some(LOOK * 20))?;
    // Without them a datagram's time is that of its reading.
    let _ = stamp_arrivals(&socket);
    thread::Builder::new().spawn(move || {
        let (mut buffer, mut last) = ([0; 2 * MAX_DATAGRAM], Timestamp::ZERO);
        while !stop.load(Ordering::Relaxed) {
            // An error is the timeout, or is about an earlier datagram, which proves nothing.
            if let Ok((length, from, stamp)) = receive_stamped(&socket, &mut buffer) {
                last =
                    arrival(stamp, &std::array::from_fn::<_, READINGS, _>(|_| clock.now()), last);
                let input = Input::Datagram(buffer[..length].to_vec(), from, last);
                if inputs.send(input).is_err() {
                    return;
                }
            }
        }
    })?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    fn now(mono: u64, wall: u64) -> Now {
        Now { mono: Timestamp::from_micros(mono), wall: WallTime(wall) }
    }

    #[test]
    fn an_arrival_is_between_the_one_before_and_the_reading() {
        let at = |stamp: Option<u64>, readings: &[Now], before| {
            arrival(stamp.map(WallTime), readings, Timestamp::from_micros(before)).as_micros()
        };
        let read = [now(5_000, 900_000), now(9_000, 900_002)];
        assert_eq!(at(Some(899_000), &read, 10), 4_000);
        assert_eq!(at(None, &read, 10), 5_000);
        // The wall clock was set forward, or back, after the arrival.
        assert_eq!(at(Some(100_000), &read, 10), 10);
        assert_eq!(at(Some(999_000), &read, 10), 5_000);
    }

    /// Read after a pause, it has the time before the pause.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_datagram_has_the_time_at_which_it_arrived() {
        let (socket, clock) = (UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), Clock::start());
        let socket = Arc::new(socket);
        let (sender, inputs) = sync_channel(1);
        let pause = Duration::from_millis(20);
        let stop = Stop(Arc::new(AtomicBool::new(false)));
        // The queue is full, so that the thread reads the third only after the pause.
        listen(socket.clone(), sender, stop.0.clone(), clock).unwrap();
        // The kernel begins to note arrivals a moment after it is asked to.
        let is_early = (0..100).any(|_| {
            let before = clock.now().mono;
            (0..4).for_each(|_| {
                socket.send_to(&[], socket.local_addr().unwrap()).unwrap();
            });
            let after = clock.now().mono;
            while clock.now().mono < after + pause {}
            let arrived = (0..4).map(|_| match inputs.recv().unwrap() {
                Input::Datagram(_, _, at) => at,
                _ => unreachable!(),
            });
            let arrived: Vec<_> = arrived.collect();
            arrived.is_sorted() && before <= arrived[0] && arrived[3] <= after + pause / 2
        });
        assert!(is_early);
    }
}
