//! The commands of the lab.

use super::ticket::goal;
use super::{
    COULD_NOT_START, INTERRUPTED, Then, USAGE, fail, on_signal, print, report_fault, start_logging,
    tell,
};
use crate::cli::{
    self, Error, LabArgs, LoadArgs, LoggingArgs, NetworkArgs, ReplayArgs, ReportArgs, TicketArgs,
    TransportArg,
};
use chatagram::lab::demand::Demand;
use chatagram::lab::load::{self, Outcome};
use chatagram::lab::plan::{self, Plan};
use chatagram::lab::record;
use chatagram::lab::report::{self, LeftOut, Written};
use chatagram::lab::sweep::{self, Place};
#[cfg(target_os = "linux")]
use chatagram::net::emulated::Host;
use chatagram::words::Language;
use log::LevelFilter;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Runs `load`.
pub(crate) fn load(
    places: &[cli::Place],
    ticket: &TicketArgs,
    args: &LoadArgs,
    network: &NetworkArgs,
    logging: &LoggingArgs,
) -> ExitCode {
    chatagram::client::end_on_panic(report_fault);
    if let Err(code) = start_logging(logging, LevelFilter::Warn, Language::En) {
        return code;
    }
    let goal = match goal(places, ticket, args.mode.transport, Language::En) {
        Ok(goal) => goal,
        Err(code) => return code,
    };
    let private = goal.ticket.is_some();
    let transport = if private { TransportArg::Quic } else { args.mode.transport };
    if let Err(error) = transport.check().and_then(|()| network.check(transport)) {
        return fail(USAGE, error);
    }
    if private && args.program.client.is_some() {
        return fail(USAGE, Error::TicketClient);
    }
    let config = args.config(goal.servers, goal.ticket, network);
    if let Some(impaired) = &config.impair {
        let load::Config { senders, receivers, rate, size, .. } = config;
        let demand = Demand { senders, receivers, rate, size };
        demand.beyond(&impaired.spec).iter().for_each(crate::logging::complain);
    }
    match load::measure(&config, &stop_on_signal()) {
        Ok(outcome) => {
            tell(&sum_up(&outcome));
            ExitCode::SUCCESS
        }
        Err(error) => fail(error.exit_code(), error),
    }
}

/// Runs `report`: page, tables and pictures of recorded runs.
pub(crate) fn report(args: &ReportArgs, logging: &LoggingArgs) -> ExitCode {
    if let Err(code) = start_logging(logging, LevelFilter::Warn, Language::En) {
        return code;
    }
    match show_report(&args.dir) {
        Ok(Written { left_out, tainted, .. })
            if args.strict && !(left_out.is_empty() && tainted.is_empty()) =>
        {
            let (out, spoiled) = (left_out.len(), tainted.len());
            fail(COULD_NOT_START, format!("--strict: {out} runs left out, {spoiled} tainted"))
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => fail(COULD_NOT_START, error),
    }
}

fn show_report(dir: &Path) -> Result<Written, record::Error> {
    let written = report::write(dir)?;
    tell(report::terminal_table(&written.groups).trim_end());
    for LeftOut { name, why } in &written.left_out {
        tell(&format!("left out: {name}: {why}"));
    }
    for (name, taints) in &written.tainted {
        let whys: Vec<_> = taints.iter().map(ToString::to_string).collect();
        tell(&format!("spoiled by the machine: {name}: {}", whys.join("; ")));
    }
    for lacks in written.captures.iter().chain(&written.wide) {
        tell(lacks);
    }
    let runs = if written.runs == 1 { "run" } else { "runs" };
    tell(&format!("{} {runs}; open {}", written.runs, written.page.display()));
    Ok(written)
}

/// Runs `lab`: measurement and report.
pub(crate) fn lab(args: &LabArgs, logging: &LoggingArgs) -> ExitCode {
    let text = args.plan.as_ref().map(|path| {
        fs::read_to_string(path).map_err(|error| {
            fail(COULD_NOT_START, format!("cannot read {}: {error}", path.display()))
        })
    });
    let text = match text.transpose() {
        Ok(text) => text,
        Err(code) => return code,
    };
    let named = |error: plan::Error| match &args.plan {
        Some(path) => fail(USAGE, format!("{}: {error}", path.display())),
        None => fail(USAGE, error),
    };
    let mut plan = match args.plan(text.as_deref()) {
        Ok(plan) => plan,
        Err(error) => return named(error),
    };
    for repeated in plan.iter_mut().flat_map(Plan::remove_repeats) {
        crate::logging::complain(repeated);
    }
    let modes = plan.iter().flat_map(|plan| &plan.modes);
    if !cfg!(feature = "quic") && modes.into_iter().any(|mode| mode.is_quic()) {
        return fail(USAGE, Error::NoQuic);
    }
    // scripts/netem-sweep.sh prints the plan before it runs it.
    if args.print_plan || args.print_runs && !args.resume {
        plan.iter().flat_map(Plan::shortages).for_each(crate::logging::complain);
    }
    if args.print_plan {
        return print(&plan.unwrap_or_default().text());
    }
    if let Err(code) = start_logging(logging, LevelFilter::Warn, Language::En) {
        return code;
    }
    if args.print_runs {
        let runs = if args.resume {
            sweep::runs_left(plan, &args.out)
        } else {
            plan.unwrap_or_default().runs_text().map_err(sweep::Error::from)
        };
        return match runs {
            Ok(text) => print(&text), // with its tabs
            Err(error) => fail(lab_failure(&error), error),
        };
    }
    measure(plan, args)
}

/// The place of a lab or replay. The kernel gives namespaces only before a second thread starts.
fn place() -> Place {
    #[cfg(target_os = "linux")]
    let why = match Host::enter() {
        Ok(_) => return Place::Namespaces,
        Err(error) => error.to_string(),
    };
    #[cfg(not(target_os = "linux"))]
    let why = "only Linux has network namespaces: run the lab in a virtual machine or in WSL 2";
    crate::logging::complain(why);
    crate::logging::complain(
        "this lab measures UDP and QUIC alone: datagrams are lost in this process, without TCP",
    );
    Place::InProcess
}

fn measure(plan: Option<Plan>, args: &LabArgs) -> ExitCode {
    let place = place();
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return fail(COULD_NOT_START, error),
    };
    let out = args.out.clone();
    let mut config = match sweep::Config::prepare(plan, out, args.resume, program, place) {
        Ok(config) => config,
        Err(error) => return fail(lab_failure(&error), error),
    };
    config.trace = !args.no_trace;
    config.plan.shortages().iter().for_each(crate::logging::complain);
    let bar = Bar::start();
    let outcome = sweep::run(&config, &stop_on_signal(), |progress| bar.show(&progress));
    bar.end();
    let failed = match outcome {
        Ok(failed) => failed,
        Err(error) => return fail(lab_failure(&error), error),
    };
    for error in &failed {
        crate::logging::complain(error);
    }
    match show_report(&config.out) {
        Ok(_) if failed.is_empty() => ExitCode::SUCCESS,
        Ok(_) => fail(
            COULD_NOT_START,
            format!(
                "failed runs: {}; try them again with `chatagram lab --resume --out {}`",
                failed.len(),
                config.out.display()
            ),
        ),
        Err(error) => fail(COULD_NOT_START, error),
    }
}

/// Runs `replay`: a recorded run over another transport, with the same packets lost.
pub(crate) fn replay(args: &ReplayArgs, logging: &LoggingArgs) -> ExitCode {
    if let Err(code) = start_logging(logging, LevelFilter::Warn, Language::En) {
        return code;
    }
    let place = place();
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return fail(COULD_NOT_START, error),
    };
    let out = args.out.clone();
    match sweep::replay(&args.dir, args.mode.into(), out, program, place, &stop_on_signal()) {
        Ok(()) => match show_report(&args.out) {
            Ok(_) => ExitCode::SUCCESS,
            Err(error) => fail(COULD_NOT_START, error),
        },
        Err(error) => fail(lab_failure(&error), error),
    }
}

/// Set by the first Ctrl-C.
fn stop_on_signal() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = stop.clone();
    on_signal(move |_| {
        stopping.store(true, Ordering::Relaxed);
        Then::End
    });
    stop
}

fn lab_failure(error: &sweep::Error) -> u8 {
    match error {
        sweep::Error::Plan(_)
        | sweep::Error::NotEmpty(_)
        | sweep::Error::Taken(_)
        | sweep::Error::OtherPlan(_)
        | sweep::Error::NothingToResume(_)
        | sweep::Error::OnlyTcp
        | sweep::Error::NoPattern { .. } => USAGE,
        sweep::Error::Stopped => INTERRUPTED,
        _ => COULD_NOT_START,
    }
}

/// Progress of the lab: one line of the terminal, or a line every 10 s where standard error is no
/// terminal.
struct Bar {
    start: Instant,
    latest: Arc<Mutex<String>>,
    /// Without a terminal: the thread that prints ends when this is dropped.
    printing: Option<Sender<()>>,
}

impl Bar {
    const WIDTH: usize = 24;
    const INTERVAL: Duration = Duration::from_secs(10);

    fn start() -> Self {
        let latest = Arc::new(Mutex::new(String::new()));
        let printing = (!io::stderr().is_terminal()).then(|| {
            let (printing, over) = channel();
            let latest = latest.clone();
            thread::spawn(move || {
                while over.recv_timeout(Self::INTERVAL) == Err(RecvTimeoutError::Timeout) {
                    let line = latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    if !line.is_empty() {
                        let _ = writeln!(io::stderr(), "{line}");
                    }
                }
            });
            printing
        });
        Self { start: Instant::now(), latest, printing }
    }

    fn show(&self, progress: &sweep::Progress<'_>) {
        let Some(trial) = progress.now else { return };
        let left = match u32::try_from(progress.done) {
            Ok(done @ 1..) => {
                let rest = (progress.total - progress.done) as u32;
                format!(
                    ", {} {} s left",
                    if progress.is_most { "at most" } else { "about" },
                    (self.start.elapsed() * rest / done).as_secs()
                )
            }
            _ => String::new(),
        };
        let sweep::Progress { done, total, .. } = progress;
        let most = if progress.is_most { "at most " } else { "" };
        let line = format!("{done}/{most}{total} loss {} %{left}", trial.condition.loss * 100.0);
        if self.printing.is_none() {
            let bar = "#".repeat(Self::WIDTH * done / (*total).max(1));
            let _ = write!(io::stderr(), "\r\x1b[K[{bar:<width$}] {line}", width = Self::WIDTH);
        }
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }

    fn end(self) {
        if self.printing.is_none() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn sum_up(outcome: &Outcome) -> String {
    let share = 100.0 * outcome.delivered as f64 / outcome.expected.max(1) as f64;
    let time = |time: Option<Duration>| {
        time.map_or_else(|| "-".to_owned(), |it| format!("{:.1} ms", it.as_secs_f64() * 1e3))
    };
    format!(
        "{}: {} sent, {share:.2} % delivered, p50 {}, p99 {} after the intended time",
        outcome.info.run,
        outcome.info.sent,
        time(outcome.p50),
        time(outcome.p99)
    )
}
