//! The contents of a datagram, as its sender remembers them.

use super::parts::Parts;

/// One thing whose arrival or loss is reported to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Reliable messages with consecutive ids.
    Reliable {
        /// Id of the first message.
        first: u64,
        /// Number of messages.
        count: u32,
    },
    /// Parts of one reliable message, by id.
    Parts(u64, Parts),
    /// A message sent once, by the sender's tag.
    Once(u64),
    /// A part of a message sent once, by the sender's tag.
    OncePart(u64),
    /// A probe of the path's datagram size, by number.
    PathProbe(u64),
}

/// All contents of a datagram. Nearly always that is one element, which needs no allocation.
#[derive(Debug, Default)]
pub(super) enum Contents {
    #[default]
    Nothing,
    One(Content),
    /// Doubly indirect, so that `Contents` is no larger than one element.
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

    /// Whether the datagram was a probe of the path's datagram size.
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
    fn consecutive_messages_are_one_element() {
        let mut contents = Contents::default();
        assert!(contents.is_empty() && contents.as_slice().is_empty());
        [7, 8, 9, 4, 5].into_iter().for_each(|id| contents.push_reliable(id));
        assert!(contents.has_reliable());
        contents.push(Content::Once(1));
        let reliable = |first, count| Content::Reliable { first, count };
        assert_eq!(contents.as_slice(), [reliable(7, 3), reliable(4, 2), Content::Once(1)]);
    }
}
