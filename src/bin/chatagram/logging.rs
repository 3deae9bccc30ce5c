//! Messages about the program, to standard error or to a file. Text of a peer in them cannot steer
//! a terminal or forge a line. A thread writes them from a bounded queue: a reader that stopped
//! reading stops no thread of the program, and the log counts the messages that it missed.

use chatagram::client::Sink;
use chatagram::protocol::{clean, clean_lines};
use chatagram::server::OPERATOR;
use log::{LevelFilter, Log, Metadata, Record};
use simplelog::{ConfigBuilder, SharedLogger, WriteLogger};
use spool::Spool;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
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
    let logger = logger(level, Lines { spool, line: Vec::new() }, terminal);
    log::set_boxed_logger(logger).map_err(|error| error.to_string())?;
    log::set_max_level(level);
    Ok(())
}

fn logger(level: LevelFilter, out: impl Write + Send + 'static, terminal: bool) -> Box<dyn Log> {
    let mut config = ConfigBuilder::new();
    config
        .set_time_format_rfc3339()
        .set_target_level(LevelFilter::Off)
        .set_thread_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off);
    Box::new(Clean { log: WriteLogger::new(level, config.build(), out).as_log(), terminal })
}

/// Joins the pieces that simplelog writes, so that a line is queued whole or not at all.
struct Lines {
    spool: Spool,
    line: Vec<u8>,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if self.line.ends_with(b"\n") {
            self.spool.push(&self.line);
            self.line.clear();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Cleans messages before simplelog, which writes them as they are.
struct Clean {
    log: Box<dyn Log>,
    /// Whether messages would appear on a terminal.
    terminal: bool,
}

impl Log for Clean {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The line editor reports every key; to report that would make it report again.
        !metadata.target().starts_with("rustyline") && self.log.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let message = record.args().to_string();
        let message = clean(&message);
        if record.target() == OPERATOR && FILE.get().is_some() {
            complain(&message);
        }
        let sink = SINK.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(sink) = sink.as_ref().filter(|_| self.terminal) {
            return sink(format!("[{}] {message}", record.level()));
        }
        self.log.log(
            &Record::builder()
                .metadata(record.metadata().clone())
                .args(format_args!("{message}"))
                .build(),
        );
    }

    fn flush(&self) {
        self.log.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatagram::protocol::is_clean;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().map_err(|_| io::ErrorKind::Other)?.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_message_is_one_line_and_steers_no_terminal() {
        let out = Shared::default();
        let logger = logger(LevelFilter::Info, out.clone(), false);
        let metadata = Metadata::builder().level(log::Level::Info).build();
        let forged = "bob: hi\n2026 [INFO] eve \u{1b}[31mjoined\u{202e}";
        logger.log(&Record::builder().metadata(metadata).args(format_args!("{forged}")).build());
        let written = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert_eq!(written.matches('\n').count(), 1, "{written:?}");
        assert!(written.ends_with('\n') && !written.contains(['\u{1b}', '\u{202e}']));
        assert!(written.contains("[INFO]"), "{written:?}");
    }

    #[test]
    fn no_character_there_is_steers_a_terminal_or_forges_a_line() {
        let out = Shared::default();
        let logger = logger(LevelFilter::Info, out.clone(), false);
        let characters: Vec<char> = ('\0'..=char::MAX).collect();
        for some in characters.chunks(1_000) {
            let text: String = some.iter().collect();
            let metadata = Metadata::builder().level(log::Level::Info).build();
            logger.log(&Record::builder().metadata(metadata).args(format_args!("{text}")).build());
            assert!(clean_lines(&text).split('\n').all(is_clean));
        }
        let written = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert_eq!(written.matches('\n').count(), characters.len().div_ceil(1_000));
        assert!(written.split('\n').all(is_clean));
    }
}
