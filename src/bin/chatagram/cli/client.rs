//! The options of a client.

use super::{Error, ImpairArgs, NetworkArgs, Switch, timeout};
use crate::paths;
use chatagram::client::session::Transport;
use chatagram::client::{self, Format};
use chatagram::net::ServerName;
use chatagram::protocol::Delivery;
use chatagram::quantity;
use chatagram::words::Language;
use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Options of a client.
#[derive(Debug, Args)]
pub(crate) struct ClientArgs {
    /// Your nickname [default: a terminal asks, a pipe takes $USER]
    ///
    /// It has up to 32 letters, digits and the characters . _ -
    #[arg(long, value_name = "NAME", env = "CHATAGRAM_NICK", value_parser = nickname)]
    pub(crate) nick: Option<String>,
    /// The transport and the mode.
    #[command(flatten)]
    pub(crate) mode: ModeArgs,
    /// File for the last lines [default: in your cache directory]
    #[arg(long, hide_short_help = true, value_name = "FILE", env = "CHATAGRAM_CACHE")]
    pub(crate) cache: Option<PathBuf>,
    /// Keep no lines for the next start
    #[arg(long, env = "CHATAGRAM_NO_CACHE", value_parser = FalseyValueParser::new())]
    pub(crate) no_cache: bool,
    /// Output format; json: one object for each event
    #[arg(long, value_name = "text|json", value_enum, default_value_t, env = "CHATAGRAM_OUTPUT")]
    pub(crate) output: Format,
    /// Ring the bell for lines with your name
    ///
    /// Whispers ring it too. Rings that follow each other soon are one.
    #[arg(
        long,
        hide_short_help = true,
        value_name = "on|off",
        value_enum,
        default_value_t,
        env = "CHATAGRAM_BELL"
    )]
    pub(crate) bell: Switch,
    /// Stay after the end of the input, or 'forever'
    #[arg(
        long, value_name = "DURATION", default_value = "0s", env = "CHATAGRAM_STAY",
        value_parser = stay_duration
    )]
    pub(crate) stay: Stay,
    /// Try to reconnect to a lost server for this long
    #[arg(
        long, value_name = "DURATION", default_value = "5m", env = "CHATAGRAM_GIVE_UP",
        value_parser = timeout
    )]
    pub(crate) give_up: Duration,
}

/// A transport and, over UDP and QUIC, a delivery mode.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ModeArgs {
    /// Transport of the chat
    #[arg(
        long,
        value_name = "udp|tcp|quic",
        value_enum,
        default_value_t,
        env = "CHATAGRAM_TRANSPORT"
    )]
    pub(crate) transport: TransportArg,
    /// Mode: reliable-ordered (default), reliable-unordered, unreliable
    ///
    /// The mode holds for lines to a client and from it.
    #[arg(
        long,
        value_name = "MODE",
        value_enum,
        default_value_t,
        hide_default_value = true,
        env = "CHATAGRAM_DELIVERY"
    )]
    pub(crate) delivery: DeliveryArg,
}

/// `--transport`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TransportArg {
    /// Datagrams, which this protocol numbers, acknowledges and repeats
    #[default]
    Udp,
    /// A connection, whose losses the kernel repairs unseen
    Tcp,
    /// An encrypted connection over UDP, with streams and datagrams
    Quic,
}

/// `--delivery`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeliveryArg {
    /// Each line is sent once; the client shows how many are missing
    Unreliable,
    /// Lost lines are sent again; lines are shown as they arrive
    ReliableUnordered,
    /// Lost lines are sent again; lines are shown in order
    #[default]
    ReliableOrdered,
}

/// `--stay`: `None` is forever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stay(pub(crate) Option<Duration>);

impl ClientArgs {
    /// The client's configuration, for the server.
    ///
    /// # Errors
    /// Options that exclude each other.
    pub(crate) fn config(
        &self,
        servers: Vec<ServerName>,
        nickname: String,
        network: &NetworkArgs,
        impair: Option<&ImpairArgs>,
        language: Language,
    ) -> Result<client::Config, Error> {
        self.mode.transport.check()?;
        // The host's client has no `impair`, and `--congestion` is for its server too.
        if impair.is_some() {
            network.check(self.mode.transport)?;
        }
        let impair = impair.and_then(ImpairArgs::network);
        if impair.is_some() && self.mode.transport == TransportArg::Tcp {
            return Err(Error::OnlyDatagrams);
        }
        let cache = self.cache.clone().or_else(paths::cache_file);
        Ok(client::Config {
            servers,
            room: None,
            nickname,
            transport: self.mode.transport.into(),
            no_delay: network.no_delay == Switch::On,
            copies: network.redundancy,
            congestion: network.congestion(),
            impair,
            delivery: self.mode.delivery.into(),
            cache: cache.filter(|_| !self.no_cache),
            format: self.output,
            language,
            bell: self.bell == Switch::On,
            stay: self.stay.0,
            give_up: self.give_up,
            hosts: false,
            tickets: client::Tickets::default(),
            claim: None,
            divert: crate::logging::divert,
        })
    }
}

impl TransportArg {
    /// Whether this build has the transport.
    ///
    /// # Errors
    /// [`Error::NoQuic`].
    pub(crate) fn check(self) -> Result<(), Error> {
        let missing = self == Self::Quic && !cfg!(feature = "quic");
        if missing { Err(Error::NoQuic) } else { Ok(()) }
    }
}

impl From<TransportArg> for Transport {
    fn from(arg: TransportArg) -> Self {
        match arg {
            TransportArg::Udp => Self::Udp,
            TransportArg::Tcp => Self::Tcp,
            TransportArg::Quic => Self::Quic,
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

/// Refuses an empty name. The server checks the rest, since its Unicode may be newer.
fn nickname(text: &str) -> Result<String, Error> {
    match text.trim() {
        "" => Err(Error::NoName),
        name => Ok(name.to_owned()),
    }
}

fn stay_duration(text: &str) -> Result<Stay, Error> {
    if text.trim() == "forever" {
        return Ok(Stay(None));
    }
    quantity::any_duration(text).map(Some).map(Stay).map_err(Error::Stay)
}
