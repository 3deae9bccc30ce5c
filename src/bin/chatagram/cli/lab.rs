//! The options of `load` and `lab`.

use super::condition::condition;
use super::{ModeArgs, NetworkArgs, Switch};
use chatagram::client::session::Transport;
use chatagram::impair::Spec;
use chatagram::lab::load;
use chatagram::lab::plan::{self, Bandwidth, Plan, Repetitions};
use chatagram::lab::program::{CommandLine, Program};
use chatagram::lab::record::{Condition, Destination, Mode, ProgramName};
use chatagram::lab::variant::Control;
use chatagram::link::Copies;
use chatagram::net::{BadNetwork, ServerName};
use chatagram::quantity;
use chatagram::ticket::Ticket;
use clap::Args;
use clap::builder::{FalseyValueParser, PathBufValueParser, TypedValueParser};
use std::path::PathBuf;
use std::time::Duration;

/// Name of the other chat unless one is given.
const DEFAULT_PROGRAM: &str = "program";

/// The messages of a run.
#[derive(Debug, Args)]
pub(crate) struct TrafficArgs {
    /// Clients that speak [default: 1]
    #[arg(long, value_name = "PEERS", env = "CHATAGRAM_SENDERS", value_parser = peers)]
    pub(crate) senders: Option<u32>,
    /// Clients that listen [default: 1]
    #[arg(long, value_name = "PEERS", env = "CHATAGRAM_RECEIVERS", value_parser = peers)]
    pub(crate) receivers: Option<u32>,
    /// Seed of the emulated network and start times [default: 1]
    #[arg(long, value_name = "SEED", env = "CHATAGRAM_SEED")]
    pub(crate) seed: Option<u64>,
}

/// A chat of another author.
#[derive(Debug, Args)]
pub(crate) struct ProgramArgs {
    /// Client of another chat: './client.py {host} {port} {nick}'
    ///
    /// A client takes lines from standard input and prints what it receives, as in a terminal. It
    /// runs without privileges, with limits, and without a shell. The page src/docs/lab.md has
    /// more.
    #[arg(long, value_name = "COMMAND", env = "CHATAGRAM_CLIENT")]
    pub(crate) client: Option<CommandLine>,
    /// Answer what a client asks for at its start, such as '{nick}'
    ///
    /// The option can be repeated: each answer follows what the client prints, or a second without.
    #[arg(
        long,
        value_name = "LINE",
        env = "CHATAGRAM_ANSWERS",
        requires = "client",
        hide_short_help = true
    )]
    pub(crate) answers: Vec<String>,
    /// Give the other chat a terminal in place of pipes
    ///
    /// For a program that asks only on a terminal, or that keeps back what it prints to a pipe. The
    /// terminal does not echo, and is so wide that no message is wrapped.
    #[arg(
        long, env = "CHATAGRAM_PTY", requires = "client", hide_short_help = true,
        value_parser = FalseyValueParser::new()
    )]
    pub(crate) pty: bool,
    /// Name of the other chat in the report [default: program]
    #[arg(
        long,
        value_name = "NAME",
        env = "CHATAGRAM_PROGRAM",
        requires = "client",
        hide_short_help = true
    )]
    pub(crate) program: Option<ProgramName>,
}

/// Options of a run of the lab.
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// The transport and the mode.
    #[command(flatten)]
    pub(crate) mode: ModeArgs,
    /// The program under test.
    #[command(flatten)]
    pub(crate) program: ProgramArgs,
    /// The messages.
    #[command(flatten)]
    pub(crate) traffic: TrafficArgs,
    /// Messages a second for each sender, such as 0.5
    #[arg(
        long, value_name = "RATE", default_value_t = plan::RATE, env = "CHATAGRAM_RATE",
        value_parser = quantity::message_rate
    )]
    pub(crate) rate: f64,
    /// Bytes of text in a message, 16 to 1000
    #[arg(
        long, value_name = "BYTES", default_value_t = plan::SIZE, env = "CHATAGRAM_SIZE",
        value_parser = plan::size
    )]
    pub(crate) size: u32,
    /// Duration of the run
    #[arg(
        long, value_name = "DURATION", default_value = "10s", env = "CHATAGRAM_DURATION",
        value_parser = run_duration
    )]
    pub(crate) duration: Duration,
    /// Write records.csv and run.json to this directory, empty or new
    ///
    /// DIR/records.parquet writes the rows as Parquet, in a build with that feature.
    #[arg(
        long, value_name = "DIR", env = "CHATAGRAM_OUT",
        value_parser = PathBufValueParser::new().try_map(Destination::new)
    )]
    pub(crate) out: Destination,
    /// Name of the run [default: the directory's]
    #[arg(long, hide_short_help = true, value_name = "RUN", env = "CHATAGRAM_NAME")]
    pub(crate) name: Option<String>,
    /// Emulate a bad network on UDP: 'loss 5%, delay 25ms'
    ///
    /// The emulated network carries the datagrams of all these clients. Another value: 'wifi'. The
    /// page src/docs/lab.md lists all items.
    #[arg(long, value_name = "SPEC", env = "CHATAGRAM_IMPAIR", conflicts_with = "client")]
    pub(crate) impair: Option<Spec>,
    /// Record the network's LOSS:DELAY:JITTER:BURST, such as 5%:25:0:1
    ///
    /// The option describes the network between the clients and the server; it changes nothing. The
    /// parts are the share of lost packets, delay and jitter in milliseconds, and the mean length
    /// of a burst of losses in packets. A limited bandwidth and the packets in its queue follow:
    /// 5%:25:0:1:2mbit:100.
    #[arg(
        long, value_name = "CONDITION", env = "CHATAGRAM_CONDITION",
        hide_short_help = true, value_parser = condition
    )]
    pub(crate) condition: Option<Condition>,
    /// Record that this is repetition N of the condition
    #[arg(
        long, value_name = "N", default_value_t = 1, env = "CHATAGRAM_REPETITION",
        hide_short_help = true, value_parser = repetitions
    )]
    pub(crate) repetition: u32,
    /// Measure although the server's rate limit delays the messages
    #[arg(
        long, env = "CHATAGRAM_THROUGH_RATE_LIMIT", hide_short_help = true,
        value_parser = FalseyValueParser::new()
    )]
    pub(crate) through_rate_limit: bool,
}

/// Options of `lab`.
#[derive(Debug, Args)]
pub(crate) struct LabArgs {
    /// Plan in TOML [default: one of two minutes, see --print-plan]
    ///
    /// An option replaces the plan's value.
    #[arg(value_name = "PLAN.toml", env = "CHATAGRAM_PLAN")]
    pub(crate) plan: Option<PathBuf>,
    /// Packets lost each way, in percent: 0,1,5,10
    #[arg(
        long, value_name = "PERCENT,...", env = "CHATAGRAM_LOSS", value_delimiter = ',',
        value_parser = quantity::percent
    )]
    pub(crate) loss: Option<Vec<f64>>,
    /// One-way delays in milliseconds: 25
    #[arg(
        long, value_name = "MS,...", env = "CHATAGRAM_DELAY_MS", value_delimiter = ',',
        value_parser = plan::milliseconds
    )]
    pub(crate) delay_ms: Option<Vec<f64>>,
    /// Jitter to either side of the delay, in milliseconds: 0,5
    #[arg(
        long, value_name = "MS,...", env = "CHATAGRAM_JITTER_MS", value_delimiter = ',',
        value_parser = plan::milliseconds
    )]
    pub(crate) jitter_ms: Option<Vec<f64>>,
    /// Mean lengths of a burst of losses, in packets: 1,5
    #[arg(
        long, value_name = "PACKETS,...", env = "CHATAGRAM_BURST", value_delimiter = ',',
        value_parser = plan::burst
    )]
    pub(crate) burst: Option<Vec<f64>>,
    /// Bits a second, each way: off,2mbit [default: off]
    #[arg(
        long, value_name = "RATE,...", env = "CHATAGRAM_BANDWIDTH", value_delimiter = ',',
        value_parser = plan::bandwidth
    )]
    pub(crate) bandwidth: Option<Vec<Bandwidth>>,
    /// Packets in the queue of a limited bandwidth: 100,20
    #[arg(
        long, value_name = "PACKETS,...", env = "CHATAGRAM_QUEUE", value_delimiter = ',',
        value_parser = plan::queue
    )]
    pub(crate) queue: Option<Vec<u32>>,
    /// Modes: unreliable, reliable-unordered, reliable-ordered, tcp
    ///
    /// In a build with the feature quic also quic-unreliable, quic-reliable-unordered and
    /// quic-reliable-ordered.
    #[arg(
        long, value_name = "MODE,...", env = "CHATAGRAM_MODES", value_delimiter = ',',
        value_parser = plan::mode
    )]
    pub(crate) modes: Option<Vec<Mode>>,
    /// Copies of each message over reliable UDP: auto,off,2
    #[arg(
        long, value_name = "auto|off|N,...", env = "CHATAGRAM_REDUNDANCY", value_delimiter = ',',
        value_parser = plan::redundancy
    )]
    pub(crate) redundancy: Option<Vec<Copies>>,
    /// Congestion control of TCP and QUIC: auto,reno,cubic,bbr
    ///
    /// auto is CUBIC, or for TCP the machine's where the kernel refuses CUBIC. A TCP run whose
    /// congestion control the kernel refuses fails, and says what helps. QUIC has new-reno, cubic
    /// and bbr.
    #[arg(
        long, value_name = "auto|NAME,...", env = "CHATAGRAM_CONGESTION", value_delimiter = ',',
        value_parser = plan::control
    )]
    pub(crate) congestion: Option<Vec<Control>>,
    /// Server of another chat: './server.py {port}'
    ///
    /// It is measured beside the modes. A plan can name several as [[program]]. No environment
    /// variable sets this option: CHATAGRAM_SERVER is the server of clients.
    #[arg(long, value_name = "COMMAND", requires = "client")]
    pub(crate) server: Option<CommandLine>,
    /// The program under test.
    #[command(flatten)]
    pub(crate) program: ProgramArgs,
    /// Repetitions of each condition: 5, or auto:10%:20
    ///
    /// Each has another seed. 'auto' repeats a condition until the interval of each figure is
    /// narrower than 10 % of its median, at least 6 and at most 20 times.
    #[arg(long, value_name = "N|auto:PERCENT:N", env = "CHATAGRAM_REPETITIONS")]
    pub(crate) repetitions: Option<Repetitions>,
    /// The messages.
    #[command(flatten)]
    pub(crate) traffic: TrafficArgs,
    /// Messages a second for each sender: 50,0.5
    #[arg(
        long, value_name = "RATE,...", env = "CHATAGRAM_RATE", value_delimiter = ',',
        value_parser = quantity::message_rate
    )]
    pub(crate) rate: Option<Vec<f64>>,
    /// Bytes of text in a message, 16 to 1000: 64,500
    #[arg(
        long, value_name = "BYTES,...", env = "CHATAGRAM_SIZE", value_delimiter = ',',
        value_parser = plan::size
    )]
    pub(crate) size: Option<Vec<u32>>,
    /// Duration of each run in seconds
    #[arg(
        long, value_name = "SECONDS", env = "CHATAGRAM_DURATION_S", value_parser = plan::seconds
    )]
    pub(crate) duration_s: Option<f64>,
    /// Write to this directory
    #[arg(long, value_name = "DIR", default_value = "chatagram-lab", env = "CHATAGRAM_OUT")]
    pub(crate) out: PathBuf,
    /// Continue the lab in the directory
    #[arg(long, env = "CHATAGRAM_RESUME", value_parser = FalseyValueParser::new())]
    pub(crate) resume: bool,
    /// Write no captures of the runs (trace.pcapng)
    ///
    /// A capture has every packet of its run, also the lost ones, for Wireshark. It takes about 300
    /// bytes for each packet, and at most 64 MB for a run.
    #[arg(long, env = "CHATAGRAM_NO_TRACE", value_parser = FalseyValueParser::new())]
    pub(crate) no_trace: bool,
    /// Print the plan instead of running it
    #[arg(long, env = "CHATAGRAM_PRINT_PLAN", value_parser = FalseyValueParser::new())]
    pub(crate) print_plan: bool,
    /// Print the runs instead of running them, for scripts
    ///
    /// One line for each run. Tabs separate the name, the arguments of tc-netem, and those of
    /// `load`. With --resume, only the runs that the lab in --out lacks, and those that the
    /// machine spoiled fewer than three times.
    #[arg(
        long, env = "CHATAGRAM_PRINT_RUNS", hide_short_help = true,
        value_parser = FalseyValueParser::new()
    )]
    pub(crate) print_runs: bool,
}

/// Options of `replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Directory of a run, such as chatagram-lab/runs/NAME
    #[arg(value_name = "DIR", env = "CHATAGRAM_DIR")]
    pub(crate) dir: PathBuf,
    /// The transport and the mode.
    #[command(flatten)]
    pub(crate) mode: ModeArgs,
    /// Directory for both runs and the report
    ///
    /// It must be empty or new.
    #[arg(long, value_name = "DIR", default_value = "chatagram-replay", env = "CHATAGRAM_OUT")]
    pub(crate) out: PathBuf,
}

/// Options of `report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Directory of a lab or of a run
    #[arg(value_name = "DIR", env = "CHATAGRAM_DIR")]
    pub(crate) dir: PathBuf,
    /// Exit with code 1 if a run is left out or tainted
    ///
    /// Unfinished, failed and damaged runs are left out, and runs with another seed than the plan's
    /// or another version than most. A run that the machine spoiled is tainted. The report names
    /// each with its reason.
    #[arg(long, env = "CHATAGRAM_STRICT", value_parser = FalseyValueParser::new())]
    pub(crate) strict: bool,
}

impl From<ModeArgs> for Mode {
    fn from(args: ModeArgs) -> Self {
        Self::new(args.transport.into(), args.delivery.into())
    }
}

impl LoadArgs {
    /// The configuration of this run against the server.
    pub(crate) fn config(
        &self,
        servers: Vec<ServerName>,
        ticket: Option<Ticket>,
        network: &NetworkArgs,
    ) -> load::Config {
        let mode = match ticket {
            Some(_) => Mode::new(Transport::Quic, self.mode.delivery.into()),
            None => self.mode.into(),
        };
        // The defaults are those of a plan.
        let mut plan = Plan::default();
        self.traffic.put(&mut plan);
        let Plan { senders, receivers, seed, .. } = plan;
        let program = self.program.program(None);
        load::Config {
            servers,
            ticket,
            mode: program.as_ref().map_or(mode, |it| Mode::Program(it.name)),
            no_delay: network.no_delay == Switch::On,
            copies: network.redundancy,
            congestion: network.congestion(),
            senders,
            receivers,
            rate: self.rate,
            size: self.size,
            duration: self.duration,
            seed,
            out: self.out.dir.clone(),
            format: self.out.format,
            name: self
                .name
                .clone()
                .or_else(|| self.out.name())
                .unwrap_or_else(|| "load".to_owned()),
            condition: self.condition,
            impair: self.impair.clone().map(|spec| BadNetwork { spec, seed }),
            repetition: self.repetition,
            through_rate_limit: self.through_rate_limit,
            program,
        }
    }
}

impl LabArgs {
    /// The plan with these options, from the text of the plan's file if there is one; `None`
    /// without either.
    ///
    /// # Errors
    /// The plan's.
    pub(crate) fn plan(&self, file: Option<&str>) -> Result<Option<Plan>, plan::Error> {
        let base = file.map(Plan::parse).transpose()?;
        let has_base = base.is_some();
        let mut plan = base.unwrap_or_default();
        let given = [
            put(&mut plan.loss, &self.loss),
            put(&mut plan.delay_ms, &self.delay_ms),
            put(&mut plan.jitter_ms, &self.jitter_ms),
            put(&mut plan.burst, &self.burst),
            put(&mut plan.bandwidth, &self.bandwidth),
            put(&mut plan.queue, &self.queue),
            put(&mut plan.rate, &self.rate),
            put(&mut plan.size, &self.size),
            put(&mut plan.modes, &self.modes),
            put(&mut plan.redundancy, &self.redundancy),
            put(&mut plan.congestion, &self.congestion),
            put(&mut plan.repetitions, &self.repetitions),
            put(&mut plan.duration_s, &self.duration_s),
            self.traffic.put(&mut plan),
        ];
        let program = self.program.program(self.server.clone());
        let has_program = program.is_some();
        if has_program {
            plan.program = program.into_iter().collect();
        }
        Ok((has_base || has_program || given.contains(&true)).then_some(plan))
    }
}

impl ProgramArgs {
    /// The program with this server, if it has clients.
    fn program(&self, server: Option<CommandLine>) -> Option<Program> {
        let name = self.program.or_else(|| DEFAULT_PROGRAM.parse().ok())?;
        let client = self.client.clone()?;
        Some(Program { name, server, client, answers: self.answers.clone(), pty: self.pty })
    }
}

impl TrafficArgs {
    /// Stores the given options in the plan. Returns false without any.
    fn put(&self, plan: &mut Plan) -> bool {
        let given = [
            put(&mut plan.senders, &self.senders),
            put(&mut plan.receivers, &self.receivers),
            put(&mut plan.seed, &self.seed),
        ];
        given.contains(&true)
    }
}

/// Stores an option in its field. Returns false if it is not given.
fn put<T: Clone>(field: &mut T, option: &Option<T>) -> bool {
    if let Some(value) = option {
        field.clone_from(value);
    }
    option.is_some()
}

fn peers(text: &str) -> Result<u32, quantity::Error> {
    quantity::count(text, &quantity::PEERS, "peers")
}

fn repetitions(text: &str) -> Result<u32, quantity::Error> {
    quantity::count(text, &quantity::REPETITIONS, "repetitions")
}

fn run_duration(text: &str) -> Result<Duration, quantity::Error> {
    quantity::duration(text, &quantity::RUN)
}
