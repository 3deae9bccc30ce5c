//! Prints in a thread of its own, so that a blocked output (a full pipe, a terminal after Ctrl-S)
//! does not keep an ended client alive.

use super::driver::Driver;
use super::session::CloseReason;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// How long the output may block after the end of the session.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);

/// Counts printed lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Counts a printed line.
    pub(super) fn advance(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs `print` to its end. If the session ends and `print` blocks, returns why the session ended.
///
/// # Errors
/// The thread could not be started.
pub(super) fn attend<R: Send + 'static>(
    driver: &Driver,
    print: impl FnOnce(&Progress) -> R + Send + 'static,
) -> io::Result<Result<R, CloseReason>> {
    let progress = Progress::default();
    let (done, ended) = sync_channel(1);
    let printed = progress.clone();
    let run = move || {
        let _ = done.send(print(&printed));
    };
    thread::Builder::new().name("screen".to_owned()).spawn(run)?;
    let (mut over, mut last) = (false, 0);
    loop {
        match ended.recv_timeout(OUTPUT_TIMEOUT) {
            Ok(result) => return Ok(Ok(result)),
            // A panic has ended the process.
            Err(RecvTimeoutError::Disconnected) => return Ok(Err(CloseReason::Lost)),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = progress.0.load(Ordering::Relaxed);
        let Some(reason) = driver.ended() else { continue };
        if std::mem::replace(&mut over, true) && now == last {
            log::warn!("some events were not shown: the output is not read");
            return Ok(Err(reason));
        }
        last = now;
    }
}
