//! Who comes, goes and moves, in the log: one by one as far as a person could read it, and in numbers
//! above that. A flood of joins does not fill a disk.

use crate::bucket::{Bucket, Limit};
use crate::hub::Event;
use crate::protocol::LeaveReason;
use crate::time::Timestamp;
use std::time::Duration;

/// Lines of the log at once: more than a usual room has members.
const BURST: u16 = 500;
/// Lines of the log in a second after that.
const RATE: u16 = 10;
/// The numbers are told this often.
const INTERVAL: Duration = Duration::from_secs(1);

/// Limits how many arrivals, departures and moves the server's log names one by one.
#[derive(Debug)]
pub(super) struct Presence {
    bucket: Option<Bucket>,
    untold: Untold,
    told: Timestamp,
}

/// What was not told one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Untold {
    joined: u64,
    left: u64,
    moved: u64,
    /// How many were here after the last of them.
    peers: usize,
}

impl Presence {
    pub(super) fn new(now: Timestamp) -> Self {
        let limit = Limit::new(BURST, RATE);
        let bucket = limit.map(|limit| Bucket::new(limit, now));
        Self { bucket, untold: Untold::default(), told: now }
    }

    /// What the log says of this event, if it is about presence and not only counted.
    pub(super) fn note(&mut self, event: &Event, now: Timestamp) -> Option<String> {
        let text = match event {
            Event::Joined { nickname, path, peers } => {
                format!("{nickname} joined from {}, {peers} here", path.remote)
            }
            Event::Left { nickname, reason, peers } => {
                let how = match reason {
                    LeaveReason::Quit => "",
                    LeaveReason::Timeout => " (timed out)",
                    LeaveReason::Shutdown => " (closing)",
                    LeaveReason::Flood => " (flooded the room)",
                    LeaveReason::Restart => " (restarting)",
                };
                format!("{nickname} left{how}, {peers} here")
            }
            Event::Moved { nickname, path } => format!("{nickname} is at {} now", path.remote),
            Event::Line(_) | Event::Refused { .. } => return None,
        };
        if let Some(bucket) = &mut self.bucket
            && bucket.ready() <= now
        {
            bucket.take(1, now);
            return Some(text);
        }
        let untold = &mut self.untold;
        match event {
            Event::Joined { peers, .. } => {
                (untold.joined, untold.peers) = (untold.joined + 1, *peers)
            }
            Event::Left { peers, .. } => (untold.left, untold.peers) = (untold.left + 1, *peers),
            _ => untold.moved += 1,
        }
        None
    }

    /// The numbers, once in `INTERVAL` and when the server is `closing`.
    pub(super) fn summary(&mut self, now: Timestamp, closing: bool) -> Option<String> {
        if self.untold == Untold::default() || (now.since(self.told) < INTERVAL && !closing) {
            return None;
        }
        self.told = now;
        let Untold { joined, left, moved, peers } = std::mem::take(&mut self.untold);
        Some(format!("{joined} more joined, {left} left and {moved} moved, {peers} here"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_joins_is_told_in_numbers() {
        let at = |millis: u64| Timestamp::from_micros(1_000_000 + millis * 1_000);
        let mut presence = Presence::new(at(0));
        let event =
            |peers| Event::Left { nickname: "eve".to_owned(), reason: LeaveReason::Timeout, peers };
        let (mut lines, mut summaries) = (0, vec![]);
        for millis in 0..10_000 {
            lines += usize::from(presence.note(&event(7), at(millis)).is_some());
            summaries.extend(presence.summary(at(millis), false));
        }
        assert_eq!((lines, summaries.len()), (500 + 99, 9));
        summaries.extend(presence.summary(at(10_000), true));
        let told: usize = summaries
            .iter()
            .map(|text| text.split_once("joined, ").unwrap().1.split_once(' ').unwrap())
            .map(|(left, _)| left.parse::<usize>().unwrap())
            .sum();
        assert_eq!(lines + told, 10_000);
        assert_eq!(presence.note(&event(7), at(10_100)).unwrap(), "eve left (timed out), 7 here");
        assert_eq!(presence.summary(at(20_000), true), None);
    }
}
