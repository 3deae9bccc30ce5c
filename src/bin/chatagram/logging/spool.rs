//! A bounded queue of lines, and the thread that writes them. A full pipe, a terminal after Ctrl-S
//! or a slow disk blocks that thread only.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bound of the queue, bytes. Further lines are dropped and counted.
const CAPACITY: usize = 4 << 20;

/// The destination of lines.
pub(super) trait Target: Send {
    /// Writes whole lines; may block.
    fn write(&mut self, lines: &[u8]) -> io::Result<()>;

    /// Checks the file before each write and each [`Self::period`]; returns a message about it, if
    /// any.
    fn look(&mut self, reopen: bool) -> Option<String>;

    /// Interval of checks without writes; `None`: never.
    fn period(&self) -> Option<Duration>;
}

/// A handle to the queue.
#[derive(Clone)]
pub(super) struct Spool {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    target: Mutex<Box<dyn Target>>,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// Messages dropped since the last report.
    dropped: u64,
    /// The thread was started. It starts with the first line, because `lab` needs a single thread
    /// at its start.
    started: bool,
    writing: bool,
    reopen: bool,
}

impl Spool {
    pub(super) fn new(target: impl Target + 'static) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Self { shared: Arc::new(Shared { state, changed, target: Mutex::new(Box::new(target)) }) }
    }

    /// Queues a whole line. Never blocks.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.shared.lock();
        if state.waiting.len() + line.len() > CAPACITY {
            state.dropped += 1;
            return;
        }
        state.waiting.extend_from_slice(line);
        self.shared.changed.notify_all();
        if std::mem::replace(&mut state.started, true) {
            return;
        }
        drop(state);
        let shared = self.shared.clone();
        let write = move || loop {
            shared.write_once();
        };
        if thread::Builder::new().name("log".to_owned()).spawn(write).is_err() {
            self.shared.lock().started = false;
            self.shared.write_once();
        }
    }

    /// Reopens the file, if there is one.
    pub(super) fn reopen(&self) {
        self.shared.lock().reopen = true;
        self.shared.changed.notify_all();
    }

    /// Waits until all lines are written, at most `timeout`.
    pub(super) fn finish(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        while state.started && (state.writing || !state.waiting.is_empty()) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines or the next check, and writes.
    fn write_once(&self) {
        let mut target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        let (lines, dropped, reopen) = self.take(target.period());
        let news = target.look(reopen);
        let outcome = if lines.is_empty() { Ok(()) } else { target.write(&lines) };
        drop(target);
        let written = outcome.is_ok() && !lines.is_empty();
        let mut state = self.lock();
        state.writing = false;
        if outcome.is_err() {
            state.dropped += lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        // Only after a successful write; otherwise this report would be dropped too.
        if written {
            state.dropped -= dropped;
        }
        drop(state);
        if let Some(news) = news {
            super::tell_operator(&news);
        }
        if written && dropped > 0 {
            log::warn!("{dropped} messages were dropped: their reader or the disk was too slow");
        }
        self.changed.notify_all();
    }

    fn take(&self, period: Option<Duration>) -> (Vec<u8>, u64, bool) {
        let mut state = self.lock();
        while state.waiting.is_empty() && !state.reopen {
            state = match period {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(period) => {
                    let waited = self.changed.wait_timeout(state, period);
                    let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    if timeout.timed_out() {
                        return (Vec::new(), 0, false);
                    }
                    state
                }
            };
        }
        state.writing = true;
        (std::mem::take(&mut state.waiting), state.dropped, std::mem::take(&mut state.reopen))
    }
}
