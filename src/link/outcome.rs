//! Applies what acknowledgments and timers reveal: retransmission, fates of messages sent once,
//! size of datagrams.

use super::contents::Content;
use super::recovery::Outcome;
use super::{ACK_DELAY_UNIT, Fate, Link, Role};
use crate::protocol::Header;
use crate::time::Timestamp;
use std::time::Duration;

impl Link {
    pub(super) fn take_acknowledgment(&mut self, header: &Header, now: Timestamp) {
        let mut outcome = Outcome::default();
        let delay = Duration::from_micros(u64::from(header.ack_delay) * ACK_DELAY_UNIT);
        self.recovery.on_ack(header.acknowledgment, header.ack_bitmap, delay, now, &mut outcome);
        // Only a client shows the percentile; a server with many links saves the memory.
        if let Some(rtt) = outcome.rtt.filter(|_| self.role != Role::Server) {
            self.rtts.add(rtt);
        }
        self.note_acked(&outcome.acked, delay);
        self.apply(outcome, now);
    }

    pub(super) fn apply(&mut self, outcome: Outcome, now: Timestamp) {
        self.stats.sent_lost += outcome.lost_datagrams;
        self.stats.sent_lost = self.stats.sent_lost.saturating_sub(outcome.found_datagrams);
        if let Some(large) = outcome.large_arrived {
            self.path_size.arrived(large);
        }
        if let Some(large) = outcome.large_lost {
            self.path_size.lost(large, now);
        }
        for content in outcome.acked {
            match content {
                Content::Reliable { first, count } => {
                    self.outbox.acked(first..first + u64::from(count));
                }
                Content::Parts(id, parts) => self.outbox.parts_acked(id, parts),
                Content::Once(tag) => self.has_arrived(tag),
                Content::OncePart(tag) => self.part_arrived(tag),
                Content::PathProbe(number) => self.path_size.probe_arrived(number, now),
            }
        }
        for content in outcome.lost {
            match content {
                Content::Reliable { first, count } => {
                    let lost = self.outbox.lost(first..first + u64::from(count));
                    self.redundancy.on_lost(lost);
                }
                Content::Parts(id, parts) => {
                    let lost = self.outbox.parts_lost(id, parts);
                    self.redundancy.on_lost(lost);
                }
                // A message in parts is lost with its first lost part, and reported once.
                Content::OncePart(tag) if !self.parted.contains_key(&tag) => {}
                Content::OncePart(tag) if self.doubtful.iter().any(|(_, it)| *it == tag) => {}
                Content::Once(tag) | Content::OncePart(tag) => {
                    self.doubtful.push_back((now + self.recovery.rtt.verdict_delay(), tag));
                }
                Content::PathProbe(number) => self.path_size.probe_lost(number, now),
            }
        }
    }

    /// One part was acknowledged; the message arrived when all its parts have.
    fn part_arrived(&mut self, tag: u64) {
        let Some(left) = self.parted.get_mut(&tag) else { return };
        *left -= 1;
        if *left == 0 {
            self.parted.remove(&tag);
            self.has_arrived(tag);
        }
    }

    fn has_arrived(&mut self, tag: u64) {
        self.doubtful.retain(|(_, doubtful)| *doubtful != tag);
        self.fates.push_back(Fate::Arrived(tag));
    }
}
