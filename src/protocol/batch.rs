//! Messages on their way out: encoded once, and shared by all the queues they are in.

use super::codec::{ONCE_OVERHEAD, read_once, write_once};
use super::limits::MAX_MESSAGE;
use std::ops::{Range, Sub};
use std::sync::Arc;

/// A part of a batch that is smaller than one of so many shares is copied rather than shared.
const KEPT_WHOLE: usize = 4;

/// Messages in a row, at least one, each in the frame that carries it once ([`Frame::Once`](super::Frame::Once)) and
/// none too long for a datagram. A copy, or a part, shares the bytes.
#[derive(Clone, Debug)]
pub struct Batch {
    frames: Arc<[u8]>,
    from: Place,
    to: Place,
}

/// What lies before a message.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// Bytes of frames.
    frames: u32,
    /// Bytes of the messages in them.
    messages: u32,
    count: u32,
}

impl Batch {
    /// A batch of one message; none if no datagram can carry it.
    pub fn of(message: &[u8]) -> Option<Self> {
        if message.len() > MAX_MESSAGE {
            return None;
        }
        let mut frames = Vec::with_capacity(message.len() + ONCE_OVERHEAD);
        write_once(message, &mut frames);
        let (end, bytes) = (frames.len() as u32, message.len() as u32);
        let to = Place { frames: end, messages: bytes, count: 1 };
        Some(Self { frames: frames.into(), from: Place::default(), to })
    }

    /// How many messages. (There is no empty batch.)
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        (self.to.count - self.from.count) as usize
    }

    /// Bytes of the messages.
    pub fn bytes(&self) -> usize {
        (self.to.messages - self.from.messages) as usize
    }

    /// The messages in their frames.
    pub fn frames(&self) -> &[u8] {
        &self.frames[self.from.frames as usize..self.to.frames as usize]
    }

    /// The messages.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.frames();
        std::iter::from_fn(move || {
            let (message, after) = read_once(rest)?;
            rest = after;
            Some(message)
        })
    }

    /// Takes off the first `count` messages, which must leave some.
    pub fn split_to(&mut self, count: usize) -> Self {
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
}

/// Gathers messages for batches.
#[derive(Debug, Default)]
pub struct BatchWriter {
    frames: Vec<u8>,
    /// Where each message begins.
    places: Vec<Place>,
    end: Place,
    /// All of it, for nothing comes after it.
    sealed: Option<Arc<[u8]>>,
}

impl BatchWriter {
    /// Adds a message. False if no datagram can carry it, or there are to be no more.
    pub fn push(&mut self, message: &[u8]) -> bool {
        if message.len() > MAX_MESSAGE || self.sealed.is_some() {
            return false;
        }
        write_once(message, &mut self.frames);
        self.places.push(self.end);
        self.end.frames = self.frames.len() as u32;
        self.end.messages += message.len() as u32;
        self.end.count += 1;
        true
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes of the messages.
    pub fn bytes(&self) -> usize {
        self.end.messages as usize
    }

    /// No more messages will be added: from now on batches share their bytes.
    pub fn seal(&mut self) {
        if self.sealed.is_none() {
            self.sealed = Some(self.frames.as_slice().into());
        }
    }

    /// Some of the messages, none if there are none in this range.
    pub fn part(&self, range: Range<usize>) -> Option<Batch> {
        let from = *self.places.get(range.start)?;
        let to = *self.places.get(range.end).unwrap_or(&self.end);
        if range.is_empty() {
            return None;
        }
        let bytes = from.frames as usize..to.frames as usize;
        // Little of much is copied as well: who keeps it for long is not to keep all of it.
        if let Some(all) = self.sealed.as_ref().filter(|all| bytes.len() >= all.len() / KEPT_WHOLE)
        {
            return Some(Batch { frames: all.clone(), from, to });
        }
        let frames = self.frames[bytes].into();
        Some(Batch { frames, from: Place::default(), to: to - from })
    }
}

impl Sub for Place {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            frames: self.frames - other.frames,
            messages: self.messages - other.messages,
            count: self.count - other.count,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::protocol::Frame;
    use crate::protocol::codec::decode_frame;

    /// Messages of all the lengths at which a frame's head changes.
    fn messages() -> Vec<Vec<u8>> {
        [0, 1, 250, 251, 255, 256, MAX_MESSAGE].iter().map(|length| vec![7; *length]).collect()
    }

    #[test]
    fn a_batch_is_the_frames_that_carry_its_messages_once() {
        for message in messages() {
            let batch = Batch::of(&message).unwrap();
            assert_eq!(decode_frame(batch.frames()), Ok(Frame::Once { payload: &message }));
            assert_eq!((batch.len(), batch.bytes()), (1, message.len()));
        }
        assert!(Batch::of(&[0; MAX_MESSAGE + 1]).is_none());
    }

    #[test]
    fn any_part_can_be_taken_and_cut_before_and_after_the_seal() {
        let mut writer = BatchWriter::default();
        assert!(messages().iter().all(|message| writer.push(message)));
        for sealed in [false, true] {
            if sealed {
                writer.seal();
                assert!(!writer.push(b"one more"));
            }
            for (from, to) in (0..7).flat_map(|from| (from..=7).map(move |to| (from, to))) {
                let Some(batch) = writer.part(from..to) else {
                    assert_eq!(from, to);
                    continue;
                };
                let expected = &messages()[from..to];
                assert!(batch.iter().eq(expected));
                for cut in 1..batch.len() {
                    let (mut rest, whole) = (batch.clone(), batch.frames().to_vec());
                    let first = rest.split_to(cut);
                    assert!(first.iter().eq(&expected[..cut]) && rest.iter().eq(&expected[cut..]));
                    assert_eq!([first.frames(), rest.frames()].concat(), whole);
                    assert_eq!((first.len(), first.len() + rest.len()), (cut, batch.len()));
                    assert_eq!(first.bytes() + rest.bytes(), expected.concat().len());
                }
                assert_eq!(batch.bytes(), expected.concat().len());
            }
        }
        assert!(writer.part(7..8).is_none());
    }
}
