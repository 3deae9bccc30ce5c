//! Paths with a small MTU: the search for their size, and messages in parts.

use super::Pair;
use crate::link::{Fate, Received};
use crate::protocol::limits::{BASE_DATAGRAM, MAX_DATAGRAM, MAX_MESSAGE, PART_SIZE, PATH_RAISE};
use crate::protocol::{Datagram, DatagramWriter, Delivery, Frame, HEADER_LEN, Header, Part};
use std::time::Duration;

const DELIVERIES: [Delivery; 3] = Delivery::ALL;

impl Pair {
    /// The numbers of the long messages that the server received; their contents are checked.
    fn numbers_of_long(&self) -> Vec<usize> {
        let number = |received: &Received| {
            let number = usize::from_be_bytes(*received.payload.first_chunk().unwrap());
            assert_eq!(*received.payload, long(number, received.payload.len()));
            number
        };
        self.received[1].iter().map(number).collect()
    }
}

/// A message of this length that begins with a number.
fn long(number: usize, length: usize) -> Vec<u8> {
    let mut message = number.to_be_bytes().to_vec();
    message.extend((message.len()..length).map(|at| (at + number) as u8));
    message
}

#[test]
fn a_narrow_path_delays_the_longest_message_in_no_mode() {
    for width in [BASE_DATAGRAM, 572, 672, 772, 972, 1_072, 1_199, MAX_DATAGRAM] {
        for delivery in DELIVERIES {
            let mut pair = Pair::new(1, |_, _| false);
            pair.width = [width; 2];
            for number in 0..20 {
                // The first leaves before the path is known, some during the search, some after it.
                for (from, length) in [(0, MAX_MESSAGE), (1, MAX_MESSAGE - number)] {
                    let tag = (from == 0).then_some(number as u64);
                    pair.links[from].send(&long(number, length), delivery, tag).unwrap();
                }
                let before = pair.received.each_ref().map(Vec::len);
                pair.run_for(Duration::from_millis(if number == 10 { 3_000 } else { 60 }));
                let after = pair.received.each_ref().map(Vec::len);
                assert_eq!(after, before.map(|it| it + 1), "{width} {delivery:?} {number}");
                assert_eq!(*pair.received[1][number].payload, long(number, MAX_MESSAGE));
                assert_eq!(*pair.received[0][number].payload, long(number, MAX_MESSAGE - number));
            }
            pair.run_for(Duration::from_secs(6));
            for link in &pair.links {
                let stats = link.stats();
                assert_eq!((stats.malformed, stats.sent_lost, stats.retransmitted), (0, 0, 0));
                assert!((width - 31..=width).contains(&stats.datagram_size), "{width} {stats:?}");
            }
            let fates: Vec<_> = std::iter::from_fn(|| pair.links[0].poll_fate()).collect();
            if delivery == Delivery::Unreliable {
                assert_eq!(fates, (0..20).map(Fate::Arrived).collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn a_path_of_full_size_costs_one_probe_per_direction() {
    let sent = |base| {
        let mut pair = Pair::new(1, |_, _| false);
        let now = pair.now;
        pair.links.iter_mut().for_each(|link| link.set_path(base, now));
        for number in 0..20 {
            pair.send(0, number, Delivery::ReliableOrdered);
            pair.send(1, number, Delivery::ReliableOrdered);
            pair.run_for(Duration::from_secs(60));
        }
        pair.links.map(|link| link.stats().sent_bytes)
    };
    let (known, found) = (sent(MAX_DATAGRAM), sent(BASE_DATAGRAM));
    for (known, found) in known.into_iter().zip(found) {
        let most = known + MAX_DATAGRAM as u64 + 4 * HEADER_LEN as u64;
        assert!((known..=most).contains(&found), "{found} and {known}");
    }
}

#[test]
fn a_path_that_becomes_narrow_delays_a_long_message_by_less_than_500_ms() {
    for delivery in [Delivery::ReliableUnordered, Delivery::ReliableOrdered] {
        for width in [BASE_DATAGRAM, 672, 972, 1_190] {
            let mut pair = Pair::new(1, |_, _| false);
            pair.run_for(Duration::from_secs(3));
            assert_eq!(pair.links[0].stats().datagram_size, MAX_DATAGRAM);
            pair.width = [width; 2];
            pair.links[0].send(&long(0, MAX_MESSAGE), delivery, None).unwrap();
            pair.run_for(Duration::from_millis(500));
            assert_eq!(pair.numbers_of_long(), [0], "{width}");
            // The next message is not delayed.
            pair.run_for(Duration::from_secs(1));
            pair.links[0].send(&long(1, MAX_MESSAGE), delivery, None).unwrap();
            pair.run_for(Duration::from_millis(60));
            assert_eq!(pair.numbers_of_long(), [0, 1], "{width}");
            pair.run_for(Duration::from_secs(10));
            let size = pair.links[0].stats().datagram_size;
            assert!((width - 31..=width).contains(&size), "{size} of {width}");
            // The path becomes wide again, and a probe finds out.
            pair.width = [MAX_DATAGRAM; 2];
            pair.run_for(PATH_RAISE + Duration::from_secs(5));
            assert_eq!(pair.links[0].stats().datagram_size, MAX_DATAGRAM);
        }
    }
}

#[test]
fn a_path_that_becomes_narrow_under_load_ends_no_session() {
    let mut pair = Pair::new(1, |_, _| false);
    pair.run_for(Duration::from_secs(3));
    for number in 0..400 {
        match number {
            50 => pair.width = [BASE_DATAGRAM, 700],
            200 => pair.width = [MAX_DATAGRAM; 2],
            300 => pair.width = [900, BASE_DATAGRAM],
            _ => {}
        }
        for from in 0..2 {
            let message = long(number, 900 + number % 250);
            pair.links[from].send(&message, Delivery::ReliableOrdered, None).unwrap();
        }
        let before = pair.links.each_ref().map(|link| link.stats().received);
        pair.run_for(Duration::from_millis(250));
        let after = pair.links.each_ref().map(|link| link.stats().received);
        assert!(after.iter().zip(before).all(|(after, before)| *after > before), "{number}");
    }
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.numbers_of_long(), (0..400).collect::<Vec<_>>());
    assert!(pair.links.iter().all(|link| !link.has_failed() && link.is_idle()));
    assert!(pair.links.iter().all(|link| link.stats().malformed == 0));
}

#[test]
fn lost_parts_are_retransmitted_and_lose_an_unreliable_message() {
    for delivery in DELIVERIES {
        // Loses a third of the client's datagrams.
        let mut pair = Pair::new(1, |from, number| from == 0 && number > 4 && number % 3 == 0);
        pair.width = [BASE_DATAGRAM; 2];
        pair.run_for(Duration::from_secs(5));
        for number in 0..60 {
            let tag = Some(number as u64);
            pair.links[0].send(&long(number, MAX_MESSAGE), delivery, tag).unwrap();
            pair.run_for(Duration::from_millis(500));
        }
        pair.run_for(Duration::from_secs(10));
        let mut numbers = pair.numbers_of_long();
        let fates: Vec<_> = std::iter::from_fn(|| pair.links[0].poll_fate()).collect();
        if delivery == Delivery::Unreliable {
            let arrived = fates.iter().filter(|fate| matches!(fate, Fate::Arrived(_))).count();
            assert_eq!((fates.len(), arrived), (60, numbers.len()));
            assert!(arrived < 60);
        } else {
            numbers.sort_unstable();
            assert_eq!(numbers, (0..60).collect::<Vec<_>>());
            assert!(fates.is_empty() && pair.links[0].is_idle());
        }
        assert!(pair.links[1].stats().malformed == 0);
    }
}

#[test]
fn parts_cut_against_the_rules_are_counted_and_ignored() {
    let mut pair = Pair::new(1, |_, _| false);
    let full = [7; PART_SIZE];
    let part = |index, count, payload| {
        let part = Part { index, count, payload };
        Frame::Part { id: 0, ordered: true, part }
    };
    let once = |index, count, payload| {
        let part = Part { index, count, payload };
        Frame::OncePart { number: 9, part }
    };
    let wrong = [
        part(0, 1, &full[..]),
        part(2, 2, &full),
        part(0, 9, &full),
        part(1, 3, &full[1..]),
        part(1, 2, &[]),
        once(0, 1, &full[..]),
        once(0, 3, &[]),
        once(2, 3, &full),
    ];
    let right = [part(0, 2, &full), once(0, 2, &full), part(2, 3, &[1]), part(1, 2, &[8])];
    for (sequence, frame) in wrong.iter().chain(&right).chain(&right).enumerate() {
        let mut bytes = Vec::new();
        let mut writer = DatagramWriter::new(&mut bytes);
        assert!(writer.push(frame));
        let sequence = sequence as u32;
        writer.finish(&Header { session: 7, sequence, ..Header::default() });
        let datagram = Datagram::decode(&bytes).unwrap();
        pair.links[1].receive(&datagram, bytes.len(), pair.now);
    }
    pair.flush();
    let message = [&full[..], &[8]].concat();
    let received: Vec<_> = pair.received[1].iter().map(|it| it.payload.to_vec()).collect();
    assert_eq!((received, pair.links[1].stats().malformed), (vec![message], wrong.len() as u64));
}

#[test]
fn a_new_path_starts_the_search_over() {
    let mut pair = Pair::new(1, |_, _| false);
    pair.run_for(Duration::from_secs(3));
    pair.width = [600; 2];
    let now = pair.now;
    pair.links[1].set_path(BASE_DATAGRAM, now);
    pair.links[0].answer_path([7; 8], 1, now);
    for from in 0..2 {
        assert_eq!(pair.links[from].stats().datagram_size, BASE_DATAGRAM);
        pair.links[from].send(&long(0, MAX_MESSAGE), Delivery::ReliableOrdered, None).unwrap();
    }
    pair.run_for(Duration::from_millis(60));
    assert_eq!(pair.received.each_ref().map(Vec::len), [1, 1]);
    pair.run_for(Duration::from_secs(10));
    assert!(pair.links.iter().all(|link| (569..=600).contains(&link.stats().datagram_size)));
}
