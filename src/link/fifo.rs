//! A queue in small pieces. A newcomer to a full room is told of everybody at once: a queue in one piece
//! would be as long as that takes, and leave a hole behind that nothing else is long enough to fill.

use std::collections::VecDeque;

/// Elements of one piece.
const PIECE: usize = 8;
/// Empty pieces that are kept for what comes next, until `tidy`.
const SPARE: usize = 4;

/// First in, first out; any element can be looked at by its place.
#[derive(Debug)]
pub(super) struct Fifo<T> {
    /// Full ones, one that is not, and empty ones.
    pieces: VecDeque<Vec<Option<T>>>,
    /// How many were taken out of the first piece.
    taken: usize,
    len: usize,
}

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self { pieces: VecDeque::new(), taken: 0, len: 0 }
    }
}

impl<T> Fifo<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn get(&self, place: usize) -> Option<&T> {
        if place >= self.len {
            return None; // known without a look at the pieces, which are elsewhere in memory
        }
        let at = self.taken + place;
        self.pieces.get(at / PIECE)?.get(at % PIECE)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        let at = self.taken + place;
        self.pieces.get_mut(at / PIECE)?.get_mut(at % PIECE)?.as_mut()
    }

    pub(super) fn front(&self) -> Option<&T> {
        self.get(0)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len).map_while(|place| self.get(place))
    }

    pub(super) fn push_back(&mut self, element: T) {
        let at = (self.taken + self.len) / PIECE;
        if at == self.pieces.len() {
            self.pieces.push_back(Vec::with_capacity(PIECE));
        }
        if let Some(piece) = self.pieces.get_mut(at) {
            piece.push(Some(element));
            self.len += 1;
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<T> {
        let piece = self.pieces.front_mut()?;
        let element = piece.get_mut(self.taken)?.take()?;
        (self.taken, self.len) = (self.taken + 1, self.len - 1);
        if self.len == 0 || self.taken == PIECE {
            piece.clear();
            self.taken = 0;
            self.pieces.rotate_left(1);
            self.pieces.truncate(self.used() + SPARE);
        }
        Some(element)
    }

    /// Gives back the room that is not in use. For a quiet moment: what comes next has to ask for it again.
    pub(super) fn tidy(&mut self) {
        self.pieces.truncate(self.used());
        self.pieces.shrink_to_fit();
    }

    /// Pieces with elements.
    fn used(&self) -> usize {
        (self.taken + self.len).div_ceil(PIECE)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_queue_and_an_empty_one_is_small() {
        let mut fifo = Fifo::default();
        let mut model = VecDeque::new();
        // Longer and longer bursts, taken out in part in between, and in the end as a whole.
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
        }
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
