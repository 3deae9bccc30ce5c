//! The bytes of a stream that the kernel has not taken. All links share a large batch, as all
//! queues of datagrams do: each of many newcomers gets the roll of all peers.

use crate::protocol::{Batch, Frame, LENGTH_LEN, write_encoded_record, write_record};
use std::collections::VecDeque;

/// Largest chunk for one write to the kernel, bytes.
const CHUNK: usize = 16 * 1024;
/// Batches of at least this many bytes are shared. A smaller one is copied: to share it costs more.
const SHARED: usize = 4 * 1024;
/// Capacity that empty bytes keep.
const KEPT: usize = 1_024;

/// Records in the order in which they leave.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// Shared batches, each with the bytes that leave before it.
    shared: VecDeque<(Vec<u8>, Batch)>,
    /// Bytes of `shared`.
    shared_len: usize,
    /// Bytes that leave after `shared`.
    bytes: Vec<u8>,
}

impl Backlog {
    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.shared_len + self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends bytes that are no record.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a record.
    pub(super) fn push(&mut self, frame: &Frame<'_>) {
        write_record(frame, &mut self.bytes);
    }

    /// Appends a record for each message.
    pub(super) fn push_batch(&mut self, batch: Batch) {
        let length = batch.frames().len() + LENGTH_LEN * batch.len();
        if length < SHARED {
            write_records(&batch, &mut self.bytes, usize::MAX);
        } else {
            self.shared_len += self.bytes.len() + length;
            self.shared.push_back((std::mem::take(&mut self.bytes), batch));
        }
    }

    /// The number of messages that can be appended, each while the length is below `limit`.
    pub(super) fn room_for(&self, batch: &Batch, limit: usize) -> usize {
        let mut length = self.len();
        if length + batch.frames().len() + LENGTH_LEN * batch.len() <= limit {
            return batch.len();
        }
        let fitting = batch.each_frame().take_while(|frame| {
            let fits = length < limit;
            length += LENGTH_LEN + frame.len();
            fits
        });
        fitting.count()
    }

    /// Moves the first bytes, at most `CHUNK`, into `chunk`.
    pub(crate) fn take_chunk(&mut self, chunk: &mut Vec<u8>) {
        chunk.clear();
        while let Some((bytes, batch)) = self.shared.front_mut() {
            take_bytes(bytes, chunk);
            if !bytes.is_empty() {
                break;
            }
            let count = write_records(batch, chunk, CHUNK);
            if count < batch.len() {
                batch.split_to(count);
                break;
            }
            self.shared.pop_front();
        }
        self.shared_len -= chunk.len();
        if self.shared.is_empty() {
            take_bytes(&mut self.bytes, chunk);
        }
    }
}

/// Moves bytes into `chunk` up to its limit.
fn take_bytes(bytes: &mut Vec<u8>, chunk: &mut Vec<u8>) {
    let count = bytes.len().min(CHUNK - chunk.len());
    chunk.extend(bytes.drain(..count));
    if bytes.is_empty() && bytes.capacity() > KEPT {
        *bytes = Vec::new();
    }
}

/// Writes records while `out` stays within `limit` bytes. Returns how many it wrote.
fn write_records(batch: &Batch, out: &mut Vec<u8>, limit: usize) -> usize {
    let fitting = batch.each_frame().take_while(|frame| {
        let fits = out.len() + LENGTH_LEN + frame.len() <= limit;
        if fits {
            write_encoded_record(frame, out);
        }
        fits
    });
    fitting.count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Messages of these lengths in one batch, each of other bytes.
    fn batch(lengths: &[usize]) -> Batch {
        let message = |(byte, length): (usize, &usize)| Batch::of(&vec![byte as u8; *length]);
        Batch::join(&lengths.iter().enumerate().filter_map(message).collect::<Vec<_>>())
    }

    proptest! {
        /// Lengths around the limits at which a record is longer and a batch is shared.
        #[test]
        fn chunks_carry_all_records_in_order(
            pushes in prop::collection::vec((
                prop::collection::vec(prop_oneof![0..300_usize, Just(1_000)], 0..60),
                0..4_usize,
            ), 0..12),
        ) {
            let (mut backlog, mut expected, mut left) = (Backlog::default(), vec![], vec![]);
            let mut chunk = Vec::new();
            for (lengths, chunks) in pushes {
                let batch = batch(&lengths);
                for payload in batch.iter() {
                    write_record(&Frame::Once { payload }, &mut expected);
                }
                backlog.push_batch(batch);
                backlog.push(&Frame::Heartbeat);
                write_record(&Frame::Heartbeat, &mut expected);
                for _ in 0..chunks {
                    backlog.take_chunk(&mut chunk);
                    left.extend_from_slice(&chunk);
                }
                prop_assert_eq!(backlog.len(), expected.len() - left.len());
            }
            while !backlog.is_empty() {
                backlog.take_chunk(&mut chunk);
                prop_assert!((1..=CHUNK).contains(&chunk.len()));
                left.extend_from_slice(&chunk);
            }
            prop_assert!(left == expected);
        }
    }

    #[test]
    fn messages_fit_while_the_length_before_each_is_below_the_limit() {
        let mut backlog = Backlog::default();
        backlog.push(&Frame::Heartbeat);
        let batch = batch(&[10, 20, 30]);
        let fitting = [0, 3, 4, 17, 18, 41, 42, 99].map(|limit| backlog.room_for(&batch, limit));
        assert_eq!(fitting, [0, 0, 1, 1, 2, 2, 3, 3]);
    }
}
