//! Outgoing messages, encoded once and shared by the queues of all receivers.

use super::codec::{once_head, read_once};
use super::limits::MAX_MESSAGE;
use std::ops::Range;
use std::sync::Arc;

/// Consecutive messages, each encoded in a [`Frame::Once`](super::Frame::Once) and none too long
/// for a datagram. Clones and slices share the bytes.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    frames: Arc<[u8]>,
    from: Place,
    to: Place,
}

/// Totals of the messages before an index.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// Bytes of frames.
    frames: u32,
    /// Bytes of the messages in them.
    messages: u32,
    count: u32,
}

impl Batch {
    /// A batch of one message; `None` if it is too long for a datagram.
    #[must_use]
    pub(crate) fn of(message: &[u8]) -> Option<Self> {
        if message.len() > MAX_MESSAGE {
            return None;
        }
        let head = once_head(message.len());
        let head = head.as_slice();
        let (length, messages) = (head.len() + message.len(), message.len() as u32);
        let to = Place { frames: length as u32, messages, count: 1 };
        Some(Self { frames: shared(length, [head, message]), from: Place::default(), to })
    }

    /// Concatenates batches.
    pub(crate) fn join(batches: &[Self]) -> Self {
        if let [only] = batches {
            return only.clone();
        }
        let mut to = Place::default();
        batches.iter().for_each(|batch| to.advance(batch));
        let frames = shared(to.frames as usize, batches.iter().map(Self::frames));
        Self { frames, from: Place::default(), to }
    }

    /// Number of messages.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        (self.to.count - self.from.count) as usize
    }

    /// Whether there is no message.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the messages.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        (self.to.messages - self.from.messages) as usize
    }

    /// The encoded frames.
    #[must_use]
    pub(crate) fn frames(&self) -> &[u8] {
        &self.frames[self.from.frames as usize..self.to.frames as usize]
    }

    /// The messages.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.each().map(|(_, message)| message)
    }

    /// The encoded frames, one by one.
    pub(crate) fn each_frame(&self) -> impl Iterator<Item = &[u8]> {
        self.each().map(|(frame, _)| frame)
    }

    /// Each frame, and the message in it.
    fn each(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = self.frames();
        std::iter::from_fn(move || {
            let (message, after) = read_once(rest)?;
            let frame = &rest[..rest.len() - after.len()];
            rest = after;
            Some((frame, message))
        })
    }

    /// Splits off the first `count` messages, or all.
    pub(crate) fn split_to(&mut self, count: usize) -> Self {
        let mut at = self.from;
        let mut rest = self.frames();
        for _ in 0..count {
            let Some((message, after)) = read_once(rest) else { break };
            at.frames += (rest.len() - after.len()) as u32;
            at.messages += message.len() as u32;
            at.count += 1;
            rest = after;
        }
        let first = Self { frames: self.frames.clone(), from: self.from, to: at };
        self.from = at;
        first
    }

    /// A range of the messages.
    #[must_use]
    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        let mut rest = self.clone();
        if range.start > 0 {
            rest.split_to(range.start);
        }
        if range.len() < rest.len() { rest.split_to(range.len()) } else { rest }
    }
}

impl Place {
    fn advance(&mut self, batch: &Batch) {
        self.frames += batch.to.frames - batch.from.frames;
        self.messages += batch.to.messages - batch.from.messages;
        self.count += batch.to.count - batch.from.count;
    }
}

/// Concatenates parts of `length` bytes in total.
fn shared<'a>(length: usize, parts: impl IntoIterator<Item = &'a [u8]>) -> Arc<[u8]> {
    let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, length).collect();
    let mut rest = Arc::get_mut(&mut bytes).unwrap_or_default();
    for part in parts {
        if let Some(place) = rest.split_off_mut(..part.len()) {
            place.copy_from_slice(part);
        }
    }
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::protocol::Frame;
    use crate::protocol::codec::decode_frame;

    /// Messages of the lengths at which the encoding of a frame changes.
    fn messages() -> Vec<Vec<u8>> {
        [0, 1, 250, 251, 255, 256, MAX_MESSAGE].iter().map(|length| vec![7; *length]).collect()
    }

    #[test]
    fn a_batch_is_its_messages_in_once_frames() {
        for message in messages() {
            let batch = Batch::of(&message).unwrap();
            assert_eq!(decode_frame(batch.frames()), Ok(Frame::Once { payload: &message }));
            assert_eq!((batch.len(), batch.bytes()), (1, message.len()));
        }
        assert!(Batch::of(&[0; MAX_MESSAGE + 1]).is_none());
    }

    #[test]
    fn every_split_joins_to_the_same_batch() {
        let single: Vec<_> = messages().iter().map(|message| Batch::of(message).unwrap()).collect();
        let all = Batch::join(&single);
        assert!(Batch::join(&[]).is_empty());
        for (from, to) in (0..=7).flat_map(|from| (from..=7).map(move |to| (from, to))) {
            let (batch, expected) = (all.part(from..to), &messages()[from..to]);
            assert!(batch.iter().eq(expected));
            assert_eq!((batch.len(), batch.bytes()), (to - from, expected.concat().len()));
            assert_eq!(batch.frames(), Batch::join(&single[from..to]).frames());
            for cut in 0..=batch.len() {
                let mut rest = batch.clone();
                let first = rest.split_to(cut);
                assert!(first.iter().eq(&expected[..cut]) && rest.iter().eq(&expected[cut..]));
                assert_eq!(Batch::join(&[first, rest]).frames(), batch.frames());
            }
        }
    }
}
