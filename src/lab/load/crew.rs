//! The clients of a program under test: processes whose lines are written and whose output is read
//! in one thread, so that all times are of one clock.

mod member;

use crate::lab::program::token::{Seen, Token};
use crate::lab::program::{Program, fill};
use crate::lab::record::{Ended, Error, ErrorOutput, OutputWriter};
use crate::net::Clock;
use crate::time::{Now, Timestamp};
use member::{Member, Stream};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal, WaitOptions};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// Interval at which ended processes are noticed.
const CHECK: Duration = Duration::from_millis(20);
/// An answer follows what a client printed, or this long a silence.
const QUESTION_WAIT: Duration = Duration::from_secs(1);
/// A client that is told to end has this long.
const END_WAIT: Duration = Duration::from_millis(500);
/// Killed processes are gone within this time, unless the kernel is stuck.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// Whether a client took a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It did.
    Line,
    /// Its input is full: [`Crew::wait`] returns when it has room.
    Full,
    /// It ended, or closed its input.
    Closed,
}

/// The running clients, by index.
pub(super) struct Crew {
    members: Vec<Member>,
    clock: Clock,
    token: Token,
    output: OutputWriter,
    /// Lines of before the epoch was known.
    early: Vec<(usize, Timestamp, bool, String)>,
    epoch: Option<Timestamp>,
    events: VecDeque<(usize, Seen, Timestamp)>,
    checked: Timestamp,
    /// Bytes that a client may print.
    limit: u64,
    duration: Duration,
    /// The run is over: what clients print now is in no row, so it is not in their output either.
    is_over: bool,
}

impl Crew {
    /// An empty crew for a run of this duration. From now on, the kernel makes this process the
    /// parent of all orphans among its descendants; it must have no other children.
    pub(super) fn new(
        token: Token,
        dir: &Path,
        limit: u64,
        duration: Duration,
    ) -> Result<Self, Error> {
        let own = rustix::process::getpid();
        if let Err(error) = rustix::process::set_child_subreaper(Some(own)) {
            log::warn!("children of clients may stay behind: {error}");
        }
        Ok(Self {
            members: Vec::new(),
            clock: Clock::start(),
            token,
            output: OutputWriter::create(dir)?,
            early: Vec::new(),
            epoch: None,
            events: VecDeque::new(),
            checked: Timestamp::ZERO,
            limit,
            duration,
            is_over: false,
        })
    }

    pub(super) fn now(&self) -> Now {
        self.clock.now()
    }

    /// Starts a client under this name.
    pub(super) fn start(
        &mut self,
        program: &Program,
        name: &str,
        server: SocketAddr,
    ) -> io::Result<()> {
        let (host, port) = (server.ip().to_string(), server.port().to_string());
        let values = [("{host}", &*host), ("{port}", &*port), ("{nick}", name)];
        let words = program.client.fill(&values);
        let answers = program.answers.iter().map(|it| fill(it, &values));
        let now = self.now().mono;
        let answers = answers.collect();
        let (token, pty) = (&self.token, program.pty);
        self.members.push(Member::start(name, &words, answers, token, self.duration, pty, now)?);
        Ok(())
    }

    /// Times in the output and of ends count from here.
    pub(super) fn set_epoch(&mut self, epoch: Timestamp) -> Result<(), Error> {
        self.epoch = Some(epoch);
        for (index, at, ended, text) in std::mem::take(&mut self.early) {
            self.output.write(
                &self.members[index].name,
                micros_between(at, epoch),
                ended,
                &text,
            )?;
        }
        Ok(())
    }

    /// Writes a line to a client.
    pub(super) fn say(&mut self, index: usize, text: &str) -> Taken {
        self.members[index].say(text)
    }

    /// The next text that a client has printed.
    pub(super) fn poll_event(&mut self) -> Option<(usize, Seen, Timestamp)> {
        self.events.pop_front()
    }

    /// Returns true if the client runs.
    pub(super) fn is_running(&self, index: usize) -> bool {
        self.members[index].end.is_none()
    }

    /// Returns true once a client has all its answers, and has reacted or had time to.
    pub(super) fn is_settled(&self, index: usize) -> bool {
        self.members[index].is_settled(self.now().mono, QUESTION_WAIT)
    }

    /// Fused and cut messages in the output of these clients, each with its first line.
    pub(super) fn faults(&self, of: std::ops::Range<usize>) -> ([u64; 2], [Option<String>; 2]) {
        let scanners = || self.members[of.clone()].iter().map(|it| &it.scanner);
        let sums = [scanners().map(|it| it.fused).sum(), scanners().map(|it| it.cut).sum()];
        let samples = [
            scanners().find_map(|it| it.fused_sample.clone()),
            scanners().find_map(|it| it.cut_sample.clone()),
        ];
        (sums, samples)
    }

    /// The clients that have ended.
    pub(super) fn ended(&self) -> Vec<Ended> {
        let epoch = self.epoch.unwrap_or_else(|| self.now().mono);
        let end = |it: &Member| {
            let (how, at) = it.end.clone().filter(|_| !it.dismissed)?;
            Some(Ended { who: it.name.to_string(), how, at_us: micros_between(at, epoch) })
        };
        self.members.iter().filter_map(end).collect()
    }

    /// The end of each client's error output, where there is any.
    pub(super) fn errors(&self) -> Vec<ErrorOutput> {
        let printed = |it: &Member| {
            let text = it.errors();
            (!text.is_empty() && !it.dismissed)
                .then(|| ErrorOutput { who: it.name.to_string(), text })
        };
        self.members.iter().filter_map(printed).collect()
    }

    /// Kills a client, as closing its window does, and forgets it: its end is no fault.
    pub(super) fn dismiss(&mut self, index: usize) {
        self.members[index].kill();
        self.members[index].dismissed = true;
    }

    /// Waits for output, room for a line, or `until`. Answers questions and notices ends.
    pub(super) fn wait(&mut self, until: Timestamp) -> Result<(), Error> {
        let now = self.now().mono;
        let timeout = until.since(now).min(CHECK);
        let timeout =
            Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() };
        let ready: Vec<(usize, Stream)> = {
            let (mut fds, mut whose) = (Vec::new(), Vec::new());
            for (index, member) in self.members.iter().enumerate() {
                for (stream, fd, flags) in member.descriptors() {
                    fds.push(PollFd::from_borrowed_fd(fd, flags));
                    whose.push((index, stream));
                }
            }
            match rustix::event::poll(&mut fds, Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Error::io("poll", Path::new("pipes"))(error.into())),
            }
            let ready = fds.iter().zip(whose);
            ready.filter(|(fd, _)| fd.revents() != PollFlags::empty()).map(|it| it.1).collect()
        };
        for (index, stream) in ready {
            self.serve(index, stream)?;
        }
        let now = self.now().mono;
        if now.since(self.checked) >= CHECK {
            self.checked = now;
            for index in 0..self.members.len() {
                self.members[index].answer(now, QUESTION_WAIT);
                if self.members[index].notice_end(now) {
                    // What it printed last is still in its pipes.
                    self.serve(index, Stream::Output)?;
                    self.serve(index, Stream::Errors)?;
                }
            }
        }
        Ok(())
    }

    fn serve(&mut self, index: usize, stream: Stream) -> Result<(), Error> {
        let now = self.now().mono;
        let member = &mut self.members[index];
        let seen = match stream {
            Stream::Input => {
                member.resume_input();
                return Ok(());
            }
            Stream::Errors => {
                member.read_errors(self.limit);
                return Ok(());
            }
            Stream::Output => member.read_output(now, self.limit),
        };
        self.events.extend(seen.into_iter().map(|it| (index, it, now)));
        self.log(index, now)
    }

    /// Writes the lines that have ended.
    fn log(&mut self, index: usize, now: Timestamp) -> Result<(), Error> {
        let member = &mut self.members[index];
        for line in member.scanner.take_lines() {
            match self.epoch {
                _ if self.is_over => {}
                None => self.early.push((index, now, line.ended, line.text)),
                Some(epoch) => {
                    let at_us = micros_between(now, epoch);
                    self.output.write(&member.name, at_us, line.ended, &line.text)?;
                }
            }
        }
        Ok(())
    }

    /// Reads what the clients have printed by now, and ends their last lines.
    pub(super) fn finish_output(&mut self) -> Result<(), Error> {
        for index in 0..self.members.len() {
            self.serve(index, Stream::Output)?;
            self.serve(index, Stream::Errors)?;
            self.members[index].scanner.finish();
            let now = self.now().mono;
            self.log(index, now)?;
        }
        Ok(())
    }

    /// Ends all clients with all their children, whatever sessions these have begun. Nothing that
    /// they print now counts.
    pub(super) fn end(mut self) -> Result<(), Error> {
        self.is_over = true;
        for member in &mut self.members {
            member.close_input();
            member.signal(Signal::TERM);
        }
        let deadline = self.now().mono + END_WAIT;
        while self.now().mono < deadline && (0..self.members.len()).any(|it| self.is_running(it)) {
            self.wait(deadline)?;
        }
        self.output.flush()
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.members.iter_mut().for_each(Member::kill);
        end_children(self.clock);
    }
}

/// Kills the children of this process until it has none: orphans become its children.
fn end_children(clock: Clock) {
    let deadline = clock.now().mono + KILL_WAIT;
    let own = rustix::process::getpid();
    while clock.now().mono < deadline {
        for child in children_of(own) {
            let _ = rustix::process::kill_process(child, Signal::KILL);
        }
        loop {
            match rustix::process::waitpid(None, WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return, // no child is left
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    log::warn!("a process of the program could not be killed");
}

fn children_of(parent: Pid) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.filter_map(|it| it.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |number: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        // The name of the process, in parentheses, may hold anything.
        let rest = stat.rsplit_once(')').map_or("", |it| it.1);
        rest.split_whitespace().nth(1) == Some(&parent.as_raw_nonzero().to_string())
    };
    numbers.filter(is_child).filter_map(Pid::from_raw).collect()
}

fn micros_between(at: Timestamp, epoch: Timestamp) -> i64 {
    let (at, epoch) = (i64::try_from(at.as_micros()), i64::try_from(epoch.as_micros()));
    at.unwrap_or(i64::MAX).saturating_sub(epoch.unwrap_or(i64::MAX))
}
