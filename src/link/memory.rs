//! Queues that were long for a moment, such as when a newcomer was told of a full room, and should not
//! keep for good what that took.

use std::collections::VecDeque;

/// Room that every queue keeps, in elements.
const KEPT: usize = 4;
/// A queue that fills less than this part of its room gives some back.
const SPARSE: usize = 4;

/// To be called after something was taken out. Each element pays once: the room that is left is twice
/// what is in use, and has to fill up before it grows.
pub(super) fn give_back<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() > SPARSE * KEPT.max(queue.len()) {
        queue.shrink_to(KEPT.max(2 * queue.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_leaves_little_behind_and_a_steady_queue_alone() {
        let mut queue: VecDeque<u64> = (0..1_000).collect();
        while queue.pop_front().is_some() {
            give_back(&mut queue);
            assert!(queue.capacity() <= 1_000.min(SPARSE * KEPT.max(queue.len() + 1)));
        }
        queue.extend(0..8);
        let capacity = queue.capacity();
        queue.clear();
        give_back(&mut queue);
        assert_eq!(queue.capacity(), capacity);
    }
}
