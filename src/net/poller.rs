//! Waits until a socket is ready, a deadline passes, or another thread wakes the poller.

use super::{Listener, Socket, Stream};
use mio::{Events, Interest, Poll, Registry, Token, Waker, event::Source};
use std::io;
use std::sync::Arc;
use std::time::Duration;

const WAKER: Token = Token(usize::MAX);
/// Limit on the sockets reported by one call.
const CAPACITY: usize = 1_024;

/// Indices of ready sockets, as given to [`Poller::add`].
pub type Ready = Vec<usize>;

/// Waits for several sockets.
#[derive(Debug)]
pub struct Poller {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    /// The last call reported [`CAPACITY`] sockets.
    full: bool,
}

impl Poller {
    /// A poller with no socket but its waker.
    ///
    /// # Errors
    /// The kernel's, such as too many open files.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        Ok(Self { poll, events: Events::with_capacity(CAPACITY), waker, full: false })
    }

    /// Adds a socket, edge-triggered: it is reported once per arrival of data or of space to write,
    /// so use it until it would block. Dropping the socket removes it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add(&self, socket: &mut impl Pollable, index: usize) -> io::Result<()> {
        self.watch()?.add(socket, index)
    }

    /// A handle that adds sockets from another thread.
    ///
    /// # Errors
    /// The kernel's.
    pub fn watch(&self) -> io::Result<Watch> {
        Ok(Watch { registry: self.poll.registry().try_clone()? })
    }

    /// A handle that wakes the poller from another thread.
    #[must_use]
    pub fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    /// Returns true if more sockets may be ready than the last call reported.
    #[must_use]
    pub(crate) fn has_more(&self) -> bool {
        self.full
    }

    /// Waits for at most `timeout`; `None` waits without limit.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(&mut self, mut timeout: Option<Duration>, ready: &mut Ready) -> io::Result<()> {
        ready.clear();
        // A signal (even SIGCONT, signal(7)) interrupts the call: poll once more without waiting.
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

/// Adds sockets to a poller from another thread.
#[derive(Debug)]
pub struct Watch {
    registry: Registry,
}

impl Watch {
    /// Like [`Poller::add`].
    ///
    /// # Errors
    /// The kernel's.
    pub fn add(&self, socket: &mut impl Pollable, index: usize) -> io::Result<()> {
        let (source, interest) = socket.source();
        self.registry.register(source, Token(index), interest)
    }
}

/// A socket that a poller can wait for.
pub trait Pollable {
    /// The event source and the events to wait for.
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
