//! Stops a server from another thread.

use mio::Waker;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A handle to control a server from any thread.
#[derive(Clone, Debug)]
pub struct Stopper {
    pub(super) flag: Arc<AtomicBool>,
    pub(super) restart: Arc<AtomicBool>,
    pub(super) look: Arc<AtomicBool>,
    pub(super) waker: Arc<Waker>,
}

impl Stopper {
    /// The server closes all sessions and ends within a second.
    pub fn stop(&self) {
        self.flag.store(true, Ordering::Release);
        self.wake();
    }

    /// Like `stop`, but announces a restart: clients rejoin.
    pub fn restart(&self) {
        self.restart.store(true, Ordering::Release);
        self.stop();
    }

    /// The server checks at once whether its history was rotated.
    pub fn look_after_files(&self) {
        self.look.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            log::error!("cannot wake the server: {error}");
        }
    }
}
