//! The options of `watch`.

use super::{TransportArg, timeout};
use chatagram::client::Format;
use chatagram::client::watch::Config;
use chatagram::net::ServerName;
use chatagram::ticket::Ticket;
use chatagram::words::Language;
use clap::Args;
use std::time::Duration;

/// Options of `watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Nickname of the watcher [default: watch, then watch-2, ...]
    #[arg(long, value_name = "NAME", env = "CHATAGRAM_NICK")]
    pub(crate) nick: Option<String>,
    /// Transport of the session
    #[arg(
        long,
        value_name = "udp|tcp|quic",
        value_enum,
        default_value_t,
        env = "CHATAGRAM_TRANSPORT"
    )]
    pub(crate) transport: TransportArg,
    /// Ask the server this often
    #[arg(
        long, value_name = "DURATION", default_value = "1s", env = "CHATAGRAM_INTERVAL",
        value_parser = timeout
    )]
    pub(crate) interval: Duration,
    /// A screen, or one JSON object for each answer
    #[arg(long, value_name = "text|json", value_enum, default_value_t, env = "CHATAGRAM_OUTPUT")]
    pub(crate) output: Format,
}

impl WatchArgs {
    /// The configuration of `watch`.
    pub(crate) fn config(
        &self,
        servers: Vec<ServerName>,
        ticket: Option<Ticket>,
        language: Language,
    ) -> Config {
        let transport = if ticket.is_some() { TransportArg::Quic } else { self.transport };
        Config {
            servers,
            nickname: self.nick.clone(),
            transport: transport.into(),
            ticket,
            interval: self.interval,
            format: self.output,
            language,
        }
    }
}
