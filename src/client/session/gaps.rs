//! Detects missing lines per sender. A skipped number may be reordered, so it gets some time before
//! it counts as missing.

use crate::time::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Bound of awaited runs over all peers, and of those reported missing. The server chooses the
/// number of peers and of skips, so a bound per peer would be none. Beyond it the oldest count as
/// missing.
const REMEMBERED: usize = 8_192;

/// A run of consecutive numbers.
#[derive(Clone, Copy, Debug)]
struct Run {
    peer: u16,
    first: u16,
    count: u16,
    /// When they count as missing.
    until: Timestamp,
}

impl Run {
    /// The runs before and after `number`, if it is in this run.
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
    /// The smallest number that it is known to have used.
    first: u16,
    /// Whether the server has announced the peer; if not, one of its lines has overtaken the
    /// announcement.
    introduced: bool,
    /// The number expected next.
    next: u16,
    gone: bool,
}

/// Missing lines of one sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) from: String,
    pub(super) missing: u64,
}

/// The gaps in the line numbers of all senders.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    senders: BTreeMap<u16, Sender>,
    /// Skipped runs, the first to time out in front.
    skipped: VecDeque<Run>,
    /// Runs reported missing, the latest last.
    given_up: VecDeque<Run>,
    found: VecDeque<Gap>,
}

impl Gaps {
    /// Adds a peer with the number of its next line. An earlier peer with the same peer number is
    /// forgotten.
    ///
    /// Its lines may have overtaken this message: then only lines before the first of them are
    /// awaited.
    pub(super) fn arrive(
        &mut self,
        peer: u16,
        nickname: &str,
        next: u16,
        timeout: Duration,
        now: Timestamp,
    ) {
        // The name may be another one: this peer may have been renamed since.
        let known = self
            .senders
            .get_mut(&peer)
            .filter(|it| !it.introduced && (it.first.wrapping_sub(next) as i16) >= 0);
        match known {
            Some(sender) => {
                let first = std::mem::replace(&mut sender.first, next);
                sender.introduced = true;
                self.skip(peer, next, first, now + timeout);
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

    /// A peer has another name. Its numbers go on.
    pub(super) fn rename(&mut self, peer: u16, nickname: &str) {
        if let Some(sender) = self.senders.get_mut(&peer) {
            nickname.clone_into(&mut sender.nickname);
        }
    }

    /// Takes a line. False if it was reported missing already.
    ///
    /// A line with another name has overtaken the message that its author was renamed, or was
    /// overtaken by it. After a departure, it is that of a new peer with the same number.
    pub(super) fn line(
        &mut self,
        peer: u16,
        nickname: &str,
        number: u16,
        timeout: Duration,
        now: Timestamp,
    ) -> bool {
        let awaited = |run: &Run| run.without(peer, number).is_some();
        if self.senders.get(&peer).is_none_or(|sender| {
            sender.gone && sender.nickname != nickname && !self.skipped.iter().any(awaited)
        }) {
            self.begin(peer, nickname, number, false);
        }
        let Some(sender) = self.senders.get_mut(&peer) else { return true };
        if (number.wrapping_sub(sender.next) as i16) < 0 {
            self.fill(peer, number);
            self.forget_if_gone(peer);
            return !self.given_up.iter().any(|run| run.without(peer, number).is_some());
        }
        let expected = std::mem::replace(&mut sender.next, number.wrapping_add(1));
        self.skip(peer, expected, number, now + timeout);
        true
    }

    /// Removes a peer; `next` is the number that its next line would have had.
    pub(super) fn depart(&mut self, peer: u16, next: u16, timeout: Duration, now: Timestamp) {
        let Some(sender) = self.senders.get_mut(&peer) else { return };
        sender.gone = true;
        if (next.wrapping_sub(sender.next) as i16) > 0 {
            let expected = std::mem::replace(&mut sender.next, next);
            self.skip(peer, expected, next, now + timeout);
        }
        self.forget_if_gone(peer);
    }

    /// Reports the runs that timed out; with `None`, all.
    pub(super) fn give_up(&mut self, now: Option<Timestamp>) {
        let over = |run: &Run| now.is_none_or(|now| run.until <= now);
        self.give_up_first(self.skipped.partition_point(over));
    }

    /// Forgets all peers: the server of a new session announces them again.
    pub(super) fn clear(&mut self) {
        self.senders.clear();
        self.skipped.clear();
        self.given_up.clear();
    }

    /// The next gap to report.
    pub(super) fn poll(&mut self) -> Option<Gap> {
        self.found.pop_front()
    }

    /// The next timeout.
    pub(super) fn timeout(&self) -> Option<Timestamp> {
        self.skipped.front().map(|run| run.until)
    }

    /// Moves the first `count` awaited runs to the missing ones.
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

    /// Records the numbers from `from` to before `to` as skipped.
    fn skip(&mut self, peer: u16, from: u16, to: u16, until: Timestamp) {
        let count = to.wrapping_sub(from);
        if count == 0 {
            return;
        }
        // Usually the last: the timeout depends on the mode only.
        let place = self.skipped.partition_point(|run| run.until <= until);
        self.skipped.insert(place, Run { peer, first: from, count, until });
        self.give_up_first(self.skipped.len().saturating_sub(REMEMBERED));
    }

    /// Removes a number that arrived from the skipped ones.
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

    /// Forgets a departed peer without awaited lines.
    fn forget_if_gone(&mut self, peer: u16) {
        if self.senders.get(&peer).is_some_and(|sender| sender.gone)
            && !self.skipped.iter().any(|run| run.peer == peer)
        {
            self.senders.remove(&peer);
            self.given_up.retain(|run| run.peer != peer);
        }
    }

    /// Ends the current use of a peer number.
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
    fn a_reordered_line_is_no_gap() {
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
        assert!(!gaps.line(1, "bob", 2, MISSING_AFTER, now), "it was reported missing");
        assert_eq!(gaps.timeout(), None);
    }

    #[test]
    fn late_numbers_are_removed_from_any_place_of_a_run() {
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
    fn lost_last_lines_of_a_departed_peer_are_reported() {
        let mut gaps = Gaps::default();
        let now = Timestamp::ZERO;
        gaps.arrive(1, "bob", 0, MISSING_AFTER, now);
        gaps.line(1, "bob", 0, MISSING_AFTER, now);
        gaps.depart(1, 4, MISSING_AFTER, now);
        gaps.line(1, "bob", 2, MISSING_AFTER, now); // late
        gaps.give_up(Some(now + MISSING_AFTER));
        assert_eq!((gaps.poll(), gaps.poll()), (gap(2), None));
    }

    #[test]
    fn a_reused_peer_number_starts_afresh() {
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
    fn a_renamed_peer_keeps_its_numbers_whatever_overtakes_what() {
        let now = Timestamp::ZERO;
        let mut gaps = Gaps::default();
        gaps.arrive(1, "bob", 0, MISSING_AFTER, now);
        assert!(gaps.line(1, "bob", 0, MISSING_AFTER, now));
        assert!(gaps.line(1, "rob", 3, MISSING_AFTER, now), "overtakes the rename");
        assert!(gaps.line(1, "bob", 1, MISSING_AFTER, now), "late");
        gaps.rename(1, "rob");
        assert!(gaps.line(1, "bob", 2, MISSING_AFTER, now), "later than the rename");
        gaps.depart(1, 5, MISSING_AFTER, now);
        assert!(gaps.line(1, "bob", 4, MISSING_AFTER, now), "later than the departure");
        assert!(gaps.line(1, "eve", 0, MISSING_AFTER, now), "the number has a new peer");
        gaps.give_up(None);
        assert_eq!(gaps.poll(), None, "nothing is missing");
        // The arrival has the old name, and a line with the new one has overtaken it.
        gaps.line(2, "rob", 1, MISSING_AFTER, now);
        gaps.arrive(2, "bob", 0, MISSING_AFTER, now);
        gaps.rename(2, "rob");
        gaps.line(2, "rob", 0, MISSING_AFTER, now);
        gaps.give_up(None);
        assert_eq!(gaps.poll(), None, "nothing is missing");
    }

    #[test]
    fn a_line_may_overtake_the_announcement_of_its_author() {
        let mut gaps = Gaps::default();
        let now = Timestamp::ZERO;
        for number in [3, 4] {
            assert!(gaps.line(1, "bob", number, MISSING_AFTER, now));
        }
        gaps.arrive(1, "bob", 1, MISSING_AFTER, now);
        assert!(gaps.line(1, "bob", 2, MISSING_AFTER, now), "late, and not yet missing");
        gaps.give_up(Some(now + MISSING_AFTER));
        assert_eq!((gaps.poll(), gaps.poll()), (gap(1), None), "number 1");
        // The same name again, after an announcement: a new peer, which starts afresh.
        gaps.arrive(1, "bob", 0, MISSING_AFTER, now);
        assert!(gaps.line(1, "bob", 0, MISSING_AFTER, now));
        gaps.give_up(None);
        assert_eq!(gaps.poll(), None);
    }

    #[test]
    fn memory_is_bounded_over_all_peers_and_every_gap_is_counted() {
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
