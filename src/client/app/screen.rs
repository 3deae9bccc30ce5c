//! Standard output, flushed after each line, or a terminal with an editor. Used by the main thread
//! only.

use super::addressed::{Addressed, Bell};
use super::cache::CachedLine;
use super::no_color::no_color;
use super::output::{Days, Format, said_at};
use super::session::{CloseReason, Condition, Event, Notice, Report};
use super::style::Style;
use super::terminal::{self, Terminal};
use crate::net::Clock;
use crate::time::WallTime;
use crate::words::Language;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// Standard output, with or without an editor.
#[derive(Debug)]
pub(super) struct Screen {
    format: Format,
    language: Language,
    colour: bool,
    days: Arc<Days>,
    terminal: Option<Terminal>,
    addressed: Addressed,
    bell: Bell,
    broken: Option<io::Error>,
}

impl Screen {
    /// `bell`: whether the terminal's bell rings for lines that address this user.
    pub(super) fn new(format: Format, language: Language, bell: bool) -> Self {
        // Escape codes only on terminals that want them (no-color.org).
        let wanted = !no_color() && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        let colour = wanted && io::stdout().is_terminal();
        let days = Arc::new(Days::since(Clock::start().now().wall));
        let bell = Bell::new(bell && format == Format::Text && io::stdout().is_terminal());
        let addressed = Addressed::default();
        Self { format, language, colour, days, terminal: None, addressed, bell, broken: None }
    }

    /// The style of lines.
    pub(super) fn style(&self) -> Style {
        let width = io::stdout().is_terminal().then(terminal::columns);
        Style { language: self.language, colour: self.colour, width, addressed: false }
    }

    /// The language of the user.
    pub(super) fn language(&self) -> Language {
        self.language
    }

    /// Days of the lines shown.
    pub(super) fn days(&self) -> Arc<Days> {
        self.days.clone()
    }

    /// Sets the active editor; `None` removes it.
    pub(super) fn set_terminal(&mut self, terminal: Option<Terminal>) {
        self.terminal = terminal;
    }

    /// Whether the status is visible.
    pub(super) fn has_status(&self) -> bool {
        self.terminal.is_some()
    }

    /// Shows the status, if there is a line for it.
    pub(super) fn set_status(
        &self,
        server: Option<SocketAddr>,
        condition: Condition,
        report: Option<Report>,
    ) {
        if let Some(terminal) = &self.terminal {
            terminal.set_status(server, condition, report);
        }
    }

    /// Whether the reader closed the output.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// The error of the output; a closed pipe is none.
    pub(super) fn into_error(self) -> Option<io::Error> {
        self.broken.filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
    }

    /// Updates the peers in the status, if it is visible.
    pub(super) fn note(&self, event: &Event) {
        if let Some(terminal) = &self.terminal {
            terminal.note(event);
        }
    }

    pub(super) fn show(&mut self, event: &Event) {
        self.note(event);
        if let Some(terminal) = &self.terminal {
            let shown = terminal.settle(event);
            self.printed(shown);
        }
        let addressed = self.addressed.reads(event);
        if let Some(line) = self.format.event(event, Style { addressed, ..self.style() }) {
            self.divide(said_at(event));
            let bell = if addressed { self.bell.ring(Instant::now()) } else { "" };
            self.print(&format!("{bell}{line}"));
        }
    }

    /// Some events were dropped: this client's lines on the screen may wait for one of them.
    pub(super) fn events_dropped(&mut self, count: u64) {
        if let Some(terminal) = &self.terminal {
            terminal.leave_unconfirmed();
        }
        self.status(&self.language.events_not_shown(count));
    }

    pub(super) fn cached(&mut self, line: &CachedLine) {
        self.divide(Some(line.at));
        self.print(&self.format.cached(line, self.style()));
    }

    pub(super) fn error(&mut self, message: &str) {
        self.show(&Event::Error { notice: Notice::Worded(message.to_owned()) });
    }

    pub(super) fn status(&mut self, text: &str) {
        self.show(&Event::Status { notice: Notice::Worded(text.to_owned()) });
    }

    /// Prints the end of the session.
    pub(super) fn close(&mut self, reason: CloseReason) -> CloseReason {
        self.show(&Event::Closed { reason });
        reason
    }

    /// Prints a divider if the next line is of another day, in text format.
    fn divide(&mut self, at: Option<WallTime>) {
        let at = at.filter(|_| self.format == Format::Text);
        if let Some(divider) = at.and_then(|at| self.days.divider(at, self.style())) {
            self.print(&divider);
        }
    }

    fn print(&mut self, line: &str) {
        let printed = match &self.terminal {
            Some(terminal) => terminal.print(line),
            None => {
                let mut out = io::stdout().lock();
                writeln!(out, "{line}").and_then(|()| out.flush())
            }
        };
        self.printed(printed);
    }

    fn printed(&mut self, printed: io::Result<()>) {
        if self.broken.is_none() {
            self.broken = printed.err();
        }
    }
}
