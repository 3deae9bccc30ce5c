//! The commands: each puts its parts together, runs them, and turns the end into an exit code.

use crate::cli::{ClientArgs, LabArgs, LoadArgs, LoggingArgs, NetworkArgs, ServerArgs, reachable};
use crate::client::session::CloseReason;
use crate::client::{self, Format, Leaver};
use crate::lab::load::{self, Outcome};
use crate::lab::plan::Plan;
use crate::lab::record;
use crate::lab::report;
#[cfg(target_os = "linux")]
use crate::lab::sweep;
use crate::net::ServerName;
#[cfg(target_os = "linux")]
use crate::net::emulated::Host;
use crate::protocol::limits::DEFAULT_PORT;
use crate::server::Server;
use log::LevelFilter;
use std::fmt::Display;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const COULD_NOT_START: u8 = 1;
const USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;
const REFUSED: u8 = 4;
const LOST: u8 = 5;
/// What a shell reports for a program that SIGINT ended.
const INTERRUPTED: u8 = 130;

/// Keeps a room.
pub fn server(args: &ServerArgs, network: &NetworkArgs, logging: &LoggingArgs) -> ExitCode {
    let server = match start_server(args, network, logging, LevelFilter::Info) {
        Ok(server) => server,
        Err(code) => return code,
    };
    let stopper = server.stopper();
    on_signal(move || stopper.stop());
    for address in server.addresses() {
        announce(&format!("listening on {address}"));
    }
    finish_server(server.run())
}

/// Joins a room.
pub fn client(
    server: ServerName,
    args: &ClientArgs,
    network: &NetworkArgs,
    logging: &LoggingArgs,
) -> ExitCode {
    if let Err(code) = start_logging(logging, LevelFilter::Warn) {
        return code;
    }
    let leaver = Leaver::default();
    on_signal(leave_with(leaver.clone()));
    finish_client(client::run(args.config(server, network), &leaver))
}

/// Keeps a room and talks in it.
pub fn host(
    client: &ClientArgs,
    server: &ServerArgs,
    network: &NetworkArgs,
    logging: &LoggingArgs,
) -> ExitCode {
    let server = match start_server(server, network, logging, LevelFilter::Warn) {
        Ok(server) => server,
        Err(code) => return code,
    };
    let addresses: Vec<_> = server.addresses().collect();
    let Some(first) = addresses.first().copied() else {
        return fail(USAGE, "no address to listen on");
    };
    if client.output == Format::Text {
        for address in &addresses {
            announce(&format!("listening on {address}"));
        }
        announce(&format!("others join with: chatagram client {} --nick NAME", invitation(first)));
    }
    let leaver = Leaver::default();
    on_signal(leave_with(leaver.clone()));
    let stopper = server.stopper();
    let serving = thread::Builder::new().name("server".to_owned()).spawn(move || server.run());
    let serving = match serving {
        Ok(serving) => serving,
        Err(error) => return fail(COULD_NOT_START, error),
    };
    let code = finish_client(client::run(client.config(reachable(first).into(), network), &leaver));
    stopper.stop();
    match serving.join() {
        Ok(Ok(())) => code,
        Ok(Err(error)) => fail(COULD_NOT_START, error),
        Err(_) => fail(COULD_NOT_START, "the server failed: please report this"),
    }
}

/// Drives a running server with many clients.
pub fn load(
    server: ServerName,
    args: &LoadArgs,
    network: &NetworkArgs,
    logging: &LoggingArgs,
) -> ExitCode {
    if let Err(code) = start_logging(logging, LevelFilter::Warn) {
        return code;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = stop.clone();
    on_signal(move || stopping.store(true, Ordering::Relaxed));
    match load::measure(&args.config(server, network), &stop) {
        Ok(outcome) => {
            announce(&sum_up(&outcome));
            ExitCode::SUCCESS
        }
        Err(error) => fail(load_failure(&error), error),
    }
}

/// Makes the page, the tables and the pictures of what was recorded.
pub fn report(dir: &Path, logging: &LoggingArgs) -> ExitCode {
    if let Err(code) = start_logging(logging, LevelFilter::Warn) {
        return code;
    }
    match show_report(dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(COULD_NOT_START, error),
    }
}

fn show_report(dir: &Path) -> Result<(), record::Error> {
    let written = report::write(dir)?;
    announce(report::terminal_table(&written.groups).trim_end());
    for run in &written.incomplete {
        announce(&format!("not in it, for it did not finish: {run}"));
    }
    announce(&format!("{} runs; open {}", written.runs, written.page.display()));
    Ok(())
}

/// Measures, and makes the report.
pub fn lab(args: &LabArgs, logging: &LoggingArgs) -> ExitCode {
    let text = args.plan.as_ref().map(|path| {
        fs::read_to_string(path).map_err(|error| {
            fail(COULD_NOT_START, format!("cannot read {}: {error}", path.display()))
        })
    });
    let text = match text.transpose() {
        Ok(text) => text,
        Err(code) => return code,
    };
    let named = |error: String| match &args.plan {
        Some(path) => fail(USAGE, format!("{}: {error}", path.display())),
        None => fail(USAGE, error),
    };
    let plan = match args.plan(text.as_deref()) {
        Ok(plan) => plan,
        Err(error) => return named(error),
    };
    if args.print_plan {
        announce(plan.unwrap_or_default().text().trim_end());
        return ExitCode::SUCCESS;
    }
    if args.print_runs {
        return match plan.unwrap_or_default().runs_text() {
            Ok(text) => {
                announce(text.trim_end());
                ExitCode::SUCCESS
            }
            Err(error) => fail(USAGE, error),
        };
    }
    if let Err(code) = start_logging(logging, LevelFilter::Warn) {
        return code;
    }
    measure(plan, args)
}

#[cfg(not(target_os = "linux"))]
fn measure(_: Option<Plan>, _: &LabArgs) -> ExitCode {
    fail(
        COULD_NOT_START,
        "the lab's network is made of Linux namespaces: run it on Linux, in a virtual machine or WSL 2",
    )
}

#[cfg(target_os = "linux")]
fn measure(plan: Option<Plan>, args: &LabArgs) -> ExitCode {
    // Before the second thread: the kernel wants it so.
    if let Err(error) = Host::enter() {
        return fail(COULD_NOT_START, error);
    }
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return fail(COULD_NOT_START, error),
    };
    let config = match sweep::Config::prepare(plan, args.out.clone(), args.resume, program) {
        Ok(config) => config,
        Err(error) => return fail(lab_failure(&error), error),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = stop.clone();
    on_signal(move || stopping.store(true, Ordering::Relaxed));
    let bar = Bar::start();
    let outcome = sweep::run(&config, &stop, |progress| bar.show(&progress));
    bar.end();
    match outcome.map(|()| show_report(&config.out)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => fail(COULD_NOT_START, error),
        Err(error) => fail(lab_failure(&error), error),
    }
}

#[cfg(target_os = "linux")]
fn lab_failure(error: &sweep::Error) -> u8 {
    match error {
        sweep::Error::Plan(_)
        | sweep::Error::NotEmpty(_)
        | sweep::Error::OtherPlan(_)
        | sweep::Error::NothingToResume(_) => USAGE,
        sweep::Error::Stopped => INTERRUPTED,
        _ => COULD_NOT_START,
    }
}

/// How far the lab is, on one line of the terminal; silent where there is none.
#[cfg(target_os = "linux")]
struct Bar {
    shown: bool,
    start: Instant,
}

#[cfg(target_os = "linux")]
impl Bar {
    const WIDTH: usize = 24;

    fn start() -> Self {
        Self { shown: io::stderr().is_terminal(), start: Instant::now() }
    }

    fn show(&self, progress: &sweep::Progress<'_>) {
        let Some(meeting) = progress.now.filter(|_| self.shown) else { return };
        let full = Self::WIDTH * progress.done / progress.total.max(1);
        let left = match u32::try_from(progress.done) {
            Ok(done @ 1..) => {
                let rest = (progress.total - progress.done) as u32;
                format!("about {} s left", (self.start.elapsed() * rest / done).as_secs())
            }
            _ => String::new(),
        };
        eprint!(
            "\r\x1b[K[{:<width$}] {}/{} loss {} % {left}",
            "#".repeat(full),
            progress.done,
            progress.total,
            meeting.condition.loss * 100.0,
            width = Self::WIDTH
        );
    }

    fn end(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}

fn load_failure(error: &load::Error) -> u8 {
    match error {
        load::Error::NotEmpty(_) | load::Error::Parquet(_) => USAGE,
        load::Error::Files(_) | load::Error::Network { .. } => COULD_NOT_START,
        load::Error::NotFound(_) | load::Error::Unreachable { .. } | load::Error::Slow { .. } => {
            UNREACHABLE
        }
        load::Error::Refused { .. } => REFUSED,
        load::Error::Gone { .. } => LOST,
        load::Error::Stopped => INTERRUPTED,
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

fn start_server(
    args: &ServerArgs,
    network: &NetworkArgs,
    logging: &LoggingArgs,
    level: LevelFilter,
) -> Result<Server, ExitCode> {
    let config = args.config(network).map_err(|error| fail(USAGE, error))?;
    start_logging(logging, level)?;
    Server::start(config).map_err(|error| fail(COULD_NOT_START, error))
}

fn start_logging(args: &LoggingArgs, usual: LevelFilter) -> Result<(), ExitCode> {
    crate::logging::start(args.level(usual), args.log_file.as_deref())
        .map_err(|error| fail(COULD_NOT_START, error))
}

fn finish_server(outcome: Result<(), crate::server::Error>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(COULD_NOT_START, error),
    }
}

fn finish_client(outcome: Result<CloseReason, client::Error>) -> ExitCode {
    match outcome {
        Ok(CloseReason::Quit | CloseReason::Shutdown) => ExitCode::SUCCESS,
        Ok(CloseReason::Unreachable) => {
            fail(UNREACHABLE, "no answer from the server: is it running, and is the address right?")
        }
        Ok(CloseReason::Refused) => ExitCode::from(REFUSED),
        Ok(CloseReason::Lost) => fail(LOST, "the server is gone and did not come back"),
        Err(error) => fail(COULD_NOT_START, error),
    }
}

/// Leaves in order; at once when there is nothing to leave yet.
fn leave_with(leaver: Leaver) -> impl FnMut() + Send {
    move || {
        if !leaver.leave() {
            std::process::exit(INTERRUPTED.into());
        }
    }
}

/// Acts on the first SIGINT or SIGTERM (Ctrl-C); a second one ends the process.
fn on_signal(mut act: impl FnMut() + Send + 'static) {
    let again = AtomicBool::new(false);
    let handler = move || {
        if again.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
        act();
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        log::warn!("Ctrl-C will end the program without a goodbye: {error}");
    }
}

/// Prints a line on standard output at once. Nobody there to read it is no reason to stop.
fn announce(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn fail(code: u8, error: impl Display) -> ExitCode {
    eprintln!("chatagram: {error}");
    ExitCode::from(code)
}

/// What others type to reach this machine.
fn invitation(bound: SocketAddr) -> String {
    let ip = if bound.ip().is_unspecified() { outward_ip().into() } else { bound.ip() };
    match (ip, bound.port()) {
        (ip, DEFAULT_PORT) => ip.to_string(),
        (ip, port) => SocketAddr::new(ip, port).to_string(),
    }
}

/// The address this machine would send from. Connecting a UDP socket only asks the routing table;
/// nothing is sent to the documentation address (RFC 5737).
fn outward_ip() -> Ipv4Addr {
    let ask = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), DEFAULT_PORT))?;
        socket.local_addr()
    };
    match ask() {
        Ok(SocketAddr::V4(address)) => *address.ip(),
        _ => Ipv4Addr::LOCALHOST,
    }
}
