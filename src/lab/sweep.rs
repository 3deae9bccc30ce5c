//! Runs a plan: one server and one load for each condition and mode, at a [`Place`].
//!
//! ```text
//! DIR/plan.toml                       the plan
//! DIR/lab.lock                        the number of the process that measures, while it does
//! DIR/runs/loss5-...-tcp-1/           a finished run: records.csv, run.json, trace.pcapng
//! DIR/runs/loss5-...-tcp-1.part/      a run in progress, killed, or failed
//!                        failed.txt   the reason, if it failed
//! ```

mod error;
mod in_process;
#[cfg(target_os = "linux")]
mod namespaces;
#[cfg(target_os = "linux")]
mod program;
mod replay;

pub use error::Error;
#[cfg(target_os = "linux")]
pub use program::NoService;
pub use replay::{NoPattern, replay};

use super::metrics::{ENOUGH, Measured, Taint, group, taints};
use super::plan::{Plan, Trial};
use super::record::{Mode, RUN, Run, RunInfo, read_info, read_run, sum_of_waits, write_atomically};
use super::variant::Variant;
use crate::files::{Lock, LockError};
use crate::protocol::clean_lines;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

/// How often a trial is measured while the machine spoils it.
const ATTEMPTS: u32 = 3;
/// The plan's file in a lab's directory.
const PLAN: &str = "plan.toml";
/// Locked by the process that measures: another one would remove its unfinished runs.
const LOCK: &str = "lab.lock";
/// The reason, in the directory of a failed run. Reports leave such a run out.
pub(super) const FAILED: &str = "failed.txt";

/// Where the networks of the runs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Between two network namespaces, so packets are lost between two kernel stacks: datagrams and
    /// TCP. `net::emulated::Host::enter` must have been called.
    #[cfg(target_os = "linux")]
    Namespaces,
    /// In this process, which loses datagrams before they reach its sockets: no TCP.
    InProcess,
}

/// A plan and its output directory.
#[derive(Clone, Debug)]
pub struct Config {
    /// The plan.
    pub plan: Plan,
    /// The output directory.
    pub out: PathBuf,
    /// Continue the lab in `out`.
    pub resume: bool,
    /// The path of this program, for the processes of a run.
    pub program: PathBuf,
    /// Where the networks of the runs are.
    pub place: Place,
    /// Capture each run of [`Place::Namespaces`] in `trace.pcapng`.
    pub trace: bool,
    /// Keeps other processes from measuring in `out`.
    _lock: Arc<Lock>,
}

/// The progress of a lab.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Conditions measured so far, counting repetitions.
    pub done: usize,
    /// All conditions, counting repetitions.
    pub total: usize,
    /// True if fewer may suffice: with `--repetitions auto`.
    pub is_most: bool,
    /// The one being measured; `None` at the end.
    pub now: Option<&'a Trial>,
}

impl Config {
    /// Prepares the output directory. With `resume`, the plan is the one in the directory, and
    /// `asked` must be `None` or equal to it.
    ///
    /// # Errors
    /// [`Error::NotEmpty`], [`Error::InUse`], [`Error::OtherPlan`], [`Error::NothingToResume`],
    /// [`Error::Files`].
    pub fn prepare(
        asked: Option<Plan>,
        out: PathBuf,
        resume: bool,
        program: PathBuf,
        place: Place,
    ) -> Result<Self, Error> {
        if resume {
            let plan = plan_in(&out, asked)?;
            let lock = lock(&out)?;
            return Ok(Self { plan, out, resume, program, place, trace: true, _lock: lock });
        }
        let config = Self::begin(asked.unwrap_or_default(), out, program, place)?;
        write_atomically(&config.out.join(PLAN), config.plan.text().as_bytes())?;
        Ok(config)
    }

    /// Creates the output directory, which must be empty if it exists, and locks it.
    fn begin(plan: Plan, out: PathBuf, program: PathBuf, place: Place) -> Result<Self, Error> {
        plan.trials()?;
        if place == Place::InProcess && plan.modes.iter().all(|it| *it == Mode::Tcp) {
            return Err(Error::OnlyTcp);
        }
        fs::create_dir_all(&out).map_err(super::record::Error::io("make", &out))?;
        let lock = lock(&out)?;
        let mut entries = fs::read_dir(&out).map_err(super::record::Error::io("read", &out))?;
        // A killed lab leaves its lock's file.
        if entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != LOCK)) {
            return Err(Error::NotEmpty(out));
        }
        let runs = out.join("runs");
        fs::create_dir_all(&runs).map_err(super::record::Error::io("make", &runs))?;
        Ok(Self { plan, out, resume: false, program, place, trace: true, _lock: lock })
    }

    /// The plan's variants that the place supports.
    fn variants(&self) -> impl Iterator<Item = Variant> {
        let datagrams_only = self.place == Place::InProcess;
        let variants = self.plan.variants().into_iter();
        let is_of = |it: &Variant| it.mode.transport() == "udp" || it.mode.is_quic();
        variants.filter(move |it| !datagrams_only || is_of(it))
    }
}

/// The plan of the lab in `out`, which `asked` must equal if it is given.
fn plan_in(out: &Path, asked: Option<Plan>) -> Result<Plan, Error> {
    let text = fs::read_to_string(out.join(PLAN));
    let mut plan = Plan::parse(&text.map_err(|_| Error::NothingToResume(out.to_owned()))?)?;
    let _ = plan.remove_repeats();
    if asked.is_some_and(|asked| asked != plan) {
        return Err(Error::OtherPlan(out.to_owned()));
    }
    Ok(plan)
}

/// [`Plan::runs_text`] of the lab in `out`, without its finished runs. A run that the machine
/// spoiled is finished after as many attempts as [`run`] makes. With `--repetitions
/// auto`, those of the next repetition.
///
/// # Errors
/// [`Error::OtherPlan`], [`Error::NothingToResume`], [`Error::Files`].
pub fn runs_left(asked: Option<Plan>, out: &Path) -> Result<String, Error> {
    let plan = plan_in(out, asked)?;
    plan.check_scripts()?;
    let is_auto = plan.repetitions.percent().is_some();
    let (mut left, mut last) = (String::new(), 0);
    for trial in plan.trials()? {
        // The results of this repetition decide whether there is another one.
        if is_auto && !left.is_empty() && trial.repetition > last {
            break;
        }
        last = trial.repetition;
        if settled(&plan, plan.variants().into_iter(), out, &trial)? {
            continue;
        }
        let mut done = Vec::new();
        for variant in plan.variants() {
            if is_done(out, &trial.run(&variant))? {
                done.push(variant);
            }
        }
        for spoiled in spoiled(out, &trial, &done)?.into_iter().filter(|it| it.attempts < ATTEMPTS)
        {
            log::warn!("{spoiled}: measured again");
            done.retain(|variant| trial.run(variant) != spoiled.run);
        }
        let variants = plan.variants();
        let undone = variants.iter().filter(|it| !done.contains(it));
        undone.for_each(|variant| left += &plan.run_line(&trial, variant));
    }
    Ok(left)
}

/// Locks a lab's directory.
fn lock(out: &Path) -> Result<Arc<Lock>, Error> {
    let path = out.join(LOCK);
    Lock::take(&path).map(Arc::new).map_err(|error| match error {
        LockError::Held(process) => Error::InUse { path: out.to_owned(), process },
        LockError::Io(error) => super::record::Error::io("lock", &path)(error).into(),
    })
}

/// Runs the unfinished part of the plan. A failed run is kept with its reason, and the others
/// continue. A trial that the machine spoiled is measured again, at most `ATTEMPTS` times in all.
///
/// Stops soon after `stop` is set. The runs in progress are discarded.
///
/// # Errors
/// An [`Error`] that concerns all runs. Finished runs are kept.
pub fn run(
    config: &Config,
    stop: &AtomicBool,
    mut report: impl FnMut(Progress<'_>),
) -> Result<Vec<Error>, Error> {
    let mut failed = Vec::new();
    let trials = config.plan.trials()?;
    let total = trials.len();
    let is_most = config.plan.repetitions.percent().is_some();
    for (done, trial) in trials.iter().enumerate() {
        if is_settled(config, trial)? {
            continue;
        }
        report(Progress { done, total, is_most, now: Some(trial) });
        let mut left = Vec::new();
        for variant in config.variants() {
            if !is_done(&config.out, &trial.run(&variant))? {
                left.push(variant);
            }
        }
        // Programs run after this crate's modes: one that takes all of the machine spoils none of
        // them, and would do it again.
        let (programs, own): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|it| it.mode.program().is_some());
        for attempt in 1..=ATTEMPTS {
            let failures = measure(config, trial, &own, attempt, stop)?;
            let spoiled =
                if failures.is_empty() { spoiled(&config.out, trial, &own)? } else { Vec::new() };
            if let Some(why) = spoiled.first().filter(|_| attempt < ATTEMPTS) {
                log::warn!("{why}: measured again");
            } else {
                failed.extend(failures);
                break;
            }
        }
        failed.extend(measure(config, trial, &programs, 1, stop)?);
    }
    report(Progress { done: total, total, is_most, now: None });
    Ok(failed)
}

/// Measures these variants of a trial side by side: all of them share the same load of the machine.
/// Returns the failures of single runs.
fn measure(
    config: &Config,
    trial: &Trial,
    variants: &[Variant],
    attempt: u32,
    stop: &AtomicBool,
) -> Result<Vec<Error>, Error> {
    let outcomes: Vec<_> = thread::scope(|scope| {
        let runs: Vec<_> = variants
            .iter()
            .map(|variant| {
                let name = trial.run(variant);
                let job = Job::new(config, trial, variant.clone(), name);
                scope.spawn(move || job.run(attempt, stop))
            })
            .collect();
        runs.into_iter().map(|run| run.join()).collect()
    });
    let mut failures = Vec::new();
    for outcome in outcomes {
        match outcome.unwrap_or(Err(Error::Stopped)) {
            Err(error) if error.concerns_one_run() => failures.push(error),
            outcome => outcome?,
        }
    }
    Ok(failures)
}

/// Returns true if the repetitions before this one suffice for `--repetitions auto`.
fn is_settled(config: &Config, trial: &Trial) -> Result<bool, Error> {
    settled(&config.plan, config.variants(), &config.out, trial)
}

fn settled(
    plan: &Plan,
    variants: impl Iterator<Item = Variant>,
    out: &Path,
    trial: &Trial,
) -> Result<bool, Error> {
    let Some(percent) = plan.repetitions.percent().filter(|_| trial.repetition > ENOUGH) else {
        return Ok(false);
    };
    let mut runs = Vec::new();
    for variant in variants {
        for repetition in 1..trial.repetition {
            let name = Trial { repetition, ..trial.clone() }.run(&variant);
            // A failed run has no value.
            if let Ok(Run { info: Some(info), records, .. }) =
                read_run(&out.join("runs").join(name))
            {
                let measured = Measured::new(&records, &info);
                runs.push((info, measured));
            }
        }
    }
    let pairs: Vec<_> = runs.iter().map(|(info, measured)| (info, measured)).collect();
    Ok(group(&pairs).iter().all(|it| it.is_within(percent)))
}

/// A run that the machine spoiled.
struct Spoiled {
    run: String,
    taint: Taint,
    /// How often it was measured.
    attempts: u32,
}

impl fmt::Display for Spoiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {}: {}", self.run, self.taint)
    }
}

/// Those of these runs that the machine spoiled.
fn spoiled(out: &Path, trial: &Trial, variants: &[Variant]) -> Result<Vec<Spoiled>, Error> {
    let mut runs = Vec::new();
    for variant in variants {
        let run = read_run(&out.join("runs").join(trial.run(variant)))?;
        let measured = run.info.as_ref().map(|info| Measured::new(&run.records, info));
        runs.extend(run.info.zip(measured).map(|(info, measured)| (run.name, info, measured)));
    }
    let pairs: Vec<_> = runs.iter().map(|(_, info, measured)| (info, measured)).collect();
    let found = taints(&pairs).into_iter().zip(&runs);
    let spoiled = found.filter_map(|(taints, (run, info, _))| {
        let taint = taints.into_iter().next()?;
        Some(Spoiled { run: run.clone(), taint, attempts: info.attempts })
    });
    Ok(spoiled.collect())
}

/// Returns true for a run whose files can be read. A directory with other files is measured again.
fn is_done(out: &Path, name: &str) -> Result<bool, Error> {
    use super::record::Error::{Changed, Io, Line};
    let dir = out.join("runs").join(name);
    if !dir.exists() {
        return Ok(false);
    }
    let why = match read_run(&dir) {
        Ok(Run { info: Some(_), .. }) => return Ok(true),
        Ok(_) => format!("it has no {RUN}"),
        Err(error @ (Line { .. } | Changed { .. })) => error.to_string(),
        Err(Io { path, cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
            format!("it has no {}", path.file_name().unwrap_or_default().display())
        }
        Err(other) => return Err(other.into()),
    };
    log::warn!("run {name} is measured again: {why}");
    Ok(false)
}

/// The run of one variant under one condition.
struct Job<'a> {
    config: &'a Config,
    trial: &'a Trial,
    variant: Variant,
    name: String,
    /// The run's directory until the run is complete.
    part: PathBuf,
}

impl<'a> Job<'a> {
    fn new(config: &'a Config, trial: &'a Trial, variant: Variant, name: String) -> Self {
        let part = config.out.join("runs").join(format!("{name}.part"));
        Self { config, trial, variant, name, part }
    }

    fn run(&self, attempt: u32, stop: &AtomicBool) -> Result<(), Error> {
        let outcome = match self.config.place {
            #[cfg(target_os = "linux")]
            Place::Namespaces => namespaces::run(self, stop),
            Place::InProcess => in_process::run(self, stop),
        };
        match outcome {
            Ok(()) => {
                let waits = sum_of_waits(&self.part)?;
                self.edit_info(|info| {
                    info.attempts = attempt;
                    if info.mode.is_quic() {
                        // The option that the server was given.
                        let control = self.variant.control.of_quic().to_string();
                        info.server_congestion_control = Some(control);
                    }
                    info.files.extend(waits);
                })?;
                self.finish()
            }
            Err(error) => {
                if error.concerns_one_run() {
                    let _ = fs::create_dir_all(&self.part);
                    let _ = fs::write(self.part.join(FAILED), clean_lines(&format!("{error}\n")));
                }
                Err(error)
            }
        }
    }

    /// Gives the run its name. A damaged run of that name is removed.
    fn finish(&self) -> Result<(), Error> {
        let dir = self.part.with_file_name(&self.name);
        remove(&dir)?;
        Ok(fs::rename(&self.part, dir).map_err(super::record::Error::io("rename", &self.part))?)
    }

    /// Makes the directory, and removes that of an earlier attempt that was killed.
    fn begin(&self) -> Result<(), Error> {
        remove(&self.part)?;
        let made = fs::create_dir_all(&self.part);
        Ok(made.map_err(super::record::Error::io("make", &self.part))?)
    }

    /// Edits the run's `run.json`.
    fn edit_info(&self, change: impl FnOnce(&mut RunInfo)) -> Result<(), Error> {
        let Some(mut info) = read_info(&self.part)? else { return Err(Error::Stopped) };
        change(&mut info);
        Ok(info.write(&self.part)?)
    }
}

/// Removes a directory, if there is one.
fn remove(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(super::record::Error::io("remove", dir)(error).into())
        }
        _ => Ok(()),
    }
}
