//! The end of a run: the missing messages are lost, or the server is.

use super::ledger::Ledger;
use super::{Error, Load};
use crate::client::session::Condition;
use crate::lab::record::Mode;
use std::time::Duration;

/// The run ends after this long and two round trips without a new delivery, or after `QUIET_FACTOR`
/// times the largest latency if that is longer. A session that has measured no round trip yet sends
/// little until then.
const QUIET_TIME: Duration = Duration::from_secs(3);
const QUIET_FACTOR: u32 = 4;
/// Limit on the time after the last intended message, and on the round trips beside it, even if
/// messages are still in flight.
const DRAIN_DEADLINE: Duration = Duration::from_secs(60);
const DRAIN_TRIPS: u32 = 8;

impl Load<'_> {
    /// Returns true when the messages still missing count as lost.
    ///
    /// Only a sign of life after the last delivery tells a lossy network from a dead server: the
    /// run waits until each client has one, or has lost the server.
    pub(super) fn is_over(&self, ledger: &Ledger) -> Result<bool, Error> {
        let now = self.fleet.now().mono;
        let end = ledger.end();
        if now < end {
            return Ok(false);
        }
        let quiet_time = QUIET_TIME + 2 * self.config.round_trip();
        let limit = quiet_time.max(ledger.max_latency() * QUIET_FACTOR);
        let quiet_since = ledger.last_delivery().max(end);
        let quiet = now.since(quiet_since) >= limit;
        // An unreliable sender has no acknowledgment to wait for.
        let unconfirmed = self.config.mode != Mode::Unreliable
            && (ledger.sent() < ledger.scheduled()
                || (0..self.senders.len()).any(|sender| !self.fleet.session(sender).is_settled()));
        let drain = DRAIN_DEADLINE + DRAIN_TRIPS * self.config.round_trip();
        if (!quiet || unconfirmed) && now.since(end) < drain {
            return Ok(false);
        }
        let silent = |index: &usize| {
            self.fleet.session(*index).last_heard().is_none_or(|heard| heard <= quiet_since)
        };
        match (0..self.peers()).find(silent) {
            None => Ok(true),
            Some(index) if self.fleet.session(index).condition() == Condition::Lost => {
                let why = "it no longer answers".to_owned();
                Err(Error::Gone { peer: self.name(index).to_string(), why })
            }
            Some(_) => Ok(false),
        }
    }
}
