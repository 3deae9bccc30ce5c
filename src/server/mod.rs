//! The server: one thread that carries bytes between the sockets and the hub, and the hub's words
//! into the history and the log. It makes no protocol decisions.
//!
//! One thread owns the hub, so there is no lock anywhere in the server; a second one reads through
//! an old history once, for damage, and is never waited for.

mod drops;
mod recorder;

use crate::hub::{Event, Hub};
use crate::net::{BindError, Clock, Poller, Ready, Socket};
use crate::protocol::LeaveReason;
use crate::registry::Path;
use crate::time::Now;
use drops::Drops;
use mio::Waker;
use recorder::Recorder;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Datagrams read from one socket before the answers leave.
const BATCH: usize = 64;

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub bind: Vec<SocketAddr>,
    /// The file every line goes to, if any.
    pub history: Option<HistoryFile>,
    /// The rules of the room.
    pub hub: crate::hub::Config,
}

/// Where the history goes.
#[derive(Clone, Debug)]
pub struct HistoryFile {
    /// The file.
    pub path: PathBuf,
    /// Whether the user named it. One that was not named gets its directory made.
    pub chosen: bool,
}

/// The server could not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// See [`BindError`].
    #[error(transparent)]
    Bind(#[from] BindError),
    /// See [`crate::history::HistoryError`].
    #[error(transparent)]
    History(#[from] crate::history::HistoryError),
    /// No randomness for secrets.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// Waiting on the network failed.
    #[error("cannot wait for the network: {0}")]
    Poll(io::Error),
    /// A socket failed for good.
    #[error("cannot receive on {0}: {1}")]
    Receive(SocketAddr, io::Error),
}

/// Asks a server, from any thread, to close.
#[derive(Clone, Debug)]
pub struct Stopper {
    flag: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Stopper {
    /// The server says goodbye to everybody and ends within a second.
    pub fn stop(&self) {
        self.flag.store(true, Ordering::Release);
        if let Err(error) = self.waker.wake() {
            log::error!("cannot wake the server: {error}");
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Server {
    clock: Clock,
    hub: Hub,
    recorder: Recorder,
    drops: Drops,
    poller: Poller,
    sockets: Vec<(Socket, SocketAddr)>,
    stop: Arc<AtomicBool>,
}

impl Server {
    /// Opens the sockets and the history. Nobody is answered before `run`.
    ///
    /// # Errors
    /// [`Error`] names what could not be had.
    pub fn start(config: Config) -> Result<Self, Error> {
        let clock = Clock::start();
        let mut poller = Poller::new().map_err(Error::Poll)?;
        let mut sockets = Vec::new();
        for (index, address) in config.bind.iter().enumerate() {
            let mut socket = Socket::bind(*address)?;
            poller.add(&mut socket, index).map_err(Error::Poll)?;
            let address = socket.local_addr().map_err(Error::Poll)?;
            sockets.push((socket, address));
        }
        let (recorder, past) = Recorder::open(config.history.as_ref())?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(Error::Random)?;
        let hub = Hub::new(config.hub, past, seed, clock.now());
        Ok(Self {
            clock,
            hub,
            recorder,
            drops: Drops::default(),
            poller,
            sockets,
            stop: Arc::default(),
        })
    }

    /// Where the server listens, the real ports in place of zeros.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.sockets.iter().map(|(_, address)| *address)
    }

    /// What stops this server.
    pub fn stopper(&self) -> Stopper {
        Stopper { flag: self.stop.clone(), waker: self.poller.waker() }
    }

    /// Serves until stopped.
    ///
    /// # Errors
    /// [`Error`] when the network can no longer be used at all.
    pub fn run(mut self) -> Result<(), Error> {
        let mut ready = Ready::new();
        let mut backlog = Ready::new();
        let mut buffer = Vec::new();
        let mut stopping = false;
        while !self.hub.is_finished() {
            let timeout = if backlog.is_empty() {
                self.hub.poll_timeout().map(|deadline| self.clock.until(deadline))
            } else {
                Some(std::time::Duration::ZERO)
            };
            self.poller.wait(timeout, &mut ready).map_err(Error::Poll)?;
            ready.append(&mut backlog);
            ready.sort_unstable();
            ready.dedup();
            for index in &ready {
                if self.receive(*index, &mut buffer)? {
                    backlog.push(*index);
                }
            }
            let now = self.clock.now();
            if self.stop.load(Ordering::Acquire) && !std::mem::replace(&mut stopping, true) {
                log::info!("closing");
                self.hub.shutdown(now);
            }
            self.hub.handle_timeout(now);
            self.flush(&mut buffer, now);
            let closing = self.hub.is_finished();
            self.drops.report(&self.hub.counters(), now.mono, closing);
        }
        Ok(())
    }

    /// Reads a batch from one socket. True when there may be more.
    fn receive(&mut self, index: usize, buffer: &mut Vec<u8>) -> Result<bool, Error> {
        let Some((socket, address)) = self.sockets.get(index) else { return Ok(false) };
        for _ in 0..BATCH {
            let received = socket.receive(buffer).map_err(|e| Error::Receive(*address, e))?;
            let Some(remote) = received else { return Ok(false) };
            self.hub.handle_datagram(Path { local: index, remote }, buffer, self.clock.now());
        }
        Ok(true)
    }

    /// First what is to be kept, then what is to be sent: an acknowledged line is in the history.
    fn flush(&mut self, buffer: &mut Vec<u8>, now: Now) {
        while let Some(event) = self.hub.poll_event() {
            report(&event);
            if let Event::Line(line) = event
                && let Some(notice) = self.recorder.record(line)
            {
                log::error!("{notice}");
                self.hub.notice(&notice);
            }
        }
        while let Some(path) = self.hub.poll_transmit(buffer, now) {
            if let Some((socket, _)) = self.sockets.get(path.local) {
                socket.send(buffer, path.remote);
            }
        }
    }
}

fn report(event: &Event) {
    match event {
        Event::Line(line) => log::info!("{}: {}", line.from, line.text),
        Event::Joined { nickname, path, peers } => {
            log::info!("{nickname} joined from {}, {peers} here", path.remote);
        }
        Event::Left { nickname, reason, peers } => {
            let how = match reason {
                LeaveReason::Quit => "",
                LeaveReason::Timeout => " (timed out)",
                LeaveReason::Shutdown => " (closing)",
            };
            log::info!("{nickname} left{how}, {peers} here");
        }
        Event::Moved { nickname, path } => log::info!("{nickname} is at {} now", path.remote),
        Event::Refused { path, detail } => log::warn!("refused {}: {detail}", path.remote),
    }
}
