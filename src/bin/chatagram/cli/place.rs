//! The places that a client can join: servers by their names, or a private room by its ticket.

use chatagram::net::{AddressError, ServerName};
use chatagram::ticket::{SCHEME, Ticket, TicketError};
use clap::Args;
use std::path::PathBuf;
use std::str::FromStr;

/// A word of the command line. A wrong ticket is no error of the parser, which would print it.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A server.
    Server(ServerName),
    /// A private room.
    Ticket(Result<Ticket, TicketError>),
}

impl FromStr for Place {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.trim() {
            ticket if ticket.starts_with(SCHEME) => Ok(Self::Ticket(ticket.parse())),
            server => server.parse().map(Self::Server),
        }
    }
}

/// Where a ticket is, if it must not be on the command line, which all users of a machine can read.
#[derive(Clone, Debug, Args)]
pub(crate) struct TicketArgs {
    /// Read a private room's ticket from FILE; '-' is the input
    ///
    /// The ticket is the first line. Other users of this machine can read a ticket on the command
    /// line, as long as the program runs.
    #[arg(long, value_name = "FILE", env = "CHATAGRAM_TICKET_FILE")]
    pub(crate) ticket_file: Option<PathBuf>,
}
