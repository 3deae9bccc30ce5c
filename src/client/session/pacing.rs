//! Pacing of own lines to the server's rate limit, in typed order.

use super::{Notice, Session};
use crate::bucket::{Bucket, Limit};
use crate::protocol::limits::{MAX_UNSETTLED, QUESTIONS_AHEAD};
use crate::time::Timestamp;
use std::time::Duration;

/// Shorter waits are not reported to the user.
const MIN_REPORTED_WAIT: Duration = Duration::from_secs(1);

/// The state of pacing.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    /// The server's bucket; `None` without a limit, or before it is known.
    bucket: Option<Bucket>,
    /// End of the pause that the server asked for.
    quiet_until: Timestamp,
    /// Whether a wait was reported.
    reported: bool,
}

impl Pacing {
    /// Takes the server's rate limit. Lines said before count, since the server may remember them.
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

    /// When a line of `tokens` tokens may leave, with `unanswered` tokens in flight; `None` until
    /// one of those is answered.
    pub(super) fn ready(&self, tokens: usize, unanswered: usize) -> Option<Timestamp> {
        let Some(bucket) = &self.bucket else { return Some(self.quiet_until) };
        let room = unanswered + tokens <= MAX_UNSETTLED;
        room.then(|| bucket.ready_for(tokens).max(self.quiet_until))
    }

    /// Counts a departing message of this many tokens.
    pub(super) fn said(&mut self, tokens: usize, now: Timestamp) {
        if let Some(bucket) = &mut self.bucket {
            bucket.take(tokens, now);
        }
    }

    /// Whether a question may leave now.
    pub(super) fn may_ask(&self, now: Timestamp) -> bool {
        let Some(bucket) = &self.bucket else { return true };
        bucket.debt(now) < bucket.limit().time_for(QUESTIONS_AHEAD)
    }

    /// Time until this many tokens have left, the first line of which takes `first`.
    fn wait_for(&self, tokens: usize, first: usize, now: Timestamp) -> Duration {
        let Some(bucket) = &self.bucket else { return self.quiet_until.since(now) };
        let begun = bucket.ready_for(first).max(self.quiet_until).since(now);
        begun + bucket.limit().time_for(tokens.saturating_sub(first))
    }
}

impl Session {
    /// The server's rate limit; `None` without one, or before it is known.
    #[must_use]
    pub fn rate_limit(&self) -> Option<Limit> {
        self.pacing.bucket.as_ref().map(Bucket::limit)
    }

    /// How long queued lines wait until the last may leave.
    #[must_use]
    pub fn backlog(&self, now: Timestamp) -> Duration {
        let next = self.own.next_tokens();
        next.map_or(Duration::ZERO, |next| {
            self.pacing.wait_for(self.own.unsent_tokens(), next, now)
        })
    }

    /// Whether the next line waits for the rate limit, not for an answer.
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

    /// When the next queued line may leave.
    pub(super) fn line_due(&self) -> Option<Timestamp> {
        let waits = self.leaving.is_some() || self.attempt.is_some();
        let next = self.own.next_tokens().filter(|_| !waits)?;
        let link = self.established.as_ref().filter(|e| e.is_briefed() && !e.link.is_full());
        link.and_then(|_| self.pacing.ready(next, self.own.unanswered_tokens()))
    }

    /// Reports once that lines wait for a notable time, and again only after none has waited.
    pub(super) fn report_backlog(&mut self, now: Timestamp) {
        let wait = self.backlog(now);
        if wait.is_zero() {
            self.pacing.reported = false;
        } else if wait >= MIN_REPORTED_WAIT && !self.pacing.reported {
            self.pacing.reported = true;
            let lines = self.own.unsent();
            let seconds = wait.as_secs_f64().ceil() as u64;
            self.tell(Notice::Paced { lines, seconds });
        }
    }
}
