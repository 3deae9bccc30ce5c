//! The editor thread: reads a line, shows it, and passes it on.

use super::completion::{Completion, complete};
use super::layout::{TAB_STOP, after_resize, harmless, is_harmless, rows};
use super::prompt_state::PromptState;
use super::write;
use crate::client::app::commands::{Command, action};
use crate::client::app::farewell::Farewell;
use crate::net::Clock;
use crate::protocol::{MAX_TEXT_BYTES, clean, clip, split};
use crate::time::WallTime;
use crate::words::Language;
use rustyline::completion::Completer;
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::{DefaultHistory, History};
use rustyline::validate::Validator;
use rustyline::{
    ColorMode, CompletionType, Config, Context, Editor, ExternalPrinter, GraphemeClusterMode,
    Helper,
};
use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

/// The row of the status, which the highlighter fills in, and the prompt.
const PROMPT: &str = "\n> ";
/// Columns of the prompt's last row.
const INDENT: usize = 2;
/// Lines in the history of the editor, in memory only, for privacy.
const HISTORY: usize = 1000;
/// Makes the editor redraw without visible output: a row up and a row down.
const NUDGE: &str = "\u{1b}[A\n";
/// Largest number of names that are listed.
const MOST_LISTED: usize = 40;

/// An editor on standard input and output, not yet started.
pub(super) struct PromptEditor {
    editor: Editor<Assistant, DefaultHistory>,
    prompt: Arc<PromptState>,
    farewell: Farewell,
    mode: GraphemeClusterMode,
}

/// Why editing stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The last line left the room, the input ended, or the receiver of lines did.
    Done,
    /// Ctrl-C on an empty line.
    Interrupted,
}

impl PromptEditor {
    /// The editor, and a handle to wake it.
    pub(super) fn open(
        prompt: Arc<PromptState>,
        farewell: Farewell,
    ) -> io::Result<(Self, impl ExternalPrinter + Send)> {
        let mode = GraphemeClusterMode::from_env();
        let config = Config::builder()
            .completion_type(CompletionType::List)
            // The highlighter draws the status too, without colours if they are not wanted.
            .color_mode(ColorMode::Forced)
            .bell_style(rustyline::config::BellStyle::None)
            .grapheme_cluster_mode(mode)
            .tab_stop(TAB_STOP)
            .build();
        let mut editor = Editor::with_config(config).map_err(io::Error::other)?;
        editor.set_helper(Some(Assistant { prompt: prompt.clone(), mode }));
        editor.set_max_history_size(HISTORY).map_err(io::Error::other)?;
        let printer = editor.create_external_printer().map_err(io::Error::other)?;
        Ok((Self { editor, prompt, farewell, mode }, printer))
    }

    /// Edits until there is a reason to stop. Sends each parsed line to `typed`.
    pub(super) fn run(mut self, typed: &SyncSender<Command>) -> End {
        while self.prompt.begin() {
            match self.editor.readline(PROMPT) {
                Ok(input) => {
                    if !self.accept(&input, typed) {
                        return End::Done;
                    }
                }
                Err(ReadlineError::Interrupted) => {
                    let draft = std::mem::take(&mut self.prompt.lock().draft);
                    self.prompt.pause(self.height(&draft), "");
                    if draft.is_empty() {
                        return End::Interrupted;
                    }
                }
                Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    self.erase_draft();
                    let _ = self.prompt.print(&self.ask(&self.language().not_utf8()));
                }
                Err(ReadlineError::Eof)
                    if !self.prompt.is_closing()
                        && let Some(question) = self.farewell.question(self.language()) =>
                {
                    self.erase_draft();
                    let _ = self.prompt.print(&self.ask(&question));
                }
                Err(error) => {
                    self.erase_draft();
                    if !matches!(error, ReadlineError::Eof) && !self.prompt.is_closing() {
                        log::warn!("cannot read the terminal: {error}");
                    }
                    return End::Done;
                }
            }
        }
        End::Done
    }

    /// Splits a draft with several lines, from a paste. False if the editor has to stop.
    fn accept(&mut self, input: &str, typed: &SyncSender<Command>) -> bool {
        let style = self.prompt.style();
        let now = Clock::start().now().wall;
        let (mut said, mut go_on) = (String::new(), true);
        let mut meant = Vec::new();
        for line in input.split('\n') {
            let command = Command::parse(line);
            let question = match &command {
                Command::Nothing => continue,
                Command::Quit => self.farewell.question(style.language),
                _ => {
                    self.farewell.withdraw();
                    None
                }
            };
            match &command {
                Command::Say(text) => self.await_confirmation(now, text),
                Command::Act(text) => self.await_confirmation(now, &action(text)),
                Command::Clear => {
                    said = "\u{1b}[H\u{1b}[2J".to_owned();
                    continue;
                }
                _ => said.push_str(&(style.dim(&format!("> {}", clean(line))) + "\n")),
            }
            // The history in memory cannot fail.
            let _ = self.editor.history_mut().add(line);
            if let Some(question) = question {
                // The rest of a paste after a farewell is dropped.
                said.push_str(&self.ask(&question));
                said.push('\n');
                break;
            }
            go_on = command != Command::Quit;
            meant.push(command);
            if !go_on {
                break;
            }
        }
        self.prompt.pause(self.height(input), &said);
        // The editor is inactive while this waits for the network, so output goes to the screen
        // directly.
        go_on &= meant.into_iter().all(|command| typed.send(command).is_ok());
        go_on
    }

    /// Shows a line until the server confirms it, in the pieces in which the session sends it.
    fn await_confirmation(&self, now: WallTime, text: &str) {
        let line = clean(text);
        let pieces = split(&line, MAX_TEXT_BYTES).filter(|piece| !piece.trim().is_empty());
        self.prompt.with_unconfirmed(|own| own.push(now, pieces));
    }

    fn language(&self) -> Language {
        self.prompt.style().language
    }

    fn ask(&self, question: &str) -> String {
        self.prompt.style().error(&format!("! {question}"))
    }

    /// Rows of status and draft, with the cursor on the row after them.
    fn height(&self, draft: &str) -> usize {
        rows(draft, INDENT, super::columns(), self.mode) + 2
    }

    /// Stops the editor with the cursor inside the draft.
    fn erase_draft(&self) {
        let (draft, pos) = {
            let state = self.prompt.lock();
            (state.draft.clone(), state.pos)
        };
        let head = clip(&draft, pos);
        self.prompt.pause(self.height(head), "");
    }
}

/// Wakes the editor when output waits. A wake-up can block while the editor is inactive, so it has
/// a thread of its own, which is never joined.
pub(super) fn nudge(prompt: &PromptState, mut printer: impl ExternalPrinter) {
    while prompt.wait_for_nudge() {
        if printer.print(NUDGE.to_owned()).is_err() {
            return;
        }
    }
}

/// The callbacks of the editor.
struct Assistant {
    prompt: Arc<PromptState>,
    mode: GraphemeClusterMode,
}

impl Assistant {
    fn remember(&self, line: &str, pos: usize) {
        let state = &mut *self.prompt.lock();
        line.clone_into(&mut state.draft);
        state.pos = pos;
    }
}

impl Helper for Assistant {}

impl Validator for Assistant {}

impl Hinter for Assistant {
    type Hint = String;

    /// Called right before each redraw. After a resize the editor assumes wrong rows, and would
    /// erase lines of the room.
    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<String> {
        if let Some(drawn) = self.prompt.resized(line, pos) {
            let head = clip(line, pos);
            let now = super::columns();
            // The next write would fail too, and its error is handled.
            let _ = write(&after_resize(line, head, INDENT, &drawn, now, self.mode));
        }
        self.remember(line, pos);
        None
    }
}

impl Highlighter for Assistant {
    /// Draws waiting output above the status. The status never wraps, so the editor need not know
    /// its width.
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, own: bool) -> Cow<'b, str> {
        Cow::Owned(self.prompt.draw(own) + prompt)
    }

    /// The draft, made safe by [`harmless`].
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        harmless(line, self.mode)
    }

    /// Requests a redraw of the whole line, since the editor would draw a typed character raw.
    fn highlight_char(&self, line: &str, pos: usize, _: CmdKind) -> bool {
        self.remember(line, pos);
        !is_harmless(line)
    }
}

impl Completer for Assistant {
    type Candidate = String;

    /// At most one candidate: the editor's list of several would wait for a key and block output.
    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let names = |present: &std::collections::BTreeSet<String>| {
            complete(line, pos, present.iter().map(String::as_str))
        };
        match self.prompt.with_present(names) {
            Completion::Nothing => Ok((0, Vec::new())),
            Completion::Replace(start, text) => Ok((start, vec![text])),
            Completion::Ambiguous(mut all) => {
                let more = all.len().saturating_sub(MOST_LISTED);
                all.truncate(MOST_LISTED);
                if more > 0 {
                    all.push(self.prompt.style().language.and_more(more).trim().to_owned());
                }
                let _ =
                    self.prompt.print(&self.prompt.style().dim(&format!("* {}", all.join("  "))));
                Ok((0, Vec::new()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{columns, prompt_state::Drawn};
    use super::*;
    use crate::client::app::style::Style;

    #[test]
    fn a_redraw_before_the_editor_has_heard_of_a_resize_is_for_the_old_width() {
        let prompt = PromptState::new("server".to_owned(), "alice", Style::default());
        let old = columns() + 50;
        prompt.lock().drawn = Some(Drawn { columns: old, rows: vec![old - 1] });
        prompt.draw(true);
        assert_eq!(prompt.resized("", 0).unwrap().columns, old);
        prompt.draw(true);
        assert!(prompt.resized("", 0).is_none());
    }
}
