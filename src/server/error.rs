//! Why a server cannot start, or stops.

#[cfg(feature = "redis")]
use super::EngineError;
use crate::net::BindError;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the server could not start or had to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A socket could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The history could not be opened.
    #[error(transparent)]
    History(#[from] crate::history::HistoryError),
    /// The file with the engine's URL cannot be read.
    #[error("cannot read the engine's URL from {0}: {1}")]
    EngineFile(PathBuf, io::Error),
    /// The engine cannot be used.
    #[cfg(feature = "redis")]
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// This build has no engine.
    #[error(
        "this build of chatagram cannot use an engine: the downloads can, and so can a build with \
         `--features redis`"
    )]
    NoEngine,
    /// This build has no page.
    #[error(
        "this build of chatagram has no page: the downloads have it, and so has a build with \
         `--features web`"
    )]
    NoWeb,
    /// QUIC cannot be used.
    #[error(transparent)]
    Quic(#[from] crate::net::quic::QuicError),
    /// The private room has no key.
    #[error(transparent)]
    Private(#[from] super::PrivateError),
    /// The system provides no randomness for secrets.
    #[error("the operating system provides no random numbers: {0}")]
    Random(getrandom::Error),
    /// The record of waits cannot be written.
    #[error("cannot write the waits to {0}: {1}")]
    Waits(PathBuf, io::Error),
    /// Waiting on the network failed.
    #[error("cannot wait for the network: {0}")]
    Poll(io::Error),
    /// A socket failed permanently.
    #[error("cannot receive on {0}: {1}")]
    Receive(SocketAddr, io::Error),
}
