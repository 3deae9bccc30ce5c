//! Runs a plan: for each network and mode a server and a load, in a [`Place`] that has the network.
//!
//! ```text
//! DIR/plan.toml                       what was asked for
//! DIR/runs/loss5-...-tcp-1/           records.csv, run.json: what a run leaves
//! DIR/runs/loss5-...-tcp-1.part/      a run under way, one that was killed, or one that failed
//!                        failed.txt   why, if it failed
//! ```

mod in_process;
#[cfg(target_os = "linux")]
mod namespaces;
mod replay;

pub use replay::replay;

use super::load;
use super::plan::{Meeting, Plan};
use super::record::{Mode, RUN, write_whole};
#[cfg(target_os = "linux")]
use super::record::{RunInfo, read_run};
#[cfg(target_os = "linux")]
use crate::net::emulated;
use crate::protocol::clean_lines;
use crate::server;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::AtomicBool;
use std::thread;

/// The plan's file in a lab's directory.
const PLAN: &str = "plan.toml";
/// In the directory of a run that failed: why.
const FAILED: &str = "failed.txt";

/// Where the runs take place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Between two network namespaces, so that packets are lost between two kernels' stacks:
    /// datagrams and TCP. [`emulated::Host::enter`] comes first.
    #[cfg(target_os = "linux")]
    Namespaces,
    /// In this process, which loses datagrams before they reach its sockets: no TCP.
    InProcess,
}

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
    /// Where.
    pub place: Place,
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
    /// The directory of a replay holds something.
    #[error("{} is not empty: choose another --out, or remove it first", .0.display())]
    Taken(PathBuf),
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
    /// The plan wants TCP alone, and this place has none.
    #[error(
        "without namespaces there is nothing to measure TCP with: add a mode of UDP, or mend that first"
    )]
    OnlyTcp,
    /// The network could not be built.
    #[cfg(target_os = "linux")]
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
    /// The clients in this process failed.
    #[error("run {run}: the load failed: {cause}")]
    Load {
        /// Which run.
        run: String,
        /// Why.
        cause: load::Error,
    },
    /// The server in this process failed.
    #[error("run {run}: the server failed: {cause}")]
    Server {
        /// Which run.
        run: String,
        /// Why.
        cause: server::Error,
    },
    /// There is no drop pattern to replay.
    #[error("{path} cannot be replayed: {why}", path = .path.display())]
    NoPattern {
        /// The run's directory.
        path: PathBuf,
        /// What is missing, and the way out.
        why: String,
    },
    /// Ctrl-C.
    #[error(
        "stopped; what is finished is kept: `chatagram lab --resume` goes on, `chatagram report` shows it"
    )]
    Stopped,
}

impl Error {
    /// Whether it concerns one run, and another one may do better.
    fn is_of_one_run(&self) -> bool {
        matches!(self, Self::Program { .. } | Self::Load { .. } | Self::Server { .. })
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
        place: Place,
    ) -> Result<Self, Error> {
        let file = out.join(PLAN);
        if resume {
            let text =
                fs::read_to_string(&file).map_err(|_| Error::NothingToResume(out.clone()))?;
            let plan = Plan::parse(&text)?;
            if asked.is_some_and(|asked| asked != plan) {
                return Err(Error::OtherPlan(out));
            }
            return Ok(Self { plan, out, resume, program, place });
        }
        let plan = asked.unwrap_or_default();
        plan.meetings()?;
        let config = Self { plan, out, resume, program, place };
        config.claim()?;
        write_whole(&file, config.plan.text().as_bytes())?;
        Ok(config)
    }

    /// Makes the directory, which must hold nothing.
    fn claim(&self) -> Result<(), Error> {
        if self.modes().next().is_none() {
            return Err(Error::OnlyTcp);
        }
        if fs::read_dir(&self.out).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Error::NotEmpty(self.out.clone()));
        }
        let runs = self.out.join("runs");
        Ok(fs::create_dir_all(&runs).map_err(super::record::Error::io("make", &runs))?)
    }

    /// The modes of the plan that this place has.
    fn modes(&self) -> impl Iterator<Item = Mode> {
        let datagrams_only = self.place == Place::InProcess;
        self.plan.modes.iter().copied().filter(move |mode| !datagrams_only || *mode != Mode::Tcp)
    }
}

/// Runs what is left of the plan, and says what failed: such a run is left behind with its reason,
/// and the others go on.
///
/// Stops soon after `stop` is set: the runs under way are lost, their networks are gone.
///
/// # Errors
/// See [`Error`]: what concerns all runs. What is finished is kept.
pub fn run(
    config: &Config,
    stop: &AtomicBool,
    mut report: impl FnMut(Progress<'_>),
) -> Result<Vec<Error>, Error> {
    let mut failed = Vec::new();
    let meetings = config.plan.meetings()?;
    let total = meetings.len();
    for (done, meeting) in meetings.iter().enumerate() {
        report(Progress { done, total, now: Some(meeting) });
        let left: Vec<Mode> =
            config.modes().filter(|mode| !is_done(config, &meeting.run(*mode))).collect();
        // Side by side: each has a network of its own, and all of them the same minute of the machine.
        let outcomes: Vec<_> = thread::scope(|scope| {
            let runs: Vec<_> = left
                .into_iter()
                .map(|mode| {
                    let job = Job::new(config, meeting, mode, meeting.run(mode));
                    scope.spawn(move || job.run(stop))
                })
                .collect();
            runs.into_iter().map(|run| run.join()).collect()
        });
        for outcome in outcomes {
            match outcome.unwrap_or(Err(Error::Stopped)) {
                Err(error) if error.is_of_one_run() => failed.push(error),
                outcome => outcome?,
            }
        }
    }
    report(Progress { done: total, total, now: None });
    Ok(failed)
}

fn is_done(config: &Config, name: &str) -> bool {
    config.out.join("runs").join(name).join(RUN).exists()
}

/// One mode in one network.
struct Job<'a> {
    config: &'a Config,
    meeting: &'a Meeting,
    mode: Mode,
    name: String,
    /// The run's directory until it is complete.
    part: PathBuf,
}

impl<'a> Job<'a> {
    fn new(config: &'a Config, meeting: &'a Meeting, mode: Mode, name: String) -> Self {
        let part = config.out.join("runs").join(format!("{name}.part"));
        Self { config, meeting, mode, name, part }
    }

    fn run(&self, stop: &AtomicBool) -> Result<(), Error> {
        let outcome = match self.config.place {
            #[cfg(target_os = "linux")]
            Place::Namespaces => namespaces::run(self, stop),
            Place::InProcess => in_process::run(self, stop),
        };
        match outcome {
            Ok(()) => Ok(fs::rename(&self.part, self.part.with_file_name(&self.name))
                .map_err(super::record::Error::io("rename", &self.part))?),
            Err(error) => {
                if error.is_of_one_run() {
                    let _ = fs::create_dir_all(&self.part);
                    let _ = fs::write(self.part.join(FAILED), clean_lines(&format!("{error}\n")));
                }
                Err(error)
            }
        }
    }

    /// An empty place for the load's files: there may be those of a run that was killed.
    fn make_room(&self) -> Result<(), Error> {
        if self.part.exists() {
            let part = &self.part;
            fs::remove_dir_all(part).map_err(super::record::Error::io("remove", part))?;
        }
        Ok(())
    }

    /// Changes what the run says about itself.
    #[cfg(target_os = "linux")]
    fn annotate(&self, change: impl FnOnce(&mut RunInfo)) -> Result<(), Error> {
        let Some(mut info) = read_run(&self.part)?.info else { return Err(Error::Stopped) };
        change(&mut info);
        Ok(info.write(&self.part)?)
    }
}
