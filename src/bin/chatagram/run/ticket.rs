//! Tickets of private rooms: from the command line, a file or the input.

use super::{COULD_NOT_START, fail, misuse};
use crate::cli::{Error, Place, TicketArgs, TransportArg};
use chatagram::net::ServerName;
use chatagram::protocol::limits::MAX_TICKET;
use chatagram::ticket::Ticket;
use chatagram::words::Language;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;

/// The place to join.
pub(super) struct Goal {
    /// None: the server found nearby.
    pub(super) servers: Vec<ServerName>,
    /// The ticket, if the room is private.
    pub(super) ticket: Option<Ticket>,
}

/// The place that the user named. A ticket stands alone, and needs QUIC. Errors are told in the
/// language.
pub(super) fn goal(
    places: &[Place],
    args: &TicketArgs,
    transport: TransportArg,
    say: Language,
) -> Result<Goal, ExitCode> {
    let ticket = match (places, &args.ticket_file) {
        ([], None) => return Ok(Goal { servers: Vec::new(), ticket: None }),
        ([], Some(file)) => read(file, say)?.parse(),
        ([Place::Ticket(ticket)], None) => ticket.clone(),
        (places, None) => {
            let server = |place: &Place| match place {
                Place::Server(server) => Some(server.clone()),
                Place::Ticket(_) => None,
            };
            let servers: Option<Vec<_>> = places.iter().map(server).collect();
            let servers = servers.ok_or_else(|| misuse(Error::TicketAlone.text(say), say))?;
            return Ok(Goal { servers, ticket: None });
        }
        (_, Some(_)) => return Err(misuse(Error::TicketAlone.text(say), say)),
    };
    let ticket = ticket.map_err(|error| misuse(say.ticket_error(&error), say))?;
    if transport == TransportArg::Tcp {
        return Err(misuse(Error::TicketTransport.text(say), say));
    }
    TransportArg::Quic.check().map_err(|error| misuse(error.text(say), say))?;
    // The zone of an address may be unknown here.
    let (mut servers, mut wrong) = (Vec::new(), None);
    for place in ticket.places() {
        match place.parse() {
            Ok(server) => servers.push(server),
            Err(error) => wrong = Some(error),
        }
    }
    match wrong.filter(|_| servers.is_empty()) {
        Some(error) => Err(misuse(say.ticket_address(&error), say)),
        None => Ok(Goal { servers, ticket: Some(ticket) }),
    }
}

/// The first line of a file or of the input, whose other lines are left unread.
fn read(file: &Path, say: Language) -> Result<String, ExitCode> {
    let line = |input: &mut dyn BufRead| {
        let mut line = Vec::new();
        // A ticket that is cut here is too long in any case.
        input.take(2 * MAX_TICKET as u64).read_until(b'\n', &mut line)?;
        Ok(String::from_utf8_lossy(&line).into_owned())
    };
    let read = match file.to_str() {
        Some("-") => line(&mut io::stdin().lock()),
        _ => File::open(file).and_then(|file| line(&mut BufReader::new(file))),
    };
    read.map_err(|error: io::Error| fail(COULD_NOT_START, say.ticket_unread(file, &error)))
}
