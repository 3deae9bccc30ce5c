//! The client's side of an interactive terminal: an editor at the bottom, the room above it.
//!
//! ```text
//! keys ──► editor thread ──► lines ──► input thread ──► session
//!            ▲      │ draws
//!      nudge │      ▼
//!           prompt  screen
//!            ▲
//!            └── main thread: lines and status
//! ```

mod completion;
mod editor;
mod layout;
mod prompt_state;
mod status;
mod termios_guard;
mod unconfirmed;

use super::commands::Command;
use super::farewell::Farewell;
use super::output::{self, Days};
use super::session::{Condition, Event, Report};
use super::style::Style;
use editor::{End, PromptEditor};
use prompt_state::PromptState;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use termios_guard::Editor;

/// Bound of typed lines that wait for the session; then the editor waits.
const LINES: usize = 1024;
/// Size if the terminal does not report one.
const USUAL_SIZE: (usize, usize) = (80, 24);

/// A terminal with an editor. Dropping it restores the terminal.
#[derive(Debug)]
pub(super) struct Terminal {
    prompt: Arc<PromptState>,
    days: Arc<Days>,
}

/// Whether standard input and output are a terminal that can move its cursor.
pub(super) fn is_possible() -> bool {
    let term = std::env::var_os("TERM");
    let able = cfg!(windows) || term.is_some_and(|term| term != "dumb" && term != "cons25");
    able && io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Saves the modes of the terminal.
pub(super) fn keep() {
    termios_guard::keep();
}

/// Restores the terminal, if a client took it over.
pub(super) fn restore() {
    termios_guard::restore(Editor::Running);
}

/// Width of the terminal.
pub(super) fn columns() -> usize {
    size().0
}

/// Columns and rows of the terminal.
fn size() -> (usize, usize) {
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(io::stdout())
        && size.ws_col > 0
    {
        return (size.ws_col.into(), size.ws_row.into());
    }
    USUAL_SIZE
}

/// Writes to the terminal at once.
fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

impl Terminal {
    /// Takes over the terminal. Typed commands come out of the receiver; `interrupt` is called when
    /// the user quits at once.
    pub(super) fn start(
        server: String,
        nickname: &str,
        style: Style,
        days: Arc<Days>,
        farewell: Farewell,
        interrupt: impl FnOnce() + Send + 'static,
    ) -> io::Result<(Self, Receiver<Command>)> {
        let prompt = Arc::new(PromptState::new(server, nickname, style));
        let (prompt_editor, printer) = PromptEditor::open(prompt.clone(), farewell)?;
        keep();
        let (sender, lines) = sync_channel(LINES);
        let nudged = prompt.clone();
        // Neither thread is joined: a wake-up may block, and the wait for the editor has a limit.
        thread::Builder::new()
            .name("nudge".to_owned())
            .spawn(move || editor::nudge(&nudged, printer))?;
        let edited = prompt.clone();
        // Before anything is shown: a key pressed in answer to it would wait for the end of a line.
        termios_guard::hold();
        let edit = move || {
            let end = prompt_editor.run(&sender);
            termios_guard::restore(Editor::Ended);
            if end == End::Interrupted {
                interrupt();
            }
            edited.end();
        };
        thread::Builder::new().name("editor".to_owned()).spawn(edit).inspect_err(|_| {
            termios_guard::restore(Editor::Ended);
        })?;
        Ok((Self { prompt, days }, lines))
    }

    pub(super) fn print(&self, lines: &str) -> io::Result<()> {
        self.prompt.print(lines)
    }

    /// Moves a confirmed line of this client into the room, and removes one that failed.
    pub(super) fn settle(&self, event: &Event) -> io::Result<()> {
        let (Event::Confirmed { text, .. } | Event::Undelivered { text }) = event else {
            return Ok(());
        };
        let typed = self.prompt.with_unconfirmed(|own| own.take(text));
        let Some(at) = typed.filter(|_| matches!(event, Event::Confirmed { .. })) else {
            return Ok(());
        };
        let style = self.prompt.style();
        let divider = self.days.divider(at, style).map(|it| it + "\n").unwrap_or_default();
        self.print(&(divider + &output::own(at, &self.prompt.nickname(), text, style)))
    }

    /// Prints the lines of this client whose fate will not be told, dimmed.
    pub(super) fn leave_unconfirmed(&self) {
        for (at, text) in self.prompt.with_unconfirmed(|own| own.take_all()) {
            let line = output::unconfirmed(at, &self.prompt.nickname(), &text);
            // A closed terminal ends the program elsewhere.
            let _ = self.print(&self.prompt.style().dim(&line));
        }
    }

    /// Updates the names of the peers.
    pub(super) fn note(&self, event: &Event) {
        self.prompt.note(event);
    }

    /// Shows the status.
    pub(super) fn set_status(
        &self,
        server: Option<SocketAddr>,
        condition: Condition,
        report: Option<Report>,
    ) {
        self.prompt.set_status(|status| {
            server.into_iter().for_each(|server| status.follow(server));
            status.condition = condition;
            status.report = report;
        });
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // In this order: a wake-up before the end of input would leave the editor in its read.
        self.prompt.close();
        end_input();
        self.prompt.wake();
        let ended = self.prompt.wait_for_end();
        self.leave_unconfirmed();
        termios_guard::restore(if ended { Editor::Ended } else { Editor::Running });
        termios_guard::release();
    }
}

/// Ends standard input, the only way to stop the editor's read once it is woken.
fn end_input() {
    #[cfg(unix)]
    if let Ok(nothing) = std::fs::File::open("/dev/null")
        && let Err(error) = rustix::stdio::dup2_stdin(nothing)
    {
        log::debug!("cannot end the input: {error}");
    }
}
