//! Says in the log what was dropped and why, without letting a flood fill it: at most once in ten
//! seconds, and at the end.

use crate::hub::Counters;
use crate::time::Timestamp;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_secs(10);

/// What was reported last, and when.
#[derive(Debug, Default)]
pub(super) struct Drops {
    reported: Option<(Timestamp, [u64; 6])>,
}

impl Drops {
    /// Logs the counters if they moved and the last time is long enough ago.
    pub(super) fn report(&mut self, counters: &Counters, now: Timestamp, closing: bool) {
        let counts = [
            counters.alien,
            counters.other_version,
            counters.corrupt,
            counters.malformed,
            counters.unknown_session,
            counters.overflowed,
        ];
        let (at, last) = self.reported.unwrap_or((Timestamp::ZERO, [0; 6]));
        if counts == last {
            return;
        }
        if self.reported.is_some() && !closing && now.since(at) < INTERVAL {
            return;
        }
        self.reported = Some((now, counts));
        let [alien, version, corrupt, malformed, unknown, overflowed] = counts;
        log::warn!(
            "dropped so far: {alien} not of this protocol, {version} of another version, \
             {corrupt} damaged (checksum), {malformed} malformed, {unknown} of unknown sessions; \
             {overflowed} lines did not fit the queue to a slow peer"
        );
    }
}
