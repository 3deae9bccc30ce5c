//! A queue in small chunks. A newcomer to a full room gets an announcement for each peer: a
//! contiguous queue would grow to that length and fragment the heap when it shrinks.

use crate::prefetch::prefetch;
use std::collections::VecDeque;
use std::ops::Range;

/// Approximate size of a chunk, in bytes.
const PIECE_LEN: usize = 256;
/// Empty chunks that are kept for reuse until `tidy`.
const SPARE: usize = 2;

/// First in, first out, with access by index.
#[derive(Debug)]
pub(super) struct Fifo<T> {
    /// The front element, in place: most queues hold one element for a moment, and then allocate
    /// nothing.
    first: Option<T>,
    /// The elements after it: full chunks, one partly full, and spare ones.
    pieces: VecDeque<Vec<Option<T>>>,
    /// Elements already taken out of the first chunk.
    taken: usize,
    /// Elements in the chunks.
    later: usize,
}

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self { first: None, pieces: VecDeque::new(), taken: 0, later: 0 }
    }
}

impl<T> Fifo<T> {
    /// Elements per chunk.
    const PIECE: usize = PIECE_LEN.div_ceil(size_of::<Option<T>>());

    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.later
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn get(&self, place: usize) -> Option<&T> {
        if place == 0 {
            return self.first.as_ref();
        }
        let at = self.taken + place - 1;
        self.pieces.get(at / Self::PIECE)?.get(at % Self::PIECE)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        if place == 0 {
            return self.first.as_mut();
        }
        let at = self.taken + place - 1;
        self.pieces.get_mut(at / Self::PIECE)?.get_mut(at % Self::PIECE)?.as_mut()
    }

    pub(super) fn front(&self) -> Option<&T> {
        self.first.as_ref()
    }

    pub(super) fn front_mut(&mut self) -> Option<&mut T> {
        self.first.as_mut()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        (0..self.len()).filter_map(|place| self.get(place))
    }

    pub(super) fn push_back(&mut self, element: T) {
        if self.first.is_none() {
            self.first = Some(element);
            return;
        }
        let at = (self.taken + self.later) / Self::PIECE;
        if at == self.pieces.len() {
            self.pieces.push_back(Vec::with_capacity(Self::PIECE));
        }
        if let Some(piece) = self.pieces.get_mut(at) {
            piece.push(Some(element));
            self.later += 1;
        }
    }

    /// Prefetches the chunk header for the next `push_back`. The slot itself is only written, and a
    /// store does not stall.
    pub(super) fn prefetch_end(&self) {
        if let Some(piece) = self.pieces.get((self.taken + self.later) / Self::PIECE) {
            prefetch(piece);
        }
    }

    /// The elements at these indices.
    pub(super) fn range_mut(&mut self, places: Range<usize>) -> impl Iterator<Item = &mut T> {
        let first = self.first.as_mut().filter(|_| places.contains(&0));
        let (from, to) = (places.start.saturating_sub(1), places.end.saturating_sub(1));
        let at = self.taken + from;
        let pieces = self.pieces.range_mut((at / Self::PIECE).min(self.pieces.len())..);
        let later = pieces.flatten().skip(at % Self::PIECE).take(to.saturating_sub(from));
        first.into_iter().chain(later.filter_map(Option::as_mut))
    }

    /// Inserts an element before this index, in O(n) of the elements behind it, which are usually
    /// few.
    pub(super) fn insert(&mut self, place: usize, mut element: T) {
        for behind in place..self.len() {
            if let Some(there) = self.get_mut(behind) {
                std::mem::swap(there, &mut element);
            }
        }
        self.push_back(element);
    }

    /// The index of the first element for which the predicate is false; it must be true for all
    /// before.
    pub(super) fn partition_point(&self, mut fulfils: impl FnMut(&T) -> bool) -> usize {
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = from.midpoint(to);
            match self.get(middle) {
                Some(element) if fulfils(element) => from = middle + 1,
                _ => to = middle,
            }
        }
        from
    }

    pub(super) fn pop_front(&mut self) -> Option<T> {
        let next = if self.later > 0 { self.pop_later() } else { None };
        std::mem::replace(&mut self.first, next)
    }

    fn pop_later(&mut self) -> Option<T> {
        let piece = self.pieces.front_mut()?;
        let element = piece.get_mut(self.taken)?.take()?;
        (self.taken, self.later) = (self.taken + 1, self.later - 1);
        if self.later == 0 || self.taken == Self::PIECE {
            piece.clear();
            self.taken = 0;
            if self.later > 0 {
                self.pieces.rotate_left(1);
            }
            let kept = self.used() + SPARE;
            if self.pieces.len() > kept {
                self.pieces.truncate(kept);
            }
        }
        Some(element)
    }

    /// Frees unused chunks. For idle moments: the next element allocates again.
    pub(super) fn tidy(&mut self) {
        self.pieces.truncate(self.used());
        self.pieces.shrink_to_fit();
    }

    /// Chunks with elements.
    fn used(&self) -> usize {
        (self.taken + self.later).div_ceil(Self::PIECE)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn behaves_like_a_deque_and_frees_its_memory() {
        let mut fifo = Fifo::default();
        let mut model = VecDeque::new();
        // Growing bursts, partly drained in between and fully at the end.
        for round in 0..100_usize {
            for number in 0..round {
                fifo.push_back(1_000 * round + number);
                model.push_back(1_000 * round + number);
            }
            for _ in 0..round.min(3 * (round % 30)) {
                assert_eq!(fifo.pop_front(), model.pop_front());
            }
            assert_eq!((fifo.len(), fifo.front()), (model.len(), model.front()));
            assert!(fifo.iter().eq(&model) && fifo.get(model.len()).is_none());
            let (place, number) = (round % (model.len() + 1), 1_000 * round + round);
            fifo.insert(place, number);
            model.insert(place, number);
            assert!(fifo.iter().eq(&model));
            let (from, to) = (model.len() / 3, model.len());
            assert!(fifo.range_mut(from..to).eq(model.range_mut(from..to)));
        }
        let sorted: Vec<_> = model.drain(..).filter(|number| number % 2 == 0).collect();
        while fifo.pop_front().is_some() {}
        sorted.iter().for_each(|number| fifo.push_back(*number));
        for number in 0..=sorted.len() {
            let place = fifo
                .partition_point(|other| sorted.iter().position(|it| it == other) < Some(number));
            assert_eq!(place, number);
        }
        model.extend(sorted);
        while let Some(element) = model.pop_front() {
            *fifo.get_mut(0).unwrap() += 1;
            assert_eq!(fifo.pop_front(), Some(element + 1));
        }
        assert_eq!((fifo.pop_front(), fifo.len(), fifo.is_empty()), (None, 0, true));
        assert!(fifo.pieces.len() <= SPARE);
        fifo.tidy();
        assert_eq!((fifo.pieces.capacity(), fifo.pop_front()), (0, None));
    }
}
