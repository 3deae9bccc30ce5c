//! One client: its process, its pipes, and what it has printed.

use super::Taken;
use crate::lab::program::confine::{confine, describe};
use crate::lab::program::token::{Scanner, Seen, Token};
use crate::lab::program::{command, pty};
use crate::protocol::clean_lines;
use crate::time::Timestamp;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, ChildStderr, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Limit on the error output kept of a client, bytes: its end.
const MAX_ERRORS: usize = 2_000;

/// A pipe of a client. Of a terminal, two are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Input,
    Output,
    Errors,
}

pub(super) struct Member {
    pub(super) name: Arc<str>,
    child: Child,
    input: Option<OwnedFd>,
    /// Its input had no room for the last line.
    pub(super) is_full: bool,
    /// The rest of a line of which a terminal took the beginning.
    unsent: Vec<u8>,
    /// The key that ends a line.
    enter: char,
    output: Option<OwnedFd>,
    error_output: Option<ChildStderr>,
    pub(super) scanner: Scanner,
    printed: u64,
    error_tail: Vec<u8>,
    answers: VecDeque<String>,
    /// True if it printed something since the last answer, or since its start.
    has_reacted: bool,
    /// The time of the last answer, or of its start.
    since: Timestamp,
    /// How and when it ended.
    pub(super) end: Option<(String, Timestamp)>,
    printed_too_much: bool,
    pub(super) dismissed: bool,
}

impl Member {
    pub(super) fn start(
        name: &str,
        words: &[String],
        answers: VecDeque<String>,
        token: &Token,
        duration: Duration,
        has_pty: bool,
        now: Timestamp,
    ) -> io::Result<Self> {
        let mut command = command(words);
        let ours = if has_pty {
            let (ours, theirs) = pty::open()?;
            command.stdin(theirs.try_clone()?).stdout(theirs);
            Some((ours.try_clone()?, ours))
        } else {
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            None
        };
        command.stderr(Stdio::piped());
        confine(&mut command, duration, has_pty);
        let mut child = command.spawn()?;
        // It has the program's side of the terminal, whose end this process would not notice.
        drop(command);
        let pipes = (child.stdin.take().map(OwnedFd::from), child.stdout.take().map(OwnedFd::from));
        let (input, output) = ours.map_or(pipes, |(input, output)| (Some(input), Some(output)));
        let error_output = child.stderr.take();
        let member = Self {
            name: name.into(),
            child,
            input,
            is_full: false,
            unsent: Vec::new(),
            enter: if has_pty { '\r' } else { '\n' },
            output,
            error_output,
            scanner: Scanner::new(token),
            printed: 0,
            error_tail: Vec::new(),
            answers,
            has_reacted: false,
            since: now,
            end: None,
            printed_too_much: false,
            dismissed: false,
        };
        for (_, fd, _) in member.all_descriptors() {
            rustix::io::ioctl_fionbio(fd, true)?;
        }
        Ok(member)
    }

    fn all_descriptors(&self) -> impl Iterator<Item = (Stream, BorrowedFd<'_>, PollFlags)> {
        let input = self.input.as_ref().map(|it| (Stream::Input, it.as_fd(), PollFlags::OUT));
        let output = self.output.as_ref().map(|it| (Stream::Output, it.as_fd(), PollFlags::IN));
        let errors =
            self.error_output.as_ref().map(|it| (Stream::Errors, it.as_fd(), PollFlags::IN));
        input.into_iter().chain(output).chain(errors)
    }

    /// The descriptors to wait for: its output, and its input if that was full.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = (Stream, BorrowedFd<'_>, PollFlags)> {
        self.all_descriptors().filter(|it| it.0 != Stream::Input || self.is_full)
    }

    /// Writes a line. A pipe takes all of it or nothing, up to 4,096 bytes (pipe(7)).
    pub(super) fn say(&mut self, text: &str) -> Taken {
        if self.is_full {
            return Taken::Full;
        }
        let line = format!("{text}{}", self.enter).into_bytes();
        match self.write(&line) {
            Ok(0) => Taken::Full,
            Ok(length) => {
                self.unsent = line[length..].to_vec();
                Taken::Line
            }
            Err(_) => Taken::Closed,
        }
    }

    /// Its input has room again.
    pub(super) fn resume_input(&mut self) {
        self.is_full = false;
        let unsent = std::mem::take(&mut self.unsent);
        if !unsent.is_empty()
            && let Ok(length) = self.write(&unsent)
        {
            self.unsent = unsent[length..].to_vec();
        }
    }

    /// Writes to its input, and notes whether there was room. Returns how much was taken.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let input = self.input.as_ref().ok_or(Errno::BADF)?;
        match rustix::io::write(input, bytes) {
            Ok(length) => {
                self.is_full = length < bytes.len();
                Ok(length)
            }
            Err(Errno::AGAIN | Errno::INTR) => {
                self.is_full = true;
                Ok(0)
            }
            Err(error) => {
                self.input = None;
                self.is_full = false;
                Err(error)
            }
        }
    }

    pub(super) fn is_settled(&self, now: Timestamp, wait: Duration) -> bool {
        self.end.is_some()
            || (self.answers.is_empty() && (self.has_reacted || now.since(self.since) >= wait))
    }

    /// Gives the next answer once the client has asked, or has been silent for `wait`.
    pub(super) fn answer(&mut self, now: Timestamp, wait: Duration) {
        if !self.has_reacted && now.since(self.since) < wait {
            return;
        }
        let Some(answer) = self.answers.front().cloned() else { return };
        if self.say(&answer) != Taken::Full {
            self.answers.pop_front();
            self.has_reacted = false;
            self.since = now;
        }
    }

    pub(super) fn read_output(&mut self, now: Timestamp, limit: u64) -> Vec<Seen> {
        let mut seen = Vec::new();
        let mut buffer = [0; 16_384];
        while let Some(output) = &self.output {
            match rustix::io::read(output, &mut buffer) {
                Ok(0) => self.output = None,
                Ok(length) => {
                    self.has_reacted = true;
                    self.note_printed(length, limit);
                    seen.append(&mut self.scanner.push(&buffer[..length]));
                    if self.printed_too_much {
                        self.output = None;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => {
                    log::debug!("{} at {now:?}: {error}", self.name);
                    self.output = None;
                }
            }
        }
        seen
    }

    pub(super) fn read_errors(&mut self, limit: u64) {
        let mut buffer = [0; 4_096];
        while let Some(errors) = &self.error_output {
            match rustix::io::read(errors, &mut buffer) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Ok(0) | Err(_) => self.error_output = None,
                Ok(length) => {
                    self.has_reacted = true;
                    self.note_printed(length, limit);
                    self.error_tail.extend_from_slice(&buffer[..length]);
                    let too_much = self.error_tail.len().saturating_sub(MAX_ERRORS);
                    self.error_tail.drain(..too_much);
                    if self.printed_too_much {
                        self.error_output = None;
                    }
                }
            }
        }
    }

    fn note_printed(&mut self, length: usize, limit: u64) {
        self.printed = self.printed.saturating_add(length as u64);
        if self.printed > limit && !self.printed_too_much {
            self.printed_too_much = true;
            self.kill();
        }
    }

    /// The end of its error output, for people.
    pub(super) fn errors(&self) -> String {
        clean_lines(String::from_utf8_lossy(&self.error_tail).trim()).to_string()
    }

    /// Returns true if it has ended since the last call.
    pub(super) fn notice_end(&mut self, now: Timestamp) -> bool {
        if self.end.is_some() {
            return false;
        }
        let Ok(Some(status)) = self.child.try_wait() else { return false };
        let how = if self.printed_too_much {
            "killed: it printed too much".to_owned()
        } else {
            describe(status)
        };
        self.end = Some((how, now));
        true
    }

    pub(super) fn close_input(&mut self) {
        self.input = None;
    }

    /// Signals it and its children, unless these have begun sessions of their own.
    pub(super) fn signal(&self, signal: Signal) {
        if self.end.is_none()
            && let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }

    pub(super) fn kill(&mut self) {
        self.signal(Signal::KILL);
    }
}
