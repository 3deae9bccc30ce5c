//! Which lines of whom did not arrive. A number that was skipped may only have been overtaken, so
//! it gets some time before it counts as missing.

use crate::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Skipped numbers remembered for each peer; a longer jump counts as missing at once.
const REMEMBERED: usize = 1_024;

/// Numbers in a row.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u16,
    count: u16,
    /// When to stop waiting for them.
    until: Timestamp,
}

impl Run {
    /// What is left of it before and after `number`, if that is in it.
    fn without(self, number: u16) -> Option<[Self; 2]> {
        let before = number.wrapping_sub(self.first);
        let after = self.count.checked_sub(before.checked_add(1)?)?;
        let rest = Self { first: number.wrapping_add(1), count: after, ..self };
        Some([Self { count: before, ..self }, rest])
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
    /// Skipped. A server that skips many at once takes no more memory than one that skips one.
    skipped: VecDeque<Run>,
    /// Called missing, the latest last.
    given_up: VecDeque<Run>,
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
    /// Of whom something is skipped: few, in a room of thousands.
    waiting: BTreeSet<u16>,
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
                sender.introduced = true;
                self.found.extend(sender.skip(next, sender.first, now + patience));
                sender.first = next;
                self.settle(peer);
            }
            None => self.begin(peer, nickname, next, true),
        }
    }

    fn begin(&mut self, peer: u16, nickname: &str, next: u16, introduced: bool) {
        self.flush(peer);
        let nickname = nickname.to_owned();
        let (skipped, given_up) = (VecDeque::new(), VecDeque::new());
        let (first, gone) = (next, false);
        self.senders
            .insert(peer, Sender { nickname, first, introduced, next, skipped, given_up, gone });
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
            sender.fill(number);
            let awaited = !sender.given_up.iter().any(|run| run.without(number).is_some());
            self.settle(peer);
            return awaited;
        }
        self.found.extend(sender.skip_to(number, now + patience));
        sender.next = number.wrapping_add(1);
        self.settle(peer);
        true
    }

    /// A peer went; `next` is the number its next line would have had.
    pub(super) fn depart(&mut self, peer: u16, next: u16, patience: Duration, now: Timestamp) {
        let Some(sender) = self.senders.get_mut(&peer) else { return };
        sender.gone = true;
        if (next.wrapping_sub(sender.next) as i16) > 0 {
            self.found.extend(sender.skip_to(next, now + patience));
            sender.next = next;
        }
        self.settle(peer);
    }

    /// Gives up on what has been waited for long enough; with `None`, on everything.
    pub(super) fn give_up(&mut self, now: Option<Timestamp>) {
        for peer in self.waiting.clone() {
            let Some(sender) = self.senders.get_mut(&peer) else { continue };
            let missing = sender.give_up(now);
            if missing > 0 {
                self.found.push_back(Gap { from: sender.nickname.clone(), missing });
                self.settle(peer);
            }
        }
    }

    /// A new session begins: whoever is here will be introduced anew. What was skipped is missing,
    /// unless the replay tells it.
    pub(super) fn start_over(&mut self, replayed: bool) {
        if !replayed {
            self.give_up(None);
        }
        self.senders.clear();
        self.waiting.clear();
    }

    /// The next gap to tell the user about.
    pub(super) fn poll(&mut self) -> Option<Gap> {
        self.found.pop_front()
    }

    /// When to give up next.
    pub(super) fn timeout(&self) -> Option<Timestamp> {
        let waiting = self.waiting.iter().filter_map(|peer| self.senders.get(peer));
        waiting.filter_map(|sender| Some(sender.skipped.front()?.until)).min()
    }

    /// Notes whether something of this peer is skipped; who is gone is kept only for that.
    fn settle(&mut self, peer: u16) {
        match self.senders.get(&peer) {
            Some(sender) if !sender.skipped.is_empty() => {
                self.waiting.insert(peer);
            }
            Some(sender) => {
                self.waiting.remove(&peer);
                if sender.gone {
                    self.senders.remove(&peer);
                }
            }
            None => {}
        }
    }

    fn flush(&mut self, peer: u16) {
        self.waiting.remove(&peer);
        if let Some(sender) = self.senders.remove(&peer)
            && !sender.skipped.is_empty()
        {
            let missing = sum(&sender.skipped) as u64;
            self.found.push_back(Gap { from: sender.nickname, missing });
        }
    }
}

impl Sender {
    /// Moves what has been waited for long enough to what is called missing; says how many.
    fn give_up(&mut self, now: Option<Timestamp>) -> u64 {
        let mut missing = 0;
        self.skipped.retain(|run| {
            let awaited = now.is_some_and(|now| run.until > now);
            if !awaited {
                self.given_up.push_back(*run);
                missing += u64::from(run.count);
            }
            awaited
        });
        while self.given_up.len() > 1 && sum(&self.given_up) > REMEMBERED {
            self.given_up.pop_front();
        }
        missing
    }

    /// A number that may have been skipped is here.
    fn fill(&mut self, number: u16) {
        let mut found = self.skipped.iter().enumerate();
        let found = found.find_map(|(place, run)| Some((place, run.without(number)?)));
        let Some((place, parts)) = found else { return };
        self.skipped.remove(place);
        for part in parts.into_iter().rev().filter(|part| part.count > 0) {
            self.skipped.insert(place, part);
        }
    }

    /// Remembers the numbers from `next` up to `number` as skipped.
    fn skip_to(&mut self, number: u16, until: Timestamp) -> Option<Gap> {
        self.skip(self.next, number, until)
    }

    /// Remembers the numbers from `from` to before `to` as skipped.
    fn skip(&mut self, from: u16, to: u16, until: Timestamp) -> Option<Gap> {
        let count = to.wrapping_sub(from);
        if usize::from(count) + sum(&self.skipped) > REMEMBERED {
            return Some(Gap { from: self.nickname.clone(), missing: u64::from(count) });
        }
        if count > 0 {
            self.skipped.push_back(Run { first: from, count, until });
        }
        None
    }
}

/// How many numbers there are.
fn sum(runs: &VecDeque<Run>) -> usize {
    runs.iter().map(|run| usize::from(run.count)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    fn gap(missing: u64) -> Option<Gap> {
        Some(Gap { from: "bob".to_owned(), missing })
    }

    #[test]
    fn what_was_only_overtaken_is_no_gap() {
        let mut gaps = Gaps::default();
        let now = Timestamp::ZERO;
        gaps.arrive(1, "bob", u16::MAX, PATIENCE, now);
        for number in [u16::MAX, 3, 1] {
            assert!(gaps.line(1, "bob", number, PATIENCE, now));
        }
        assert_eq!(gaps.timeout(), Some(now + PATIENCE));
        gaps.give_up(Some(now + PATIENCE / 2));
        assert_eq!(gaps.poll(), None);
        gaps.give_up(Some(now + PATIENCE));
        assert_eq!((gaps.poll(), gaps.poll()), (gap(2), None)); // 0 and 2
        assert!(!gaps.line(1, "bob", 2, PATIENCE, now), "it was given up");
        assert_eq!(gaps.timeout(), None);
    }

    #[test]
    fn late_numbers_are_taken_out_of_a_run_wherever_they_are() {
        let now = Timestamp::ZERO;
        for begin in [0, u16::MAX - 3] {
            let at = |number: u16| begin.wrapping_add(number);
            for late in [vec![0], vec![6], vec![3, 2, 4], vec![0, 6, 1, 5, 2, 4, 3], vec![1, 1]] {
                let mut gaps = Gaps::default();
                gaps.arrive(1, "bob", begin, PATIENCE, now);
                gaps.line(1, "bob", at(7), PATIENCE, now);
                for number in &late {
                    assert!(gaps.line(1, "bob", at(*number), PATIENCE, now));
                }
                gaps.give_up(Some(now + PATIENCE));
                let missing = 7 - late.iter().collect::<BTreeSet<_>>().len() as u64;
                assert_eq!(gaps.poll(), gap(missing).filter(|_| missing > 0), "{late:?}");
                for number in 0..7 {
                    let given_up = !late.contains(&number);
                    assert_eq!(gaps.line(1, "bob", at(number), PATIENCE, now), !given_up);
                }
            }
        }
    }

    #[test]
    fn the_last_lines_of_somebody_who_left_are_missed_too() {
        let mut gaps = Gaps::default();
        let now = Timestamp::ZERO;
        gaps.arrive(1, "bob", 0, PATIENCE, now);
        gaps.line(1, "bob", 0, PATIENCE, now);
        gaps.depart(1, 4, PATIENCE, now);
        gaps.line(1, "bob", 2, PATIENCE, now); // was still on its way
        gaps.give_up(Some(now + PATIENCE));
        assert_eq!((gaps.poll(), gaps.poll()), (gap(2), None));
    }

    #[test]
    fn a_new_peer_under_an_old_number_starts_afresh() {
        let mut gaps = Gaps::default();
        let now = Timestamp::ZERO;
        gaps.arrive(1, "bob", 0, PATIENCE, now);
        gaps.line(1, "bob", 3, PATIENCE, now);
        gaps.arrive(1, "eve", 900, PATIENCE, now);
        gaps.line(1, "eve", 900, PATIENCE, now);
        gaps.give_up(None);
        assert_eq!((gaps.poll(), gaps.poll()), (gap(3), None));
    }

    #[test]
    fn a_line_may_overtake_the_news_of_its_author() {
        let mut gaps = Gaps::default();
        let now = Timestamp::ZERO;
        for number in [3, 4] {
            assert!(gaps.line(1, "bob", number, PATIENCE, now));
        }
        gaps.arrive(1, "bob", 1, PATIENCE, now);
        assert!(gaps.line(1, "bob", 2, PATIENCE, now), "late, and not yet missing");
        gaps.give_up(Some(now + PATIENCE));
        assert_eq!((gaps.poll(), gaps.poll()), (gap(1), None), "number 1");
        // The same name again, after it was introduced: another one, who begins afresh.
        gaps.arrive(1, "bob", 0, PATIENCE, now);
        assert!(gaps.line(1, "bob", 0, PATIENCE, now));
        gaps.give_up(None);
        assert_eq!(gaps.poll(), None);
    }
}
