//! Runs in the emulated network's two namespaces: the server and the load are processes, and
//! packets are lost between their kernel stacks.

use super::{Config, Error, Job, program};
use crate::impair::Direction;
use crate::lab::record::{
    Emulation, Kernel, Mode, Network as Counted, RunInfo, TRACE, Trace, WAITS,
};
use crate::lab::variant::Control;
use crate::net::emulated::{self, Network, Node, Totals};
use crate::protocol::limits::{self, DEFAULT_PORT};
use crate::time::micros;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::PidfdFlags;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Pause between two looks at the server, its connections and the stop flag. In a kernel in User
/// Mode each look costs milliseconds.
const PAUSE: Duration = Duration::from_secs(1);
/// The pause while a look may find something new.
const SHORT_PAUSE: Duration = Duration::from_millis(100);
/// Prefix of the environment variables that set options: a run depends only on its plan.
const VARIABLE_PREFIX: &str = "CHATAGRAM_";
/// The congestion controls that network namespaces may use.
const ALLOWED: &str = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";
/// Limit on the error output quoted from a failed program, bytes.
const MAX_ERROR_OUTPUT: usize = 2_000;

/// Runs the server and the load, then adds the network's counters to `run.json`.
pub(super) fn run(job: &Job<'_>, stop: &AtomicBool) -> Result<(), Error> {
    job.begin()?;
    let network = Network::build(&job.trial.spec, job.trial.seed)?;
    if job.config.trace {
        capture(job, &network)?;
    }
    set_control(job, &network)?;
    if job.trial.expiry() > limits::EXPIRY {
        network.allow_long_handshakes().map_err(system("set TCP's retries"))?;
    }
    let mut controls = Controls::default();
    let served = match job.config.plan.program_of(job.variant.mode) {
        None => {
            run_own(job, &network, stop, &mut controls)?;
            None
        }
        Some(program) => Some(program::run(job, program, &network, stop, &mut controls)?),
    };
    let totals = network.finish().map_err(|error| match error {
        emulated::Error::Capture(cause) => no_capture(job)(cause),
        other => other.into(),
    })?;
    let lost = totals.nodes.iter().map(|node| node.overruns).sum();
    let mut used = Vec::new();
    job.edit_info(|info| {
        controls.add_to(info);
        info.emulation = Some(Emulation::Namespaces);
        info.impair = Some(job.trial.spec.to_string());
        info.machine.router_late_p99_us = Some(micros(totals.lateness.p99()));
        info.machine.router_late_max_us = Some(micros(totals.lateness.max()));
        info.trace = totals.traced.map(trace);
        info.network = Some(counted(totals, lost));
        if let Some(served) = served {
            served.add_to(info);
        }
        used.extend(info.congestion_control.clone());
        used.extend(info.server_congestion_control.clone());
    })?;
    if let Control::Named(control) = job.variant.control
        && let Some(other) = used.into_iter().find(|it| it != control.name())
    {
        let cause = format!("the run's sockets had {}", crate::protocol::clean(&other));
        return Err(refused(job, job.variant.control, cause, "repeat the run"));
    }
    if lost > 0 {
        return Err(Error::Overrun { run: job.name.clone(), lost });
    }
    Ok(())
}

/// Sets TCP's congestion control on both nodes. Another one than the plan's is an error. QUIC's is
/// an option of the programs.
fn set_control(job: &Job<'_>, network: &Network) -> Result<(), Error> {
    if job.variant.mode.is_quic() {
        return Ok(());
    }
    let Control::Named(control) = job.variant.control else {
        // CUBIC for comparable results; `run.json` has what the sockets had.
        if let Err(error) = network.set_congestion_control("cubic") {
            log::info!("{}: TCP keeps the machine's congestion control: {error}", job.name);
        }
        return Ok(());
    };
    network.set_congestion_control(control.name()).map_err(|error| {
        let allowed = fs::read_to_string(ALLOWED).unwrap_or_else(|_| "reno".to_owned());
        let remedy = match error.kind() {
            io::ErrorKind::PermissionDenied => format!(
                "as root: sysctl -w net.ipv4.tcp_allowed_congestion_control='{} {control}'",
                crate::protocol::clean(allowed.trim())
            ),
            _ => format!("as root: modprobe tcp_{control}"),
        };
        refused(job, job.variant.control, error.to_string(), &remedy)
    })
}

/// The congestion controls of a run's TCP connections, read back from the kernel: of the clients'
/// sockets and of the server's.
#[derive(Default)]
pub(super) struct Controls([BTreeSet<String>; 2]);

impl Controls {
    /// Looks at the connections that are open now, if the run may have some. Returns the pause
    /// before the next look.
    pub(super) fn look(&mut self, job: &Job<'_>, network: &Network) -> Duration {
        let mode = job.variant.mode;
        if !matches!(mode, Mode::Tcp | Mode::Program(_)) {
            return PAUSE;
        }
        for node in [Node::Clients, Node::Server] {
            match network.controls_of_connections(node) {
                Ok(names) => self.0[node as usize].extend(names),
                Err(error) => log::debug!("{}: the kernel lists no connections: {error}", job.name),
            }
        }
        // Our own connections stay for the whole run.
        let is_over = mode == Mode::Tcp && self.0.iter().all(|names| !names.is_empty());
        if is_over { PAUSE } else { SHORT_PAUSE }
    }

    /// The clients of this crate have read their sockets themselves.
    fn add_to(self, info: &mut RunInfo) {
        let names = |set: BTreeSet<String>| {
            (!set.is_empty()).then(|| set.into_iter().collect::<Vec<_>>().join(","))
        };
        let [clients, server] = self.0.map(names);
        info.congestion_control = info.congestion_control.take().or(clients);
        info.server_congestion_control = server;
    }
}

fn refused(job: &Job<'_>, control: Control, cause: String, remedy: &str) -> Error {
    let (run, remedy) = (job.name.clone(), remedy.to_owned());
    Error::Control { run, control, cause, remedy }
}

fn capture(job: &Job<'_>, network: &Network) -> Result<(), Error> {
    let Job { name, trial, .. } = job;
    let note = format!("run {name}; network: {}; seed {}", trial.spec, trial.seed);
    network.capture(&job.part.join(TRACE), &note, emulated::MAX_BYTES).map_err(no_capture(job))
}

fn no_capture(job: &Job<'_>) -> impl FnOnce(io::Error) -> Error {
    let run = job.name.clone();
    move |cause| Error::Broken {
        run,
        cause: format!("cannot write {TRACE}: {cause}; free some space, or add --no-trace"),
    }
}

fn trace(it: emulated::Traced) -> Trace {
    let emulated::Traced { packets, bytes, beyond_limit, too_slow } = it;
    Trace { packets, bytes, beyond_limit, too_slow }
}

fn counted(totals: Totals, overruns: u64) -> Counted {
    let Totals { up, down, refused, nodes: [clients, server], .. } = totals;
    let kernel = Kernel {
        clients_sent: clients.sent,
        clients_received: clients.received,
        clients_refused: refused[Direction::Down as usize],
        server_sent: server.sent,
        server_received: server.received,
        server_refused: refused[Direction::Up as usize],
    };
    Counted { up, down, overruns, kernel: Some(kernel) }
}

/// Runs this crate's server and the load, which the server must survive.
fn run_own(
    job: &Job<'_>,
    network: &Network,
    stop: &AtomicBool,
    controls: &mut Controls,
) -> Result<(), Error> {
    let command = server_command(job);
    let mut server = Process::start("server", &job.name, network, Node::Server, command)?;
    server.first_line()?;
    run_load(job, network, DEFAULT_PORT, stop, || {
        server.expect_running()?;
        Ok(controls.look(job, network))
    })
}

/// Runs the load to its end. `check` looks at the server, and returns the pause before the next
/// look.
pub(super) fn run_load(
    job: &Job<'_>,
    network: &Network,
    port: u16,
    stop: &AtomicBool,
    mut check: impl FnMut() -> Result<Duration, Error>,
) -> Result<(), Error> {
    let command = load_command(job, port);
    let mut load = Process::start("load", &job.name, network, Node::Clients, command)?;
    loop {
        let ended = load.has_ended();
        // First, because without a network the load may fail as well.
        if let Some(cause) = network.failure() {
            return Err(Error::Broken { run: job.name.clone(), cause: cause.to_string() });
        }
        // Before the ends of the programs: Ctrl-C reaches them as well.
        if stop.load(Ordering::Relaxed) && !matches!(ended, Ok(true)) {
            return Err(Error::Stopped);
        }
        // Before the load's failure, whose reason is then the server's end.
        let pause = check()?;
        if ended? {
            return Ok(());
        }
        load.await_end(pause);
    }
}

fn server_command(job: &Job<'_>) -> Command {
    let Job { config, trial, variant, .. } = job;
    let plan = &config.plan;
    let peers = (plan.senders + plan.receivers).to_string();
    let mut command = command(config);
    command.arg("server").arg("--bind").arg(format!("{}:{DEFAULT_PORT}", Node::Server.address()));
    // Discovery's multicast would be among the packets counted.
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
    command.args(trial.server_arguments(variant));
    command.arg("--record-waits").arg(job.part.join(WAITS));
    command
}

fn load_command(job: &Job<'_>, port: u16) -> Command {
    let Job { config, trial, variant, name, .. } = job;
    let mut command = command(config);
    command.arg("load").arg(format!("{}:{port}", Node::Server.address()));
    command.args(config.plan.load_arguments(trial, variant, name)).arg("--out").arg(&job.part);
    if config.plan.program_of(variant.mode).is_some_and(|it| it.pty) {
        command.arg("--pty");
    }
    command
}

fn command(config: &Config) -> Command {
    let mut command = Command::new(&config.program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with(VARIABLE_PREFIX) {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |cause| Error::System { what, cause }
}

/// A program on a node, killed on drop.
struct Process {
    role: &'static str,
    run: String,
    child: Child,
    /// Readable once the process has ended; `None` if the kernel has no such descriptor.
    end: Option<OwnedFd>,
}

impl Process {
    fn start(
        role: &'static str,
        run: &str,
        network: &Network,
        node: Node,
        command: Command,
    ) -> Result<Self, Error> {
        let child = network.spawn(node, command).map_err(system("start the program"))?;
        let id = rustix::process::Pid::from_child(&child);
        let end = rustix::process::pidfd_open(id, PidfdFlags::empty());
        let end = end.inspect_err(|error| log::debug!("{run}: no pidfd: {error}")).ok();
        Ok(Self { role, run: run.to_owned(), child, end })
    }

    /// Waits for its end, at most for this long.
    fn await_end(&self, most: Duration) {
        let Some(end) = &self.end else { return thread::sleep(most.min(SHORT_PAUSE)) };
        let timeout = Timespec::try_from(most).ok();
        if let Err(error) = poll(&mut [PollFd::new(end, PollFlags::IN)], timeout.as_ref()) {
            log::debug!("{}: poll: {error}", self.run);
        }
    }

    /// Waits for the first line of output, which a server prints once it listens.
    fn first_line(&mut self) -> Result<(), Error> {
        let mut line = String::new();
        if let Some(out) = self.child.stdout.as_mut() {
            BufReader::new(out).read_line(&mut line).map_err(system("read the server's output"))?;
        }
        if line.is_empty() {
            let status = self.child.wait().map_err(system("wait for the server"))?;
            return Err(self.failed(status));
        }
        Ok(())
    }

    /// An error if it has ended, even successfully.
    fn expect_running(&mut self) -> Result<(), Error> {
        match self.child.try_wait().map_err(system("wait for the program"))? {
            None => Ok(()),
            Some(status) => Err(self.failed(status)),
        }
    }

    /// Returns true if it has ended successfully.
    fn has_ended(&mut self) -> Result<bool, Error> {
        match self.child.try_wait().map_err(system("wait for the program"))? {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => Err(self.failed(status)),
        }
    }

    fn failed(&mut self, status: ExitStatus) -> Error {
        let output = self.child.stderr.take().map(error_output).unwrap_or_default();
        Error::Program { run: self.run.clone(), role: self.role, status, output }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The end of a program's error output.
fn error_output(mut stderr: ChildStderr) -> String {
    let mut bytes = Vec::new();
    let _ = stderr.read_to_end(&mut bytes);
    let from = bytes.len().saturating_sub(MAX_ERROR_OUTPUT);
    let text = String::from_utf8_lossy(&bytes[from..]);
    crate::protocol::clean(text.trim()).into_owned()
}
