//! Liveness of the server: its silence, attempts to reach it again, and their end.

use super::established::{Established, Silence};
use super::rejoin::First;
use super::{CloseReason, Event, LOOKUP_TIMEOUT, Notice, Session};
use crate::protocol::Transport;
use crate::time::{Now, Timestamp};

impl Session {
    /// When the server was last heard; `None` without a session.
    #[must_use]
    pub fn last_heard(&self) -> Option<Timestamp> {
        self.established.as_ref().map(Established::last_heard)
    }

    pub(super) fn note_sign_of_life(&mut self, now: Now) {
        if self.established.as_mut().is_some_and(|e| e.heard(now.mono)) && self.leaving.is_none() {
            self.tell(Notice::Back);
        }
    }

    pub(super) fn check_liveness(&mut self, now: Now) {
        let Some(established) = self.established.as_mut().filter(|_| self.leaving.is_none()) else {
            return;
        };
        if established.link.has_failed() {
            let seconds = established.link.as_datagrams().map(|it| it.give_up().as_secs());
            self.tell(Notice::Stalled { seconds });
            return self.rejoin(First::Other, now);
        }
        if self.attempt.is_some() {
            return;
        }
        let silence = established.silence(now.mono);
        self.tell(match silence {
            None => return,
            Some(Silence::Quiet(silence)) => Notice::Quiet { seconds: silence.as_secs() },
            Some(Silence::Dead(silence)) => Notice::Silent { seconds: silence.as_secs() },
        });
        let dead = matches!(silence, Some(Silence::Dead(_))) || self.targets.has_others();
        match self.config.transport {
            _ if !dead => {}
            Transport::Udp => self.begin_attempt(First::Other, now),
            Transport::Tcp | Transport::Quic | Transport::Web => self.rejoin(First::Other, now),
        }
    }

    pub(super) fn check_attempt(&mut self, now: Now) {
        let Some(attempt) = &mut self.attempt else { return };
        if !attempt.is_over(self.config.give_up, now.mono) {
            attempt.renew(&mut self.rng, now.mono);
            if attempt.looks_up(now.mono) {
                if self.looks_first && self.connection.is_none() {
                    attempt.hold(now.mono + LOOKUP_TIMEOUT);
                }
                self.events.push_back(Event::Resolve);
            }
            return;
        }
        if attempt.first { self.give_up_joining() } else { self.close(CloseReason::Lost) }
    }
}
