//! Keeps the history, and keeps the chat going when the history cannot be kept.

use super::HistoryFile;
use crate::history::{History, HistoryError, Opened, Record};
use crate::protocol::clean;
use crate::protocol::limits::{LOG_LINES, MAX_NAME, MAX_TEXT};
use crate::room::{Line, Past};
use std::thread;

/// The history file, if there is one, and whether it takes lines at the moment.
#[derive(Debug)]
pub(super) struct Recorder {
    history: Option<History>,
    failing: bool,
}

impl Recorder {
    /// Opens the history and reads its end.
    pub(super) fn open(file: Option<&HistoryFile>) -> Result<(Self, Past), HistoryError> {
        let Some(HistoryFile { path, chosen }) = file else {
            return Ok((Self { history: None, failing: false }, Past::default()));
        };
        if !chosen && let Some(parent) = path.parent() {
            // When this fails, opening the file says so better.
            let _ = std::fs::create_dir_all(parent);
        }
        let Opened { history, created, last, torn, skipped } = History::open(path, LOG_LINES)?;
        let new = if created { " (new)" } else { "" };
        log::info!("history in {}{new}", path.display());
        if let Some(torn) = torn {
            log::warn!("history {}: {torn}", path.display());
        }
        let truncated = last.len() >= LOG_LINES || !skipped.is_empty();
        // A file can hold what no peer could have sent.
        let lines = last.into_iter().map(|Record { at, from, text }| Line {
            id: at,
            from: shortened(&from, MAX_NAME),
            text: shortened(&text, MAX_TEXT),
        });
        let past = Past { lines: lines.collect(), truncated };
        verify_in_background(&history);
        Ok((Self { history: Some(history), failing: false }, past))
    }

    /// Writes a line down. What everybody should be told, when that begins or ceases to fail.
    pub(super) fn record(&mut self, line: Line) -> Option<String> {
        let history = self.history.as_mut()?;
        let record = Record { at: line.id, from: line.from, text: line.text };
        match history.append(&record) {
            Ok(()) => std::mem::take(&mut self.failing)
                .then(|| "the history is being written again".to_owned()),
            Err(error) => (!std::mem::replace(&mut self.failing, true))
                .then(|| format!("the chat goes on, but the history does not: {error}")),
        }
    }
}

fn shortened(text: &str, max: usize) -> String {
    let text = clean(text);
    text[..text.floor_char_boundary(max)].to_owned()
}

/// Looks through the whole file for damage. A history of any size is open at once; what is wrong
/// in the middle of it is said when it is found.
fn verify_in_background(history: &History) {
    let verify = match history.verify() {
        Ok(verify) => verify,
        Err(error) => return log::warn!("the history cannot be checked for damage: {error}"),
    };
    let check = move || {
        for finding in verify {
            match finding {
                Ok(damage) => log::warn!(
                    "history line {} (byte {}) is damaged and stays as it is: {}",
                    damage.line,
                    damage.offset,
                    damage.reason
                ),
                Err(error) => log::warn!("the check of the history ended early: {error}"),
            }
        }
    };
    if let Err(error) = thread::Builder::new().name("verify".to_owned()).spawn(check) {
        log::warn!("the history is not checked for damage: {error}");
    }
}
