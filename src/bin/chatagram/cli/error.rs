//! Errors in options that clap does not find by itself.

use chatagram::net::quic::QuicError;
use chatagram::quantity;
use std::time::Duration;

/// Why a value is none of its option's, or which options exclude each other, and the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// `--expiry` is not longer than `--heartbeat`.
    #[error(
        "--expiry {} must be longer than --heartbeat {}: several times as long, so that a lost \
         heartbeat or two expire no client",
        humantime::format_duration(*.expiry),
        humantime::format_duration(*.heartbeat)
    )]
    ExpiryTooShort {
        /// The expiry.
        expiry: Duration,
        /// The heartbeat interval.
        heartbeat: Duration,
    },
    /// `--impair` with `--transport tcp`.
    #[error(
        "--impair works on UDP datagrams only, because TCP's packets are the kernel's: leave it \
         out, or measure TCP with `chatagram lab`"
    )]
    OnlyDatagrams,
    /// `--congestion` with another transport.
    #[error(
        "--congestion is for QUIC, because TCP's congestion control is the kernel's and UDP has \
         CUBIC: add --transport quic, or leave it out"
    )]
    OnlyQuic,
    /// QUIC in a build without it.
    #[error("{}", QuicError::NotBuilt)]
    NoQuic,
    /// A ticket beside other servers.
    #[error("a ticket is all that names a private room: give it alone, here or in --ticket-file")]
    TicketAlone,
    /// A ticket with TCP.
    #[error("a private room takes QUIC only: leave out --transport")]
    TicketTransport,
    /// A ticket for the clients of another author.
    #[error("only chatagram's own clients can join a private room: leave --client out")]
    TicketClient,
    /// `--nick` without a visible character.
    #[error("the name is empty: give 1 to 32 letters or digits")]
    NoName,
    /// `--stay` is neither a time nor `forever`.
    #[error("{0}, or forever")]
    Stay(quantity::Error),
    /// `--rate-limit` has another form.
    #[error("write it as 20/10, for 20 lines at once and 10 a second after that, or as off")]
    RateLimit,
    /// `--metrics` is no address.
    #[error("not an address and a port, such as {0}: {1}")]
    PageAddress(&'static str, String),
    /// The file of `--impair-script`.
    #[error("cannot use the script {0}: {1}")]
    Script(String, String),
    /// An option that only a room on several servers has.
    #[error("{0} is for a room on several servers: name its engine with --engine, or leave it out")]
    NoEngine(&'static str),
    /// A password in `--engine` is on the command line, which all users of the machine can read.
    #[error(
        "--engine has a password, and everybody on this machine can read a command line: put the \
         URL into a file and name it with --engine-file, or into CHATAGRAM_ENGINE"
    )]
    VisiblePassword,
    /// `--room` is empty, too long, or not clean.
    #[error("a room's name has 1 to 32 characters, none of them control characters")]
    RoomName,
    /// `--condition` has another number of parts.
    #[error(
        "write it as LOSS:DELAY:JITTER:BURST, such as 5%:25:0:1: a share, two times in \
         milliseconds, and packets, 1 at least"
    )]
    Condition,
    /// A part of `--condition` is out of range.
    #[error("{0}")]
    Quantity(#[from] quantity::Error),
}
