//! Logs dropped datagrams and the reasons, at most once in ten seconds and at the end, so that a
//! flood does not fill the log.

use crate::hub::Counters;
use crate::protocol::ServerCounters;
use crate::time::Timestamp;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_secs(10);

/// The last report and its time.
#[derive(Debug, Default)]
pub(super) struct Drops {
    reported: Option<(Timestamp, ServerCounters)>,
}

impl Drops {
    /// Logs the counters of drops if they changed and the interval is over.
    pub(super) fn report(&mut self, counters: &Counters, now: Timestamp, closing: bool) {
        let counts = ServerCounters { received: 0, refused: 0, ..counters.wire };
        let (at, last) = self.reported.unwrap_or_default();
        if counts == last {
            return;
        }
        if self.reported.is_some() && !closing && now.since(at) < INTERVAL {
            return;
        }
        self.reported = Some((now, counts));
        if counts != (ServerCounters { unread: counts.unread, ..last }) {
            let ServerCounters { alien, other_version, corrupt, malformed, .. } = counts;
            let ServerCounters { unknown_session, left_out, .. } = counts;
            log::warn!(
                "dropped so far: {alien} not of this protocol, {other_version} of another version, \
                 {corrupt} damaged (checksum), {malformed} malformed, {unknown_session} of unknown \
                 sessions; {left_out} lines did not fit the queue to a slow peer"
            );
        }
        if counts.unread != last.unread {
            log::warn!(
                "the receive buffer was full: so far {} datagrams were dropped by this machine's \
                 kernel, not by the network; a larger buffer holds longer bursts: `chatagram \
                 doctor` says how to get one",
                counts.unread
            );
        }
    }
}
