//! State shared by the threads around the terminal: waiting output, status, peers, and whether the
//! editor is active.
//!
//! While the editor is active only its thread writes to the terminal. Others queue their lines here
//! and wake it; it draws them above the prompt. Otherwise lines go to standard output directly. No
//! thread waits for the editor to read.

use super::status::Status;
use super::unconfirmed::Unconfirmed;
use super::{termios_guard, write};
use crate::client::app::style::Style;
use crate::client::session::{Condition, Event};
use crate::protocol::clean;
use crate::sync::{Condvar, Mutex, MutexGuard};
use std::collections::BTreeSet;
use std::io;
use std::sync::PoisonError;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// Bytes of queued output above which the printing thread waits for the editor.
const MOST_WAITING: usize = 256 * 1024;
/// Longest such wait before a line is dropped. The editor takes this long only when the terminal
/// blocks.
const FULL_FOR: Duration = Duration::from_secs(1);
/// Longest time that a redraw waits for the editor to hear of a resize.
const HEARD_WITHIN: Duration = Duration::from_secs(1);
/// From this many rows on, a draft is redrawn only for the user: each redraw would scroll it off
/// the screen.
const TALL: usize = 10;

/// The unconfirmed lines take at most this part of the screen.
const ABOVE: usize = 4;

/// The state of the prompt.
#[derive(Debug)]
pub(super) struct PromptState {
    state: Mutex<State>,
    changed: Condvar,
    style: Style,
}

#[derive(Debug)]
pub(super) struct State {
    /// Whether the editor is active.
    editing: bool,
    /// Whether the editor has to stop.
    closing: bool,
    /// Whether the editor's thread has ended.
    ended: bool,
    /// Queued output, whole lines.
    waiting: String,
    missed: u64,
    nudge: bool,
    status: Status,
    nickname: String,
    present: BTreeSet<String>,
    /// This client's lines that the server has not confirmed.
    unconfirmed: Unconfirmed,
    /// The draft, and the cursor's position in it.
    pub(super) draft: String,
    pub(super) pos: usize,
    pub(super) drawn: Option<Drawn>,
}

/// The editor's last redraw.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    /// Width of the terminal.
    pub(super) columns: usize,
    /// Widths of the rows above the draft: the unconfirmed lines, then the status. The editor knows
    /// of the status only.
    pub(super) rows: Vec<usize>,
}

impl PromptState {
    pub(super) fn new(server: String, nickname: &str, style: Style) -> Self {
        let language = style.language;
        let (condition, report) = (Condition::Joining, None);
        let status = Status { language, server, peers: 0, condition, report };
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
            unconfirmed: Unconfirmed::default(),
            draft: String::new(),
            pos: 0,
            drawn: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), style }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn style(&self) -> Style {
        Style { width: Some(super::columns()), ..self.style }
    }

    /// This client's lines that are shown above the status until the server confirms them.
    pub(super) fn with_unconfirmed<R>(&self, with: impl FnOnce(&mut Unconfirmed) -> R) -> R {
        with(&mut self.lock().unconfirmed)
    }

    /// Prints lines, directly or at the editor's next redraw.
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

    /// Updates the names of the peers.
    pub(super) fn note(&self, event: &Event) {
        let state = &mut *self.lock();
        match event {
            Event::Welcome { nickname, peers, server, moved, .. } => {
                state.nickname.clone_from(nickname);
                if *moved {
                    state.status.server = server.to_string();
                }
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
            Event::Renamed { to, own: true, .. } => state.nickname.clone_from(to),
            Event::Renamed { from, to, .. } => {
                state.present.remove(from);
                state.present.insert(to.clone());
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

    /// Changes the status, and redraws it if visible.
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

    /// Starts the editor. False if it has to stop.
    pub(super) fn begin(&self) -> bool {
        let mut state = self.lock();
        state.editing = !state.closing;
        state.draft.clear();
        state.pos = 0;
        state.drawn = None;
        state.editing
    }

    /// Stops the editor: erases `rows` rows of status and draft, and the unconfirmed lines above
    /// them; then writes the queued output and `after`.
    pub(super) fn pause(&self, rows: usize, after: &str) {
        let mut state = self.lock();
        let above = state.take_drawn_above();
        let erase = match rows {
            0 => String::new(),
            rows => format!("\u{1b}[{}A\r\u{1b}[J", rows + above),
        };
        let waiting = state.take();
        // A closed terminal ends the program elsewhere.
        let _ = write(&format!("{erase}{waiting}{after}"));
        state.editing = false;
        self.changed.notify_all();
    }

    /// Marks the editor's thread as ended.
    pub(super) fn end(&self) {
        self.pause(0, "");
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Tells the editor to stop, at its next look.
    pub(super) fn close(&self) {
        self.lock().closing = true;
    }

    /// Wakes the editor.
    pub(super) fn wake(&self) {
        self.nudge(&mut self.lock());
    }

    pub(super) fn is_closing(&self) -> bool {
        self.lock().closing
    }

    /// Waits for the end of the editor's thread. False at the timeout.
    pub(super) fn wait_for_end(&self) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), FULL_FOR, |state| !state.ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    /// Waits for a reason to redraw. False when there will be none. A redraw before the editor has
    /// heard of a resize would erase the rows of the old size.
    pub(super) fn wait_for_nudge(&self) -> bool {
        let idle = |state: &mut State| !(state.ended || state.nudge && state.editing);
        let waited = self.changed.wait_while(self.lock(), idle);
        let state = waited.unwrap_or_else(PoisonError::into_inner);
        let unheard = |state: &mut State| !state.ended && state.is_resized();
        let waited = self.changed.wait_timeout_while(state, HEARD_WITHIN, unheard);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.nudge = false;
        !state.ended
    }

    /// The text from the first row of the prompt on: the queued output, the unconfirmed lines and,
    /// with the editor's usual prompt, the status.
    pub(super) fn draw(&self, usual: bool) -> String {
        let mut state = self.lock();
        if state.editing {
            termios_guard::take_back();
        }
        let (columns, rows) = super::size();
        // Until the editor has heard of a resize, and [`Self::resized`] with it, it goes by the old
        // width.
        let columns = state.drawn.as_ref().map_or(columns, |drawn| drawn.columns);
        let style = self.style();
        let mut out = match state.take_drawn_above() {
            0 => String::new(),
            above => format!("\u{1b}[{above}A\r\u{1b}[J"),
        };
        out.push_str(&state.take());
        // One column less, since some terminals wrap after a full row.
        let width = columns.saturating_sub(1);
        let mut drawn = Vec::new();
        if usual && !state.ended {
            for row in
                state.unconfirmed.rows(self.style.language, &state.nickname, width, rows / ABOVE)
            {
                drawn.push(row.width());
                out.push_str(&style.dim(&row));
                out.push('\n');
            }
        }
        let status = state.status.line(width);
        drawn.push(status.width());
        state.drawn = Some(Drawn { columns, rows: drawn });
        self.changed.notify_all();
        if usual {
            out.push_str(&style.dim(&status));
        }
        out
    }

    /// The last redraw, if the terminal was resized since and the draft is the same: then the
    /// editor is about to redraw for the new width.
    pub(super) fn resized(&self, draft: &str, pos: usize) -> Option<Drawn> {
        let mut state = self.lock();
        let same = state.draft == draft && state.pos == pos;
        if same && state.is_resized() { state.drawn.take() } else { None }
    }

    pub(super) fn nickname(&self) -> String {
        self.lock().nickname.clone()
    }

    /// Calls `with` with the names of the other peers.
    pub(super) fn with_present<R>(&self, with: impl FnOnce(&BTreeSet<String>) -> R) -> R {
        with(&self.lock().present)
    }

    fn nudge(&self, state: &mut State) {
        state.nudge = true;
        self.changed.notify_all();
    }
}

impl State {
    /// Whether the terminal has another width than the editor drew for.
    fn is_resized(&self) -> bool {
        self.drawn.as_ref().is_some_and(|drawn| drawn.columns != super::columns())
    }

    /// Rows drawn above the status, which the caller erases.
    fn take_drawn_above(&mut self) -> usize {
        let drawn = self.drawn.as_mut().map(|drawn| &mut drawn.rows);
        drawn.map_or(0, |rows| rows.drain(..rows.len().saturating_sub(1)).count())
    }

    fn take(&mut self) -> String {
        let mut waiting = std::mem::take(&mut self.waiting);
        let missed = std::mem::take(&mut self.missed);
        if missed > 0 {
            let text = self.status.language.lines_not_shown(missed);
            waiting.push_str(&format!("! {text}\n"));
        }
        waiting
    }
}
