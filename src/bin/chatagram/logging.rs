//! Messages about the program, to standard error or to a file. They are escaped for terminals and
//! have one line each. A thread writes them from a bounded queue: a blocked reader blocks no other
//! thread, and lost messages are counted.

use chatagram::client::Sink;
use chatagram::protocol::{clean, clean_lines};
use chatagram::server::OPERATOR;
use chatagram::words::Language;
use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};
use simplelog::{ConfigBuilder, SharedLogger, WriteLogger};
use spool::Spool;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, OnceLock, PoisonError, RwLock};
use std::time::Duration;
use target::{LogFile, Standard};

mod spool;
mod target;

/// Longest wait for the last messages at the end of the program.
const LAST_MESSAGES: Duration = Duration::from_secs(1);

static STDOUT: LazyLock<Spool> = LazyLock::new(|| Spool::new(Standard(io::stdout())));
static STDERR: LazyLock<Spool> = LazyLock::new(|| Spool::new(Standard(io::stderr())));
/// The file of `--log-file`, if there is one.
static FILE: OnceLock<Spool> = OnceLock::new();

/// Prints on standard error why the program failed. It neither blocks nor fails without a reader.
pub(crate) fn complain(error: impl Display) {
    let error = clean_lines(&error.to_string());
    let sink = SINK.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(sink) = sink.as_ref().filter(|_| io::stderr().is_terminal()) {
        return sink(error);
    }
    STDERR.push(format!("chatagram: {error}\n").as_bytes());
}

/// Prints a line on standard output at once. It neither blocks nor fails without a reader.
pub(crate) fn announce(line: &str) {
    STDOUT.push(format!("{}\n", clean_lines(line)).as_bytes());
    STDOUT.finish(LAST_MESSAGES);
}

/// Prints a message for the operator: in the log, and on standard error if the log goes elsewhere.
pub(crate) fn tell_operator(text: &str) {
    log::warn!(target: OPERATOR, "{text}");
}

/// Whether the log goes to a file, and not to standard error.
pub(crate) fn goes_to_file() -> bool {
    FILE.get().is_some()
}

/// Reopens the log file after a rotation, if there is one.
pub(crate) fn reopen() {
    if let Some(file) = FILE.get() {
        file.reopen();
    }
}

/// Waits briefly until the last messages are written, at the end of the program.
pub(crate) fn finish() {
    for spool in FILE.get().into_iter().chain([&*STDERR, &*STDOUT]) {
        spool.finish(LAST_MESSAGES);
    }
}

static SINK: RwLock<Option<Sink>> = RwLock::new(None);

/// While the line editor is active, sends messages for the terminal to `sink`, since direct output
/// would garble the draft. Files and redirected streams are unaffected.
pub(crate) fn divert(sink: Option<Sink>) {
    *SINK.write().unwrap_or_else(PoisonError::into_inner) = sink;
}

/// Creates the log file if missing; returns why it cannot be written.
pub(crate) fn try_file(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    LogFile::open(path).map(drop)
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file cannot be opened.
    #[error("{}", Language::En.cannot_log(.path, .cause))]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// Another logger was set before.
    #[error("{0}")]
    Started(#[from] SetLoggerError),
}

impl Error {
    /// The text in this language.
    pub(crate) fn text(&self, say: Language) -> String {
        match self {
            Self::Open { path, cause } => say.cannot_log(path, cause),
            Self::Started(error) => error.to_string(),
        }
    }
}

/// Starts logging at `level`, to `file` if there is one.
///
/// # Errors
/// The file cannot be opened, or logging has started before.
pub(crate) fn start(level: LevelFilter, file: Option<&Path>) -> Result<(), Error> {
    let (spool, terminal) = match file {
        None => (STDERR.clone(), io::stderr().is_terminal()),
        Some(path) => {
            let file = LogFile::open(path)
                .map_err(|cause| Error::Open { path: path.to_owned(), cause })?;
            (FILE.get_or_init(|| Spool::new(file)).clone(), false)
        }
    };
    let logger = logger(level, Lines { spool, line: Vec::new() }, terminal);
    log::set_boxed_logger(logger)?;
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

/// Joins the pieces from simplelog, so that a line is queued whole or dropped.
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

/// Cleans messages before simplelog, which does not escape them.
struct Clean {
    log: Box<dyn Log>,
    /// Messages go to a terminal.
    terminal: bool,
}

impl Log for Clean {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The line editor logs every key; logging that would loop.
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
    fn a_message_is_one_escaped_line() {
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
    fn every_control_character_is_escaped() {
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
