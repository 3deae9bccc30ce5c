//! A monitor: a value behind one lock, with one condition variable that every change signals.

use crate::sync::{Condvar, Mutex, MutexGuard};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// A value that threads change one at a time, and can wait on.
#[derive(Debug)]
pub(crate) struct Monitor<T> {
    inside: Mutex<T>,
    /// Signalled after every turn.
    moved: Condvar,
}

impl<T> Monitor<T> {
    pub(crate) fn new(inside: T) -> Self {
        Self { inside: Mutex::new(inside), moved: Condvar::new() }
    }

    /// Locks the value for reading; changes made through it wake no waiter.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        // A panic in another thread ends the process.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the value and wakes all waiters.
    pub(crate) fn turn<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        let mut inside = self.lock();
        let result = act(&mut inside);
        self.moved.notify_all();
        result
    }

    /// Tries `act` now and after each [`Self::turn`] until it has a result. Then wakes all waiters.
    /// `None` when the deadline came first.
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
                // A try without a result wakes no waiter: two would wake each other for ever.
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
