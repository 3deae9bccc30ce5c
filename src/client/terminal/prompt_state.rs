//! What the threads around the terminal share: lines waiting to be shown, the status, who is here, and
//! whether somebody is editing.
//!
//! Only one thread may write to a terminal that is being edited: the editor's. The others leave their
//! lines here and nudge it; it takes them whenever it draws its prompt, and draws them above. While
//! nobody edits, lines go to standard output directly. Nobody ever waits for the editor to read.

use super::status::Status;
use super::{termios_guard, write};
use crate::client::session::{Condition, Event};
use crate::client::style::Style;
use crate::protocol::clean;
use crate::sync::{Condvar, Mutex, MutexGuard};
use std::collections::BTreeSet;
use std::io;
use std::sync::PoisonError;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// Bytes of lines that wait for the editor before whoever prints waits with them.
const MOST_WAITING: usize = 256 * 1024;
/// How long that is before a line is given up. An editor takes this long only when it is not let write.
const FULL_FOR: Duration = Duration::from_secs(1);
/// From so many rows on, a draft is drawn again only for the user: it would push itself off the screen
/// again and again.
const TALL: usize = 10;

/// See the module.
#[derive(Debug)]
pub(super) struct PromptState {
    state: Mutex<State>,
    changed: Condvar,
    colour: bool,
}

#[derive(Debug)]
pub(super) struct State {
    /// The editor owns the terminal.
    editing: bool,
    /// There is to be no more editing.
    closing: bool,
    /// The editor's thread has ended.
    ended: bool,
    /// Whole lines.
    waiting: String,
    missed: u64,
    nudge: bool,
    status: Status,
    nickname: String,
    present: BTreeSet<String>,
    /// The line being edited, and where the cursor is in it.
    pub(super) draft: String,
    pub(super) pos: usize,
    drawn: Option<Drawn>,
}

/// What the editor drew last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drawn {
    /// How wide the terminal was.
    pub(super) columns: usize,
    /// Columns of the status.
    pub(super) status: usize,
}

impl PromptState {
    pub(super) fn new(server: String, nickname: &str, colour: bool) -> Self {
        let status = Status { server, peers: 0, condition: Condition::Joining, report: None };
        let state = State {
            editing: false,
            closing: false,
            ended: false,
            waiting: String::new(),
            missed: 0,
            nudge: false,
            status,
            nickname: clean(nickname).into_owned(),
            present: BTreeSet::new(),
            draft: String::new(),
            pos: 0,
            drawn: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), colour }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn style(&self) -> Style {
        Style { colour: self.colour, width: Some(super::columns()) }
    }

    /// Shows lines, now or when the editor draws next.
    pub(super) fn print(&self, lines: &str) -> io::Result<()> {
        let mut state = self.lock();
        if state.editing && state.waiting.len() > MOST_WAITING {
            self.nudge(&mut state);
            let full = |state: &mut State| state.editing && state.waiting.len() > MOST_WAITING;
            let waited = self.changed.wait_timeout_while(state, FULL_FOR, full);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if !state.editing {
            return write(&format!("{lines}\n"));
        }
        if state.waiting.len() > MOST_WAITING {
            state.missed += 1;
            return Ok(());
        }
        state.waiting.push_str(lines);
        state.waiting.push('\n');
        if state.draft.matches('\n').count() < TALL {
            self.nudge(&mut state);
        }
        Ok(())
    }

    /// Notes who comes and goes.
    pub(super) fn note(&self, event: &Event) {
        let state = &mut *self.lock();
        match event {
            Event::Welcome { nickname, peers, .. } => {
                state.nickname.clone_from(nickname);
                state.status.peers = *peers;
                state.status.condition = Condition::Here;
                state.present.clear();
            }
            Event::Present { nicknames } => state.present.extend(nicknames.iter().cloned()),
            Event::Joined { nicknames, peers } => {
                state.present.extend(nicknames.iter().cloned());
                state.status.peers = *peers;
            }
            Event::Left { nicknames, peers, .. } => {
                nicknames.iter().for_each(|it| _ = state.present.remove(it));
                state.status.peers = *peers;
            }
            Event::Who { peers, .. } => {
                state.present = peers.iter().map(|peer| peer.nickname.clone()).collect();
            }
            _ => return,
        }
        let State { present, nickname, .. } = state;
        present.remove(nickname);
        self.nudge(state);
    }

    /// Changes the status, and has it drawn if that shows.
    pub(super) fn set_status(&self, change: impl FnOnce(&mut Status)) {
        let mut state = self.lock();
        if state.editing {
            termios_guard::take_back();
        }
        let before = state.status.line(usize::MAX);
        change(&mut state.status);
        let changed = before != state.status.line(usize::MAX);
        if changed && state.draft.matches('\n').count() < TALL {
            self.nudge(&mut state);
        }
    }

    /// The editor is about to draw. False when it is not to.
    pub(super) fn begin(&self) -> bool {
        let mut state = self.lock();
        state.editing = !state.closing;
        state.draft.clear();
        state.pos = 0;
        state.drawn = None;
        state.editing
    }

    /// The editor has stopped drawing: `before` is written, then what waits, then `after`.
    pub(super) fn pause(&self, before: &str, after: &str) {
        let mut state = self.lock();
        let waiting = state.take();
        // A terminal that is gone ends the program by other ways.
        let _ = write(&format!("{before}{waiting}{after}"));
        state.editing = false;
        self.changed.notify_all();
    }

    /// The editor's thread is over.
    pub(super) fn end(&self) {
        self.pause("", "");
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// No more editing; whoever is at it is nudged.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        self.nudge(&mut state);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.lock().closing
    }

    /// Waits until the editor's thread is over. False when it does not end.
    pub(super) fn wait_for_end(&self) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), FULL_FOR, |state| !state.ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    /// Waits for somebody who wants the editor to draw. False when there will be nobody.
    pub(super) fn wait_for_nudge(&self) -> bool {
        let idle = |state: &mut State| !(state.ended || state.nudge && state.editing);
        let waited = self.changed.wait_while(self.lock(), idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.nudge = false;
        !state.ended
    }

    /// What is to be drawn above the prompt, and the status line.
    pub(super) fn draw(&self) -> (String, String) {
        let mut state = self.lock();
        if state.editing {
            termios_guard::take_back();
        }
        let columns = super::columns();
        // One column less: a full row would make some terminals begin another.
        let status = state.status.line(columns.saturating_sub(1));
        state.drawn = Some(Drawn { columns, status: status.width() });
        let waiting = state.take();
        self.changed.notify_all();
        (waiting, self.style().dim(&status))
    }

    /// What was drawn last, if the terminal has another width now and the draft is still the same: then
    /// it is for the new width that the editor is about to draw.
    pub(super) fn resized(&self, draft: &str, pos: usize) -> Option<Drawn> {
        let state = self.lock();
        let same = state.draft == draft && state.pos == pos;
        state.drawn.filter(|drawn| same && drawn.columns != super::columns())
    }

    pub(super) fn nickname(&self) -> String {
        self.lock().nickname.clone()
    }

    /// Calls `with` with the names of the others here.
    pub(super) fn with_present<R>(&self, with: impl FnOnce(&BTreeSet<String>) -> R) -> R {
        with(&self.lock().present)
    }

    fn nudge(&self, state: &mut State) {
        state.nudge = true;
        self.changed.notify_all();
    }
}

impl State {
    fn take(&mut self) -> String {
        let mut waiting = std::mem::take(&mut self.waiting);
        let missed = std::mem::take(&mut self.missed);
        if missed > 0 {
            waiting
                .push_str(&format!("! {missed} lines were not shown: the terminal was too slow\n"));
        }
        waiting
    }
}
