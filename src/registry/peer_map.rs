//! A peer's identity, and a slab of values by peer number.

use std::fmt;

/// A peer's identity: the count of its arrival, which no other peer of this server ever has. Its
/// low 16 bits are its *number*, which the wire uses. A number is free again once its peer has
/// gone, and is used again as late as possible; an id is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PeerId(pub u64);

impl PeerId {
    /// The number of this peer on the wire.
    #[must_use]
    pub(crate) const fn number(self) -> u16 {
        self.0 as u16
    }
}

/// No entry.
const NONE: u32 = u32::MAX;
/// Empty entries up to this count are left in place.
const SPARE: usize = 16;

/// A map from peers to values. A look-up is two array reads, and finds nothing for the id of a peer
/// that has gone, also after its number was used again. Iteration follows the order of arrival.
///
/// The crates `slab` and `slotmap` choose the keys themselves, hand out first the slot that was
/// freed last, and iterate in the order of slots. A peer number must be used again as late as
/// possible, and the order of iteration is the order in which datagrams leave.
pub(crate) struct PeerMap<T> {
    /// For each peer number the index of its entry, or `NONE`.
    index: Vec<u32>,
    /// In order of arrival; empty where a peer has gone.
    entries: Vec<Option<(PeerId, T)>>,
    len: usize,
}

impl<T> PeerMap<T> {
    /// A map without peers.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self { index: Vec::new(), entries: Vec::new(), len: 0 }
    }

    /// The number of peers.
    #[must_use]
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no peer.
    #[must_use]
    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a peer.
    #[must_use]
    pub(crate) fn get(&self, id: PeerId) -> Option<&T> {
        let index = *self.index.get(usize::from(id.number()))?;
        let (owner, value) = self.entries.get(index as usize)?.as_ref()?;
        (*owner == id).then_some(value)
    }

    /// The value of a peer.
    pub(crate) fn get_mut(&mut self, id: PeerId) -> Option<&mut T> {
        let index = *self.index.get(usize::from(id.number()))?;
        let (owner, value) = self.entries.get_mut(index as usize)?.as_mut()?;
        (*owner == id).then_some(value)
    }

    /// Whether this peer is in the map.
    #[must_use]
    pub(crate) fn contains(&self, id: PeerId) -> bool {
        self.get(id).is_some()
    }

    /// The peer that has this number now.
    #[must_use]
    pub(crate) fn numbered(&self, number: u16) -> Option<PeerId> {
        let index = *self.index.get(usize::from(number))?;
        self.entries.get(index as usize)?.as_ref().map(|(id, _)| *id)
    }

    /// Sets the value of a peer and returns the one before. A peer that is new comes last.
    pub(crate) fn insert(&mut self, id: PeerId, value: T) -> Option<T> {
        if let Some(present) = self.get_mut(id) {
            return Some(std::mem::replace(present, value));
        }
        // Two peers never share a number: the registry gives out free ones.
        self.numbered(id.number()).and_then(|other| self.remove(other));
        let number = usize::from(id.number());
        if self.index.len() <= number {
            self.index.resize(number + 1, NONE);
        }
        self.index[number] = self.entries.len() as u32;
        self.entries.push(Some((id, value)));
        self.len += 1;
        None
    }

    /// Removes a peer.
    pub(crate) fn remove(&mut self, id: PeerId) -> Option<T> {
        self.get(id)?;
        let index = std::mem::replace(&mut self.index[usize::from(id.number())], NONE);
        let (_, value) = self.entries[index as usize].take()?;
        self.len -= 1;
        // Iteration never visits more empty entries than full ones, and `SPARE`.
        if self.entries.len() > 2 * self.len + SPARE {
            self.entries.retain(Option::is_some);
            for (index, (id, _)) in self.entries.iter().flatten().enumerate() {
                self.index[usize::from(id.number())] = index as u32;
            }
        }
        Some(value)
    }

    /// All peers and their values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PeerId, &T)> {
        self.entries.iter().flatten().map(|(id, value)| (*id, value))
    }

    /// All peers and their values.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (PeerId, &mut T)> {
        self.entries.iter_mut().flatten().map(|(id, value)| (*id, value))
    }

    /// All peers.
    pub(crate) fn ids(&self) -> impl Iterator<Item = PeerId> {
        self.iter().map(|(id, _)| id)
    }

    /// All values.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.iter().map(|(_, value)| value)
    }

    /// All values.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.iter_mut().map(|(_, value)| value)
    }
}

impl<T> Default for PeerMap<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for PeerMap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn an_id_finds_nothing_after_its_number_was_reused() {
        let mut map = PeerMap::new();
        let (early, late) = (PeerId(7), PeerId(7 + (1 << 16)));
        assert_eq!(early.number(), late.number());
        map.insert(early, "early");
        assert_eq!((map.get(early), map.get(late)), (Some(&"early"), None));
        map.remove(early);
        map.insert(late, "late");
        assert_eq!((map.get(early), map.contains(early)), (None, false));
        assert_eq!(map.get_mut(early), None);
        assert_eq!(map.remove(early), None);
        assert_eq!((map.get(late), map.numbered(7)), (Some(&"late"), Some(late)));
    }

    #[test]
    fn a_new_value_keeps_the_place_of_its_peer() {
        let mut map = PeerMap::new();
        for id in 0..3 {
            map.insert(PeerId(id), id);
        }
        assert_eq!((map.insert(PeerId(1), 10), map.len()), (Some(1), 3));
        assert_eq!(map.values().copied().collect::<Vec<_>>(), [0, 10, 2]);
    }

    #[test]
    fn it_behaves_like_a_tree_map_and_stays_small() {
        let (mut map, mut tree) = (PeerMap::new(), BTreeMap::new());
        let mut random = 1_u64;
        for next in 0..200_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let id = PeerId(next);
            // The map grows to 3,000 peers and shrinks to three, repeatedly.
            let many = (next / 10_000).is_multiple_of(2);
            if tree.len() < if many { 3_000 } else { 3 } {
                assert_eq!(map.insert(id, next), tree.insert(id, next));
            } else {
                let oldest = *tree.keys().nth((random >> 33) as usize % 3).unwrap();
                assert_eq!(map.remove(oldest), tree.remove(&oldest));
                assert_eq!(map.get(oldest), None);
            }
            assert!(map.entries.len() <= 2 * map.len() + SPARE && map.index.len() <= 1 << 16);
            if next.is_multiple_of(1_000) {
                let pairs = tree.iter().map(|(id, value)| (*id, value));
                assert!(map.iter().eq(pairs) && map.len() == tree.len());
            }
        }
    }
}
