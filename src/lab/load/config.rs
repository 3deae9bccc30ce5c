//! The configuration of a run.

use super::schedule;
use crate::hub::Limit;
use crate::lab::program::Program;
use crate::lab::record::{Condition, Format, Mode};
use crate::link::{Congestion, Copies};
use crate::net::{BadNetwork, ServerName};
use crate::ticket::Ticket;
use std::path::PathBuf;
use std::time::Duration;

/// The configuration of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The server's names or addresses.
    pub servers: Vec<ServerName>,
    /// The ticket of its private room, which takes QUIC alone.
    pub ticket: Option<Ticket>,
    /// The transport and delivery mode of all peers.
    pub mode: Mode,
    /// Sets `TCP_NODELAY`: small segments leave at once.
    pub no_delay: bool,
    /// Copies of each message over UDP. The server has its own setting.
    pub copies: Copies,
    /// Congestion control of QUIC. The server has its own setting.
    pub congestion: Congestion,
    /// Number of sending peers; they are named `s1`, `s2` and so on.
    pub senders: u32,
    /// Number of receiving peers; they are named `r1`, `r2` and so on.
    pub receivers: u32,
    /// Messages per second and sender; more than 0.
    pub rate: f64,
    /// Bytes of text in a message, 16 to 1,000.
    pub size: u32,
    /// How long the senders send.
    pub duration: Duration,
    /// Seed of each sender's phase within its first interval.
    pub seed: u64,
    /// The output directory; it must be empty or absent.
    pub out: PathBuf,
    /// The file format of the rows.
    pub format: Format,
    /// The run's name.
    pub name: String,
    /// The condition that the run is labelled with. `load` itself does not create it.
    pub condition: Option<Condition>,
    /// An emulated network in this process, in front of the UDP sockets of all peers.
    pub impair: Option<BadNetwork>,
    /// The repetition of the condition, from 1.
    pub repetition: u32,
    /// Measure even if the server's rate limit delays the messages.
    pub through_rate_limit: bool,
    /// The program whose clients make the load, in place of this crate's. [`Config::mode`] has its
    /// name. The calling process must have no children: all that it has are killed at the end.
    pub program: Option<Program>,
}

impl Config {
    /// The longest round trip that the emulated network alone causes, as far as it is known.
    pub(super) fn round_trip(&self) -> Duration {
        let condition = self.condition.unwrap_or_default();
        let impaired =
            self.impair.as_ref().map_or(Duration::ZERO, |BadNetwork { spec, .. }| {
                spec.up.delay + spec.up.jitter + spec.down.delay + spec.down.jitter
            });
        condition.round_trip().max(impaired)
    }

    /// Whether a server with this rate limit delays the messages of a sender.
    pub(super) fn exceeds(&self, limit: Limit) -> bool {
        let tokens = schedule::tokens(self.size) as f64;
        let seconds = self.duration.as_secs_f64();
        let (wanted, allowed) = (tokens * self.rate, f64::from(limit.rate()));
        wanted > allowed && wanted * seconds > f64::from(limit.burst()) + allowed * seconds
    }
}
