//! The terminal of `watch`: the alternate screen, without echo and cursor.

use super::View;
use super::frame::frame;
use crate::client::app::no_color;
use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::style::Print;
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen,
};
use crossterm::{execute, queue};
use std::io::{self, BufWriter, Write};
use std::panic;
use std::time::Duration;

/// The terminal; restored when dropped, and before the message of a panic.
pub(super) struct Screen {
    size: (u16, u16),
    colour: bool,
}

impl Screen {
    /// Takes over the terminal; `None` if it lacks the alternate screen.
    pub(super) fn open() -> io::Result<Option<Self>> {
        if std::env::var_os("TERM").is_none_or(|term| term == "dumb") && cfg!(unix) {
            return Ok(None);
        }
        let colour = !no_color();
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            restore();
            hook(info);
        }));
        terminal::enable_raw_mode()?;
        let screen = Self { size: (0, 0), colour };
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(Some(screen))
    }

    pub(super) fn draw(&mut self, view: &View) -> io::Result<()> {
        let size = terminal::size()?;
        let mut out = BufWriter::new(io::stdout().lock());
        queue!(out, BeginSynchronizedUpdate)?;
        if self.size != size {
            queue!(out, Clear(ClearType::All))?;
            self.size = size;
        }
        let rows = frame(view, size.0.into(), size.1.into(), self.colour);
        for (row, text) in (0..).zip(rows) {
            queue!(out, MoveTo(0, row), Print(text))?;
        }
        queue!(out, EndSynchronizedUpdate)?;
        out.flush()
    }

    /// Reads pressed keys, and redraws after a resize.
    pub(super) fn wants_to_leave(&mut self, view: &View) -> io::Result<bool> {
        let mut leave = false;
        let mut stale = false;
        if is_gone() {
            return Ok(true);
        }
        while event::poll(Duration::ZERO)? {
            match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Press => {
                    let control = key.modifiers.contains(KeyModifiers::CONTROL);
                    leave |= match key.code {
                        KeyCode::Char('q' | 'Q') | KeyCode::Esc => true,
                        KeyCode::Char('c' | 'd') => control,
                        _ => false,
                    };
                }
                Event::Resize(..) => stale = true,
                _ => {}
            }
        }
        if stale {
            self.draw(view)?;
        }
        Ok(leave)
    }
}

/// Whether the terminal was closed: crossterm would read the end of file in a loop.
fn is_gone() -> bool {
    #[cfg(unix)]
    {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let stdin = io::stdin();
        let mut terminal = [PollFd::new(&stdin, PollFlags::IN)];
        let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        let looked = poll(&mut terminal, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        looked.is_ok() && terminal[0].revents().intersects(gone)
    }
    #[cfg(not(unix))]
    false
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Errors are ignored: the terminal may have been closed.
fn restore() {
    let _ = terminal::disable_raw_mode();
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
}
