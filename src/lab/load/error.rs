//! Errors of a run, each with the way out.

use crate::hub::Limit;
use crate::lab::record;
use crate::protocol::Refusal;
use std::io;
use std::path::PathBuf;

/// [`Error::exit_code`] when the server does not answer.
pub const UNREACHABLE: u8 = 3;

/// A run that did not finish. The rows recorded so far are kept; `run.json` is missing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The output directory is not empty.
    #[error(
        "{path} is not empty: name another --out, or remove the directory first",
        path = .0.display()
    )]
    NotEmpty(PathBuf),
    /// A file could not be read or written.
    #[error(transparent)]
    Files(#[from] record::Error),
    /// The server's name could not be resolved.
    #[error("{0}")]
    NotFound(io::Error),
    /// The kernel refused another socket, or a socket failed.
    #[error("the network failed with {peers} peers: {cause}{}", open_files_hint(.cause))]
    Network {
        /// Number of peers at that time.
        peers: usize,
        /// The kernel's error.
        cause: io::Error,
    },
    /// No answer to a join.
    #[error("{peer} got no answer from {server}: {why}")]
    Unreachable {
        /// The joining peer's nickname.
        peer: String,
        /// The server's names.
        server: String,
        /// The kernel's reason, if there is one, and what to do.
        why: String,
    },
    /// The server refused a join.
    #[error("{peer} was refused: {why}{}", way_out(*.reason))]
    Refused {
        /// The refused peer's nickname.
        peer: String,
        /// The server's reason, if it is one of the protocol's.
        reason: Option<Refusal>,
        /// Its text.
        why: String,
    },
    /// Joining took too long.
    #[error(
        "only {joined} of {peers} peers had joined after 30 s: the server may be overloaded, try \
         fewer peers"
    )]
    Slow {
        /// Peers that have joined.
        joined: usize,
        /// All peers.
        peers: usize,
    },
    /// A peer lost its session with the server.
    #[error(
        "the run is incomplete: {peer} lost the server ({why}); the rows recorded so far are kept"
    )]
    Gone {
        /// The first such peer.
        peer: String,
        /// The reason.
        why: String,
    },
    /// An emulated network in this process was asked for with TCP.
    #[error(
        "--impair works on UDP datagrams only, because TCP's packets are the kernel's: measure TCP \
         with `chatagram lab`"
    )]
    OnlyDatagrams,
    /// The server's rate limit would delay the messages.
    #[error(
        "the server lets each client say {} lines at once and then {} a second, but each sender \
         says {rate} a second: the run would measure that limit. Start the server with \
         --rate-limit off, or lower --rate, or add --through-rate-limit",
        .limit.burst(), .limit.rate()
    )]
    RateLimit {
        /// The server's limit.
        limit: Limit,
        /// Messages per second and sender.
        rate: f64,
    },
    /// A client of the program could not be started.
    #[error("cannot start the client `{command}`: {cause}{hint}")]
    Program {
        /// The command.
        command: String,
        /// The system's error.
        cause: io::Error,
        /// The way out.
        hint: &'static str,
    },
    /// A program was asked for where none can be measured.
    #[error("--client measures other programs on Linux only")]
    NoProgram,
    /// The stop flag was set.
    #[error("the run is incomplete: interrupted")]
    Stopped,
}

impl Error {
    /// The process exit code for this kind of failure; `chatagram --help` lists the codes.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotEmpty(_) | Self::OnlyDatagrams | Self::RateLimit { .. } | Self::NoProgram => 2,
            Self::Files(_) | Self::Network { .. } | Self::Program { .. } => 1,
            Self::NotFound(_) | Self::Unreachable { .. } | Self::Slow { .. } => UNREACHABLE,
            Self::Refused { .. } => 4,
            Self::Gone { .. } => 5,
            Self::Stopped => 130,
        }
    }
}

/// The way out of a kernel error.
fn open_files_hint(cause: &io::Error) -> &'static str {
    if cause.to_string().contains("open files") { "; `ulimit -n 8192` allows more" } else { "" }
}

fn way_out(of: Option<Refusal>) -> &'static str {
    match of {
        Some(Refusal::TooManyFromAddress) => "; --max-peers-per-ip on the server raises the limit",
        Some(Refusal::RoomFull) => "; --max-peers on the server raises the limit",
        Some(Refusal::NameTaken) => {
            "; another load is running there, or one was killed less than a minute ago"
        }
        _ => "",
    }
}
