//! Which lines of whom did not arrive. A number that was skipped may only have been overtaken, so
//! it gets some time before it counts as missing.

use crate::time::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Runs of numbers awaited, of all peers together, and as many that are called missing. A server chooses
/// how many peers there are and which numbers it skips, so a bound for each peer would be none. Where
/// there are more, the oldest count as missing at once.
const REMEMBERED: usize = 8_192;

/// Numbers in a row.
#[derive(Clone, Copy, Debug)]
struct Run {
    peer: u16,
    first: u16,
    count: u16,
    /// When to stop waiting for them.
    until: Timestamp,
}

impl Run {
    /// What is left of it before and after `number`, if that is in it.
    fn without(self, peer: u16, number: u16) -> Option<[Self; 2]> {
        let before = number.wrapping_sub(self.first);
        let after = self.count.checked_sub(before.checked_add(1)?)?;
        let rest = Self { first: number.wrapping_add(1), count: after, ..self };
        (self.peer == peer).then_some([Self { count: before, ..self }, rest])
    }
}

#[derive(Debug)]
struct Sender {
    nickname: String,
    /// The first number that it is known to have used.
    first: u16,
    /// Whether the server has said that it is here; if not, a line of its has overtaken that.
    introduced: bool,
    /// The number expected next.
    next: u16,
    gone: bool,
}

/// Lines of one sender that will not come any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) from: String,
    pub(super) missing: u64,
}

/// Counts what everybody said against what arrived.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    senders: BTreeMap<u16, Sender>,
    /// Skipped, the one to give up first in front.
    skipped: VecDeque<Run>,
    /// Called missing, the latest last.
    given_up: VecDeque<Run>,
    found: VecDeque<Gap>,
}

impl Gaps {
    /// A peer whose next line will have this number is here. One that used the same number in the
    /// room before is forgotten.
    ///
    /// Its lines may have overtaken this news: then only those before the first of them are awaited.
    pub(super) fn arrive(
        &mut self,
        peer: u16,
        nickname: &str,
        next: u16,
        patience: Duration,
        now: Timestamp,
    ) {
        let known = self.senders.get_mut(&peer).filter(|it| {
            it.nickname == nickname && !it.introduced && (it.first.wrapping_sub(next) as i16) >= 0
        });
        match known {
            Some(sender) => {
                let first = std::mem::replace(&mut sender.first, next);
                sender.introduced = true;
                self.skip(peer, next, first, now + patience);
            }
            None => self.begin(peer, nickname, next, true),
        }
    }

    fn begin(&mut self, peer: u16, nickname: &str, next: u16, introduced: bool) {
        self.flush(peer);
        let sender =
            Sender { nickname: nickname.to_owned(), first: next, introduced, next, gone: false };
        self.senders.insert(peer, sender);
    }

    /// A line arrived. False when it was called missing already.
    pub(super) fn line(
        &mut self,
        peer: u16,
        nickname: &str,
        number: u16,
        patience: Duration,
        now: Timestamp,
    ) -> bool {
        if self.senders.get(&peer).is_none_or(|sender| sender.nickname != nickname) {
            self.begin(peer, nickname, number, false);
        }
        let Some(sender) = self.senders.get_mut(&peer) else { return true };
        if (number.wrapping_sub(sender.next) as i16) < 0 {
            self.fill(peer, number);
            self.forget_if_gone(peer);
            return !self.given_up.iter().any(|run| run.without(peer, number).is_some());
        }
        let expected = std::mem::replace(&mut sender.next, number.wrapping_add(1));
        self.skip(peer, expected, number, now + patience);
        true
    }

    /// A peer went; `next` is the number its next line would have had.
    pub(super) fn depart(&mut self, peer: u16, next: u16, patience: Duration, now: Timestamp) {
        let Some(sender) = self.senders.get_mut(&peer) else { return };
        sender.gone = true;
        if (next.wrapping_sub(sender.next) as i16) > 0 {
            let expected = std::mem::replace(&mut sender.next, next);
            self.skip(peer, expected, next, now + patience);
        }
        self.forget_if_gone(peer);
    }

    /// Gives up on what has been waited for long enough; with `None`, on everything.
    pub(super) fn give_up(&mut self, now: Option<Timestamp>) {
        let over = |run: &Run| now.is_none_or(|now| run.until <= now);
        self.give_up_first(self.skipped.partition_point(over));
    }

    /// A new session begins: whoever is here will be introduced anew. What was skipped is missing,
    /// unless the replay tells it.
    pub(super) fn start_over(&mut self, replayed: bool) {
        if !replayed {
            self.give_up(None);
        }
        self.senders.clear();
        self.skipped.clear();
        self.given_up.clear();
    }

    /// The next gap to tell the user about.
    pub(super) fn poll(&mut self) -> Option<Gap> {
        self.found.pop_front()
    }

    /// When to give up next.
    pub(super) fn timeout(&self) -> Option<Timestamp> {
        self.skipped.front().map(|run| run.until)
    }

    /// Moves the first `count` runs from what is awaited to what is called missing.
    fn give_up_first(&mut self, count: usize) {
        let mut missing = BTreeMap::<u16, u64>::new();
        for run in self.skipped.drain(..count) {
            *missing.entry(run.peer).or_default() += u64::from(run.count);
            self.given_up.push_back(run);
        }
        let excess = self.given_up.len().saturating_sub(REMEMBERED);
        self.given_up.drain(..excess);
        for (peer, missing) in missing {
            if let Some(sender) = self.senders.get(&peer) {
                self.found.push_back(Gap { from: sender.nickname.clone(), missing });
            }
            self.forget_if_gone(peer);
        }
    }

    /// Remembers the numbers from `from` to before `to` as skipped.
    fn skip(&mut self, peer: u16, from: u16, to: u16, until: Timestamp) {
        let count = to.wrapping_sub(from);
        if count == 0 {
            return;
        }
        // Nearly always the last: patience changes only with the mode.
        let place = self.skipped.partition_point(|run| run.until <= until);
        self.skipped.insert(place, Run { peer, first: from, count, until });
        self.give_up_first(self.skipped.len().saturating_sub(REMEMBERED));
    }

    /// A number that may have been skipped is here.
    fn fill(&mut self, peer: u16, number: u16) {
        let mut found = self.skipped.iter().enumerate();
        let found = found.find_map(|(place, run)| Some((place, run.without(peer, number)?)));
        let Some((place, parts)) = found else { return };
        self.skipped.remove(place);
        for part in parts.into_iter().rev().filter(|part| part.count > 0) {
            self.skipped.insert(place, part);
        }
        self.give_up_first(self.skipped.len().saturating_sub(REMEMBERED));
    }

    /// A peer that went is kept only for what may still come of it.
    fn forget_if_gone(&mut self, peer: u16) {
        if self.senders.get(&peer).is_some_and(|sender| sender.gone)
            && !self.skipped.iter().any(|run| run.peer == peer)
        {
            self.senders.remove(&peer);
            self.given_up.retain(|run| run.peer != peer);
        }
    }

    /// What this number in the room stood for until now is over.
    fn flush(&mut self, peer: u16) {
        if let Some(sender) = self.senders.remove(&peer) {
            let runs = self.skipped.iter().filter(|run| run.peer == peer);
            let missing = runs.map(|run| u64::from(run.count)).sum();
            if missing > 0 {
                self.found.push_back(Gap { from: sender.nickname, missing });
            }
            self.skipped.retain(|run| run.peer != peer);
            self.given_up.retain(|run| run.peer != peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const MISSING_AFTER: Duration = Duration::from_secs(1);

    fn gap(missing: u64) -> Option<Gap> {
        Some(Gap { from: "bob".to_owned(), missing })
    }

    #[test]
    fn what_was_only_overtaken_is_no_gap() {
        let mut gaps = Gaps::default();
        let now = Timestamp::ZERO;
        gaps.arrive(1, "bob", u16::MAX, MISSING_AFTER, now);
        for number in [u16::MAX, 3, 1] {
            assert!(gaps.line(1, "bob", number, MISSING_AFTER, now));
        }
        assert_eq!(gaps.timeout(), Some(now + MISSING_AFTER));
        gaps.give_up(Some(now + MISSING_AFTER / 2));
        assert_eq!(gaps.poll(), None);
        gaps.give_up(Some(now + MISSING_AFTER));
        assert_eq!((gaps.poll(), gaps.poll()), (gap(2), None)); // 0 and 2
        assert!(!gaps.line(1, "bob", 2, MISSING_AFTER, now), "it was given up");
        assert_eq!(gaps.timeout(), None);
    }

    #[test]
    fn late_numbers_are_taken_out_of_a_run_wherever_they_are() {
        let now = Timestamp::ZERO;
        for begin in [0, u16::MAX - 3] {
            let at = |number: u16| begin.wrapping_add(number);
            for late in [vec![0], vec![6], vec![3, 2, 4], vec![0, 6, 1, 5, 2, 4, 3], vec![1, 1]] {
                let mut gaps = Gaps::default();
                gaps.arrive(1, "bob", begin, MISSING_AFTER, now);
                gaps.line(1, "bob", at(7), MISSING_AFTER, now);
                for number in &late {
                    assert!(gaps.line(1, "bob", at(*number), MISSING_AFTER, now));
                }
                gaps.give_up(Some(now + MISSING_AFTER));
                let missing = 7 - late.iter().collect::<BTreeSet<_>>().len() as u64;
                assert_eq!(gaps.poll(), gap(missing).filter(|_| missing > 0), "{late:?}");
                for number in 0..7 {
                    let given_up = !late.contains(&number);
                    assert_eq!(gaps.line(1, "bob", at(number), MISSING_AFTER, now), !given_up);
                }
            }
        }
    }

    #[test]
    fn the_last_lines_of_somebody_who_left_are_missed_too() {
        let mut gaps = Gaps::default();
        let now = Timestamp::ZERO;
        gaps.arrive(1, "bob", 0, MISSING_AFTER, now);
        gaps.line(1, "bob", 0, MISSING_AFTER, now);
        gaps.depart(1, 4, MISSING_AFTER, now);
        gaps.line(1, "bob", 2, MISSING_AFTER, now); // was still on its way
        gaps.give_up(Some(now + MISSING_AFTER));
        assert_eq!((gaps.poll(), gaps.poll()), (gap(2), None));
    }

    #[test]
    fn a_new_peer_under_an_old_number_starts_afresh() {
        let mut gaps = Gaps::default();
        let now = Timestamp::ZERO;
        gaps.arrive(1, "bob", 0, MISSING_AFTER, now);
        gaps.line(1, "bob", 3, MISSING_AFTER, now);
        gaps.arrive(1, "eve", 900, MISSING_AFTER, now);
        gaps.line(1, "eve", 900, MISSING_AFTER, now);
        gaps.give_up(None);
        assert_eq!((gaps.poll(), gaps.poll()), (gap(3), None));
    }

    #[test]
    fn a_line_may_overtake_the_news_of_its_author() {
        let mut gaps = Gaps::default();
        let now = Timestamp::ZERO;
        for number in [3, 4] {
            assert!(gaps.line(1, "bob", number, MISSING_AFTER, now));
        }
        gaps.arrive(1, "bob", 1, MISSING_AFTER, now);
        assert!(gaps.line(1, "bob", 2, MISSING_AFTER, now), "late, and not yet missing");
        gaps.give_up(Some(now + MISSING_AFTER));
        assert_eq!((gaps.poll(), gaps.poll()), (gap(1), None), "number 1");
        // The same name again, after it was introduced: another one, who begins afresh.
        gaps.arrive(1, "bob", 0, MISSING_AFTER, now);
        assert!(gaps.line(1, "bob", 0, MISSING_AFTER, now));
        gaps.give_up(None);
        assert_eq!(gaps.poll(), None);
    }

    #[test]
    fn what_is_remembered_is_bounded_over_all_peers_together_and_all_is_counted() {
        let mut gaps = Gaps::default();
        let now = Timestamp::ZERO;
        let mut missing = 0;
        for peer in 0..200 {
            gaps.arrive(peer, "bob", 0, MISSING_AFTER, now);
            for number in (1..400).step_by(2) {
                assert!(gaps.line(peer, "bob", number, MISSING_AFTER, now));
                missing += gaps.poll().map_or(0, |gap| gap.missing);
            }
        }
        assert!(gaps.skipped.len() <= REMEMBERED && gaps.given_up.len() <= REMEMBERED);
        gaps.give_up(None);
        missing += std::iter::from_fn(|| gaps.poll()).map(|gap| gap.missing).sum::<u64>();
        assert_eq!(missing, 200 * 200);
    }
}
