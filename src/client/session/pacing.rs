//! Keeping to what the server allows: lines wait here until they may be said, in the order they were typed.

use super::{Event, Session};
use crate::bucket::{Bucket, Limit};
use crate::protocol::limits::MAX_UNSETTLED;
use crate::time::Timestamp;
use std::time::Duration;

/// Questions do not wait behind a page that was pasted: they may be asked while so many lines' worth of
/// time is owed, and the lines wait longer for it.
const QUESTIONS_AHEAD: usize = 16;
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

    /// When the next line may be said, if `unanswered` are on their way. None: when one is answered.
    pub(super) fn ready(&self, unanswered: usize) -> Option<Timestamp> {
        let Some(bucket) = &self.bucket else { return Some(self.quiet_until) };
        (unanswered < MAX_UNSETTLED).then(|| bucket.ready().max(self.quiet_until))
    }

    /// Something is said.
    pub(super) fn said(&mut self, now: Timestamp) {
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now);
        }
    }

    /// Whether a question may be asked now.
    pub(super) fn may_ask(&self, now: Timestamp) -> bool {
        let Some(bucket) = &self.bucket else { return true };
        bucket.debt(now) < bucket.limit().time_for(QUESTIONS_AHEAD)
    }

    /// How long it takes until so many lines are said that wait.
    fn wait_for(&self, lines: usize, now: Timestamp) -> Duration {
        let Some(bucket) = &self.bucket else { return self.quiet_until.since(now) };
        let first = bucket.ready().max(self.quiet_until).since(now);
        first + bucket.limit().time_for(lines.saturating_sub(1))
    }
}

impl Session {
    /// How long what was typed has to wait here before it may be sent.
    pub fn backlog(&self, now: Timestamp) -> Duration {
        match self.own.unsent() {
            0 => Duration::ZERO,
            lines => self.pacing.wait_for(lines, now),
        }
    }

    /// Whether the next line waits for the server's limit, and not for an answer.
    pub fn is_paced(&self, now: Timestamp) -> bool {
        self.own.unsent() > 0
            && self.pacing.ready(self.own.unanswered()).is_some_and(|ready| ready > now)
    }

    /// The server asks for a pause.
    pub(super) fn slow_down(&mut self, wait_ms: u16, now: Timestamp) {
        self.pacing.pause(Duration::from_millis(wait_ms.into()), now);
    }

    /// When a line that waits may be said.
    pub(super) fn line_due(&self) -> Option<Timestamp> {
        let held = self.own.unsent() > 0 && self.leaving.is_none();
        let link = self.established.as_ref().filter(|e| held && e.is_briefed());
        link.filter(|e| !e.link.is_full()).and_then(|_| self.pacing.ready(self.own.unanswered()))
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
