//! `chatagram grade`: judges a client of another author against `proto.md`.
//!
//! The client runs as `COMMAND HOST:PORT NICK`. It says each line of its standard input, prints
//! what it receives, one line each, and leaves at the line `exit` or at the end of its input.
//!
//! ```text
//!   client's process ◄── one UDP socket ──► referee: rule ──► hub ◄──► teacher (a session)
//!                                              │
//!                                              ▼
//!                                            trace ──► judges ──► report
//! ```
//!
//! Each scenario starts the client once and writes a trace: every datagram, line and exit, with its
//! time. A scenario waits for events, with generous deadlines, and never sleeps. The judges are
//! functions of traces, without I/O. Datagrams have the time at which the kernel took them in. A
//! scenario is repeated only if the client waited for a processor at the time of a fault.
//!
//! | file | owns |
//! |---|---|
//! | `criteria.rs` | the table of criteria: points, sections, what each one needs |
//! | `case.rs` | the case of a seed: names, texts, which datagrams are lost |
//! | `plan.rs`, `plan/words.rs` | a teacher's file: criteria, points, cases, scenarios |
//! | `scenario.rs`, `scenario/*.rs` | what happens to the client |
//! | `referee.rs`, `referee/inputs.rs` | hub, teacher and client on one clock |
//! | `sockets.rs` | the referee's UDP socket and TCP connections |
//! | `process.rs` | the client's process, its limits and its output |
//! | `survivors.rs` | the processes that a client leaves behind in other sessions |
//! | `waits.rs` | how long the client waited for a processor |
//! | `trace.rs` | the events of a scenario, in order |
//! | `judge.rs`, `judge/*.rs` | traces to findings |
//! | `report.rs`, `report/*.rs` | verdicts, and their formats |
//! | `class.rs` | a folder of submissions, and their table |

mod case;
mod class;
mod criteria;
mod edit;
mod judge;
mod plan;
mod process;
mod referee;
mod report;
mod scenario;
mod sockets;
#[cfg(target_os = "linux")]
mod survivors;
mod trace;
mod waits;

pub use case::seed_of;
pub use class::{Graded, class_csv, class_html, class_text, grade_class};
pub use criteria::{CRITERIA, Criterion};
pub use plan::{Plan, PlanError};
pub use report::{Format, Report, Verdict, render};

use case::Case;
use judge::Finding;
use scenario::Scenario;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::atomic::{AtomicUsize, Ordering};
use trace::Trace;

/// Scenarios that run at once. They mostly wait.
const AT_ONCE: usize = 6;
/// Runs of a scenario, at most, where the machine was too busy to judge the client.
const RUNS: usize = 6;

/// The client to grade, and how.
#[derive(Clone, Debug)]
pub struct Config {
    /// The client's command, without address and name.
    pub command: Vec<OsString>,
    /// Seed of names, texts and losses.
    pub seed: u64,
    /// Only these criteria, and those that they need; empty: those of the plan.
    pub only: Vec<String>,
    /// Criteria, points, cases and scenarios.
    pub plan: Plan,
}

/// Why a client was not graded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command did not start.
    #[error("cannot start {command}: {cause}{hint}")]
    Start {
        /// The program.
        command: String,
        /// The system's error.
        cause: std::io::Error,
        /// The remedy, if one is known.
        hint: &'static str,
    },
    /// The system refused a socket or a thread.
    #[error("cannot run a scenario: {0}")]
    System(#[from] std::io::Error),
    /// No criterion has that name.
    #[error("no criterion is called {0}: `chatagram grade --list` prints all of them")]
    Unknown(String),
}

/// Leaves this process no network but loopback, and so the clients that it starts. Call it before
/// any thread starts.
///
/// # Errors
/// The system has no network namespaces, or none for this user.
#[cfg(target_os = "linux")]
pub fn confine_network() -> Result<(), Box<dyn std::error::Error>> {
    Ok(crate::net::emulated::leave_networks()?)
}

/// The same where there are no namespaces.
#[cfg(not(target_os = "linux"))]
pub fn confine_network() -> Result<(), Box<dyn std::error::Error>> {
    Err("this system has no network namespaces".into())
}

/// Ends the processes that graded clients left behind. Call it when no client runs.
pub fn end_survivors() {
    #[cfg(target_os = "linux")]
    survivors::end(None);
}

/// Runs the client through the scenarios and judges it.
///
/// # Errors
/// The client did not start, or the machine refused a socket. What the client does is no error.
pub fn grade(config: &Config) -> Result<Report, Error> {
    let wanted = wanted(config)?;
    let plan = &config.plan;
    let jobs: Vec<_> = plan
        .scenarios
        .iter()
        .filter(|it| wanted.iter().any(|criterion| criterion.scenarios.contains(&it.name)))
        .flat_map(|it| (0..plan.repetitions).map(move |repetition| (it, repetition)))
        .collect();
    let outcomes = in_parallel(AT_ONCE, &jobs, |(scenario, repetition)| {
        run(config, scenario, *repetition, &wanted)
    });
    let mut runs = Runs::new();
    for ((scenario, _), outcome) in std::iter::zip(&jobs, outcomes) {
        runs.entry(scenario.name).or_default().push(outcome?);
    }
    Ok(Report::new(config, &wanted, &runs))
}

/// Does the jobs in this many threads, and returns the results in the order of the jobs.
fn in_parallel<J: Sync, T: Send>(
    threads: usize,
    jobs: &[J],
    work: impl Fn(&J) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let take = || {
        let at = next.fetch_add(1, Ordering::Relaxed);
        jobs.get(at).map(|job| (at, work(job)))
    };
    let mut done: Vec<_> = std::thread::scope(|scope| {
        let crew: Vec<_> = (0..threads.min(jobs.len()))
            .map(|_| scope.spawn(|| std::iter::from_fn(&take).collect::<Vec<_>>()))
            .collect();
        let results = crew.into_iter().flat_map(|member| {
            member.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        results.collect()
    });
    done.sort_unstable_by_key(|it| it.0);
    done.into_iter().map(|it| it.1).collect()
}

/// The criteria that this grading judges, in the order of the table.
///
/// # Errors
/// [`Error::Unknown`].
pub fn wanted(config: &Config) -> Result<Vec<&'static Criterion>, Error> {
    let only = if config.only.is_empty() { &config.plan.only } else { &config.only };
    criteria::with_needs(&config.plan.table, only)
}

/// The runs of each scenario: one for each repetition.
type Runs = BTreeMap<&'static str, Vec<Run>>;

/// The runs of a scenario with one case.
#[derive(Debug)]
struct Run {
    case: Case,
    /// At least one, and [`RUNS`] at most.
    traces: Vec<Trace>,
}

impl Run {
    /// The finding of a criterion, with the trace that shows it. A fault that the machine does not
    /// explain counts in whichever run it occurs, so that no repetition hides it.
    fn judge(&self, criterion: &Criterion) -> (&Trace, Finding) {
        let findings: Vec<_> =
            self.traces.iter().map(|it| (it, (criterion.judge)(it, &self.case))).collect();
        let rank = |finding: &Finding| match finding {
            Err(fault) if !fault.busy && !fault.vacant => 0,
            Ok(()) => 1,
            Err(fault) if !fault.busy => 2,
            Err(_) => 3,
        };
        let first = findings.into_iter().min_by_key(|it| rank(&it.1));
        first.unwrap_or_else(|| unreachable!("a scenario runs at least once"))
    }
}

/// Runs one scenario, again while a busy machine leaves a criterion without a verdict.
fn run(
    config: &Config,
    scenario: &Scenario,
    repetition: u32,
    wanted: &[&Criterion],
) -> Result<Run, Error> {
    let case = Case::new(config.seed, scenario.name, repetition, &config.plan.choices);
    let mut run = Run { case, traces: Vec::new() };
    let judged: Vec<_> = wanted.iter().filter(|it| it.scenarios.contains(&scenario.name)).collect();
    loop {
        run.traces.push(scenario::run(scenario, &config.command, &run.case)?);
        let is_busy = judged.iter().any(|it| run.judge(it).1.is_err_and(|fault| fault.busy));
        if !is_busy || run.traces.len() == RUNS {
            return Ok(run);
        }
    }
}
