//! Sleeping until a socket has something, a deadline comes, or another thread calls.

use super::Socket;
use mio::{Events, Interest, Poll, Token, Waker};
use std::io;
use std::sync::Arc;
use std::time::Duration;

const WAKER: Token = Token(usize::MAX);
/// Sockets reported by one call.
const CAPACITY: usize = 64;

/// Which sockets woke the sleeper, by the index they were added under.
pub type Ready = Vec<usize>;

/// Waits on sockets.
#[derive(Debug)]
pub struct Poller {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
}

impl Poller {
    /// A poller that waits for nothing but its waker.
    ///
    /// # Errors
    /// The kernel's, such as too many open files.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        Ok(Self { poll, events: Events::with_capacity(CAPACITY), waker })
    }

    /// Waits for this socket too. It is reported once each time something new came; read it until
    /// it has no more.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add(&mut self, socket: &mut Socket, index: usize) -> io::Result<()> {
        self.poll.registry().register(socket.source(), Token(index), Interest::READABLE)
    }

    /// Wakes the sleeper from another thread.
    pub fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    /// Sleeps for `timeout` at most (`None`: for ever).
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(&mut self, timeout: Option<Duration>, ready: &mut Ready) -> io::Result<()> {
        ready.clear();
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let tokens = self.events.iter().map(|event| event.token());
        ready.extend(tokens.filter(|token| *token != WAKER).map(|Token(index)| index));
        Ok(())
    }
}
