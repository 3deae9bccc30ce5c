//! Carries bytes between the socket and the session, and the session's words to whoever shows them.
//!
//! Three threads share one session behind one lock, which none of them holds while it waits:
//!
//! - the *receiver* sleeps on the socket and on the session's timers. It never prints and never
//!   waits for the terminal: what is to be shown goes into a bounded queue.
//! - the *input* thread reads lines, and sends them itself, beside the receiver.
//! - the *main* thread takes from the queue and prints.

use super::session::{self, Session};
use crate::net::{Clock, Poller, Ready, ServerName, Socket};
use crate::time::Now;
use mio::Waker;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Events that may wait to be shown. A terminal that does not read for longer misses some.
const QUEUE: usize = 16_384;

/// A handle on the running session, for any thread.
#[derive(Clone, Debug)]
pub(super) struct Driver {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    session: Mutex<Session>,
    /// Signalled after every turn, for those who wait for the session to get on.
    progress: Condvar,
    server: ServerName,
    socket: Socket,
    clock: Clock,
    waker: Arc<Waker>,
    queue: SyncSender<session::Event>,
    overflowed: AtomicU64,
    resolving: AtomicBool,
}

impl Driver {
    /// Opens a socket and starts the receiver thread. `make` makes the session.
    pub(super) fn start(
        server: ServerName,
        make: impl FnOnce(Now) -> Session,
    ) -> io::Result<(Self, Receiver<session::Event>, JoinHandle<io::Result<()>>)> {
        let mut socket = Socket::for_client().map_err(io::Error::other)?;
        let mut poller = Poller::new()?;
        poller.add(&mut socket, 0)?;
        let clock = Clock::start();
        let (queue, events) = sync_channel(QUEUE);
        let driver = Self {
            shared: Arc::new(Shared {
                session: Mutex::new(make(clock.now())),
                progress: Condvar::new(),
                server,
                socket,
                clock,
                waker: poller.waker(),
                queue,
                overflowed: AtomicU64::new(0),
                resolving: AtomicBool::new(false),
            }),
        };
        let receiver = driver.clone();
        let thread = thread::Builder::new()
            .name("receiver".to_owned())
            .spawn(move || receiver.receive(poller))?;
        Ok((driver, events, thread))
    }

    /// Does something with the session, and then sends and queues whatever follows from it.
    pub(super) fn turn<R>(&self, act: impl FnOnce(&mut Session, Now) -> R) -> R {
        let mut session = self.lock();
        let result = self.turn_in(&mut session, act);
        drop(session);
        self.wake();
        result
    }

    /// As `turn`, again and again until `act` has a result, each time when the session got on.
    /// `None` when the deadline came first.
    pub(super) fn wait_until<R>(
        &self,
        deadline: Option<Instant>,
        mut act: impl FnMut(&mut Session, Now) -> Option<R>,
    ) -> Option<R> {
        let mut session = self.lock();
        loop {
            let result = self.turn_in(&mut session, &mut act);
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if result.is_some() || left == Some(Duration::ZERO) {
                drop(session);
                self.wake();
                return result;
            }
            session = match left {
                None => self.shared.progress.wait(session).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = self.shared.progress.wait_timeout(session, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Has an error shown.
    pub(super) fn complain(&self, message: String) {
        if self.shared.queue.try_send(session::Event::Error { message }).is_err() {
            self.shared.overflowed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many events found the queue full since this was last asked.
    pub(super) fn take_overflowed(&self) -> u64 {
        self.shared.overflowed.swap(0, Ordering::Relaxed)
    }

    /// The receiver thread.
    fn receive(&self, mut poller: Poller) -> io::Result<()> {
        let mut ready = Ready::new();
        let mut buffer = Vec::new();
        loop {
            let deadline = {
                let session = self.lock();
                if session.is_closed() {
                    return Ok(());
                }
                session.poll_timeout()
            };
            let timeout = deadline.map(|deadline| self.shared.clock.until(deadline));
            poller.wait(timeout, &mut ready)?;
            let mut session = self.lock();
            while let Some(from) = self.shared.socket.receive(&mut buffer)? {
                self.turn_in(&mut session, |s, now| s.handle_datagram(from, &buffer, now));
            }
            self.turn_in(&mut session, Session::handle_timeout);
        }
    }

    fn turn_in<R>(&self, session: &mut Session, act: impl FnOnce(&mut Session, Now) -> R) -> R {
        let shared = &*self.shared;
        let now = shared.clock.now();
        let result = act(session, now);
        let mut buffer = Vec::new();
        while let Some(to) = session.poll_transmit(&mut buffer, now) {
            shared.socket.send(&buffer, to);
        }
        while let Some(event) = session.poll_event() {
            if event == session::Event::Resolve {
                self.resolve();
            } else if shared.queue.try_send(event).is_err() {
                shared.overflowed.fetch_add(1, Ordering::Relaxed);
            }
        }
        shared.progress.notify_all();
        result
    }

    /// Looks the server's name up in a thread of its own, one at a time: resolvers can take long.
    fn resolve(&self) {
        if self.shared.resolving.swap(true, Ordering::AcqRel) {
            return;
        }
        let driver = self.clone();
        let lookup = move || {
            match driver.shared.server.resolve() {
                Ok(addresses) => driver.turn(|session, _| session.set_addresses(addresses)),
                Err(error) => log::debug!("{error}"),
            }
            driver.shared.resolving.store(false, Ordering::Release);
        };
        if let Err(error) = thread::Builder::new().name("resolver".to_owned()).spawn(lookup) {
            log::debug!("no thread to look the server up in: {error}");
        }
    }

    /// The receiver may have to get up earlier than it planned.
    fn wake(&self) {
        if let Err(error) = self.shared.waker.wake() {
            log::error!("cannot wake the receiver: {error}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Session> {
        // A session left by a panic is no worse than what the network can do to it.
        self.shared.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
