//! A panic in any thread ends the process: a server or client that lost a thread would only seem
//! alive.

use super::run::restore_terminal;
use std::thread;
use std::time::Duration;

/// Exit code of Rust's own runtime after a panic of the main thread.
const PANICKED: i32 = 101;
/// Longest time for the last messages when standard error is blocked.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Installs the panic hook: it restores the terminal, prints the panic, calls `report`, and exits
/// with code 101. It sends no goodbye, because that code cannot be trusted any more; the other side
/// sees a lost server or client.
pub fn end_on_panic(report: fn()) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore_terminal();
        let ended = || {
            thread::sleep(LAST_WORDS);
            std::process::exit(PANICKED);
        };
        // Without a thread a blocked reader delays the exit.
        let _ = thread::Builder::new().spawn(ended);
        before(panic);
        report();
        std::process::exit(PANICKED);
    }));
}
