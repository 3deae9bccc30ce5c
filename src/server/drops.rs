//! Logs dropped datagrams and the reasons, at most once in ten seconds and at the end, so that a
//! flood does not fill the log.

use crate::hub::Counters;
use crate::time::Timestamp;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_secs(10);

/// The last report and its time.
#[derive(Debug, Default)]
pub(super) struct Drops {
    reported: Option<(Timestamp, Counts)>,
}

/// The reported counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Dropped by the server.
    useless: [u64; 6],
    /// Dropped by the kernel: the receive buffer was full.
    unread: u64,
}

impl Drops {
    /// Logs the counters if they changed and the interval is over.
    pub(super) fn report(&mut self, counters: &Counters, now: Timestamp, closing: bool) {
        let counts = Counts {
            useless: [
                counters.alien,
                counters.other_version,
                counters.corrupt,
                counters.malformed,
                counters.unknown_session,
                counters.left_out,
            ],
            unread: counters.unread,
        };
        let (at, last) = self.reported.unwrap_or_default();
        if counts == last {
            return;
        }
        if self.reported.is_some() && !closing && now.since(at) < INTERVAL {
            return;
        }
        self.reported = Some((now, counts));
        if counts.useless != last.useless {
            let [alien, version, corrupt, malformed, unknown, overflowed] = counts.useless;
            log::warn!(
                "dropped so far: {alien} not of this protocol, {version} of another version, \
                 {corrupt} damaged (checksum), {malformed} malformed, {unknown} of unknown sessions; \
                 {overflowed} lines did not fit the queue to a slow peer"
            );
        }
        if counts.unread != last.unread {
            log::warn!(
                "the receive buffer was full: so far {} datagrams were dropped by this machine's \
                 kernel, not by the network; a larger buffer holds longer bursts: `chatagram doctor` \
                 says how to get one",
                counts.unread
            );
        }
    }
}
