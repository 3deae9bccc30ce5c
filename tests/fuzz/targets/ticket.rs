//! A text as a ticket: it has one spelling, and no error or debug output repeats it.

use super::meter::allocated;
use super::{LIMIT, assert_clean};
use chatagram::protocol::limits::{MAX_TICKET, TICKET_PLACES};
use chatagram::ticket::Ticket;

pub(crate) fn ticket(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (read, cost) = allocated(|| text.parse::<Ticket>());
    assert!(cost <= LIMIT, "reading a ticket allocated {cost} bytes");
    match read {
        Ok(ticket) => {
            assert_eq!(ticket.reveal(), text.trim());
            assert!(text.trim().len() <= MAX_TICKET);
            assert!((1..=TICKET_PLACES).contains(&ticket.places().len()));
            ticket.places().iter().for_each(|place| assert_clean(place));
            let secret = text.trim().rsplit('/').next().unwrap();
            assert!(!format!("{ticket:?}").contains(secret));
        }
        Err(error) => assert_clean(&error.to_string()),
    }
}
