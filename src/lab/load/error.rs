//! Why a run did not finish, and what to do about it.

use crate::lab::record;
use crate::net::ServerName;
use std::io;
use std::path::PathBuf;

/// [`Error::exit_code`] when nobody answered.
pub const UNREACHABLE: u8 = 3;

/// A run that did not finish. Where it had begun, its rows are on the disk, and `run.json` is not.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is something in the directory already.
    #[error("{path} is not empty: name another --out, or remove it first", path = .0.display())]
    NotEmpty(PathBuf),
    /// A file cannot be written.
    #[error(transparent)]
    Files(#[from] record::Error),
    /// The server's name is nobody's.
    #[error("{0}")]
    NotFound(io::Error),
    /// The kernel gives no more sockets, or fails with those it gave.
    #[error("the network failed with {peers} peers: {cause}{}", way_out(.cause))]
    Network {
        /// How many peers there were.
        peers: usize,
        /// What the kernel said.
        cause: io::Error,
    },
    /// Nobody answered a join.
    #[error("{peer} got no answer from {server}: is it running, and is the address right?")]
    Unreachable {
        /// Who joined.
        peer: String,
        /// Whom.
        server: ServerName,
    },
    /// The server did not let somebody in.
    #[error("{peer} was refused: {why}{}", raise(.why))]
    Refused {
        /// Who.
        peer: String,
        /// What the server said.
        why: String,
    },
    /// Joining took too long.
    #[error("only {joined} of {peers} peers were in after 30 s: is the server too busy?")]
    Slow {
        /// How many were in.
        joined: usize,
        /// Of how many.
        peers: usize,
    },
    /// Somebody was thrown out, or the server is gone.
    #[error("the run is incomplete: {peer} lost the server ({why}); the rows so far are kept")]
    Gone {
        /// Who was the first to notice.
        peer: String,
        /// What happened.
        why: String,
    },
    /// TCP, and a bad network in this process.
    #[error(
        "--impair works on datagrams, and TCP's packets are the kernel's: `chatagram lab` measures TCP"
    )]
    OnlyDatagrams,
    /// The run was told to stop.
    #[error("the run is incomplete: it was stopped")]
    Stopped,
}

impl Error {
    /// The exit code that tells this kind of failure from others, see `chatagram --help`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotEmpty(_) | Self::OnlyDatagrams => 2,
            Self::Files(_) | Self::Network { .. } => 1,
            Self::NotFound(_) | Self::Unreachable { .. } | Self::Slow { .. } => UNREACHABLE,
            Self::Refused { .. } => 4,
            Self::Gone { .. } => 5,
            Self::Stopped => 130,
        }
    }
}

/// What to do about an error of the kernel.
fn way_out(cause: &io::Error) -> &'static str {
    if cause.to_string().contains("open files") { "; `ulimit -n 8192` allows more" } else { "" }
}

/// What to do about a refusal. The words are those of this crate's server (`hub::handshake`).
fn raise(why: &str) -> &'static str {
    if why.contains("from your address") {
        "; --max-peers-per-ip on the server raises the limit"
    } else if why.contains("room is full") {
        "; --max-peers on the server raises the limit"
    } else if why.contains("in use") || why.contains("is kept") {
        "; another load is running there, or one was killed less than a minute ago"
    } else {
        ""
    }
}
