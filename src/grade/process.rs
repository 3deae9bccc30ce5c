//! The client's process: its start, its limits, its output.

use super::Error;
#[cfg(target_os = "linux")]
use super::survivors::{self, Mark};
use crate::time::Timestamp;
#[cfg(target_os = "linux")]
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::SyncSender;
use std::thread;
#[cfg(target_os = "linux")]
use std::time::Duration;

/// A report of the threads that read the process and the sockets.
pub(super) enum Input {
    /// A datagram arrived at the referee's socket, at this time.
    Datagram(Vec<u8>, SocketAddr, Timestamp),
    /// The client connected over TCP.
    Opened(u64, TcpStream, SocketAddr),
    /// A connection brought bytes.
    Bytes(u64, Vec<u8>),
    /// A connection ended.
    Closed(u64),
    /// The client printed a line.
    Printed(String),
    /// The client wrote a line to its standard error.
    Complained(String),
    /// The client printed more than the limit.
    Flooded,
    /// One of the client's two outputs ended.
    End,
}

/// Output of a client that is read, bytes. A client that follows the contract prints a tenth.
const MAX_OUTPUT: u64 = 1 << 20;
/// Lines of output that are read: each wait looks at all of them.
const MAX_LINES: usize = 10_000;
/// Longest line that is read, bytes.
const MAX_LINE: u64 = 1 << 14;
/// Processor time, beyond which the kernel ends the client.
#[cfg(target_os = "linux")]
const CPU_TIME: Duration = Duration::from_secs(30);

/// A running client. Dropping it ends the process and those it started.
pub(super) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    #[cfg(target_os = "linux")]
    mark: Mark,
}

impl Process {
    /// Starts the client with two more arguments.
    pub(super) fn start(
        command: &[OsString],
        address: &str,
        name: &str,
        inputs: &SyncSender<Input>,
    ) -> Result<Self, Error> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(std::io::Error::from(std::io::ErrorKind::InvalidInput).into());
        };
        let mut start = Command::new(program);
        start.args(arguments).arg(address).arg(name);
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("CHATAGRAM_") {
                start.env_remove(variable);
            }
        }
        // Else Python keeps what it prints to a pipe, and reads a pipe in the locale's encoding.
        start.env("PYTHONUNBUFFERED", "1").env("PYTHONUTF8", "1").env("TERM", "dumb");
        start.env("PYTHONDONTWRITEBYTECODE", "1");
        start.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(target_os = "linux")]
        crate::lab::program::confine::confine(&mut start, CPU_TIME, false);
        let failed = |cause| Error::Start {
            command: program.to_string_lossy().into_owned(),
            hint: hint(&cause),
            cause,
        };
        #[cfg(target_os = "linux")]
        let (mut child, mark) = survivors::start(&mut start).map_err(failed)?;
        #[cfg(not(target_os = "linux"))]
        let mut child = start.spawn().map_err(failed)?;
        let stdin = child.stdin.take();
        if let Some(output) = child.stdout.take() {
            let inputs = inputs.clone();
            thread::spawn(move || {
                let flooded = read(output, |line| inputs.send(Input::Printed(line)).is_ok());
                let _ = inputs.send(if flooded { Input::Flooded } else { Input::End });
            });
        }
        if let Some(errors) = child.stderr.take() {
            let inputs = inputs.clone();
            thread::spawn(move || {
                read(errors, |line| inputs.send(Input::Complained(line)).is_ok());
                let _ = inputs.send(Input::End);
            });
        }
        Ok(Self {
            child,
            stdin,
            #[cfg(target_os = "linux")]
            mark,
        })
    }

    /// The number of the process, which leads a session.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Types a line. All that a scenario types fits into a pipe, so this does not block.
    pub(super) fn type_line(&mut self, line: &str) {
        if let Some(stdin) = &mut self.stdin {
            // A client that has ended is judged by that.
            let _ = stdin.write_all(format!("{line}\n").as_bytes());
        }
    }

    /// Ends the input.
    pub(super) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// How the process ended, if it did. Then those that it started end too.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        #[cfg(target_os = "linux")]
        self.end_group(WaitIdOptions::NOHANG);
        let status = self.child.try_wait().ok().flatten();
        #[cfg(target_os = "linux")]
        if status.is_some() {
            self.end_survivors();
        }
        status
    }

    /// Kills the group of the process, if that has ended and was not waited for: its number is its
    /// own until then. It leads a group.
    #[cfg(target_os = "linux")]
    fn end_group(&self, options: WaitIdOptions) {
        let pid = Pid::from_child(&self.child);
        let options = options | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        if let Ok(Some(_)) = waitid(WaitId::Pid(pid), options) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    /// Kills those of its processes that have left its group.
    #[cfg(target_os = "linux")]
    fn end_survivors(&self) {
        survivors::forget(&self.child);
        survivors::end(Some(&self.mark));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // No effect if it was waited for.
        let _ = self.child.kill();
        #[cfg(target_os = "linux")]
        self.end_group(WaitIdOptions::empty());
        let _ = self.child.wait();
        #[cfg(target_os = "linux")]
        self.end_survivors();
    }
}

/// How a process ended, in words.
pub(super) fn describe(status: ExitStatus) -> String {
    #[cfg(target_os = "linux")]
    return crate::lab::program::confine::describe(status);
    #[cfg(not(target_os = "linux"))]
    status.to_string()
}

fn hint(cause: &std::io::Error) -> &'static str {
    #[cfg(target_os = "linux")]
    return crate::lab::program::start_hint(cause);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = cause;
        ""
    }
}

/// Hands on each line until the end, the limit, or a refusal. Returns whether the limit was broken.
fn read(output: impl Read, mut take: impl FnMut(String) -> bool) -> bool {
    let mut output = BufReader::new(output.take(MAX_OUTPUT));
    let mut line = Vec::new();
    for _ in 0..MAX_LINES {
        line.clear();
        match output.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return output.get_ref().limit() == 0,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        if !take(text.trim_end_matches(['\n', '\r']).to_owned()) {
            return false;
        }
    }
    true
}
