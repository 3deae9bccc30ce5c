//! Keeping to what the server allows: lines wait here until they may be said, in the order they were typed.

use super::{Event, Session};
use crate::bucket::{Bucket, Limit};
use crate::protocol::limits::{MAX_UNSETTLED, QUESTIONS_AHEAD};
use crate::time::Timestamp;
use std::time::Duration;

/// A wait shorter than this is nobody's business.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    /// None: the server has no limit, or has not said so yet.
    bucket: Option<Bucket>,
    /// The server wants nothing said before.
    quiet_until: Timestamp,
    /// The user knows that lines wait.
    told: bool,
}

impl Pacing {
    /// A server announces its limit. What was said before counts: it may remember.
    pub(super) fn limit(&mut self, limit: Option<Limit>, now: Timestamp) {
        self.quiet_until = Timestamp::ZERO;
        self.bucket = limit.map(|limit| match self.bucket {
            Some(bucket) => bucket.limited_to(limit),
            None => Bucket::new(limit, now),
        });
    }

    /// The server asks for a pause.
    pub(super) fn pause(&mut self, wait: Duration, now: Timestamp) {
        self.quiet_until = self.quiet_until.max(now + wait);
    }

    /// When a line of so many tokens may be said, if others of `unanswered` are on their way. None:
    /// when one of these is answered.
    pub(super) fn ready(&self, tokens: usize, unanswered: usize) -> Option<Timestamp> {
        let Some(bucket) = &self.bucket else { return Some(self.quiet_until) };
        let room = unanswered + tokens <= MAX_UNSETTLED;
        room.then(|| bucket.ready_for(tokens).max(self.quiet_until))
    }

    /// Something of so many tokens is said.
    pub(super) fn said(&mut self, tokens: usize, now: Timestamp) {
        if let Some(bucket) = &mut self.bucket {
            bucket.take(tokens, now);
        }
    }

    /// Whether a question may be asked now.
    pub(super) fn may_ask(&self, now: Timestamp) -> bool {
        let Some(bucket) = &self.bucket else { return true };
        bucket.debt(now) < bucket.limit().time_for(QUESTIONS_AHEAD)
    }

    /// How long it takes until so many tokens' worth of lines is said, the first of which takes `first`.
    fn wait_for(&self, tokens: usize, first: usize, now: Timestamp) -> Duration {
        let Some(bucket) = &self.bucket else { return self.quiet_until.since(now) };
        let begun = bucket.ready_for(first).max(self.quiet_until).since(now);
        begun + bucket.limit().time_for(tokens.saturating_sub(first))
    }
}

impl Session {
    /// How long what was typed has to wait here before it may be sent.
    #[must_use]
    pub fn backlog(&self, now: Timestamp) -> Duration {
        let next = self.own.next_tokens();
        next.map_or(Duration::ZERO, |next| {
            self.pacing.wait_for(self.own.unsent_tokens(), next, now)
        })
    }

    /// Whether the next line waits for the server's limit, and not for an answer.
    #[must_use]
    pub fn is_paced(&self, now: Timestamp) -> bool {
        let next = self.own.next_tokens();
        let ready = next.and_then(|next| self.pacing.ready(next, self.own.unanswered_tokens()));
        ready.is_some_and(|ready| ready > now)
    }

    /// The server asks for a pause.
    pub(super) fn slow_down(&mut self, wait_ms: u16, now: Timestamp) {
        self.pacing.pause(Duration::from_millis(wait_ms.into()), now);
    }

    /// When a line that waits may be said.
    pub(super) fn line_due(&self) -> Option<Timestamp> {
        let next = self.own.next_tokens().filter(|_| self.leaving.is_none())?;
        let link = self.established.as_ref().filter(|e| e.is_briefed() && !e.link.is_full());
        link.and_then(|_| self.pacing.ready(next, self.own.unanswered_tokens()))
    }

    /// Says once that lines wait, if it is for long, and again only when none has waited in between.
    pub(super) fn tell_backlog(&mut self, now: Timestamp) {
        let wait = self.backlog(now);
        if wait.is_zero() {
            self.pacing.told = false;
        } else if wait >= WORTH_TELLING && !self.pacing.told {
            self.pacing.told = true;
            let lines = self.own.unsent();
            let seconds = wait.as_secs_f64().ceil();
            let text = match lines {
                1 => format!("the server takes no more at once: your line follows in {seconds} s"),
                _ => format!(
                    "the server takes no more at once: {lines} of your lines follow, in order, \
                     within {seconds} s"
                ),
            };
            self.events.push_back(Event::Status { text });
        }
    }
}
