//! The command line: its options, and the typed configurations that they describe. No I/O.

use chatagram::impair::Spec;
use chatagram::link::{Congestion, Copies};
use chatagram::net::BadNetwork;
use chatagram::quantity;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

mod client;
mod condition;
mod decode;
mod discover;
mod environment;
mod error;
mod grade;
mod help;
mod kit;
mod lab;
mod lang;
mod logging;
mod machine;
mod pages;
mod place;
mod script;
mod server;
mod watch;

pub(crate) use client::{ClientArgs, ModeArgs, TransportArg};
pub(crate) use decode::DecodeArgs;
pub(crate) use discover::DiscoverArgs;
pub(crate) use environment::{origins, shows_password};
pub(crate) use error::Error;
pub(crate) use grade::GradeArgs;
pub(crate) use kit::KitArgs;
pub(crate) use lab::{LabArgs, LoadArgs, ReplayArgs, ReportArgs};
pub(crate) use lang::LangArgs;
pub(crate) use logging::LoggingArgs;
pub(crate) use machine::{CompletionsArgs, DoctorArgs, ManArgs, Shell};
pub(crate) use pages::PagesArgs;
pub(crate) use place::{Place, TicketArgs};
pub(crate) use server::{ServerArgs, engine_url};
pub(crate) use watch::WatchArgs;

/// A chat whose transport is the subject: raw UDP, reliable UDP and TCP in one room
#[derive(Debug, Parser)]
#[command(
    name = "chatagram", version, after_help = help::ALL.short(), after_long_help = help::ALL.long()
)]
pub(crate) struct Cli {
    /// The command.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands of the program.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a server: a room that clients join
    #[command(after_help = help::SERVER.short(), after_long_help = help::SERVER.long())]
    Server {
        /// The server's options.
        #[command(flatten)]
        server: ServerArgs,
        /// Options of both ends.
        #[command(flatten)]
        network: NetworkArgs,
        /// The emulated network in this process.
        #[command(flatten)]
        impair: ImpairArgs,
        /// The language.
        #[command(flatten)]
        lang: LangArgs,
        /// The log.
        #[command(flatten)]
        logging: LoggingArgs,
    },
    /// Join a room
    #[command(after_help = help::CLIENT.short(), after_long_help = help::CLIENT.long())]
    Client {
        /// Server: HOST, HOST:PORT, or a ticket [default: the room found here]
        ///
        /// Several servers, comma-separated, are servers of one room: the client joins the first
        /// that admits it, and another one when that is lost. A ticket is that of a private room.
        #[arg(value_name = "SERVER[:PORT]", env = "CHATAGRAM_SERVER", value_delimiter = ',')]
        server: Vec<Place>,
        /// The ticket.
        #[command(flatten)]
        ticket: TicketArgs,
        /// The client's options.
        #[command(flatten)]
        client: ClientArgs,
        /// Options of both ends.
        #[command(flatten)]
        network: NetworkArgs,
        /// The emulated network in this process.
        #[command(flatten)]
        impair: ImpairArgs,
        /// The language.
        #[command(flatten)]
        lang: LangArgs,
        /// The log.
        #[command(flatten)]
        logging: LoggingArgs,
    },
    /// List the rooms on this network
    #[command(after_help = help::DISCOVER.short(), after_long_help = help::DISCOVER.long())]
    Discover {
        /// The search's options.
        #[command(flatten)]
        discover: DiscoverArgs,
        /// The language.
        #[command(flatten)]
        lang: LangArgs,
        /// The log.
        #[command(flatten)]
        logging: LoggingArgs,
    },
    /// Run a server and a client in one process
    #[command(after_help = help::HOST.short(), after_long_help = help::HOST.long())]
    Host {
        /// The client's options.
        #[command(flatten)]
        client: ClientArgs,
        /// The server's options.
        #[command(flatten)]
        server: ServerArgs,
        /// Options of both ends.
        #[command(flatten)]
        network: NetworkArgs,
        /// The emulated network in this process.
        #[command(flatten)]
        impair: ImpairArgs,
        /// The language.
        #[command(flatten)]
        lang: LangArgs,
        /// The log.
        #[command(flatten)]
        logging: LoggingArgs,
    },
    /// Show every peer on one screen: round-trip time and loss
    #[command(after_help = help::WATCH.short(), after_long_help = help::WATCH.long())]
    Watch {
        /// Server: HOST, HOST:PORT, or the ticket of a private room
        ///
        /// Several, comma-separated, are servers of one room.
        #[arg(
            value_name = "SERVER[:PORT]",
            env = "CHATAGRAM_SERVER",
            value_delimiter = ',',
            required_unless_present = "ticket_file"
        )]
        server: Vec<Place>,
        /// The ticket.
        #[command(flatten)]
        ticket: TicketArgs,
        /// The options.
        #[command(flatten)]
        watch: WatchArgs,
        /// The language.
        #[command(flatten)]
        lang: LangArgs,
        /// The log.
        #[command(flatten)]
        logging: LoggingArgs,
    },
    /// Drive a running server with many clients, and record every message
    #[command(after_help = help::LOAD.short(), after_long_help = help::LOAD.long())]
    Load {
        /// Server: HOST, HOST:PORT, or the ticket of a private room
        #[arg(
            value_name = "SERVER[:PORT]",
            env = "CHATAGRAM_SERVER",
            required_unless_present = "ticket_file"
        )]
        server: Option<Place>,
        /// The ticket.
        #[command(flatten)]
        ticket: TicketArgs,
        /// The run's options.
        #[command(flatten)]
        load: LoadArgs,
        /// Options of both ends.
        #[command(flatten)]
        network: NetworkArgs,
        /// The log.
        #[command(flatten)]
        logging: LoggingArgs,
    },
    /// Measure what loss does to UDP, reliable UDP and TCP
    #[command(after_help = help::LAB.short(), after_long_help = help::LAB.long())]
    Lab {
        /// The lab's options.
        #[command(flatten)]
        lab: LabArgs,
        /// The log.
        #[command(flatten)]
        logging: LoggingArgs,
    },
    /// Repeat a run over another transport, with the same packets lost
    #[command(after_help = help::REPLAY.short(), after_long_help = help::REPLAY.long())]
    Replay {
        /// The replay's options.
        #[command(flatten)]
        replay: ReplayArgs,
        /// The log.
        #[command(flatten)]
        logging: LoggingArgs,
    },
    /// Make the report of a `lab` or a `load`: tables and pictures
    #[command(after_help = help::REPORT.short(), after_long_help = help::REPORT.long())]
    Report {
        /// The options.
        #[command(flatten)]
        report: ReportArgs,
        /// The log.
        #[command(flatten)]
        logging: LoggingArgs,
    },
    /// Show the fields of a datagram, and the check that rejects it
    #[command(after_help = help::DECODE.short(), after_long_help = help::DECODE.long())]
    Decode {
        /// The bytes to decode.
        #[command(flatten)]
        decode: DecodeArgs,
    },
    /// Judge a client that you wrote, criterion by criterion
    #[command(after_help = help::GRADE.short(), after_long_help = help::GRADE.long())]
    Grade {
        /// The client, and how to judge it.
        #[command(flatten)]
        grade: GradeArgs,
    },
    /// Write a directory to start a client of your own from
    #[command(after_help = help::KIT.short(), after_long_help = help::KIT.long())]
    Kit {
        /// The language and the directory.
        #[command(flatten)]
        kit: KitArgs,
    },
    /// Say what this machine lacks, and the command that helps
    #[command(after_help = help::DOCTOR.short(), after_long_help = help::DOCTOR.long())]
    Doctor {
        /// How to print it.
        #[command(flatten)]
        doctor: DoctorArgs,
    },
    /// Print a script that makes a shell complete commands and options
    #[command(after_help = help::COMPLETIONS.short(), after_long_help = help::COMPLETIONS.long())]
    Completions {
        /// Which shell.
        #[command(flatten)]
        completions: CompletionsArgs,
    },
    /// Print the manual page, or write the pages of all commands
    #[command(after_help = help::MAN.short(), after_long_help = help::MAN.long())]
    Man {
        /// Where to.
        #[command(flatten)]
        man: ManArgs,
    },
}

/// Options of both ends.
#[derive(Debug, Args)]
pub(crate) struct NetworkArgs {
    /// Send small TCP segments at once
    ///
    /// 'off' lets Nagle's algorithm coalesce them.
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "on|off",
        env = "CHATAGRAM_NO_DELAY",
        hide_short_help = true
    )]
    pub(crate) no_delay: Switch,
    /// Copies of messages over UDP: auto, off, or 1 to 3
    ///
    /// A copy is sent before any loss is known. 'auto' takes more copies where more is lost, and
    /// none where hardly anything is. The option holds for what this program sends.
    #[arg(
        long,
        hide_short_help = true,
        value_name = "auto|off|N",
        default_value_t,
        env = "CHATAGRAM_REDUNDANCY"
    )]
    pub(crate) redundancy: Copies,
    /// Congestion control of QUIC: new-reno, cubic (default) or bbr
    ///
    /// The option holds for what this program sends. TCP has the kernel's.
    #[arg(
        long,
        hide_short_help = true,
        value_name = "CONTROL",
        value_enum,
        env = "CHATAGRAM_CONGESTION"
    )]
    pub(crate) congestion: Option<CongestionArg>,
}

/// `--congestion`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CongestionArg {
    /// Halves the window at a loss (RFC 9002)
    NewReno,
    /// Grows faster after a loss, on long paths (RFC 9438)
    Cubic,
    /// Follows the measured bandwidth and round-trip time
    Bbr,
}

impl NetworkArgs {
    /// The congestion control of QUIC.
    fn congestion(&self) -> Congestion {
        self.congestion.map(Into::into).unwrap_or_default()
    }

    /// Whether a client over this transport has the given options.
    ///
    /// # Errors
    /// [`Error::OnlyQuic`].
    pub(crate) fn check(&self, transport: TransportArg) -> Result<(), Error> {
        let only_quic = self.congestion.is_some() && transport != TransportArg::Quic;
        if only_quic { Err(Error::OnlyQuic) } else { Ok(()) }
    }
}

impl From<CongestionArg> for Congestion {
    fn from(arg: CongestionArg) -> Self {
        match arg {
            CongestionArg::NewReno => Self::NewReno,
            CongestionArg::Cubic => Self::Cubic,
            CongestionArg::Bbr => Self::Bbr,
        }
    }
}

/// An emulated network in this process.
#[derive(Debug, Args)]
pub(crate) struct ImpairArgs {
    /// Emulate a bad network on UDP: 'loss 5%, delay 25ms'
    ///
    /// The emulated network carries this program's own datagrams, both ways. Other values: 'wifi',
    /// 'up: drop 3,7-9'. The page src/docs/lab.md lists all items.
    #[arg(long, value_name = "SPEC", env = "CHATAGRAM_IMPAIR")]
    pub(crate) impair: Option<Spec>,
    /// Seed of --impair
    ///
    /// The same seed impairs the same sequence of datagrams alike.
    #[arg(
        long,
        hide_short_help = true,
        value_name = "SEED",
        default_value_t = 1,
        env = "CHATAGRAM_SEED"
    )]
    pub(crate) seed: u64,
}

impl ImpairArgs {
    /// The impairment of these options.
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

/// The address at which a client on this machine reaches a server bound to `address`.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        // A dual-stack socket accepts IPv4, whose loopback every machine has.
        SocketAddr::V6(v6) if v6.ip() == &Ipv6Addr::UNSPECIFIED => Ipv4Addr::LOCALHOST.into(),
        _ => address.ip(),
    };
    SocketAddr::new(ip, address.port())
}

/// Parses a timeout, within the bounds of [`quantity::TIMEOUT`].
fn timeout(text: &str) -> Result<Duration, quantity::Error> {
    quantity::duration(text, &quantity::TIMEOUT)
}

#[cfg(test)]
mod examples;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent_and_every_option_has_its_variable() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            for arg in sub.get_arguments() {
                let id = arg.get_id().as_str();
                // The lab's server is a command, and CHATAGRAM_SERVER the address of one.
                if id == "help" || (sub.get_name(), id) == ("lab", "server") {
                    continue;
                }
                let twin = format!("CHATAGRAM_{}", id.to_uppercase());
                let env = arg.get_env().and_then(|env| env.to_str());
                assert_eq!(env, Some(twin.as_str()), "{} {id}", sub.get_name());
            }
        }
    }
}
