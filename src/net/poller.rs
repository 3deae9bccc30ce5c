//! Sleeping until a socket has something, a deadline comes, or another thread calls.

use super::{Listener, Socket, Stream};
use mio::{Events, Interest, Poll, Registry, Token, Waker, event::Source};
use std::io;
use std::sync::Arc;
use std::time::Duration;

const WAKER: Token = Token(usize::MAX);
/// Sockets reported by one call.
const CAPACITY: usize = 1_024;

/// Which sockets woke the sleeper, by the index they were added under.
pub type Ready = Vec<usize>;

/// Waits on sockets.
#[derive(Debug)]
pub struct Poller {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    /// The last call reported as many sockets as it can.
    full: bool,
}

impl Poller {
    /// A poller that waits for nothing but its waker.
    ///
    /// # Errors
    /// The kernel's, such as too many open files.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        Ok(Self { poll, events: Events::with_capacity(CAPACITY), waker, full: false })
    }

    /// Waits for this socket too. It is reported once each time something new came, or there is
    /// room again to write; use it until it has no more. Dropping it ends the wait.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add(&self, socket: &mut impl Pollable, index: usize) -> io::Result<()> {
        self.watch()?.add(socket, index)
    }

    /// A handle to add sockets with from another thread.
    ///
    /// # Errors
    /// The kernel's.
    pub fn watch(&self) -> io::Result<Watch> {
        Ok(Watch { registry: self.poll.registry().try_clone()? })
    }

    /// Wakes the sleeper from another thread.
    pub fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    /// Whether there may be more sockets to report than the last call did.
    pub fn has_more(&self) -> bool {
        self.full
    }

    /// Sleeps for `timeout` at most (`None`: for ever).
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(&mut self, mut timeout: Option<Duration>, ready: &mut Ready) -> io::Result<()> {
        ready.clear();
        // A signal (also SIGCONT, signal(7)) says nothing about the sockets: they are asked again.
        while let Err(error) = self.poll.poll(&mut self.events, timeout) {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
            timeout = Some(Duration::ZERO);
        }
        self.full = self.events.iter().count() >= CAPACITY;
        let tokens = self.events.iter().map(|event| event.token());
        ready.extend(tokens.filter(|token| *token != WAKER).map(|Token(index)| index));
        Ok(())
    }
}

/// Adds sockets to a poller. See [`Poller::add`].
#[derive(Debug)]
pub struct Watch {
    registry: Registry,
}

impl Watch {
    /// As [`Poller::add`].
    ///
    /// # Errors
    /// The kernel's.
    pub fn add(&self, socket: &mut impl Pollable, index: usize) -> io::Result<()> {
        let (source, interest) = socket.source();
        self.registry.register(source, Token(index), interest)
    }
}

/// What can be waited for.
pub trait Pollable {
    /// The thing itself, and what it is to be woken for.
    fn source(&mut self) -> (&mut dyn Source, Interest);
}

impl Pollable for Socket {
    fn source(&mut self) -> (&mut dyn Source, Interest) {
        (Self::source(self), Interest::READABLE)
    }
}

impl Pollable for Listener {
    fn source(&mut self) -> (&mut dyn Source, Interest) {
        (Self::source(self), Interest::READABLE)
    }
}

impl Pollable for Stream {
    fn source(&mut self) -> (&mut dyn Source, Interest) {
        (Self::source(self), Interest::READABLE | Interest::WRITABLE)
    }
}
