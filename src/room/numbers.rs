//! The newest line numbers of each owner in the log, with their positions.

use super::log::LineIdentity;
use crate::protocol::limits::MAX_OWNERS;
use crate::protocol::limits::NUMBER_WINDOW as WINDOW;
use crate::registry::Owner;
use std::collections::{BTreeMap, VecDeque};

/// The line numbers of one owner in the log, as in `Welcome`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Largest number.
    pub newest: u16,
    /// Bit `i`, from the lowest bit of the first byte on: whether the log has `newest - i`.
    pub bits: [u8; WINDOW as usize / 8],
    /// Whether every other number of this window, and every larger one, is missing in the log.
    pub sure: bool,
}

impl Taken {
    /// The bits without trailing zero bytes.
    #[must_use]
    pub(crate) fn bytes(&self) -> &[u8] {
        let used = self.bits.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        &self.bits[..used]
    }
}

/// The newest line numbers of each owner, bounded in owners and numbers.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    owners: BTreeMap<Owner, Window>,
    /// The numbers of all lines after this position are known.
    floor: u64,
}

#[derive(Debug)]
struct Window {
    newest: u16,
    /// Position of the last line.
    last: u64,
    /// Numbers and positions of the last lines, in order of arrival: most owners have few.
    lines: VecDeque<(u16, u64)>,
}

impl Numbers {
    /// Records a committed line.
    pub(super) fn note(&mut self, identity: LineIdentity, position: u64) {
        let LineIdentity { owner, number } = identity;
        if self.owners.len() >= MAX_OWNERS && !self.owners.contains_key(&owner) {
            self.forget_oldest();
        }
        let window = self.owners.entry(owner).or_insert_with(|| Window {
            newest: number,
            last: position,
            lines: VecDeque::new(),
        });
        window.last = window.last.max(position);
        window.note(number, position);
    }

    /// The position of a line.
    pub(super) fn find(&self, identity: LineIdentity) -> Option<u64> {
        self.owners.get(&identity.owner)?.find(identity.number)
    }

    /// The known numbers of an owner.
    pub(super) fn of(&self, owner: Owner) -> Taken {
        let Some(window) = self.owners.get(&owner) else { return Taken::default() };
        let mut taken = Taken { newest: window.newest, ..Taken::default() };
        for (number, _) in &window.lines {
            let back = window.newest.wrapping_sub(*number);
            if back < WINDOW {
                taken.bits[usize::from(back / 8)] |= 1 << (back % 8);
            }
        }
        taken
    }

    /// The numbers of all lines after this position are known.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// Forgets the numbers up to this position.
    pub(super) fn forget_before(&mut self, position: u64) {
        self.floor = self.floor.max(position);
    }

    fn forget_oldest(&mut self) {
        let oldest = self.owners.iter().min_by_key(|(_, window)| window.last);
        let Some((owner, last)) = oldest.map(|(owner, window)| (*owner, window.last)) else {
            return;
        };
        self.owners.remove(&owner);
        self.forget_before(last);
    }
}

impl Window {
    fn note(&mut self, number: u16, position: u64) {
        if (number.wrapping_sub(self.newest) as i16) > 0 {
            self.newest = number;
        }
        // A number below the window is unknown.
        if self.newest.wrapping_sub(number) >= WINDOW {
            return;
        }
        self.lines.push_back((number, position));
        while self.lines.len() > usize::from(WINDOW)
            || self.lines.front().is_some_and(|(it, _)| self.newest.wrapping_sub(*it) >= WINDOW)
        {
            self.lines.pop_front();
        }
    }

    fn find(&self, number: u16) -> Option<u64> {
        if self.newest.wrapping_sub(number) >= WINDOW {
            return None; // the usual case: a new line
        }
        let line = self.lines.iter().rev().find(|(it, _)| *it == number);
        line.map(|(_, position)| *position)
    }
}
