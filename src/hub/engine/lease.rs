//! The lease of this server: when to renew it, and what a server without contact does. A value,
//! without access to the hub.
//!
//! The lease counts from the moment at which the hub *asked* for it, so it ends here before it ends
//! at the engine.

use crate::protocol::limits::{ENGINE_EXPIRY, ENGINE_QUIET, ENGINE_RENEW, LEASE_MARGIN, NAME_HOLD};
use crate::time::Timestamp;
use std::time::Duration;

/// From the last renewal on, nobody else can have the names of this server's peers for this long.
const LIFE: Duration = ENGINE_EXPIRY.saturating_add(NAME_HOLD).saturating_sub(LEASE_MARGIN);

/// The step that is due without a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The peers are to be told.
    Quiet,
    /// The sessions are to be ended.
    Ended,
}

#[derive(Debug, Default)]
pub(super) struct Lease {
    /// When the last request that was answered was sent.
    renewed: Option<Timestamp>,
    /// The request that is not answered.
    asked: Option<(u64, Timestamp)>,
    /// The last step since the renewal.
    told: Option<Overdue>,
}

impl Lease {
    /// A request that renews the lease is sent.
    pub(super) fn ask(&mut self, number: u64, now: Timestamp) {
        self.asked = Some((number, now));
    }

    /// The connection is gone: nothing is answered any more.
    pub(super) fn interrupt(&mut self) {
        self.asked = None;
    }

    /// A request is answered. Returns what the server had done about the lack of answers.
    pub(super) fn renew(&mut self, number: u64) -> Option<Overdue> {
        let (_, at) = self.asked.take_if(|(asked, _)| *asked == number)?;
        self.renewed = Some(at);
        self.told.take()
    }

    /// Whether it is time to ask.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.due().is_some_and(|due| due <= now)
    }

    /// When to ask.
    pub(super) fn due(&self) -> Option<Timestamp> {
        let renewed = self.renewed.filter(|_| self.asked.is_none())?;
        Some(renewed + ENGINE_RENEW)
    }

    /// Whether the engine has not answered for a while.
    pub(super) fn is_quiet(&self, now: Timestamp) -> bool {
        self.renewed.is_some_and(|renewed| renewed + ENGINE_QUIET <= now)
    }

    /// The next step, if it is due.
    pub(super) fn overdue(&mut self, now: Timestamp) -> Option<Overdue> {
        let (what, at) = self.next_step()?;
        (at <= now).then(|| *self.told.insert(what))
    }

    fn next_step(&self) -> Option<(Overdue, Timestamp)> {
        let renewed = self.renewed?;
        match self.told {
            None => Some((Overdue::Quiet, renewed + ENGINE_QUIET)),
            Some(Overdue::Quiet) => Some((Overdue::Ended, renewed + LIFE)),
            Some(Overdue::Ended) => None,
        }
    }

    /// When to call `overdue`.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.next_step().map(|(_, at)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_lease_counts_from_the_question_and_ends_in_two_steps() {
        let mut lease = Lease::default();
        assert_eq!((lease.poll_timeout(), lease.due(), lease.is_quiet(at(0))), (None, None, false));
        lease.ask(1, at(0));
        assert_eq!(lease.renew(2), None);
        assert!(!lease.is_due(at(5)), "another request was answered");
        assert_eq!(lease.renew(1), None);
        assert_eq!((lease.is_due(at(1)), lease.is_due(at(2))), (false, true));
        lease.ask(3, at(2));
        assert!(!lease.is_due(at(3)), "it is asked already");
        assert_eq!(lease.overdue(at(3)), None);
        assert_eq!(lease.overdue(at(4)), Some(Overdue::Quiet));
        assert_eq!(lease.poll_timeout(), Some(at(38)));
        assert_eq!((lease.overdue(at(37)), lease.overdue(at(38))), (None, Some(Overdue::Ended)));
        assert_eq!(lease.overdue(at(60)), None);
        assert_eq!(lease.renew(3), Some(Overdue::Ended));
        assert!(!lease.is_quiet(at(5)) && lease.is_quiet(at(6)));
    }
}
