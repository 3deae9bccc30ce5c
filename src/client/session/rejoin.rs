//! Rejoining: backoff and timeout. A server that admits a client and ends the session at once draws
//! no more joins than a silent one.

use super::attempt::Attempt;
use super::established::Established;
use super::{Event, LOOKUP_TIMEOUT, Session, Transport};
use crate::protocol::limits::{JOIN_RETRY, REJOIN_PAUSE_MAX};
use crate::time::{Now, Timestamp, micros};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;
use std::time::Duration;

/// The sessions that ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// End of the last session that had lasted; without one, of the first.
    at: Option<Timestamp>,
    /// Sessions since then that did not last.
    brief: u32,
}

impl Ended {
    fn note(&mut self, lasted: bool, now: Timestamp) {
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

impl Session {
    /// Starts over with a new session.
    pub(super) fn rejoin(&mut self, now: Now) {
        let unwelcome = self.established.as_ref().is_some_and(|e| e.pending.is_some());
        self.end_established(now);
        if self.config.transport == Transport::Tcp {
            self.events.push_back(Event::Disconnect);
        }
        match &mut self.attempt {
            Some(attempt) if unwelcome => attempt.failed(&self.addresses, now.mono),
            _ => self.begin_attempt(now),
        }
    }

    /// Ends the session. Lines held back for its replay are shown now: they count as seen.
    pub(super) fn end_established(&mut self, now: Now) {
        let Some(mut established) = self.established.take() else { return };
        self.events.extend(established.take_held_back());
        match established.pending {
            Some(attempt) => self.attempt = Some(*attempt),
            None => self.ended.note(established.has_lasted(), now.mono),
        }
    }

    pub(super) fn begin_attempt(&mut self, now: Now) {
        if self.attempt.is_some() {
            return;
        }
        let lasted = self.established.as_ref().is_some_and(Established::has_lasted);
        let since = self.ended.at.filter(|_| !lasted).unwrap_or(now.mono);
        let pause = self.ended.pause(&mut self.rng);
        let mut attempt = Attempt::again(&mut self.rng, since, pause, now.mono);
        if self.looks_first {
            attempt.hold(now.mono + LOOKUP_TIMEOUT);
        }
        self.attempt = Some(attempt);
        self.events.push_back(Event::Resolve);
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

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn pauses_grow_while_sessions_do_not_last_and_end_when_one_does() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut ended = Ended::default();
        let at = |seconds| Timestamp::ZERO + Duration::from_secs(seconds);
        ended.note(true, at(1));
        assert_eq!((ended.at, ended.pause(&mut rng)), (Some(at(1)), Duration::ZERO));
        for most in [500, 1_000, 2_000, 4_000, 8_000, 8_000] {
            ended.note(false, at(2));
            let most = Duration::from_millis(most);
            let pauses: Vec<_> = (0..20).map(|_| ended.pause(&mut rng)).collect();
            assert!(pauses.iter().all(|it| (most / 2..=most).contains(it)), "{pauses:?}");
            assert!(pauses.iter().any(|it| *it != pauses[0]));
        }
        assert_eq!(ended.at, Some(at(1)), "the time to give up is counted from there");
        ended.note(true, at(3));
        assert_eq!((ended.at, ended.pause(&mut rng)), (Some(at(3)), Duration::ZERO));
    }
}
