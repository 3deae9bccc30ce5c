//! A thread that panics ends the process. The threads need each other: a server or a client that lost
//! one of them would only look as if it lived.

use crate::client;
use std::thread;
use std::time::Duration;

/// What Rust's own runtime reports for a panic of the main thread.
const PANICKED: i32 = 101;
/// How long saying what happened may take where nobody reads.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// From now on a panic in any thread puts the terminal back, says what happened, and ends the process
/// with exit code 101. Nobody is told goodbye, for what it would be told by cannot be trusted any more;
/// the others see a server or client that is gone.
pub fn end_on_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        client::restore_terminal();
        let ended = || {
            thread::sleep(LAST_WORDS);
            std::process::exit(PANICKED);
        };
        // Without a thread to spare, a reader that does not read delays the end.
        let _ = thread::Builder::new().spawn(ended);
        before(panic);
        crate::logging::complain("this is a fault of the program: please report it");
        crate::logging::finish();
        std::process::exit(PANICKED);
    }));
}
