//! Orders that the operator types at the terminal of a server.

use super::signals::ignore_background_reads;
use crate::logging;
use chatagram::protocol::clean;
use chatagram::server::Operator;
use chatagram::words::Language;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::thread;
use std::time::Duration;

/// Longest order that is read, bytes; the rest of its line is one of its own.
const LONGEST: u64 = 4_096;
/// Pause before the terminal is read again after the shell moved the server into the background.
const PAUSE: Duration = Duration::from_secs(1);

/// Reads orders from standard input, if it is a terminal, in a thread of its own. The thread ends
/// with the process: a read from a terminal cannot be cancelled.
pub(super) fn obey_terminal(operator: Operator, say: Language) {
    if !io::stdin().is_terminal() {
        return;
    }
    // Otherwise the kernel stops a server in the background that reads.
    ignore_background_reads();
    let read = move || obey(BufReader::new(io::stdin()), &operator, say);
    if let Err(error) = thread::Builder::new().name("operator".to_owned()).spawn(read) {
        log::warn!("no orders are read from this terminal: {error}");
    }
}

fn obey(mut input: impl BufRead, operator: &Operator, say: Language) {
    loop {
        let mut line = Vec::new();
        match input.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(_) => {}
            Err(_) => {
                thread::sleep(PAUSE);
                continue;
            }
        }
        let line = String::from_utf8_lossy(&line);
        if line.trim().is_empty() {
            continue;
        }
        match operator.order(line.trim().to_owned()) {
            // The log on this terminal has it already, in English.
            Some(Ok(_)) if !logging::goes_to_file() && say == Language::En => {}
            Some(Ok(done)) => logging::announce(&clean(&say.answered(&done))),
            Some(Err(why)) => logging::complain(say.not_done(&say.answered(&why))),
            None => logging::complain(say.server_does_not_answer()),
        }
    }
}
