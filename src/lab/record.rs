//! What a run leaves on disk: `records.csv` or `records.parquet`, one row per message and receiver,
//! and `run.json`.
//!
//! Rows are written as they come, so a run that is killed keeps what it had. `run.json` is written
//! whole, at the end, through another file and a rename: where it is absent, the run did not
//! finish, and the run is left out of statistics.
//!
//! `records.parquet` is a directory of parts `00000.parquet`, `00001.parquet` and so on, which
//! readers of data sets take for one table; a part under way has another name, which they skip. The
//! columns are those of the CSV, and a time that is empty there is null here:
//!
//! | column | type |
//! |---|---|
//! | `run`, `transport`, `mode`, `sender`, `receiver`, `verdict` | string |
//! | `id`, `intended_us` | INT64 |
//! | `sent_us`, `arrived_us`, `delivered_us` | INT64 or null |
//!
//! INT64 and not its unsigned brother, though nothing is negative: who subtracts two columns wants
//! a difference with a sign.
//!
//! All times of a run are microseconds since one epoch on one monotonic clock, for all its peers:
//! one process holds them, so one-way delays need no clocks to agree.

use crate::client::session::Transport;
use crate::protocol::Delivery;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, str::FromStr};

mod csv;
mod files;
mod format;
mod names;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(not(feature = "parquet"))]
#[path = "record/no_parquet.rs"]
mod parquet;

pub use crate::impair::Counts;
pub use files::{RecordWriter, Run, read_run};
pub(crate) use files::{json_text, write_whole};
pub use format::{Destination, Format};

/// The name of the file of rows in a run's directory.
pub const RECORDS: &str = "records.csv";
/// The name of the directory of parts of rows in a run's directory, where they are Parquet.
pub const PARQUET: &str = "records.parquet";
/// The name of the file about the run in a run's directory.
pub const RUN: &str = "run.json";
/// The first line of a file of rows, and the columns of a part.
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

/// A run's files that cannot be read or written.
///
/// The text is whole: it holds the cause, so there is no chain to print.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error("cannot {what} {path}: {cause}", path = .path.display())]
    Io {
        /// What was tried: a verb.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A line is not what it should be.
    #[error("{path}, line {line}: {problem}", path = .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// A part of rows is not what it should be.
    #[error("{path}: {problem}", path = .path.display())]
    Part {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A run has rows in two forms, and nothing says which are its own.
    #[error("{dir} holds both records.csv and records.parquet: move one of them away", dir = .dir.display())]
    Both {
        /// The run's directory.
        dir: PathBuf,
    },
    /// This build has no Parquet.
    #[error(
        "{path} is Parquet, which this build neither writes nor reads: \
         `cargo build --release --features parquet` makes one that does", path = .path.display()
    )]
    NoParquet {
        /// The rows.
        path: PathBuf,
    },
    /// A name ends like that of rows, and is not one.
    #[error(
        "{path} is no name for a run: name the rows records.csv or records.parquet, or name a \
         directory", path = .path.display()
    )]
    Name {
        /// The name.
        path: PathBuf,
    },
    /// There is nothing to read where there should be.
    #[error("{path} holds no runs: name a directory that `lab` or `load` has written", path = .path.display())]
    NoRuns {
        /// The directory.
        path: PathBuf,
    },
}

impl Error {
    /// For `map_err`: the system refused to do `what` with `path`.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io { what, path: path.to_owned(), cause }
    }
}

/// What carried the messages: a transport and, over datagrams, a delivery mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Columns", into = "Columns")]
pub enum Mode {
    /// Raw UDP: each message once.
    Unreliable,
    /// UDP, repeated until acknowledged, shown as it arrives.
    ReliableUnordered,
    /// UDP, repeated until acknowledged, shown in order.
    ReliableOrdered,
    /// The kernel's TCP.
    Tcp,
}

/// How a [`Mode`] stands in `run.json`: the same two columns as in the rows.
#[derive(Serialize, Deserialize)]
struct Columns {
    transport: String,
    mode: String,
}

impl Mode {
    /// All of them, in the order in which reports show them.
    pub const ALL: [Self; 4] =
        [Self::Unreliable, Self::ReliableOrdered, Self::ReliableUnordered, Self::Tcp];

    /// What a client with these settings is.
    pub const fn new(transport: Transport, delivery: Delivery) -> Self {
        match (transport, delivery) {
            (Transport::Tcp, _) => Self::Tcp,
            (Transport::Udp, Delivery::Unreliable) => Self::Unreliable,
            (Transport::Udp, Delivery::ReliableUnordered) => Self::ReliableUnordered,
            (Transport::Udp, Delivery::ReliableOrdered) => Self::ReliableOrdered,
        }
    }

    /// The settings of a client for it.
    pub const fn settings(self) -> (Transport, Delivery) {
        match self {
            Self::Unreliable => (Transport::Udp, Delivery::Unreliable),
            Self::ReliableUnordered => (Transport::Udp, Delivery::ReliableUnordered),
            Self::ReliableOrdered => (Transport::Udp, Delivery::ReliableOrdered),
            Self::Tcp => (Transport::Tcp, Delivery::ReliableOrdered),
        }
    }

    /// The name in lists and plans: `unreliable`, ..., `tcp`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            other => other.column(),
        }
    }

    /// The column `transport`: `udp` or `tcp`.
    pub const fn transport(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            _ => "udp",
        }
    }

    /// The column `mode`: the name of the delivery mode, which TCP has too.
    pub const fn column(self) -> &'static str {
        match self {
            Self::Unreliable => "unreliable",
            Self::ReliableUnordered => "reliable-unordered",
            Self::ReliableOrdered | Self::Tcp => "reliable-ordered",
        }
    }

    /// The other way round.
    fn from_columns(transport: &str, mode: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|it| it.transport() == transport && it.column() == mode)
            .ok_or_else(|| format!("there is no transport \"{transport}\" with mode \"{mode}\""))
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|it| it.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no \"{text}\": choose from {names}")
        })
    }
}

impl TryFrom<Columns> for Mode {
    type Error = String;

    fn try_from(columns: Columns) -> Result<Self, String> {
        Self::from_columns(&columns.transport, &columns.mode)
    }
}

impl From<Mode> for Columns {
    fn from(mode: Mode) -> Self {
        Self { transport: mode.transport().to_owned(), mode: mode.column().to_owned() }
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It was shown to the receiver's user.
    Delivered,
    /// It had not been shown when the run ended.
    Lost,
    /// It was shown again: this row is about the further time.
    Duplicate,
}

impl Verdict {
    /// The column `verdict`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Lost => "lost",
            Self::Duplicate => "duplicate",
        }
    }

    /// The other way round, in a row with that `delivered_us`.
    fn from_column(name: &str, delivered_us: Option<u64>) -> Result<Self, String> {
        let verdict = [Self::Delivered, Self::Lost, Self::Duplicate];
        let verdict = verdict.into_iter().find(|it| it.name() == name);
        if delivered_us.is_none() && verdict.is_some_and(|it| it != Self::Lost) {
            return Err(format!("verdict \"{name}\" without delivered_us"));
        }
        verdict.ok_or_else(|| format!("there is no verdict \"{name}\""))
    }
}

/// One row: one message at one receiver. Times are microseconds since the run's epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The run's name.
    pub run: Arc<str>,
    /// What carried it.
    pub mode: Mode,
    /// The nickname of the peer that said it.
    pub sender: Arc<str>,
    /// The nickname of the peer that should see it.
    pub receiver: Arc<str>,
    /// The number of the message, from 0 for each sender.
    pub id: u64,
    /// When it should have been said. Latency counts from here, so that a stalled sender cannot
    /// hide the stall (coordinated omission).
    pub intended_us: u64,
    /// When it was said.
    pub sent_us: Option<u64>,
    /// When the first copy reached the receiver's session.
    pub arrived_us: Option<u64>,
    /// When the receiver's user was shown it: arrival, and what ordering held it back for.
    pub delivered_us: Option<u64>,
    /// What became of it.
    pub verdict: Verdict,
}

impl Record {
    /// Whether the sender's session did not take the message before the run ended: no network lost it.
    pub fn is_unsaid(&self) -> bool {
        self.verdict == Verdict::Lost && self.sent_us.is_none()
    }
}

/// The network a run was made to meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Condition {
    /// The share of packets lost, each way, 0 to 1.
    pub loss: f64,
    /// The one-way delay, in milliseconds.
    pub delay_ms: f64,
    /// By how much the delay varies, in milliseconds.
    pub jitter_ms: f64,
    /// The mean length of a burst of losses, in packets; 1 is independent loss.
    pub burst: f64,
}

/// What all peers' own links counted, summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Links {
    /// Datagrams sent.
    pub sent: u64,
    /// Bytes of payload sent.
    pub sent_bytes: u64,
    /// Datagrams received.
    pub received: u64,
    /// Bytes of payload received.
    pub received_bytes: u64,
    /// Datagrams found lost, both ways.
    pub lost: u64,
    /// Those of them that the peers did not get.
    pub missing: u64,
    /// Datagrams received again.
    pub duplicated: u64,
    /// Datagrams that came late (RFC 4737).
    pub reordered: u64,
    /// Messages sent again after a loss.
    pub retransmitted: u64,
    /// Messages sent again before one.
    pub redundant: u64,
    /// Datagrams that were damaged.
    pub corrupt: u64,
}

/// What made the network bad, where that was done on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Emulation {
    /// [`impair`](crate::impair) between two namespaces, so between two kernels' stacks.
    Namespaces,
    /// [`impair`](crate::impair) in the process of the clients; datagrams only.
    InProcess,
    /// The kernel's tc-netem.
    Netem,
}

/// What the emulated network did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// From clients to the server.
    pub up: Counts,
    /// From the server to clients.
    pub down: Counts,
}

/// About a run that finished: `run.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// The run's name.
    pub run: String,
    /// The network it was made to meet; none when `load` met whatever there was.
    pub condition: Option<Condition>,
    /// What made the network so; none when `load` met whatever there was.
    #[serde(default)]
    pub emulation: Option<Emulation>,
    /// The run whose losses were repeated here, if any: then those take the place of the losses in
    /// `impair`.
    #[serde(default)]
    pub replayed: Option<String>,
    /// The text of the impairment.
    pub impair: Option<String>,
    /// What carried the messages.
    #[serde(flatten)]
    pub mode: Mode,
    /// Which repetition of the condition, from 1.
    pub repetition: u32,
    /// What all randomness came from.
    pub seed: u64,
    /// How many peers spoke.
    pub senders: u32,
    /// How many peers listened.
    pub receivers: u32,
    /// Messages a second for each sender.
    pub rate: f64,
    /// Bytes of text in a message.
    pub size: u32,
    /// For how long the senders spoke, in seconds.
    pub duration_s: f64,
    /// Messages said, by all senders together.
    pub sent: u64,
    /// The version of the program.
    pub version: String,
    /// The kernel, such as `Linux 6.1.0`.
    pub kernel: String,
    /// TCP's congestion control in that kernel, where it could be read.
    pub congestion_control: Option<String>,
    /// When it started, RFC 3339.
    pub started: String,
    /// What the peers' own links counted.
    pub links: Links,
    /// Bytes of text said.
    pub text_bytes: u64,
    /// What the emulated network did, where there was one.
    pub network: Option<Network>,
}

impl RunInfo {
    /// Writes `run.json` into `dir`, whole or not at all.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        let text = json_text(self).map_err(Error::io("write", &dir.join(RUN)))?;
        write_whole(&dir.join(RUN), text.as_bytes())
    }
}
