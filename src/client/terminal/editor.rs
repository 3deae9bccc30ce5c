//! The thread that edits: reads a line, shows it as said, hands it on.

use super::completion::{Completion, complete};
use super::layout::{TAB_STOP, after_resize, harmless, is_harmless, rows};
use super::prompt_state::PromptState;
use super::write;
use crate::client::commands::{Command, action};
use crate::client::farewell::Farewell;
use crate::client::output::{self, Days};
use crate::net::Clock;
use crate::protocol::{clean, clip};
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
/// Typed lines that can be had again. In memory alone: what people write is nobody's business.
const HISTORY: usize = 1000;
/// Makes the editor draw anew and shows nothing itself: a row up and a row down.
const NUDGE: &str = "\u{1b}[A\n";
/// More names than this are not listed.
const MOST_LISTED: usize = 40;

/// An editor on standard input and output, not yet started.
pub(super) struct PromptEditor {
    editor: Editor<Assistant, DefaultHistory>,
    prompt: Arc<PromptState>,
    days: Arc<Days>,
    farewell: Farewell,
    mode: GraphemeClusterMode,
}

/// Why editing stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The last line said so, there is no more input, or nobody takes lines any more.
    Done,
    /// Ctrl-C on an empty line.
    Interrupted,
}

impl PromptEditor {
    /// The editor, and what nudges it.
    pub(super) fn open(
        prompt: Arc<PromptState>,
        days: Arc<Days>,
        farewell: Farewell,
    ) -> io::Result<(Self, impl ExternalPrinter + Send)> {
        let mode = GraphemeClusterMode::from_env();
        let config = Config::builder()
            .completion_type(CompletionType::List)
            // The highlighter draws the status too: where nobody wants colours it uses none.
            .color_mode(ColorMode::Forced)
            .bell_style(rustyline::config::BellStyle::None)
            .grapheme_cluster_mode(mode)
            .tab_stop(TAB_STOP)
            .build();
        let mut editor = Editor::with_config(config).map_err(io::Error::other)?;
        editor.set_helper(Some(Assistant { prompt: prompt.clone(), mode }));
        editor.set_max_history_size(HISTORY).map_err(io::Error::other)?;
        let printer = editor.create_external_printer().map_err(io::Error::other)?;
        Ok((Self { editor, prompt, days, farewell, mode }, printer))
    }

    /// Edits until there is a reason to stop. Each line goes to `typed` as what it means.
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
                    self.prompt.pause(&self.erase(&draft), "");
                    if draft.is_empty() {
                        return End::Interrupted;
                    }
                }
                Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    self.erase_draft();
                    let _ = self.prompt.print(&self.prompt.style().error("! that was not UTF-8"));
                }
                Err(ReadlineError::Eof)
                    if !self.prompt.is_closing()
                        && let Some(question) = self.farewell.question() =>
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

    /// A draft of several lines, as a paste makes it, is several lines. False when there is no going on.
    fn accept(&mut self, input: &str, typed: &SyncSender<Command>) -> bool {
        let style = self.prompt.style();
        let (name, now) = (self.prompt.nickname(), Clock::start().now().wall);
        let (mut said, mut go_on) = (String::new(), true);
        let mut meant = Vec::new();
        for line in input.split('\n') {
            let command = Command::parse(line);
            let question = match &command {
                Command::Nothing => continue,
                Command::Quit => self.farewell.question(),
                _ => {
                    self.farewell.withdraw();
                    None
                }
            };
            if matches!(command, Command::Say(_) | Command::Act(_))
                && let Some(divider) = self.days.divider(now, style)
            {
                said.push_str(&divider);
                said.push('\n');
            }
            let shown = match &command {
                Command::Say(text) => output::own(now, &name, &clean(text), style),
                Command::Act(text) => output::own(now, &name, &clean(&action(text)), style),
                Command::Clear => {
                    said = "\u{1b}[H\u{1b}[2J".to_owned();
                    continue;
                }
                _ => style.dim(&format!("> {}", clean(line))),
            };
            said.push_str(&shown);
            said.push('\n');
            // Memory cannot fail.
            let _ = self.editor.history_mut().add(line);
            if let Some(question) = question {
                // What was pasted after it is not said: a farewell was meant.
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
        self.prompt.pause(&self.erase(input), &said);
        // Nobody edits while this waits for the network: what comes is shown all the same.
        go_on &= meant.into_iter().all(|command| typed.send(command).is_ok());
        go_on
    }

    fn ask(&self, question: &str) -> String {
        self.prompt.style().error(&format!("! {question}"))
    }

    /// What wipes the status and a draft away, with the cursor on the row after it.
    fn erase(&self, draft: &str) -> String {
        let up = rows(draft, INDENT, super::columns(), self.mode) + 2;
        format!("\u{1b}[{up}A\r\u{1b}[J")
    }

    /// The same for a draft left with the cursor somewhere in it.
    fn erase_draft(&self) {
        let (draft, pos) = {
            let state = self.prompt.lock();
            (state.draft.clone(), state.pos)
        };
        let head = clip(&draft, pos);
        self.prompt.pause(&self.erase(head), "");
    }
}

/// Has the editor draw whenever something waits to be shown. A nudge can block while nobody edits, so it
/// has a thread of its own, for which nobody waits.
pub(super) fn nudge(prompt: &PromptState, mut printer: impl ExternalPrinter) {
    while prompt.wait_for_nudge() {
        if printer.print(NUDGE.to_owned()).is_err() {
            return;
        }
    }
}

/// What the editor asks while it edits.
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

    /// Not for hints: the editor asks here right before it draws again. When the terminal was resized its
    /// rows are no longer where the editor believes them, and it would wipe lines of the room away.
    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<String> {
        if let Some(drawn) = self.prompt.resized(line, pos) {
            let head = clip(line, pos);
            let now = super::columns();
            // The next write would fail as well, and is heeded.
            let _ = write(&after_resize(line, head, INDENT, &drawn, now, self.mode));
        }
        self.remember(line, pos);
        None
    }
}

impl Highlighter for Assistant {
    /// Draws what waits above the status. Its row never wraps, so the editor need not know its width.
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, own: bool) -> Cow<'b, str> {
        let (waiting, status) = self.prompt.draw();
        Cow::Owned(if own { format!("{waiting}{status}{prompt}") } else { waiting + prompt })
    }

    /// The draft: see [`harmless`].
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        harmless(line, self.mode)
    }

    /// A character that is typed is drawn as it is, unless this asks for the whole line.
    fn highlight_char(&self, line: &str, pos: usize, _: CmdKind) -> bool {
        self.remember(line, pos);
        !is_harmless(line)
    }
}

impl Completer for Assistant {
    type Candidate = String;

    /// At most one candidate: the editor's own list of several would wait for a key and show no line
    /// meanwhile.
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
                    all.push(format!("and {more} more"));
                }
                let _ =
                    self.prompt.print(&self.prompt.style().dim(&format!("* {}", all.join("  "))));
                Ok((0, Vec::new()))
            }
        }
    }
}
