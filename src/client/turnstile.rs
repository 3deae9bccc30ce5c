//! Something that threads use one after the other, and that they can wait for to get on.

use crate::sync::{Condvar, Mutex, MutexGuard};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug)]
pub(crate) struct Turnstile<T> {
    inside: Mutex<T>,
    /// Signalled after every turn.
    moved: Condvar,
}

impl<T> Turnstile<T> {
    pub(crate) fn new(inside: T) -> Self {
        Self { inside: Mutex::new(inside), moved: Condvar::new() }
    }

    /// For who only looks.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        // Who panicked has ended the process.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a turn. Whoever waits looks again after it.
    pub(crate) fn turn<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        let mut inside = self.lock();
        let result = act(&mut inside);
        self.moved.notify_all();
        result
    }

    /// Tries `act` after every turn of others until it has a result: then that was a turn. `None` when
    /// the deadline came first.
    pub(crate) fn wait_until<R>(
        &self,
        deadline: Option<Instant>,
        mut act: impl FnMut(&mut T) -> Option<R>,
    ) -> Option<R> {
        let mut inside = self.lock();
        loop {
            let result = act(&mut inside);
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if result.is_some() || left == Some(Duration::ZERO) {
                // A try without a result is no turn: two who wait would wake each other for ever.
                self.moved.notify_all();
                return result;
            }
            inside = match left {
                None => self.moved.wait(inside).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = self.moved.wait_timeout(inside, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}
