//! Logs arrivals, departures and moves, each up to a rate and in totals above it, so that a flood
//! of joins does not fill a disk.

use crate::bucket::{Bucket, Limit};
use crate::hub::Event;
use crate::protocol::{LeaveReason, Transport};
use crate::time::Timestamp;
use std::time::Duration;

/// Burst of log lines: more than the members of a usual room.
const BURST: u16 = 500;
/// Log lines per second after the burst.
const RATE: u16 = 10;
/// Interval of the totals.
const INTERVAL: Duration = Duration::from_secs(1);

/// Rate limit of arrivals, departures and moves in the log.
#[derive(Debug)]
pub(super) struct Presence {
    bucket: Option<Bucket>,
    unreported: Unreported,
    reported: Timestamp,
}

/// Events above the rate, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Unreported {
    joined: u64,
    left: u64,
    moved: u64,
    /// Number of peers after the last event.
    peers: usize,
}

impl Presence {
    pub(super) fn new(now: Timestamp) -> Self {
        let limit = Limit::new(BURST, RATE);
        let bucket = limit.map(|limit| Bucket::new(limit, now));
        Self { bucket, unreported: Unreported::default(), reported: now }
    }

    /// The log line for this event, unless it is only counted.
    pub(super) fn note(&mut self, event: &Event, now: Timestamp) -> Option<String> {
        let text = match event {
            Event::Joined { nickname, path, transport, peers } => {
                let over = if *transport == Transport::Web { " over web" } else { "" };
                format!("{nickname} joined from {}{over}, {peers} here", path.remote)
            }
            Event::Left { nickname, reason, peers } => {
                let how = match reason {
                    LeaveReason::Quit => "",
                    LeaveReason::Timeout => " (timed out)",
                    LeaveReason::Shutdown => " (closing)",
                    LeaveReason::Flood => " (flooded the room)",
                    LeaveReason::Restart => " (restarting)",
                    LeaveReason::Kicked => " (removed)",
                };
                format!("{nickname} left{how}, {peers} here")
            }
            Event::Renamed { from, to } => format!("{from} is {to} now"),
            Event::Moved { nickname, path } => format!("{nickname} is at {} now", path.remote),
            Event::Line(_)
            | Event::Waited(..)
            | Event::Moderated { .. }
            | Event::Refused { .. } => return None,
        };
        if let Some(bucket) = &mut self.bucket
            && bucket.ready() <= now
        {
            bucket.take(1, now);
            return Some(text);
        }
        let unreported = &mut self.unreported;
        match event {
            Event::Joined { peers, .. } => {
                (unreported.joined, unreported.peers) = (unreported.joined + 1, *peers)
            }
            Event::Left { peers, .. } => {
                (unreported.left, unreported.peers) = (unreported.left + 1, *peers)
            }
            _ => unreported.moved += 1,
        }
        None
    }

    /// The totals, once in `INTERVAL` and when the server is `closing`.
    pub(super) fn summary(&mut self, now: Timestamp, closing: bool) -> Option<String> {
        if self.unreported == Unreported::default()
            || (now.since(self.reported) < INTERVAL && !closing)
        {
            return None;
        }
        self.reported = now;
        let Unreported { joined, left, moved, peers } = std::mem::take(&mut self.unreported);
        Some(format!(
            "{joined} more joined, {left} left and {moved} moved or renamed, {peers} here"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_joins_is_logged_in_totals() {
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
        let reported: usize = summaries
            .iter()
            .map(|text| text.split_once("joined, ").unwrap().1.split_once(' ').unwrap())
            .map(|(left, _)| left.parse::<usize>().unwrap())
            .sum();
        assert_eq!(lines + reported, 10_000);
        assert_eq!(presence.note(&event(7), at(10_100)).unwrap(), "eve left (timed out), 7 here");
        assert_eq!(presence.summary(at(20_000), true), None);
    }
}
