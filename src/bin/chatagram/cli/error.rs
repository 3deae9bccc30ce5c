//! Errors in options that clap does not find by itself.

use chatagram::net::quic::QuicError;
use chatagram::quantity;
use chatagram::words::Language;
use std::time::Duration;

/// Why a value is none of its option's, or which options exclude each other, and the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// `--expiry` is not longer than `--heartbeat`.
    #[error("{}", self.text(Language::En))]
    ExpiryTooShort {
        /// The expiry.
        expiry: Duration,
        /// The heartbeat interval.
        heartbeat: Duration,
    },
    /// `--impair` with `--transport tcp`.
    #[error("{}", self.text(Language::En))]
    OnlyDatagrams,
    /// `--congestion` with another transport.
    #[error("{}", self.text(Language::En))]
    OnlyQuic,
    /// QUIC in a build without it.
    #[error("{}", self.text(Language::En))]
    NoQuic,
    /// A ticket beside other servers.
    #[error("{}", self.text(Language::En))]
    TicketAlone,
    /// A ticket with TCP.
    #[error("{}", self.text(Language::En))]
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
    #[error("{}", self.text(Language::En))]
    Script(String, String),
    /// An option that only a room on several servers has.
    #[error("{}", self.text(Language::En))]
    NoEngine(&'static str),
    /// A password in `--engine` is on the command line, which all users of the machine can read.
    #[error("{}", self.text(Language::En))]
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

impl Error {
    /// The text in this language. That of the option parser is English.
    pub(crate) fn text(&self, say: Language) -> String {
        match self {
            Self::ExpiryTooShort { expiry, heartbeat } => {
                let [expiry, heartbeat] = [*expiry, *heartbeat].map(humantime::format_duration);
                say.expiry_too_short(expiry, heartbeat)
            }
            Self::OnlyDatagrams => say.impair_needs_datagrams(),
            Self::OnlyQuic => say.congestion_needs_quic(),
            Self::NoQuic => say.quic_error(&QuicError::NotBuilt),
            Self::TicketAlone => say.ticket_alone(),
            Self::TicketTransport => say.ticket_needs_quic(),
            Self::Script(file, why) => say.bad_script(file, why),
            Self::NoEngine(option) => say.needs_engine(option),
            Self::VisiblePassword => say.visible_password(),
            english => english.to_string(),
        }
    }
}
