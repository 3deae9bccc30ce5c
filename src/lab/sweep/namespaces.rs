//! Runs in the emulated network's two namespaces: the server and the load are processes of their own,
//! and packets are lost between their kernels' stacks.

use super::{Config, Error, Job};
use crate::lab::record::{Emulation, Network as Counted};
use crate::net::emulated::{Network, Node};
use crate::protocol::limits::DEFAULT_PORT;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How often to look whether a load has ended, or the lab is to.
const LOOK: Duration = Duration::from_millis(100);
/// Every option has a twin with this beginning, and a run is to depend on its plan alone.
const TWINS: &str = "CHATAGRAM_";
/// What a program that failed had to say: the last bytes of it.
const LAST_WORDS: usize = 2_000;

/// The whole run.
pub(super) fn run(job: &Job<'_>, stop: &AtomicBool) -> Result<(), Error> {
    let network = Network::build(&job.meeting.spec, job.meeting.seed)?;
    // What the course compares with; the machine's own default may be another one.
    if let Err(error) = network.set_congestion_control("cubic") {
        log::info!(
            "{}: TCP keeps the machine's congestion control, for cubic cannot be had: {error}",
            job.name
        );
    }
    let mut server =
        Watched::start("server", &job.name, &network, Node::Server, serve(job.config))?;
    server.first_line()?;
    job.make_room()?;
    drive(job, &network, stop)?;
    drop(server);
    let (up, down) = network.counts();
    let lost = network.overruns().map_err(system("ask the network what it lost"))?;
    drop(network);
    if lost > 0 {
        log::warn!(
            "{}: the machine was too busy, {lost} packets were lost that the network was not to lose",
            job.name
        );
    }
    job.annotate(|info| {
        info.emulation = Some(Emulation::Namespaces);
        info.impair = Some(job.meeting.spec.to_string());
        info.network = Some(Counted { up, down });
    })
}

/// The load of a run, from its start to its end.
fn drive(job: &Job<'_>, network: &Network, stop: &AtomicBool) -> Result<(), Error> {
    let mut load = Watched::start("load", &job.name, network, Node::Clients, load(job))?;
    while !load.has_ended()? {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

fn serve(config: &Config) -> Command {
    let plan = &config.plan;
    let peers = (plan.senders + plan.receivers).to_string();
    let mut command = program(config);
    command.arg("server").arg("--bind").arg(format!("{}:{DEFAULT_PORT}", Node::Server.address()));
    // The groups a server is found by would be packets among those that are counted.
    command.args(["--no-history", "--no-discovery"]);
    command.args([
        "-q",
        "--max-peers",
        &peers,
        "--max-peers-per-ip",
        &peers,
        "--rate-limit",
        "off",
    ]);
    command
}

fn load(job: &Job<'_>) -> Command {
    let Job { config, meeting, mode, name, .. } = job;
    let mut command = program(config);
    command.arg("load").arg(format!("{}:{DEFAULT_PORT}", Node::Server.address()));
    command.args(config.plan.load_arguments(meeting, *mode, name)).arg("--out").arg(&job.part);
    command
}

fn program(config: &Config) -> Command {
    let mut command = Command::new(&config.program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with(TWINS) {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |cause| Error::System { what, cause }
}

/// A program on a node, killed when it is no longer watched.
struct Watched {
    who: &'static str,
    run: String,
    child: Child,
}

impl Watched {
    fn start(
        who: &'static str,
        run: &str,
        network: &Network,
        node: Node,
        command: Command,
    ) -> Result<Self, Error> {
        let child = network.spawn(node, command).map_err(system("start this program again"))?;
        Ok(Self { who, run: run.to_owned(), child })
    }

    /// Waits until it has said a line: a server does once it listens.
    fn first_line(&mut self) -> Result<(), Error> {
        let mut line = String::new();
        if let Some(out) = self.child.stdout.as_mut() {
            BufReader::new(out).read_line(&mut line).map_err(system("hear the server"))?;
        }
        if line.is_empty() {
            let status = self.child.wait().map_err(system("wait for the server"))?;
            return Err(self.failed(status));
        }
        Ok(())
    }

    /// Whether it has ended, and well.
    fn has_ended(&mut self) -> Result<bool, Error> {
        match self.child.try_wait().map_err(system("wait for the load"))? {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => Err(self.failed(status)),
        }
    }

    fn failed(&mut self, status: ExitStatus) -> Error {
        let words = self.child.stderr.take().map(last_words).unwrap_or_default();
        Error::Program { run: self.run.clone(), who: self.who, status, words }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program's complaint is a line or two; nobody reads a flood of them.
fn last_words(mut stderr: ChildStderr) -> String {
    let mut bytes = Vec::new();
    let _ = stderr.read_to_end(&mut bytes);
    let from = bytes.len().saturating_sub(LAST_WORDS);
    let text = String::from_utf8_lossy(&bytes[from..]);
    crate::protocol::clean(text.trim()).into_owned()
}
