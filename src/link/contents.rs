//! What a datagram carried, as its sender remembers it.

use super::parts::Parts;

/// Something that somebody wants to hear about again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Reliable messages with ids in a row.
    Reliable {
        /// The first of them.
        first: u64,
        /// How many.
        count: u32,
    },
    /// Parts of one.
    Parts(u64, Parts),
    /// A message sent once, by its sender's tag.
    Once(u64),
    /// A part of one.
    OncePart(u64),
    /// Nothing but a size: the probe of this number.
    PathProbe(u64),
}

/// All of it. Nearly always that is one thing, for which no memory is asked for.
#[derive(Debug, Default)]
pub(super) enum Contents {
    #[default]
    Nothing,
    One(Content),
    /// Behind two pointers: so all of this has the size of one thing.
    #[allow(clippy::box_collection)]
    Many(Box<Vec<Content>>),
}

impl Contents {
    pub(super) fn as_slice(&self) -> &[Content] {
        match self {
            Self::Nothing => &[],
            Self::One(content) => std::slice::from_ref(content),
            Self::Many(contents) => contents,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    pub(super) fn has_reliable(&self) -> bool {
        self.as_slice()
            .iter()
            .any(|content| matches!(content, Content::Reliable { .. } | Content::Parts(..)))
    }

    /// Adds a reliable message.
    pub(super) fn push_reliable(&mut self, id: u64) {
        match self.last_mut() {
            Some(Content::Reliable { first, count }) if *first + u64::from(*count) == id => {
                *count += 1
            }
            _ => self.push(Content::Reliable { first: id, count: 1 }),
        }
    }

    /// Adds a reliable message, or parts of it.
    pub(super) fn push_parts(&mut self, id: u64, parts: Parts) {
        match parts {
            Parts::NONE => {}
            Parts::WHOLE => self.push_reliable(id),
            parts => self.push(Content::Parts(id, parts)),
        }
    }

    pub(super) fn push(&mut self, content: Content) {
        match self {
            Self::Nothing => *self = Self::One(content),
            Self::One(before) => *self = Self::Many(Box::new(vec![*before, content])),
            Self::Many(contents) => contents.push(content),
        }
    }

    /// Whether a datagram with this was there to see whether it passes.
    pub(super) fn is_path_probe(&self) -> bool {
        matches!(self, Self::One(Content::PathProbe(_)))
    }

    fn last_mut(&mut self) -> Option<&mut Content> {
        match self {
            Self::Nothing => None,
            Self::One(content) => Some(content),
            Self::Many(contents) => contents.last_mut(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_in_a_row_are_one_thing() {
        let mut contents = Contents::default();
        assert!(contents.is_empty() && contents.as_slice().is_empty());
        [7, 8, 9, 4, 5].into_iter().for_each(|id| contents.push_reliable(id));
        assert!(contents.has_reliable());
        contents.push(Content::Once(1));
        let reliable = |first, count| Content::Reliable { first, count };
        assert_eq!(contents.as_slice(), [reliable(7, 3), reliable(4, 2), Content::Once(1)]);
    }
}
