//! The server of a program under test, on the server's node of an emulated network.

use super::namespaces::{Controls, run_load, system};
use super::{Error, Job};
use crate::lab::program::confine::{confine, describe};
use crate::lab::program::ports::{OpenPort, open_in};
use crate::lab::program::{CommandLine, Program, command, pty, start_hint};
use crate::lab::record::{Ended, ErrorOutput, RunInfo, SERVER};
use crate::net::emulated::{Network, Node};
use crate::protocol::clean_lines;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The port for a command with `{port}`.
const PORT: u16 = 5_000;
/// The server opens its port within this time.
const LISTEN_DEADLINE: Duration = Duration::from_secs(10);
/// Interval at which the port is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// Limit on the output quoted from the server, bytes: its end.
const MAX_QUOTED: u64 = 2_000;
/// Limit on the output kept from a server on a terminal, bytes.
const MAX_PRINTED: usize = 1 << 20;

/// Why a server cannot be reached by its clients.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoService {
    /// It could not be started.
    #[error("cannot be started: {cause}{hint}")]
    Start {
        /// The system's error.
        cause: io::Error,
        /// The way out.
        hint: &'static str,
    },
    /// It ended at once.
    #[error("ended before it opened a port ({how})\n{output}")]
    Ended {
        /// How.
        how: String,
        /// The end of its output.
        output: String,
    },
    /// It opened no port.
    #[error(
        "opened no port within {} s: give it the port as `{{port}}`, if it asks for one\n{output}",
        LISTEN_DEADLINE.as_secs()
    )]
    NoPort {
        /// The end of its output.
        output: String,
    },
    /// It opened another port.
    #[error(
        "opened port {opened} in place of {PORT}: leave `{{port}}` out of its command, or use it"
    )]
    OtherPort {
        /// The port.
        opened: u16,
    },
    /// It listens where no other machine reaches it.
    #[error(
        "listens on the loopback address {address}, which its clients on another machine cannot \
         reach: bind `0.0.0.0`, `''`, or the address in `{{host}}`"
    )]
    Loopback {
        /// The address.
        address: std::net::IpAddr,
    },
}

/// How the server fared.
pub(super) struct Served {
    /// How and when it ended, if it did.
    end: Option<(String, jiff::Timestamp)>,
    errors: String,
    /// Its command, which `load` does not know.
    command: Option<CommandLine>,
}

/// Starts the server, and runs the load once it listens. Its end is a result, no error.
pub(super) fn run(
    job: &Job<'_>,
    program: &Program,
    network: &Network,
    stop: &AtomicBool,
    controls: &mut Controls,
) -> Result<Served, Error> {
    let mut server = Server::start(job, program, network)?;
    let port = server.await_port(stop)?;
    let mut end = None;
    run_load(job, network, port, stop, || {
        if end.is_none() {
            end = server.ended()?.map(|how| (how, jiff::Timestamp::now()));
        }
        Ok(controls.look(job, network))
    })?;
    let errors = server.output(&server.errors)?;
    Ok(Served { end, errors, command: program.server.clone() })
}

impl Served {
    pub(super) fn add_to(self, info: &mut RunInfo) {
        let epoch = info.started.parse::<jiff::Timestamp>();
        let Some(conduct) = &mut info.program else { return };
        conduct.program.server = self.command;
        if let Some((how, at)) = self.end {
            let since = epoch.map_or(0, |epoch| at.as_microsecond() - epoch.as_microsecond());
            conduct.ended.push(Ended { who: SERVER.to_owned(), how, at_us: since });
        }
        if !self.errors.is_empty() {
            conduct.errors.push(ErrorOutput { who: SERVER.to_owned(), text: self.errors });
        }
    }
}

/// A running server. Dropping it kills it with all its children.
struct Server<'a> {
    run: &'a str,
    network: &'a Network,
    program: &'a Program,
    child: Child,
    /// Its output; the kernel's limit of a file's size bounds it.
    printed: File,
    errors: File,
}

impl<'a> Server<'a> {
    fn start(job: &'a Job<'_>, program: &'a Program, network: &'a Network) -> Result<Self, Error> {
        let (host, port) = (Node::Server.address().to_string(), PORT.to_string());
        let values = [("{host}", &*host), ("{port}", &*port), ("{nick}", SERVER)];
        let Some(line) = &program.server else {
            return Err(crate::lab::plan::Error::NoServer(program.name).into());
        };
        let mut command = command(&line.fill(&values));
        let file = || tempfile::tempfile().map_err(system("make a temporary file"));
        let (printed, errors) = (file()?, file()?);
        let to = |file: &File| file.try_clone().map_err(system("share a file"));
        // Its input stays open and empty: a server may wait for commands there.
        command.stdin(Stdio::piped()).stdout(to(&printed)?).stderr(to(&errors)?);
        if program.pty {
            let (ours, theirs) = pty::open().map_err(system("open a terminal"))?;
            let theirs_too = theirs.try_clone().map_err(system("share a terminal"))?;
            command.stdin(theirs).stdout(theirs_too);
            drain(ours.into(), to(&printed)?).map_err(system("start a thread"))?;
        }
        let duration = Duration::from_secs_f64(job.config.plan.duration_s);
        confine(&mut command, duration, program.pty);
        let run = &job.name;
        let failed = |cause: io::Error| Error::Service {
            run: run.clone(),
            command: line.to_string(),
            why: NoService::Start { hint: start_hint(&cause), cause },
        };
        let child = network.spawn(Node::Server, command).map_err(failed)?;
        Ok(Self { run, network, program, child, printed, errors })
    }

    /// Waits until it listens where clients reach it.
    fn await_port(&mut self, stop: &AtomicBool) -> Result<u16, Error> {
        let begun = Instant::now();
        let wanted = self.program.server.as_ref().is_some_and(|it| it.asks_for("{port}"));
        let mut open: Vec<OpenPort> = Vec::new();
        loop {
            if let Some(how) = self.ended()? {
                let output = self.all_output()?;
                return Err(self.no_service(NoService::Ended { how, output }));
            }
            // A process that has just ended has no tables.
            open = open_in(self.child.id()).unwrap_or(open);
            let of_clients = |it: &&OpenPort| it.is_reachable() && (!wanted || it.port == PORT);
            if let Some(found) = open.iter().find(of_clients) {
                return Ok(found.port);
            }
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Stopped);
            }
            if begun.elapsed() >= LISTEN_DEADLINE {
                break;
            }
            thread::sleep(LOOK_INTERVAL);
        }
        let loopback = open.iter().find(|it| !it.is_reachable());
        let why = match (loopback, open.first()) {
            (Some(it), _) => NoService::Loopback { address: it.address },
            (None, Some(it)) => NoService::OtherPort { opened: it.port },
            (None, None) => NoService::NoPort { output: self.all_output()? },
        };
        Err(self.no_service(why))
    }

    fn no_service(&self, why: NoService) -> Error {
        let command = self.program.server.as_ref().map(ToString::to_string).unwrap_or_default();
        Error::Service { run: self.run.to_owned(), command, why }
    }

    /// How it ended, if it did.
    fn ended(&mut self) -> Result<Option<String>, Error> {
        Ok(self.child.try_wait().map_err(system("wait for the server"))?.map(describe))
    }

    fn all_output(&self) -> Result<String, Error> {
        let errors = self.output(&self.errors)?;
        if errors.is_empty() { self.output(&self.printed) } else { Ok(errors) }
    }

    /// The end of what it printed to a file, for people.
    fn output(&self, file: &File) -> Result<String, Error> {
        let read = || {
            let length = file.metadata()?.len();
            let mut bytes = vec![0; length.min(MAX_QUOTED) as usize];
            // The server shares this file's position, which stays where it is.
            file.read_exact_at(&mut bytes, length.saturating_sub(MAX_QUOTED))?;
            io::Result::Ok(bytes)
        };
        let bytes = read().map_err(system("read the server's output"))?;
        Ok(clean_lines(String::from_utf8_lossy(&bytes).trim()))
    }
}

/// Writes the beginning of what a server prints on its terminal to a file, until its last process
/// has closed it.
fn drain(mut terminal: File, printed: File) -> io::Result<()> {
    let work = move || {
        let mut buffer = [0; 16_384];
        let mut room = MAX_PRINTED;
        while let Ok(length @ 1..) = terminal.read(&mut buffer) {
            let kept = length.min(room);
            room -= kept;
            let _ = (&printed).write_all(&buffer[..kept]);
        }
    };
    thread::Builder::new().name("terminal".into()).spawn(work).map(drop)
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Also of a load that was stopped.
        for node in [Node::Server, Node::Clients] {
            if let Err(error) = self.network.end_processes(node) {
                log::warn!("{}: processes of {node:?} stay behind: {error}", self.run);
            }
        }
    }
}
