//! Rejoining: backoff and timeout. A server that admits a client and ends the session at once draws
//! no more joins than a silent one.

#[cfg(test)]
mod tests;

use super::attempt::Attempt;
use super::established::Established;
use super::{Event, LOOKUP_TIMEOUT, Notice, Session, Transport};
use crate::protocol::limits::{JOIN_RETRY, REJOIN_PAUSE_MAX};
use crate::time::{Now, Timestamp, micros};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;
use std::net::SocketAddr;
use std::time::Duration;

/// Servers that a message names, at most.
const NAMED: usize = 3;

/// The sessions that ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// End of the last session that had lasted; without one, of the first.
    at: Option<Timestamp>,
    /// Sessions since then that did not last.
    brief: u32,
    /// When the last of all was last heard.
    heard: Option<Timestamp>,
}

impl Ended {
    fn note(&mut self, lasted: bool, heard: Timestamp, now: Timestamp) {
        self.heard = Some(heard);
        self.brief = if lasted { 0 } else { self.brief.saturating_add(1) };
        if lasted || self.at.is_none() {
            self.at = Some(now);
        }
    }

    /// Random pause before the next join: other clients may have lost the server at the same time.
    fn pause(&self, rng: &mut ChaCha20Rng) -> Duration {
        if self.brief == 0 {
            return Duration::ZERO;
        }
        let half = (JOIN_RETRY * (1 << self.brief.min(8))).min(REJOIN_PAUSE_MAX) / 2;
        half + Duration::from_micros(rng.next_u64() % (micros(half) + 1))
    }
}

/// Which server a rejoin tries first, if there are several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// That of the session: it answers, or nothing is known against it.
    Same,
    /// Another one: that of the session is silent or closes.
    Other,
}

impl Session {
    /// Starts over with a new session.
    pub(super) fn rejoin(&mut self, first: First, now: Now) {
        let unwelcome = self.established.as_ref().is_some_and(|e| e.pending.is_some());
        self.end_established(now);
        if self.config.transport != Transport::Udp {
            self.events.push_back(Event::Disconnect);
        }
        match &mut self.attempt {
            Some(attempt) if unwelcome => attempt.failed(&self.targets, now.mono),
            _ => self.begin_attempt(first, now),
        }
    }

    /// Ends the session. Lines held back for its replay are shown now: they count as seen.
    pub(super) fn end_established(&mut self, now: Now) {
        let Some(mut established) = self.established.take() else { return };
        self.events.extend(established.take_held_back());
        match established.pending {
            Some(attempt) => self.attempt = Some(*attempt),
            None => {
                self.ended.note(established.has_lasted(), established.last_heard(), now.mono);
                self.last_server = Some(established.server);
            }
        }
    }

    pub(super) fn begin_attempt(&mut self, first: First, now: Now) {
        if self.attempt.is_some() {
            return;
        }
        let lost = self.server().or(self.last_server);
        let turn = match lost.filter(|_| self.targets.has_others()) {
            None => 0,
            Some(lost) if first == First::Same => self.targets.place(lost).unwrap_or(0),
            Some(lost) => {
                self.tell_others(lost);
                self.targets.place(lost).map_or(0, |place| place + 1)
            }
        };
        let lasted = self.established.as_ref().is_some_and(Established::has_lasted);
        let since = self.ended.at.filter(|_| !lasted).unwrap_or(now.mono);
        // A client that has waited for a silent server has waited already.
        let heard = self.established.as_ref().map(Established::last_heard).or(self.ended.heard);
        let silence = heard.map_or(Duration::ZERO, |heard| now.mono.since(heard));
        let pause = self.ended.pause(&mut self.rng).saturating_sub(silence);
        let mut attempt = Attempt::again(&mut self.rng, since, pause, turn, now.mono);
        if self.looks_first {
            attempt.hold(now.mono + LOOKUP_TIMEOUT);
        }
        self.attempt = Some(attempt);
        self.events.push_back(Event::Resolve);
    }

    /// Says which servers are tried in place of a lost one.
    fn tell_others(&mut self, lost: SocketAddr) {
        let mut others: Vec<_> = self.targets.others(lost).collect();
        let more = others.len().saturating_sub(NAMED);
        others.truncate(NAMED);
        self.tell(Notice::TryingOthers { lost, others, more });
    }

    /// An accepted connection without an admission counts as silence.
    pub(super) fn check_pending(&mut self, now: Now) {
        let pending = self.established.as_ref().and_then(|e| e.pending.as_ref());
        let give_up = self.config.give_up;
        if pending.is_some_and(|it| it.is_due(now.mono) || it.is_over(give_up, now.mono)) {
            self.end_established(now);
            self.events.push_back(Event::Disconnect);
        }
    }
}
