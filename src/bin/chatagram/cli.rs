//! The command line: what may be written, and what it means as typed configurations. No I/O.

use crate::paths;
use chatagram::client::session::Transport;
use chatagram::client::{self, Format};
use chatagram::impair::Spec;
use chatagram::net::{BadNetwork, ServerName};
use chatagram::protocol::Delivery;
use chatagram::quantity;
use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

mod decode;
mod discover;
mod environment;
mod lab;
mod machine;
mod server;
mod watch;

pub(crate) use decode::DecodeArgs;
pub(crate) use discover::DiscoverArgs;
pub(crate) use environment::origins;
pub(crate) use lab::{LabArgs, LoadArgs, ReplayArgs};
pub(crate) use machine::{CompletionsArgs, DoctorArgs, ManArgs, Shell};
pub(crate) use server::ServerArgs;
pub(crate) use watch::WatchArgs;

/// Why TCP cannot have `--impair`.
const ONLY_DATAGRAMS: &str = "--impair works on datagrams, and TCP's packets are the kernel's: leave \
     it out, or see `chatagram lab`, where the kernel's TCP meets a bad network";

const EXIT_CODES: &str = "\
Exit codes:
  0  left in order
  1  could not start, print or read: port in use, input not UTF-8, ...
  2  usage
  3  server unreachable, or none found
  4  refused: name taken, room full, name not allowed
  5  lost and given up
130  interrupted

Every option can also be given as an environment variable: CHATAGRAM_ and its name in capitals.";

const DECODE_EXIT_CODES: &str = "\
Exit codes:
  0  accepted: a receiver takes it
  1  rejected
  2  usage, or no bytes to read";

const DOCTOR_EXIT_CODES: &str = "\
Exit codes:
  0  reported, whatever was found
  1  could not print
  2  usage";

const PRINTING_EXIT_CODES: &str = "\
Exit codes:
  0  printed or written
  1  could not print or write
  2  usage";

/// A chat whose transport is the subject: talk over UDP, and see what the network does to it.
#[derive(Debug, Parser)]
#[command(name = "chatagram", version, after_help = EXIT_CODES, after_long_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Keep a room that others can join
    #[command(after_help = EXIT_CODES)]
    Server {
        /// The server's options.
        #[command(flatten)]
        server: ServerArgs,
        /// What both ends do alike.
        #[command(flatten)]
        network: NetworkArgs,
        /// A bad network on purpose.
        #[command(flatten)]
        impair: ImpairArgs,
        /// Where messages about the program go.
        #[command(flatten)]
        logging: LoggingArgs,
    },
    /// Join a room
    #[command(after_help = EXIT_CODES)]
    Client {
        /// The server: HOST, HOST:PORT, 192.168.1.5 or [::1]:2428 [default: the one found near here]
        #[arg(value_name = "SERVER[:PORT]", env = "CHATAGRAM_SERVER")]
        server: Option<ServerName>,
        /// The client's options.
        #[command(flatten)]
        client: ClientArgs,
        /// What both ends do alike.
        #[command(flatten)]
        network: NetworkArgs,
        /// A bad network on purpose.
        #[command(flatten)]
        impair: ImpairArgs,
        /// Where messages about the program go.
        #[command(flatten)]
        logging: LoggingArgs,
    },
    /// List the rooms that can be found near here
    #[command(after_help = EXIT_CODES)]
    Discover {
        /// The search's options.
        #[command(flatten)]
        discover: DiscoverArgs,
        /// Where messages about the program go.
        #[command(flatten)]
        logging: LoggingArgs,
    },
    /// Keep a room and talk in it, in one process
    #[command(after_help = EXIT_CODES)]
    Host {
        /// The client's options.
        #[command(flatten)]
        client: ClientArgs,
        /// The server's options.
        #[command(flatten)]
        server: ServerArgs,
        /// What both ends do alike.
        #[command(flatten)]
        network: NetworkArgs,
        /// A bad network on purpose.
        #[command(flatten)]
        impair: ImpairArgs,
        /// Where messages about the program go.
        #[command(flatten)]
        logging: LoggingArgs,
    },
    /// Show everybody in a room on one screen: round-trip times and losses, as they change
    #[command(after_help = EXIT_CODES)]
    Watch {
        /// The server: HOST, HOST:PORT, 192.168.1.5 or [::1]:2428
        #[arg(value_name = "SERVER[:PORT]", env = "CHATAGRAM_SERVER")]
        server: ServerName,
        /// The options.
        #[command(flatten)]
        watch: WatchArgs,
        /// Where messages about the program go.
        #[command(flatten)]
        logging: LoggingArgs,
    },
    /// Drive a running server with many clients, and record what became of every message
    #[command(after_help = EXIT_CODES)]
    Load {
        /// The server: HOST, HOST:PORT, 192.168.1.5 or [::1]:2428
        #[arg(value_name = "SERVER[:PORT]", env = "CHATAGRAM_SERVER")]
        server: ServerName,
        /// The run's options.
        #[command(flatten)]
        load: LoadArgs,
        /// What both ends do alike.
        #[command(flatten)]
        network: NetworkArgs,
        /// Where messages about the program go.
        #[command(flatten)]
        logging: LoggingArgs,
    },
    /// Measure what loss does to UDP, reliable UDP and TCP, in a network made for it
    #[command(after_help = EXIT_CODES)]
    Lab {
        /// The lab's options.
        #[command(flatten)]
        lab: LabArgs,
        /// Where messages about the program go.
        #[command(flatten)]
        logging: LoggingArgs,
    },
    /// Run a recorded run again over another transport, with the same packets lost
    #[command(after_help = EXIT_CODES)]
    Replay {
        /// The replay's options.
        #[command(flatten)]
        replay: ReplayArgs,
        /// Where messages about the program go.
        #[command(flatten)]
        logging: LoggingArgs,
    },
    /// Make the page, the tables and the pictures of what `lab` or `load` has recorded
    #[command(after_help = EXIT_CODES)]
    Report {
        /// A lab's directory, or a run's
        #[arg(value_name = "DIR", env = "CHATAGRAM_DIR")]
        dir: PathBuf,
        /// Where messages about the program go.
        #[command(flatten)]
        logging: LoggingArgs,
    },
    /// Read the bytes of a datagram field by field, and say why it is rejected if it is
    #[command(after_help = DECODE_EXIT_CODES)]
    Decode {
        /// What to decode.
        #[command(flatten)]
        decode: DecodeArgs,
    },
    /// Say what this machine can do, what it cannot, and what would help; changes nothing
    #[command(after_help = DOCTOR_EXIT_CODES)]
    Doctor {
        /// How to print it.
        #[command(flatten)]
        doctor: DoctorArgs,
    },
    /// Print what makes a shell complete this program's commands and options
    #[command(after_help = PRINTING_EXIT_CODES)]
    Completions {
        /// Which shell.
        #[command(flatten)]
        completions: CompletionsArgs,
    },
    /// Print the manual page, or write those of all commands to a directory
    #[command(after_help = PRINTING_EXIT_CODES)]
    Man {
        /// Where to.
        #[command(flatten)]
        man: ManArgs,
    },
}

/// Options of a client.
#[derive(Debug, Args)]
pub(crate) struct ClientArgs {
    /// Your name in the room: 1 to 32 letters, digits and . _ - [default: a terminal asks, otherwise $USER]
    #[arg(long, value_name = "NAME", env = "CHATAGRAM_NICK", value_parser = nickname)]
    pub(crate) nick: Option<String>,
    /// What carries the chat
    #[arg(long, value_enum, default_value_t, env = "CHATAGRAM_TRANSPORT")]
    pub(crate) transport: TransportArg,
    /// How chat lines travel over UDP, to you and from you
    #[arg(long, value_enum, default_value_t, env = "CHATAGRAM_DELIVERY")]
    pub(crate) delivery: DeliveryArg,
    /// Keep the last 5 lines of each server in this file [default: in your cache directory]
    #[arg(long, value_name = "FILE", env = "CHATAGRAM_CACHE")]
    pub(crate) cache: Option<PathBuf>,
    /// Keep no lines, whatever --cache says
    #[arg(long, env = "CHATAGRAM_NO_CACHE", value_parser = FalseyValueParser::new())]
    pub(crate) no_cache: bool,
    /// How to print what happens
    #[arg(long, value_enum, default_value_t, env = "CHATAGRAM_OUTPUT")]
    pub(crate) output: Format,
    /// Stay this long after the input has ended, or 'forever'
    #[arg(
        long, value_name = "DURATION", default_value = "0s", env = "CHATAGRAM_STAY",
        value_parser = stay_duration
    )]
    pub(crate) stay: Stay,
    /// How long to go on trying to come back to a lost server
    #[arg(
        long, value_name = "DURATION", default_value = "5m", env = "CHATAGRAM_GIVE_UP",
        value_parser = patience
    )]
    pub(crate) give_up: Duration,
}

/// Options of both ends.
#[derive(Debug, Args)]
pub(crate) struct NetworkArgs {
    /// Send small TCP segments at once; 'off' lets Nagle's algorithm collect them
    #[arg(long, value_enum, default_value_t, value_name = "ON|OFF", env = "CHATAGRAM_NO_DELAY")]
    pub(crate) no_delay: Switch,
}

/// A bad network in this process, for machines that have no other.
#[derive(Debug, Args)]
pub(crate) struct ImpairArgs {
    /// Treat this end's UDP datagrams, in and out, as a bad network would: 'loss 5%, delay 25ms,
    /// jitter 5ms', 'wifi', 'up: drop 3,7-9' (see README)
    #[arg(long, value_name = "SPEC", env = "CHATAGRAM_IMPAIR")]
    pub(crate) impair: Option<Spec>,
    /// What the chances of --impair are drawn from: the same seed does the same again
    #[arg(long, value_name = "SEED", default_value_t = 1, env = "CHATAGRAM_SEED")]
    pub(crate) seed: u64,
}

impl ImpairArgs {
    /// The network this describes.
    fn network(&self) -> Option<BadNetwork> {
        self.impair.clone().map(|spec| BadNetwork { spec, seed: self.seed })
    }
}

/// On or off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// On
    #[default]
    On,
    /// Off
    Off,
}

/// `--transport`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TransportArg {
    /// Datagrams, and what this protocol makes of them
    #[default]
    Udp,
    /// A connection, and what the kernel makes of it
    Tcp,
}

/// Where messages about the program go, and how many.
#[derive(Clone, Debug, Args)]
pub(crate) struct LoggingArgs {
    /// Append messages about the program to this file instead of printing them
    #[arg(long, value_name = "FILE", env = "CHATAGRAM_LOG_FILE")]
    pub(crate) log_file: Option<PathBuf>,
    /// Say more; twice: still more
    #[arg(short, long, action = ArgAction::Count, env = "CHATAGRAM_VERBOSE")]
    pub(crate) verbose: u8,
    /// Say less; twice: nothing
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "verbose",
        env = "CHATAGRAM_QUIET")]
    pub(crate) quiet: u8,
}

/// `--delivery`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeliveryArg {
    /// Each line is sent once; what is lost is counted and shown
    Unreliable,
    /// Lines are repeated until they arrive, and shown as they arrive
    ReliableUnordered,
    /// Lines are repeated until they arrive, and shown in order
    #[default]
    ReliableOrdered,
}

/// `--stay`: `None` is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stay(pub(crate) Option<Duration>);

impl ClientArgs {
    /// The client this describes, for that server.
    ///
    /// # Errors
    /// What two options together make impossible.
    pub(crate) fn config(
        &self,
        server: ServerName,
        nickname: String,
        network: &NetworkArgs,
        impair: Option<&ImpairArgs>,
    ) -> Result<client::Config, String> {
        let impair = impair.and_then(ImpairArgs::network);
        if impair.is_some() && self.transport == TransportArg::Tcp {
            return Err(ONLY_DATAGRAMS.to_owned());
        }
        let cache = self.cache.clone().or_else(paths::cache_file);
        Ok(client::Config {
            server,
            room: None,
            nickname,
            transport: self.transport.into(),
            no_delay: network.no_delay == Switch::On,
            impair,
            delivery: self.delivery.into(),
            cache: cache.filter(|_| !self.no_cache),
            format: self.output,
            stay: self.stay.0,
            give_up: self.give_up,
            hosts: false,
            claim: None,
            divert: crate::logging::divert,
        })
    }
}

impl From<TransportArg> for Transport {
    fn from(arg: TransportArg) -> Self {
        match arg {
            TransportArg::Udp => Self::Udp,
            TransportArg::Tcp => Self::Tcp,
        }
    }
}

impl From<DeliveryArg> for Delivery {
    fn from(arg: DeliveryArg) -> Self {
        match arg {
            DeliveryArg::Unreliable => Self::Unreliable,
            DeliveryArg::ReliableUnordered => Self::ReliableUnordered,
            DeliveryArg::ReliableOrdered => Self::ReliableOrdered,
        }
    }
}

impl LoggingArgs {
    /// The level to log at, when it is `usual` without options.
    pub(crate) fn level(&self, usual: log::LevelFilter) -> log::LevelFilter {
        let steps = i32::from(self.verbose) - i32::from(self.quiet);
        let index = (usual as i32 + steps).clamp(0, 5);
        log::LevelFilter::iter().nth(index as usize).unwrap_or(usual)
    }
}

/// Where a client on this machine reaches a server bound to `address`.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        // A dual-stack socket takes IPv4 too, and every machine has that loopback.
        SocketAddr::V6(v6) if v6.ip() == &Ipv6Addr::UNSPECIFIED => Ipv4Addr::LOCALHOST.into(),
        _ => address.ip(),
    };
    SocketAddr::new(ip, address.port())
}

/// Refuses an empty name. The server judges all others: it may know more letters.
fn nickname(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("the name is empty: give 1 to 32 letters or digits".to_owned()),
        name => Ok(name.to_owned()),
    }
}

/// How long a timer of patience may be.
fn patience(text: &str) -> Result<Duration, String> {
    quantity::duration(text, &quantity::TIMEOUT)
}

fn stay_duration(text: &str) -> Result<Stay, String> {
    if text.trim() == "forever" {
        return Ok(Stay(None));
    }
    let stay = quantity::any_duration(text).map_err(|error| format!("{error}, or forever"))?;
    Ok(Stay(Some(stay)))
}

#[cfg(test)]
mod examples;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent_and_every_option_has_its_environment_twin() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            for arg in sub.get_arguments() {
                let id = arg.get_id().as_str();
                if id == "help" {
                    continue;
                }
                let twin = format!("CHATAGRAM_{}", id.to_uppercase());
                let env = arg.get_env().and_then(|env| env.to_str());
                assert_eq!(env, Some(twin.as_str()), "{} {id}", sub.get_name());
            }
        }
    }

    #[test]
    fn verbosity_moves_the_level_and_stops_at_the_ends() {
        let args = |verbose, quiet| LoggingArgs { log_file: None, verbose, quiet };
        use log::LevelFilter::{Debug, Info, Off, Trace, Warn};
        assert_eq!(args(0, 0).level(Info), Info);
        assert_eq!(args(1, 0).level(Info), Debug);
        assert_eq!(args(9, 0).level(Warn), Trace);
        assert_eq!(args(0, 9).level(Warn), Off);
    }
}
