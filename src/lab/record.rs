//! The files of a run: `records.csv` or `records.parquet`, with one row per message and receiver,
//! and `run.json`.
//!
//! Rows are written during the run, so a killed run keeps the rows it had. `run.json` is written
//! atomically at the end: a run without it did not finish and is left out of the statistics.
//!
//! `records.parquet` is a directory of parts `00000.parquet`, `00001.parquet` and so on, which
//! readers of data sets treat as one table. An unfinished part has another name, which they skip.
//! The columns are those of the CSV; an empty time there is null here:
//!
//! | column | type |
//! |---|---|
//! | `run`, `transport`, `mode`, `sender`, `receiver`, `verdict` | string |
//! | `id`, `intended_us` | INT64 |
//! | `sent_us`, `arrived_us`, `delivered_us` | INT64 or null |
//!
//! INT64 rather than UINT64, although no value is negative: the difference of two columns then has
//! a sign.
//!
//! In a lab the server writes `server.csv`: for each line its author, its number modulo 2^16, and
//! the time for which the server held it back until all earlier ones had arrived.
//!
//! All times are microseconds since one epoch on one monotonic clock. All peers are in one process,
//! so one-way delays need no clock synchronisation.

use super::metrics::percent;
use super::plan::bits;
use crate::link::{Copies, Totals};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

mod csv;
mod error;
mod files;
mod format;
mod machine;
mod mode;
mod names;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(not(feature = "parquet"))]
#[path = "record/no_parquet.rs"]
mod parquet;
mod program;
mod sum;
mod waits;

pub use crate::impair::Counts;
#[cfg(feature = "parquet")]
pub use error::PartError;
pub use error::{Change, Error, InvalidName, LineError, RowError, UnknownMode};
use files::Rows;
pub(in crate::lab) use files::read_info;
pub use files::{RecordWriter, Run, read_run};
pub(crate) use files::{json_text, write_atomically};
pub use format::{Destination, Format};
pub use machine::Machine;
pub use mode::{Mode, ProgramName};
pub use program::{Conduct, Ended, ErrorOutput};
#[cfg(target_os = "linux")]
pub(crate) use program::{OutputWriter, SERVER};
pub use sum::FileSum;
pub(crate) use waits::WAITS;
pub(in crate::lab) use waits::sum as sum_of_waits;

/// Ten packets with a join each.
const QUEUED_BITS: f64 = 10.0 * 8.0 * 540.0;
/// The file of rows in a run's directory.
pub(crate) const RECORDS: &str = "records.csv";
/// The directory of Parquet parts in a run's directory.
pub(crate) const PARQUET: &str = "records.parquet";
/// The capture in a run's directory, a pcapng file.
pub const TRACE: &str = "trace.pcapng";
/// The file that describes the run, in its directory.
pub const RUN: &str = "run.json";
/// The columns, which are also the header of the CSV.
pub const HEADER: [&str; 11] = [
    "run",
    "transport",
    "mode",
    "sender",
    "receiver",
    "id",
    "intended_us",
    "sent_us",
    "arrived_us",
    "delivered_us",
    "verdict",
];

/// The outcome of a message at a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Shown to the receiver's user.
    Delivered,
    /// Not shown by the end of the run.
    Lost,
    /// Shown again: this row is the repetition.
    Duplicate,
}

impl Verdict {
    /// The column `verdict`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Lost => "lost",
            Self::Duplicate => "duplicate",
        }
    }

    /// The inverse of [`Self::name`]; rejects a delivery without `delivered_us`.
    fn from_column(name: &str, delivered_us: Option<u64>) -> Result<Self, RowError> {
        let all = [Self::Delivered, Self::Lost, Self::Duplicate];
        match all.into_iter().find(|it| it.name() == name) {
            None => Err(RowError::UnknownVerdict(name.to_owned())),
            Some(Self::Lost) => Ok(Self::Lost),
            Some(verdict) if delivered_us.is_none() => Err(RowError::NoDeliveryTime(verdict)),
            Some(verdict) => Ok(verdict),
        }
    }
}

/// One row: one message at one receiver. Times are microseconds since the run's epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The run's name.
    pub run: Arc<str>,
    /// The transport and delivery mode.
    pub mode: Mode,
    /// The sender's nickname.
    pub sender: Arc<str>,
    /// The receiver's nickname.
    pub receiver: Arc<str>,
    /// The message's number, from 0 for each sender.
    pub id: u64,
    /// The scheduled send time. Latency counts from here, so that a stalled sender cannot hide its
    /// stall (coordinated omission).
    pub intended_us: u64,
    /// When the sender's session took it.
    pub sent_us: Option<u64>,
    /// When the first copy reached the receiver's session.
    pub arrived_us: Option<u64>,
    /// When it was shown to the receiver's user: arrival plus the time held by ordering.
    pub delivered_us: Option<u64>,
    /// How long the server held it until all earlier ones of its sender had arrived, from
    /// `server.csv`; `None` if that is unknown, as over TCP.
    pub server_held_us: Option<u64>,
    /// The outcome.
    pub verdict: Verdict,
}

impl Record {
    /// Returns true if the sender's session did not take the message before the run ended, so no
    /// network lost it.
    #[must_use]
    pub fn is_unsaid(&self) -> bool {
        self.verdict == Verdict::Lost && self.sent_us.is_none()
    }
}

/// The network condition of a run.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Condition {
    /// Share of packets lost, each way, 0 to 1.
    pub loss: f64,
    /// The one-way delay, in milliseconds.
    pub delay_ms: f64,
    /// The delay variation, in milliseconds.
    pub jitter_ms: f64,
    /// The mean length of a loss burst, in packets; 1 is independent loss.
    pub burst: f64,
    /// Bits per second, each way; `None` is unlimited.
    #[serde(default)]
    pub bandwidth: Option<u64>,
    /// Packets in the queue of that bandwidth; `None` without one.
    #[serde(default)]
    pub queue: Option<u32>,
}

impl Default for Condition {
    /// A network that does nothing.
    fn default() -> Self {
        Self { loss: 0.0, delay_ms: 0.0, jitter_ms: 0.0, burst: 1.0, bandwidth: None, queue: None }
    }
}

impl Condition {
    /// The longest round trip that the delays and ten packets in each direction's queue cause.
    #[must_use]
    pub fn round_trip(&self) -> Duration {
        let queue = self.bandwidth.map_or(0.0, |bits| QUEUED_BITS / bits as f64);
        let one_way = (self.delay_ms + self.jitter_ms) / 1e3 + queue;
        Duration::try_from_secs_f64(2.0 * one_way).unwrap_or_default()
    }
}

impl fmt::Display for Condition {
    /// The value of `load --condition`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { loss, delay_ms, jitter_ms, burst, bandwidth, queue } = self;
        write!(f, "{}:{delay_ms}:{jitter_ms}:{burst}", percent(*loss))?;
        match (bandwidth, queue) {
            (Some(bandwidth), Some(queue)) => write!(f, ":{}:{queue}", bits(*bandwidth)),
            (Some(bandwidth), None) => write!(f, ":{}", bits(*bandwidth)),
            (None, _) => Ok(()),
        }
    }
}

/// The link counters of all clients, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Links {
    /// Totals of the links; `lost` counts both directions.
    #[serde(flatten)]
    pub totals: Totals,
    /// Datagrams received with a wrong checksum.
    pub corrupt: u64,
}

/// The mechanism that impaired the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Emulation {
    /// [`impair`](crate::impair) between two network namespaces: between two kernel stacks.
    Namespaces,
    /// [`impair`](crate::impair) in the clients' process; datagrams only.
    InProcess,
    /// The kernel's tc-netem.
    Netem,
}

impl Emulation {
    /// The name in `run.json` and `summary.csv`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::InProcess => "in-process",
            Self::Netem => "netem",
        }
    }
}

/// The emulated network's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// From clients to the server.
    pub up: Counts,
    /// From the server to clients.
    pub down: Counts,
    /// Packets that a busy machine lost beyond those: the run does not show its condition.
    #[serde(default)]
    pub overruns: u64,
    /// The kernel's counters of both nodes' devices; `None` without namespaces.
    #[serde(default)]
    pub kernel: Option<Kernel>,
}

/// The kernel's counters of both nodes' devices, packets. They agree with those of the router: it
/// sees each packet that a node sends, and a node receives each that leaves the router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// Sent by the clients' node.
    pub clients_sent: u64,
    /// Received by the clients' node.
    pub clients_received: u64,
    /// Left the router towards the clients and refused by the kernel, such as for a corrupted
    /// version.
    pub clients_refused: u64,
    /// Sent by the server's node.
    pub server_sent: u64,
    /// Received by the server's node.
    pub server_received: u64,
    /// Left the router towards the server and refused by the kernel.
    pub server_refused: u64,
}

/// The capture of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trace {
    /// Packets in it, in Wireshark's count: one that crosses the network is in it twice.
    pub packets: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// Packets left out because it had reached its largest length.
    pub beyond_limit: u64,
    /// Packets left out because the machine wrote too slowly.
    pub too_slow: u64,
}

/// The description of a finished run: `run.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// The run's name.
    pub run: String,
    /// The network condition; `None` for a run of `load` without `--condition`.
    pub condition: Option<Condition>,
    /// The mechanism of the impairment; `None` if nothing impaired the network.
    #[serde(default)]
    pub emulation: Option<Emulation>,
    /// The run whose losses were replayed. They replace the losses in `impair`.
    #[serde(default)]
    pub replayed: Option<String>,
    /// The impairment's text.
    pub impair: Option<String>,
    /// The transport and delivery mode.
    #[serde(flatten)]
    pub mode: Mode,
    /// Copies of each message over UDP.
    pub redundancy: Copies,
    /// The repetition of the condition, from 1.
    pub repetition: u32,
    /// Seed of all randomness.
    pub seed: u64,
    /// Number of sending peers.
    pub senders: u32,
    /// Number of receiving peers.
    pub receivers: u32,
    /// Messages per second and sender.
    pub rate: f64,
    /// Bytes of text in a message.
    pub size: u32,
    /// Whether `TCP_NODELAY` was set; `None` in records of earlier versions.
    #[serde(default)]
    pub no_delay: Option<bool>,
    /// How long the senders sent, in seconds.
    pub duration_s: f64,
    /// Messages scheduled, of all senders.
    pub sent: u64,
    /// The program's version.
    pub version: String,
    /// The kernel, such as `Linux 6.1.0`.
    pub kernel: String,
    /// The congestion control of the clients' TCP sockets, where the kernel tells it, or of their
    /// QUIC connections.
    pub congestion_control: Option<String>,
    /// That of the server's, in an emulated network.
    #[serde(default)]
    pub server_congestion_control: Option<String>,
    /// The start time, RFC 3339.
    pub started: String,
    /// The link counters of the clients.
    pub links: Links,
    /// How late the machine was.
    pub machine: Machine,
    /// How often the run was measured: a run that the machine spoiled is measured again.
    pub attempts: u32,
    /// The files of rows: reports leave out a run whose files differ.
    pub files: Vec<FileSum>,
    /// Bytes of text sent.
    pub text_bytes: u64,
    /// The emulated network's counters, if there was one.
    pub network: Option<Network>,
    /// The capture beside the records, if there is one.
    #[serde(default)]
    pub trace: Option<Trace>,
    /// How the program behaved; `None` for a mode of this crate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Conduct>,
}

impl RunInfo {
    /// Writes `run.json` into `dir` atomically.
    ///
    /// # Errors
    /// An error of the file system.
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        let text = json_text(self).map_err(Error::io("write", &dir.join(RUN)))?;
        write_atomically(&dir.join(RUN), text.as_bytes())
    }
}
