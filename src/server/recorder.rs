//! Writes the history. The chat continues when writing fails.

use super::OPERATOR;
use crate::history::{FileState, History, HistoryError, Opened, Record, Storage};
use crate::protocol::limits::{LOG_LINES, MAX_NAME, MAX_TEXT};
use crate::protocol::{Mark, clean, clip};
use crate::registry::Owner;
use crate::room::{Kept, Line, LineIdentity, Past};
use crate::time::{Timestamp, WallTime};
use std::fs::File;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// Interval of checks that the file is still at its path, while no line is written.
const LOOK: Duration = Duration::from_millis(500);

/// The path of the history.
#[derive(Clone, Debug)]
pub struct HistoryFile {
    /// The file.
    pub path: PathBuf,
    /// The user named it. If not, the server creates its directory, and starts without a history if
    /// it cannot be opened.
    pub chosen: bool,
}

/// The history file, if any, and whether writing works.
#[derive(Debug)]
pub(super) struct Recorder<S: Storage = File> {
    history: Option<History<S>>,
    /// Lines not written since the last success.
    missing: u64,
    /// Lines written since the server started.
    taken: u64,
    /// Lines written to the open file.
    in_file: u64,
    /// Why the file, which was removed, cannot be created again.
    lost: Option<String>,
    /// That was reported.
    said: bool,
    next_look: Timestamp,
}

/// A message for all peers about the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Writing fails from now on.
    Failing(String),
    /// Writing works again.
    Recovered(String),
}

impl Recorder {
    /// Opens the history and reads its last lines.
    pub(super) fn open(
        file: Option<&HistoryFile>,
        now: WallTime,
    ) -> Result<(Self, Past), HistoryError> {
        let Some(HistoryFile { path, chosen }) = file else {
            return Ok((Self::of(None), Past::default()));
        };
        if !chosen && let Some(parent) = path.parent() {
            // If this fails, opening the file reports it.
            let _ = std::fs::create_dir_all(parent);
        }
        let opened = match History::open(path, LOG_LINES) {
            // The default history is optional: the server starts without it.
            Err(error) if !chosen => {
                tell_operator(&format!("no history is kept: {error}; or start with --no-history"));
                return Ok((Self::of(None), Past::default()));
            }
            opened => opened?,
        };
        let Opened { history, created, last, intact, torn, .. } = opened;
        let new = if created { " (new)" } else { "" };
        log::info!("history in {}{new}", path.display());
        if let Some(torn) = torn {
            log::warn!("history {}: {torn}", path.display());
        }
        if let Some(latest) =
            last.iter().map(|record| record.at).max().filter(|at| at.is_ahead_of(now))
        {
            log::warn!(
                "history {}: its newest line is from {latest}, and this machine's clock says \
                 {now}: the clock was wrong then, or is wrong now. New lines follow the old ones \
                 and have the clock's time",
                path.display()
            );
        }
        let past = Past { lines: last.into_iter().map(kept).collect(), intact };
        verify_in_background(&history);
        Ok((Self::of(Some(history)), past))
    }

    /// Checks whether the file was rotated or removed, and starts a new one if so. Also called
    /// before a write, so that no line goes to the old file.
    pub(super) fn look(&mut self, now: Timestamp) {
        let Some(history) = &mut self.history else { return };
        self.next_look = now + LOOK;
        let name = history.path().display().to_string();
        let (place, lines) = (history.file_state(), self.in_file);
        let (what, removed) = match place {
            Ok(FileState::Unchanged) => {
                (self.lost, self.said) = (None, false);
                return;
            }
            Ok(FileState::Truncated(bytes)) => {
                return tell_operator(&format!(
                    "{bytes} bytes were cut off the history {name} by another program; later lines \
                     go on into it"
                ));
            }
            Ok(FileState::Moved) => {
                (format!("was moved away: {lines} lines of this server stay there"), false)
            }
            Ok(FileState::Removed) => {
                (format!("was removed, and {lines} lines of this server with it"), true)
            }
            Err(error) => (format!("cannot be found: {error}"), false),
        };
        match history.reopen() {
            Ok(torn) => {
                (self.lost, self.said, self.in_file) = (None, false, 0);
                tell_operator(&format!("the history {name} {what}; later ones go to a new file"));
                if let Some(torn) = torn {
                    log::warn!("history {name}: {torn}");
                }
            }
            Err(error) => {
                self.lost = removed.then(|| error.to_string());
                if !std::mem::replace(&mut self.said, true) {
                    let later = if removed { "are in no file" } else { "go there as well" };
                    tell_operator(&format!(
                        "the history {name} {what}; later ones {later}: {error}"
                    ));
                }
            }
        }
    }
}

impl<S: Storage> Recorder<S> {
    fn of(history: Option<History<S>>) -> Self {
        let (missing, taken, in_file) = (0, 0, 0);
        let (lost, said, next_look) = (None, false, Timestamp::ZERO);
        Self { history, missing, taken, in_file, lost, said, next_look }
    }

    /// Time of the next check of the file.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.history.as_ref().map(|_| self.next_look)
    }

    /// Returns true while writing fails.
    pub(super) fn is_failing(&self) -> bool {
        self.missing > 0
    }

    /// Lines written since the server started.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Writes a line. Returns a message when writing begins or ceases to fail.
    pub(super) fn record(&mut self, line: &Line) -> Option<News> {
        let history = self.history.as_mut()?;
        let record = Record {
            at: line.at,
            from: line.from.clone(),
            text: line.text.clone(),
            epoch: Some(line.mark.epoch),
            pos: Some(line.mark.position),
            owner: line.identity.map(|identity| identity.owner.0),
            number: line.identity.map(|identity| identity.number),
        };
        let outcome = match &self.lost {
            None => history.append(&record).map_err(|error| error.to_string()),
            Some(why) => Err(why.clone()),
        };
        match outcome {
            Ok(()) => {
                self.taken += 1;
                self.in_file += 1;
                match std::mem::take(&mut self.missing) {
                    0 => None,
                    missing => Some(News::Recovered(format!(
                        "the history is being written again; {missing} lines are not in it"
                    ))),
                }
            }
            Err(error) => {
                self.missing += 1;
                let news = || format!("the chat goes on, but the history does not: {error}");
                (self.missing == 1).then(news).map(News::Failing)
            }
        }
    }
}

/// Converts a record for the log. The file is untrusted: it can hold text that no peer could have
/// sent.
fn kept(record: Record) -> Kept {
    let Record { at, from, text, epoch, pos, owner, number } = record;
    Kept {
        mark: epoch.zip(pos).map(|(epoch, position)| Mark { epoch, position }),
        at,
        from: shortened(&from, MAX_NAME),
        text: shortened(&text, MAX_TEXT),
        identity: owner
            .zip(number)
            .map(|(owner, number)| LineIdentity { owner: Owner(owner), number }),
    }
}

fn shortened(text: &str, max: usize) -> String {
    clip(&clean(text), max).to_owned()
}

/// Checks the whole file for damage, in a thread of its own: a history of any size opens at once,
/// and damage is reported when it is found.
fn verify_in_background(history: &History) {
    let mut verify = match history.verify() {
        Ok(verify) => verify,
        Err(error) => return log::warn!("the history cannot be checked for damage: {error}"),
    };
    let check = move || {
        for finding in verify.by_ref() {
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
        if verify.unsummed() > 0 {
            log::info!(
                "{} lines of the history have no checksum: they were written by hand, and damage \
                 in them cannot be detected",
                verify.unsummed()
            );
        }
    };
    if let Err(error) = thread::Builder::new().name("verify".to_owned()).spawn(check) {
        log::warn!("the history is not checked for damage: {error}");
    }
}

fn tell_operator(text: &str) {
    log::warn!(target: OPERATOR, "{text}");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::history::tests::{Disk, Fault};
    use crate::protocol::is_clean;

    /// Writes twelve lines to a disk that fails by `plan`; returns messages and written lines.
    fn kept(plan: &[Fault]) -> (Vec<News>, Vec<u64>) {
        let disk = Disk::new(b"");
        let mut recorder = Recorder::of(Some(disk.open(5).history));
        disk.plan(plan);
        let line = |at| Line {
            mark: Mark { epoch: 7, position: at },
            at: WallTime(at),
            from: "a".to_owned(),
            text: "b".to_owned(),
            identity: None,
        };
        let news = (0..12).filter_map(|id| recorder.record(&line(id))).collect();
        let content = disk.content();
        let lines = content.split_inclusive(|byte| *byte == b'\n');
        let records = lines.filter_map(|line| serde_json::from_slice::<Record>(line).ok());
        (news, records.map(|record| record.at.0).collect())
    }

    fn failing(news: &News) -> bool {
        matches!(news, News::Failing(text) if text.contains("the chat goes on"))
    }

    /// A file can hold any character, with a valid checksum or without.
    #[test]
    fn control_characters_in_a_file_reach_no_peer() {
        let every: Vec<char> = ('\0'..=char::MAX).collect();
        let texts: Vec<String> = every.chunks(300).map(String::from_iter).collect();
        for texts in texts.chunks(LOG_LINES) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("h.jsonl");
            let record = |text: &String| {
                let (from, text) = (text.clone(), text.clone());
                Record { at: WallTime(1), from, text, ..Record::default() }
            };
            let lines =
                texts.iter().map(|text| serde_json::to_string(&record(text)).unwrap() + "\n");
            std::fs::write(&path, lines.collect::<String>()).unwrap();
            let mut history = History::open(&path, 0).unwrap().history;
            history.append(&record(&texts[0])).unwrap();
            drop(history);
            let file = HistoryFile { path, chosen: true };
            let (_, past) = Recorder::open(Some(&file), WallTime(1)).unwrap();
            assert_eq!(past.lines.len(), LOG_LINES.min(texts.len() + 1));
            for line in past.lines {
                assert!(is_clean(&line.from) && is_clean(&line.text), "{line:?}");
                assert!(line.from.len() <= MAX_NAME && line.text.len() <= MAX_TEXT);
                assert!(!line.text.is_empty());
            }
        }
    }

    #[test]
    fn a_full_disk_and_its_recovery_are_reported_once_with_the_missing_lines() {
        for full in 1..12 {
            // A failed write, then a failed truncation.
            let (news, taken) = kept(&[Fault::PartialError(9), Fault::None].repeat(full));
            assert_eq!(taken, (full as u64..12).collect::<Vec<_>>());
            let [first, second] = &news[..] else { unreachable!("{news:?}") };
            assert!(failing(first), "{first:?}");
            let words = format!("is being written again; {full} lines are not in it");
            assert!(matches!(second, News::Recovered(text) if text.contains(&words)), "{second:?}");
        }
    }

    #[test]
    fn a_disk_that_stays_full_is_reported_once() {
        for fault in [Fault::Error, Fault::Partial(0), Fault::PartialError(3)] {
            let (news, taken) = kept(&[fault; 50]);
            assert!(news.len() == 1 && failing(&news[0]), "{news:?}");
            assert!(taken.is_empty(), "{taken:?}");
        }
    }

    #[test]
    fn a_fault_at_any_call_is_reported_if_a_line_is_lost() {
        for at in 0..12 {
            for fault in [Fault::Error, Fault::Partial(5), Fault::PartialError(5)] {
                let plan = [&vec![Fault::None; at][..], &[fault]].concat();
                let (news, taken) = kept(&plan);
                assert_eq!(taken.len(), 11, "{at} {fault:?}");
                // After the last line there is no write that could show the recovery.
                assert_eq!(news.len(), if at < 11 { 2 } else { 1 }, "{at} {fault:?}: {news:?}");
            }
        }
    }
}
