//! Requests to the engine that are not settled. A value, without access to the hub.
//!
//! A request stays until it is settled, and is sent again after each `Attach`. Mail is sent once.

use crate::engine::{Ask, Fence, Said};
use crate::hub::pressure::Level;
use crate::protocol::limits::{MAX_MAIL, MAX_SEATS, PROPOSED_FULL, PROPOSED_HIGH};
use crate::registry::PeerId;
use crate::room::LineIdentity;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of a proposed line beside its text, about.
const OVERHEAD: usize = 128;
/// Requests that wait, at most. More than honest peers cause: a hostile engine could ask for any
/// number of departures.
const MOST: usize = 2 * MAX_SEATS;
/// Mail that waits to be sent, at most.
const MOST_MAIL: usize = 2 * MAX_MAIL;

/// A request that is not settled.
#[derive(Debug)]
struct Open {
    ask: Arc<Ask>,
    line: Option<Proposed>,
}

impl Open {
    /// Whether it is a line of this seat.
    fn is_of(&self, seat: Fence) -> bool {
        matches!(&*self.ask, Ask::Say(Said { fence, .. }) if *fence == seat)
    }
}

/// A proposed line. It is settled when the hub has read it from the log and the engine keeps it.
#[derive(Clone, Copy, Debug)]
struct Proposed {
    author: PeerId,
    identity: LineIdentity,
    bytes: usize,
    position: Option<u64>,
    kept: bool,
}

/// A line that its author is to be told about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) author: PeerId,
    pub(super) number: u16,
    pub(super) position: u64,
}

#[derive(Debug, Default)]
pub(super) struct Requests {
    /// The number of the last request.
    last: u64,
    open: BTreeMap<u64, Open>,
    /// Open requests up to this number were sent since the last `Attach`.
    sent: u64,
    lines: BTreeMap<LineIdentity, u64>,
    /// Bytes of the proposed lines.
    bytes: usize,
    /// Mail among the open requests.
    mail: usize,
}

impl Requests {
    /// The number of the next request.
    pub(super) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Adds a request; returns its number.
    pub(super) fn push(&mut self, ask: Ask) -> u64 {
        self.push_numbered(|_| ask)
    }

    /// Adds the request that `ask` makes for a number; returns the number. With too many requests
    /// it is dropped, as if the engine had never answered.
    pub(super) fn push_numbered(&mut self, ask: impl FnOnce(u64) -> Ask) -> u64 {
        let number = self.number();
        let ask = ask(number);
        let is_mail = matches!(ask, Ask::Mail(_));
        if self.open.len() < MOST && !(is_mail && self.mail >= MOST_MAIL) {
            self.mail += usize::from(is_mail);
            self.open.insert(number, Open { ask: Arc::new(ask), line: None });
        }
        number
    }

    /// Proposes a line, unless it is proposed already.
    pub(super) fn propose(&mut self, author: PeerId, said: Said) {
        let identity = said.identity;
        if let Some(number) = self.lines.get(&identity).copied() {
            if self.open.get(&number).is_some_and(|open| open.is_of(said.fence)) {
                return;
            }
            // The engine refuses the line of an earlier seat, or has it, and then says so again.
            self.remove(number);
        }
        let number = self.number();
        let bytes = said.text.len() + OVERHEAD;
        let line = Some(Proposed { author, identity, bytes, position: None, kept: false });
        self.bytes += bytes;
        self.lines.insert(identity, number);
        self.open.insert(number, Open { ask: Arc::new(Ask::Say(said)), line });
    }

    /// The next request to send.
    pub(super) fn poll(&mut self) -> Option<(u64, Arc<Ask>)> {
        let (number, open) = self.open.range(self.sent + 1..).next()?;
        let (number, ask) = (*number, open.ask.clone());
        self.sent = number;
        if matches!(*ask, Ask::Mail(_)) {
            self.remove(number);
        }
        Some((number, ask))
    }

    /// All open requests are to be sent again.
    pub(super) fn resend(&mut self) {
        self.sent = 0;
    }

    /// The engine keeps the change of a request.
    pub(super) fn kept(&mut self, number: u64) -> Option<Settled> {
        let open = self.open.get_mut(&number)?;
        match &mut open.line {
            Some(line) => {
                line.kept = true;
                self.settle(number)
            }
            // A claim is settled by its entry.
            None if matches!(*open.ask, Ask::Claim(_)) => None,
            None => {
                self.remove(number);
                None
            }
        }
    }

    /// The log has a proposed line already. The hub has read the log up to `read`.
    pub(super) fn repeated(&mut self, number: u64, position: u64, read: u64) -> Option<Settled> {
        let line = self.open.get_mut(&number)?.line.as_mut()?;
        line.kept = true;
        if position <= read {
            line.position = Some(position);
        }
        self.settle(number)
    }

    /// The hub has read a line from the log.
    pub(super) fn committed(&mut self, identity: LineIdentity, position: u64) -> Option<Settled> {
        let number = *self.lines.get(&identity)?;
        self.open.get_mut(&number)?.line.as_mut()?.position = Some(position);
        self.settle(number)
    }

    fn settle(&mut self, number: u64) -> Option<Settled> {
        let Proposed { author, identity, position, kept, .. } = self.open.get(&number)?.line?;
        let position = position.filter(|_| kept)?;
        self.remove(number);
        Some(Settled { author, number: identity.number, position })
    }

    /// Removes a request, if it is open; returns the seat that it was for.
    pub(super) fn remove(&mut self, number: u64) -> Option<Fence> {
        let Open { ask, line } = self.open.remove(&number)?;
        if let Some(Proposed { identity, bytes, .. }) = line {
            self.lines.remove(&identity);
            self.bytes -= bytes;
        }
        self.mail -= usize::from(matches!(*ask, Ask::Mail(_)));
        match *ask {
            Ask::Say(Said { fence, .. }) | Ask::Leave { fence, .. } => Some(fence),
            _ => None,
        }
    }

    /// Removes all requests but claims.
    pub(super) fn keep_claims(&mut self) {
        self.open.retain(|_, open| matches!(*open.ask, Ask::Claim(_)));
        self.lines.clear();
        (self.bytes, self.mail) = (0, 0);
    }

    /// Whether no request is open.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Number of proposed lines.
    pub(super) fn lines(&self) -> usize {
        self.lines.len()
    }

    /// The pressure of the proposed lines.
    pub(super) fn level(&self) -> Level {
        match self.bytes {
            PROPOSED_FULL.. => Level::All,
            PROPOSED_HIGH.. => Level::AboveLimit,
            _ => Level::Off,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::engine::{Content, Mail};
    use crate::protocol::LeaveReason;
    use crate::registry::Owner;
    use crate::time::WallTime;

    #[test]
    fn a_line_of_an_earlier_seat_is_proposed_again_for_the_new_one() {
        let line = |fence| Said {
            fence: Fence(fence),
            identity: LineIdentity { owner: Owner(1), number: 7 },
            at: WallTime(0),
            upstream: 0,
            from: "alice".to_owned(),
            text: "hello".to_owned(),
        };
        let mut requests = Requests::default();
        let author = PeerId(1);
        requests.propose(author, line(3));
        requests.propose(author, line(3));
        let (old, _) = requests.poll().unwrap();
        assert!(requests.poll().is_none(), "it is proposed once");
        requests.propose(author, line(9));
        let (new, _) = requests.poll().unwrap();
        assert_eq!(requests.remove(old), None, "the refusal of the old one settles nothing");
        requests.committed(line(9).identity, 40);
        let settled = Settled { author, number: 7, position: 40 };
        assert_eq!(requests.kept(new), Some(settled));
        assert_eq!((requests.bytes, requests.is_empty()), (0, true));
    }

    #[test]
    fn requests_that_nobody_answers_are_bounded() {
        let mut requests = Requests::default();
        let fence = Fence(1);
        let mail = Mail { from: fence, to: fence, until: 0, content: Content::Pong { number: 0 } };
        let leave = Ask::Leave { fence, reason: LeaveReason::Quit, next: 0, hold: false };
        for _ in 0..=2 * MOST_MAIL {
            requests.push(Ask::Mail(mail.clone()));
        }
        assert_eq!(requests.open.len(), MOST_MAIL);
        for _ in 0..=MOST {
            requests.push(leave.clone());
        }
        assert_eq!(requests.open.len(), MOST);
        while requests.poll().is_some() {}
        assert_eq!(
            (requests.open.len(), requests.mail),
            (MOST - MOST_MAIL, 0),
            "mail is sent once"
        );
    }
}
