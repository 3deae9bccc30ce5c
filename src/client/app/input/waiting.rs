//! The timeout of a line at a server that takes none.

use crate::client::session::Condition;
use std::time::{Duration, Instant};

/// The remaining time for a server to take a line. It runs only while the server answers: a lost
/// server has the timeout `--give-up`.
#[derive(Debug)]
pub(super) struct Waiting {
    left: Duration,
    /// Since when the server answers, or the last update.
    since: Option<Instant>,
}

impl Waiting {
    pub(super) fn for_room(left: Duration) -> Self {
        Self { left, since: None }
    }

    /// Takes the state of the server, and whether its rate limit delays lines.
    pub(super) fn look(&mut self, condition: Condition, paced: bool) {
        self.look_at(condition, paced, Instant::now());
    }

    fn look_at(&mut self, condition: Condition, paced: bool, now: Instant) {
        if let Some(since) = self.since.take() {
            self.left = self.left.saturating_sub(now.saturating_duration_since(since));
        }
        let is_there = matches!(condition, Condition::Here | Condition::Quiet);
        self.since = (is_there && !paced).then_some(now);
    }

    /// Time of the next update.
    pub(super) fn deadline(&self) -> Instant {
        self.since.unwrap_or_else(Instant::now) + self.left
    }

    /// Whether the time is over.
    pub(super) fn is_over(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_runs_only_while_the_server_answers_and_accepts_lines() {
        let second = Duration::from_secs(1);
        let begun = Instant::now();
        let mut waiting = Waiting::for_room(30 * second);
        for (at, condition, paced, left) in [
            (0, Condition::Joining, false, 30),
            (5, Condition::Here, false, 30),
            (15, Condition::Quiet, false, 20),
            (20, Condition::Lost, false, 15),
            (320, Condition::Here, true, 15),
            (380, Condition::Here, false, 15),
            (395, Condition::Here, false, 0),
            (400, Condition::Here, false, 0),
        ] {
            waiting.look_at(condition, paced, begun + at * second);
            assert_eq!(waiting.left, left * second, "after {at} s");
        }
        assert_eq!(waiting.deadline(), begun + 400 * second);
    }
}
