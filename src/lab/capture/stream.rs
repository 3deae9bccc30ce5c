//! One direction of a TCP connection: which packets carried which bytes, and for which earlier
//! bytes a record had to wait in the receiver's kernel.

use super::{Sighting, Step, Wait};
use crate::protocol::{Frame, Piece, StreamReader};
use std::collections::BTreeMap;

/// Limit on the payload of a segment.
const MAX_SEGMENT: u64 = 65_535;
/// Limits on the segments near a record, and on its packets: a capture from elsewhere may send the
/// same bytes a million times.
const MAX_NEAR: usize = 10_000;
const MAX_SEEN: usize = 100;

/// A direction of a connection, in the order of its packets.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    /// The sequence number of the first byte.
    base: Option<u32>,
    /// All bytes that were sent, up to the first that the capture lacks.
    bytes: Vec<u8>,
    segments: Vec<Segment>,
    /// The bytes by their first arrival at the receiver's node: disjoint ranges, by their start.
    arrived: BTreeMap<u64, Arrival>,
}

/// The place of a segment in the stream.
#[derive(Clone, Copy, Debug)]
struct Segment {
    from: u64,
    to: u64,
    seen: Sighting,
}

#[derive(Clone, Copy, Debug)]
struct Arrival {
    to: u64,
    seen: Sighting,
}

/// A record of the stream, and how it travelled.
pub(super) struct Travelled<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) seen: Vec<Sighting>,
    pub(super) wait: Option<Wait>,
}

impl Stream {
    /// Takes a segment; true if it is the SYN of another connection.
    pub(super) fn is_other(&self, sequence: u32, is_syn: bool) -> bool {
        is_syn && self.base.is_some_and(|base| base != sequence.wrapping_add(1))
    }

    pub(super) fn add(&mut self, sequence: u32, is_syn: bool, payload: &[u8], seen: Sighting) {
        let first = sequence.wrapping_add(is_syn.into());
        let base = *self.base.get_or_insert(first);
        let from = u64::from(first.wrapping_sub(base));
        let to = from + payload.len() as u64;
        if payload.is_empty() || from > self.bytes.len() as u64 {
            // A keep-alive lies before the first byte. Bytes after a gap are unknown.
            return;
        }
        let known = (self.bytes.len() as u64).min(to) - from;
        self.bytes.extend(&payload[known as usize..]);
        self.segments.push(Segment { from, to, seen });
        if seen.step == Step::Left {
            self.arrive(from, to, seen);
        }
    }

    /// Notes the first arrival of those bytes of the range that have not arrived before.
    fn arrive(&mut self, mut from: u64, to: u64, seen: Sighting) {
        let before = self.arrived.range(..=from).next_back().map_or(0, |(_, it)| it.to);
        from = from.max(before);
        while from < to {
            let next = self.arrived.range(from..).next().map(|(&next, it)| (next, it.to));
            let (end, after) = next.unwrap_or((to, to));
            if from < end.min(to) {
                self.arrived.insert(from, Arrival { to: end.min(to), seen });
            }
            from = after;
        }
    }

    /// Calls `found` with each record.
    pub(super) fn records(mut self, mut found: impl FnMut(Travelled<'_>)) {
        self.segments.sort_by_key(|it| (it.from, it.seen.frame));
        let mut reader = StreamReader::default();
        let (mut rest, mut at) = (&self.bytes[..], 0);
        // The last arrival among the bytes before the record.
        let mut before: Option<(u64, Arrival)> = None;
        while let Ok(Some(piece)) = reader.next(&mut rest) {
            let end = (self.bytes.len() - rest.len()) as u64;
            let own = self.last_arrival(at, end);
            if let Piece::Frame(frame) = piece {
                let wait = own.zip(before).and_then(|((_, own), (from, before))| {
                    let nanos = before.seen.nanos.checked_sub(own.seen.nanos)?;
                    (nanos > 0).then(|| Wait {
                        nanos,
                        frame: before.seen.frame,
                        again: self.times_sent(from, before.to) > 1,
                    })
                });
                found(Travelled { frame, seen: self.sightings(at, end), wait });
            }
            before = before.into_iter().chain(own).max_by_key(|(_, it)| it.seen.nanos);
            at = end;
        }
    }

    /// The last of the arrivals that complete a range; `None` if a byte of it never arrived.
    fn last_arrival(&self, from: u64, to: u64) -> Option<(u64, Arrival)> {
        let start = self.arrived.range(..=from).next_back().map_or(from, |(&start, _)| start);
        let (mut at, mut last) = (from, None::<(u64, Arrival)>);
        for (&start, &it) in self.arrived.range(start..to) {
            if start > at || it.to <= from {
                return None;
            }
            at = it.to;
            last = last.into_iter().chain([(start, it)]).max_by_key(|(_, it)| it.seen.nanos);
        }
        last.filter(|_| at >= to)
    }

    fn overlapping(&self, from: u64, to: u64) -> impl Iterator<Item = &Segment> {
        let first = from.saturating_sub(MAX_SEGMENT);
        let first = self.segments.partition_point(|it| it.from < first);
        let near = self.segments[first..].iter().take(MAX_NEAR);
        let near = near.take_while(move |it| it.from < to);
        near.filter(move |it| it.to > from)
    }

    fn sightings(&self, from: u64, to: u64) -> Vec<Sighting> {
        let mut seen: Vec<_> = self.overlapping(from, to).map(|it| it.seen).collect();
        seen.sort_by_key(|it| it.frame);
        seen.truncate(MAX_SEEN);
        seen
    }

    fn times_sent(&self, from: u64, to: u64) -> usize {
        self.overlapping(from, to).filter(|it| it.seen.step != Step::Left).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Flags, Preface, write_record};

    /// A stream of three records, cut into segments of one record each.
    struct Example(Vec<u8>, Vec<usize>);

    fn example() -> Example {
        let preface = Preface { flags: Flags::default(), session: 0 };
        let mut bytes = preface.encode().to_vec();
        let mut ends = vec![bytes.len()];
        for id in 0..3 {
            assert!(write_record(&Frame::Ordered { id, payload: &[1, 2, 3] }, &mut bytes));
            ends.push(bytes.len());
        }
        Example(bytes, ends)
    }

    impl Example {
        /// Packet `frame` with record `part` (0 is the preface), at that millisecond.
        fn put(&self, stream: &mut Stream, frame: u64, ms: u64, part: usize, step: Step) {
            let from = part.checked_sub(1).map_or(0, |before| self.1[before]);
            let sequence = (u32::MAX - 5).wrapping_add(1 + from as u32);
            let seen = Sighting { frame, nanos: ms * 1_000_000, step };
            stream.add(sequence, false, &self.0[from..self.1[part]], seen);
        }
    }

    fn start() -> Stream {
        let mut stream = Stream::default();
        stream.add(u32::MAX - 5, true, &[], Sighting { frame: 1, nanos: 0, step: Step::Entered });
        stream
    }

    /// Per record: its packets, and the wait in milliseconds, for which packet, and whether its
    /// bytes were sent again.
    type Journey = (Vec<u64>, Option<(u64, u64, bool)>);

    fn journeys(stream: Stream) -> Vec<Journey> {
        let mut all = Vec::new();
        stream.records(|it| {
            let wait = it.wait.map(|it| (it.nanos / 1_000_000, it.frame, it.again));
            all.push((it.seen.iter().map(|it| it.frame).collect(), wait));
        });
        all
    }

    #[test]
    fn a_record_waits_for_earlier_bytes_that_were_sent_again() {
        let (example, mut stream) = (example(), start());
        let mut put = |frame, ms, part, step| example.put(&mut stream, frame, ms, part, step);
        put(2, 1, 0, Step::Entered);
        put(3, 2, 0, Step::Left);
        put(4, 3, 1, Step::Dropped);
        put(5, 4, 2, Step::Entered);
        put(6, 5, 2, Step::Left);
        put(7, 20, 1, Step::Entered);
        put(8, 30, 1, Step::Left);
        put(9, 31, 3, Step::Entered);
        put(10, 32, 3, Step::Left);
        let wanted =
            [(vec![4, 7, 8], None), (vec![5, 6], Some((25, 8, true))), (vec![9, 10], None)];
        assert_eq!(journeys(stream), wanted);
    }

    #[test]
    fn overtaken_bytes_are_waited_for_but_were_not_sent_again() {
        let (example, mut stream) = (example(), start());
        let mut put = |frame, ms, part, step| example.put(&mut stream, frame, ms, part, step);
        (0..3).for_each(|part| put(2 + part as u64, 1, part, Step::Entered));
        put(5, 2, 0, Step::Left);
        put(6, 3, 2, Step::Left);
        put(7, 9, 1, Step::Left);
        assert_eq!(journeys(stream), [(vec![3, 7], None), (vec![4, 6], Some((6, 7, false)))]);
    }

    #[test]
    fn a_gap_in_the_capture_ends_the_stream() {
        let (example, mut stream) = (example(), start());
        example.put(&mut stream, 2, 1, 0, Step::Entered);
        example.put(&mut stream, 3, 2, 2, Step::Entered);
        assert!(journeys(stream).is_empty());
    }
}
