//! A thread that panics ends the process. The threads need each other: a server or a client that lost
//! one of them would only look as if it lived.

use super::run::restore_terminal;
use std::thread;
use std::time::Duration;

/// Exit code of Rust's own runtime after a panic of the main thread.
const PANICKED: i32 = 101;
/// Longest time that the last messages may take when standard error is not read.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// From now on a panic in any thread puts the terminal back, prints the panic, calls `report`, and
/// ends the process with exit code 101. No goodbye is sent, because the code that sends it cannot be
/// trusted any more; the other side sees a lost server or client.
pub fn end_on_panic(report: fn()) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore_terminal();
        let ended = || {
            thread::sleep(LAST_WORDS);
            std::process::exit(PANICKED);
        };
        // If no thread can be started, a reader that does not read delays the end.
        let _ = thread::Builder::new().spawn(ended);
        before(panic);
        report();
        std::process::exit(PANICKED);
    }));
}
