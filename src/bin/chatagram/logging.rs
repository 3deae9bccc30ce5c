//! Messages about the program, to standard error or to a file. Text of a peer in them cannot steer
//! a terminal or forge a line. A thread writes them from a bounded queue: a reader that stopped
//! reading stops no thread of the program, and the log counts the messages that it missed.

use chatagram::client::Sink;
use chatagram::net::Clock;
use chatagram::protocol::{clean, clean_lines};
use chatagram::server::OPERATOR;
use chatagram::time::WallTime;
use log::{Level, LevelFilter, Log, Metadata, Record};
use spool::Spool;
use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::{LazyLock, OnceLock, PoisonError, RwLock};
use std::time::Duration;
use target::{LogFile, Standard};

mod spool;
mod target;

/// How long the end of the program waits for its last messages to be written.
const LAST_MESSAGES: Duration = Duration::from_secs(1);

static STDOUT: LazyLock<Spool> = LazyLock::new(|| Spool::new(Standard(io::stdout())));
static STDERR: LazyLock<Spool> = LazyLock::new(|| Spool::new(Standard(io::stderr())));
/// The file of `--log-file`, if there is one.
static FILE: OnceLock<Spool> = OnceLock::new();

/// Says on standard error why the program cannot do what it was asked to. Neither blocks nor fails
/// where nobody reads.
pub(crate) fn complain(error: impl Display) {
    let error = clean_lines(&error.to_string());
    let sink = SINK.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(sink) = sink.as_ref().filter(|_| io::stderr().is_terminal()) {
        return sink(error);
    }
    STDERR.push(format!("chatagram: {error}\n").as_bytes());
}

/// Prints a line on standard output at once. Nobody there to read it is no reason to stop or wait.
pub(crate) fn announce(line: &str) {
    STDOUT.push(format!("{}\n", clean_lines(line)).as_bytes());
    STDOUT.finish(LAST_MESSAGES);
}

/// Says what the operator of a server has to know: in the log, and on standard error where that is
/// not the log.
pub(crate) fn tell_operator(text: &str) {
    log::warn!(target: OPERATOR, "{text}");
}

/// Opens the log file again, where there is one: it may have been rotated.
pub(crate) fn reopen() {
    if let Some(file) = FILE.get() {
        file.reopen();
    }
}

/// Gives the last messages a moment to be written. For the end of the program.
pub(crate) fn finish() {
    for spool in FILE.get().into_iter().chain([&*STDERR, &*STDOUT]) {
        spool.finish(LAST_MESSAGES);
    }
}

static SINK: RwLock<Option<Sink>> = RwLock::new(None);

/// While somebody edits a line in the terminal, messages meant for it go to `sink`: written in between
/// they would garble it. A file, or standard error sent elsewhere, gets them as before.
pub(crate) fn divert(sink: Option<Sink>) {
    *SINK.write().unwrap_or_else(PoisonError::into_inner) = sink;
}

/// Makes the file for messages if it is not there; says why it cannot take them.
pub(crate) fn try_file(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    LogFile::open(path).map(drop)
}

/// Starts logging at `level`, to `file` if there is one.
///
/// # Errors
/// What is wrong with the file, in words for the user.
pub(crate) fn start(level: LevelFilter, file: Option<&Path>) -> Result<(), String> {
    let (spool, terminal) = match file {
        None => (STDERR.clone(), io::stderr().is_terminal()),
        Some(path) => {
            let file = LogFile::open(path)
                .map_err(|error| format!("cannot log to {}: {error}", path.display()))?;
            (FILE.get_or_init(|| Spool::new(file)).clone(), false)
        }
    };
    let logger = Box::new(Logger { spool, terminal, level });
    log::set_boxed_logger(logger).map_err(|error| error.to_string())?;
    log::set_max_level(level);
    Ok(())
}

/// Queues each message as one line, with its time and level.
struct Logger {
    spool: Spool,
    /// Whether messages would appear on a terminal.
    terminal: bool,
    level: LevelFilter,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The line editor reports every key; to report that would make it report again.
        metadata.level() <= self.level && !metadata.target().starts_with("rustyline")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let message = record.args().to_string();
        if record.target() == OPERATOR && FILE.get().is_some() {
            complain(clean(&message));
        }
        let sink = SINK.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(sink) = sink.as_ref().filter(|_| self.terminal) {
            return sink(format!("[{}] {}", record.level(), clean(&message)));
        }
        self.spool.push(line(Clock::start().now().wall, record.level(), &message).as_bytes());
    }

    fn flush(&self) {}
}

fn line(at: WallTime, level: Level, message: &str) -> String {
    format!("{at} [{level}] {}\n", clean(message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatagram::protocol::is_clean;

    fn logged(message: &str) -> String {
        line(WallTime(1), Level::Info, message)
    }

    #[test]
    fn a_message_is_one_line_and_steers_no_terminal() {
        let written = logged("bob: hi\n2026 [INFO] eve \u{1b}[31mjoined\u{202e}");
        assert_eq!(written.matches('\n').count(), 1, "{written:?}");
        assert!(written.ends_with('\n') && !written.contains(['\u{1b}', '\u{202e}']));
        assert!(written.starts_with("1970-01-01T00:00:00.000001Z [INFO] bob"), "{written:?}");
    }

    #[test]
    fn no_character_there_is_steers_a_terminal_or_forges_a_line() {
        let characters: Vec<char> = ('\0'..=char::MAX).collect();
        for some in characters.chunks(1_000) {
            let text: String = some.iter().collect();
            let written = logged(&text);
            assert!(written.strip_suffix('\n').is_some_and(is_clean));
            assert!(clean_lines(&text).split('\n').all(is_clean));
        }
    }

    #[test]
    fn the_line_editor_and_finer_levels_are_not_logged() {
        let spool = Spool::new(Standard(io::sink()));
        let logger = Logger { spool, terminal: false, level: LevelFilter::Info };
        let enabled = |target, level| {
            logger.enabled(&Metadata::builder().target(target).level(level).build())
        };
        assert!(enabled("chatagram::hub", Level::Info));
        assert!(!enabled("chatagram::hub", Level::Debug));
        assert!(!enabled("rustyline::tty", Level::Error));
    }
}
