//! The settings of a server.

use super::{EngineConfig, HistoryFile, QuicConfig};
use crate::impair::Script;
use crate::link::Copies;
use crate::net::BadNetwork;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The configuration of a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to listen on.
    pub bind: Vec<SocketAddr>,
    /// Listen on TCP too, on the same ports.
    pub tcp: bool,
    /// Sets `TCP_NODELAY`: small segments leave at once; `false` enables Nagle's algorithm.
    pub no_delay: bool,
    /// QUIC, unless it is off.
    pub quic: Option<QuicConfig>,
    /// Answer discovery probes.
    pub discovery: bool,
    /// Minimum interval between flushes: messages that arrive meanwhile are coalesced. Zero
    /// disables pacing.
    pub pace: Duration,
    /// Copies of each message over UDP.
    pub copies: Copies,
    /// Impairment of the UDP sockets.
    pub impair: Option<BadNetwork>,
    /// Changes of the impairment, instead of `impair`. Without changes: the seed of those that the
    /// page makes.
    pub script: Option<Script>,
    /// The history file.
    pub history: Option<HistoryFile>,
    /// The engine of a room on several servers.
    pub engine: Option<EngineConfig>,
    /// Address of the metrics page.
    pub metrics: Option<SocketAddr>,
    /// Address of the room's page.
    pub web: Option<SocketAddr>,
    /// Host names for the metrics and the page, besides the addresses and the machine's name.
    pub metrics_hosts: Vec<String>,
    /// A new file for the time that each line waited for an earlier one.
    pub waits: Option<PathBuf>,
    /// Configuration of the room.
    pub hub: crate::hub::Config,
}
