//! The queue of reports from both threads to the hub. Nothing of an earlier connection follows the
//! news that it is lost.

use crate::engine::Answer;
use crate::server::engine::EngineFigures;
use mio::Waker;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Counts for the metrics, which both threads write.
#[derive(Debug, Default)]
pub(super) struct Meter {
    up: AtomicU64,
    connections: AtomicU64,
    round_trip: AtomicU64,
}

impl Meter {
    pub(super) fn figures(&self) -> EngineFigures {
        EngineFigures {
            up: self.up.load(Ordering::Relaxed),
            reconnects: self.connections.load(Ordering::Relaxed).saturating_sub(1),
            round_trip: self.round_trip.load(Ordering::Relaxed),
            ..EngineFigures::default()
        }
    }

    pub(super) fn measured(&self, round_trip: Duration) {
        let micros = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX);
        self.round_trip.store(micros, Ordering::Relaxed);
    }
}

/// Why an answer was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// Another reading has begun, or the connection is lost.
    Superseded,
    /// The server has ended.
    Ended,
}

/// The queue to the hub.
#[derive(Debug)]
pub(super) struct Feed {
    answers: SyncSender<Answer>,
    waker: Arc<Waker>,
    progress: Mutex<Progress>,
    pub(super) meter: Arc<Meter>,
}

#[derive(Debug, Default)]
struct Progress {
    /// Counts the readings of the log.
    reading: u64,
    /// The last mail that was read.
    mail: u64,
}

impl Feed {
    pub(super) fn new(answers: SyncSender<Answer>, waker: Arc<Waker>, meter: Arc<Meter>) -> Self {
        Self { answers, waker, progress: Mutex::default(), meter }
    }

    /// There is a connection.
    pub(super) fn up(&self) -> Result<(), Over> {
        self.meter.up.store(1, Ordering::Relaxed);
        self.meter.connections.fetch_add(1, Ordering::Relaxed);
        self.send([Answer::Up])
    }

    /// The connection is lost, and what is read on it comes too late.
    pub(super) fn down(&self, why: String) -> Result<(), Over> {
        self.meter.up.store(0, Ordering::Relaxed);
        let mut progress = self.lock();
        progress.reading += 1;
        self.send([Answer::Down { why }])
    }

    /// Ends earlier readings, and returns the number of the next one.
    pub(super) fn begin_reading(&self) -> u64 {
        let mut progress = self.lock();
        progress.reading += 1;
        progress.reading
    }

    /// The last mail that was read.
    pub(super) fn mail(&self) -> u64 {
        self.lock().mail
    }

    /// A new log has no mail yet.
    pub(super) fn forget_mail(&self) {
        self.lock().mail = 0;
    }

    /// Answers that the reading with this number found.
    pub(super) fn read(
        &self,
        reading: u64,
        answers: Vec<Answer>,
        mail: Option<u64>,
    ) -> Result<(), Over> {
        let mut progress = self.lock();
        if progress.reading != reading {
            return Err(Over::Superseded);
        }
        progress.mail = mail.unwrap_or(progress.mail);
        self.send(answers)
    }

    /// Passes answers on, and waits for space if there is none.
    pub(super) fn send(&self, answers: impl IntoIterator<Item = Answer>) -> Result<(), Over> {
        for answer in answers {
            match self.answers.try_send(answer) {
                Ok(()) => {}
                Err(TrySendError::Full(answer)) => {
                    self.wake()?;
                    self.answers.send(answer).map_err(|_| Over::Ended)?;
                }
                Err(TrySendError::Disconnected(_)) => return Err(Over::Ended),
            }
        }
        self.wake()
    }

    /// Wakes the hub's thread.
    pub(super) fn wake(&self) -> Result<(), Over> {
        self.waker.wake().map_err(|_| Over::Ended)
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
