//! Runs a plan: for each network and mode a server and a load in the emulated network's two
//! namespaces, each in a process of its own, with packets lost between their kernels.
//!
//! ```text
//! DIR/plan.toml                       what was asked for
//! DIR/runs/loss5-...-tcp-1/           records.csv, run.json: what a run leaves
//! DIR/runs/loss5-...-tcp-1.part/      a run under way, or one that was killed
//! ```

use super::plan::{Meeting, Plan};
use super::record::{Mode, Network as Counted, RUN, read_run, write_whole};
use crate::net::emulated::{self, Network, Node};
use crate::protocol::limits::DEFAULT_PORT;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How often to look whether a load has ended, or the lab is to.
const LOOK: Duration = Duration::from_millis(20);
/// Every option has a twin with this beginning, and a run is to depend on its plan alone.
const TWINS: &str = "CHATAGRAM_";
/// The plan's file in a lab's directory.
const PLAN: &str = "plan.toml";
/// How often a load may try to get in.
const JOIN_ATTEMPTS: u32 = 5;
/// The exit code of a load that got no answer.
const UNREACHABLE: i32 = 3;
/// What a program that failed had to say: the last bytes of it.
const LAST_WORDS: usize = 2_000;

/// What to run, and where to leave it.
#[derive(Clone, Debug)]
pub struct Config {
    /// What to measure.
    pub plan: Plan,
    /// The directory to write to.
    pub out: PathBuf,
    /// Go on with what is in it.
    pub resume: bool,
    /// This program.
    pub program: PathBuf,
}

/// A lab that did not get to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The plan cannot be run.
    #[error("{0}")]
    Plan(#[from] super::plan::Error),
    /// The directory holds something.
    #[error(
        "{} is not empty: add --resume to go on with the lab in it, or choose another --out",
        .0.display()
    )]
    NotEmpty(PathBuf),
    /// The directory holds the results of another plan.
    #[error(
        "the lab in {} has another plan: leave the options out to go on with it, or choose another --out",
        .0.display()
    )]
    OtherPlan(PathBuf),
    /// There is nothing to go on with.
    #[error("there is no lab in {} to go on with: leave --resume out", .0.display())]
    NothingToResume(PathBuf),
    /// A file could not be read or written.
    #[error("{0}")]
    Files(#[from] super::record::Error),
    /// The network could not be built.
    #[error("{0}")]
    Network(#[from] emulated::Error),
    /// The system refused something else.
    #[error("cannot {what}: {cause}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        cause: io::Error,
    },
    /// One of the programs failed.
    #[error("run {run}: the {who} failed ({status}): {words}")]
    Program {
        /// Which run.
        run: String,
        /// `server` or `load`.
        who: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The last it said.
        words: String,
    },
    /// Ctrl-C.
    #[error(
        "stopped; what is finished is kept: `chatagram lab --resume` goes on, `chatagram report` shows it"
    )]
    Stopped,
}

impl Error {
    /// Whether a load found nobody: the exit code of an unreachable server.
    fn is_kept_out(&self) -> bool {
        matches!(self, Self::Program { status, .. } if status.code() == Some(UNREACHABLE))
    }
}

/// How far the lab is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Networks met, of `total`.
    pub done: usize,
    /// All networks.
    pub total: usize,
    /// The one that is met now; none at the end.
    pub now: Option<&'a Meeting>,
}

impl Config {
    /// Makes the directory ready, and says which plan is to be run: with `resume` and no plan of
    /// one's own (`asked` is none) the one in the directory.
    ///
    /// # Errors
    /// [`Error::NotEmpty`], [`Error::OtherPlan`], [`Error::NothingToResume`], [`Error::Files`].
    pub fn prepare(
        asked: Option<Plan>,
        out: PathBuf,
        resume: bool,
        program: PathBuf,
    ) -> Result<Self, Error> {
        let file = out.join(PLAN);
        if resume {
            let text =
                fs::read_to_string(&file).map_err(|_| Error::NothingToResume(out.clone()))?;
            let plan = Plan::parse(&text)?;
            if asked.is_some_and(|asked| asked != plan) {
                return Err(Error::OtherPlan(out));
            }
            return Ok(Self { plan, out, resume, program });
        }
        let plan = asked.unwrap_or_default();
        plan.meetings()?;
        if fs::read_dir(&out).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Error::NotEmpty(out));
        }
        let runs = out.join("runs");
        fs::create_dir_all(&runs).map_err(super::record::Error::io("make", &runs))?;
        write_whole(&file, plan.text().as_bytes())?;
        Ok(Self { plan, out, resume, program })
    }
}

/// Runs what is left of the plan. [`emulated::Host::enter`] comes first.
///
/// Stops soon after `stop` is set: the runs under way are lost, their networks are gone.
///
/// # Errors
/// See [`Error`]. The first failure ends the lab; what is finished is kept.
pub fn run(
    config: &Config,
    stop: &AtomicBool,
    mut report: impl FnMut(Progress<'_>),
) -> Result<(), Error> {
    let meetings = config.plan.meetings()?;
    let total = meetings.len();
    for (done, meeting) in meetings.iter().enumerate() {
        report(Progress { done, total, now: Some(meeting) });
        let left: Vec<Mode> = config
            .plan
            .modes
            .iter()
            .copied()
            .filter(|mode| !is_done(config, meeting, *mode))
            .collect();
        // Side by side: each has a network of its own, and all of them the same minute of the machine.
        let outcomes: Vec<_> = thread::scope(|scope| {
            let runs: Vec<_> = left
                .into_iter()
                .map(|mode| scope.spawn(move || one(config, meeting, mode, stop)))
                .collect();
            runs.into_iter().map(|run| run.join()).collect()
        });
        for outcome in outcomes {
            outcome.unwrap_or(Err(Error::Stopped))?;
        }
    }
    report(Progress { done: total, total, now: None });
    Ok(())
}

fn is_done(config: &Config, meeting: &Meeting, mode: Mode) -> bool {
    config.out.join("runs").join(meeting.run(mode)).join(RUN).exists()
}

/// One mode in one network.
fn one(config: &Config, meeting: &Meeting, mode: Mode, stop: &AtomicBool) -> Result<(), Error> {
    let name = meeting.run(mode);
    let runs = config.out.join("runs");
    let (part, whole) = (runs.join(format!("{name}.part")), runs.join(&name));
    if part.exists() {
        fs::remove_dir_all(&part).map_err(super::record::Error::io("remove", &part))?;
    }
    let network = Network::build(&meeting.spec, meeting.seed)?;
    // What the course compares with; the machine's own default may be another one.
    if let Err(error) = network.set_congestion_control("cubic") {
        log::info!(
            "{name}: TCP keeps the machine's congestion control, for cubic cannot be had: {error}"
        );
    }
    let mut server = Watched::start("server", &name, &network, Node::Server, serve(config))?;
    server.first_line()?;
    let mut attempt = 1;
    while let Err(error) = drive(config, meeting, mode, &network, &part, stop) {
        // A bad network may keep somebody out; then nothing was measured yet.
        if attempt == JOIN_ATTEMPTS || !error.is_kept_out() {
            return Err(error);
        }
        attempt += 1;
        log::info!("{error}; once more");
        if part.exists() {
            fs::remove_dir_all(&part).map_err(super::record::Error::io("remove", &part))?;
        }
    }
    drop(server);
    let (up, down) = network.counts();
    let lost = network.overruns().map_err(system("ask the network what it lost"))?;
    drop(network);
    if lost > 0 {
        log::warn!(
            "{name}: the machine was too busy, {lost} packets were lost that the network was not to lose"
        );
    }
    annotate(&part, meeting, Counted { up, down })?;
    fs::rename(&part, &whole).map_err(super::record::Error::io("rename", &part))?;
    Ok(())
}

/// The load of a run, from its start to its end.
fn drive(
    config: &Config,
    meeting: &Meeting,
    mode: Mode,
    network: &Network,
    part: &Path,
    stop: &AtomicBool,
) -> Result<(), Error> {
    let name = meeting.run(mode);
    let command = load(config, meeting, mode, part);
    let mut load = Watched::start("load", &name, network, Node::Clients, command)?;
    while !load.has_ended()? {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

/// What the network did goes where the run is described.
fn annotate(part: &Path, meeting: &Meeting, counted: Counted) -> Result<(), Error> {
    let run = read_run(part)?;
    let Some(mut info) = run.info else { return Err(Error::Stopped) };
    info.impair = Some(meeting.spec.to_string());
    info.network = Some(counted);
    Ok(info.write(part)?)
}

fn serve(config: &Config) -> Command {
    let plan = &config.plan;
    let peers = (plan.senders + plan.receivers).to_string();
    let mut command = program(config);
    command.arg("server").arg("--bind").arg(format!("{}:{DEFAULT_PORT}", Node::Server.address()));
    command.args(["--no-history", "-q", "--max-peers", &peers, "--max-peers-per-ip", &peers]);
    command
}

fn load(config: &Config, meeting: &Meeting, mode: Mode, out: &Path) -> Command {
    let mut command = program(config);
    command.arg("load").arg(format!("{}:{DEFAULT_PORT}", Node::Server.address()));
    command.args(config.plan.load_arguments(meeting, mode)).arg("--out").arg(out);
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
