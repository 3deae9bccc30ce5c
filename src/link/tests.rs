//! Two links and the path between them, in virtual time.

use super::{Channel, Class, Fate, Link, Received, Role, StreamLink};
use crate::protocol::limits::{
    BASE_DATAGRAM, GIVE_UP, MAX_DATAGRAM, MAX_MESSAGE, MAX_QUEUE_BYTES, MESSAGE_WINDOW, PART_SIZE,
    PATH_RAISE,
};
use crate::protocol::{
    Batch, Datagram, DatagramWriter, Delivery, Frame, HEADER_LEN, Header, StreamReader,
};
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

const HEARTBEAT: Duration = Duration::from_secs(2);
const DELAY: Duration = Duration::from_millis(20);

/// Decides by its number whether a datagram is lost: from which end, and the how many-th.
type Loss = fn(usize, usize) -> bool;

/// A client (0), a server (1) and a path that always takes 20 ms.
struct Pair {
    now: Timestamp,
    links: [Link; 2],
    under_way: BTreeMap<(Timestamp, usize), (usize, Vec<u8>)>,
    sent: [usize; 2],
    lost: Loss,
    /// What is longer is lost, by the end it comes from.
    width: [usize; 2],
    received: [Vec<Received>; 2],
}

impl Pair {
    fn new(sequence: u32, lost: Loss) -> Self {
        let now = Timestamp::from_micros(1_000_000);
        let roles = [Role::Client { heartbeat: HEARTBEAT }, Role::Server];
        let links = roles.map(|role| Link::new(7, role, sequence, now));
        let (under_way, sent, received) = (BTreeMap::new(), [0; 2], [vec![], vec![]]);
        let width = [MAX_DATAGRAM; 2];
        Self { now, links, under_way, sent, lost, width, received }
    }

    fn send(&mut self, from: usize, number: usize, delivery: Delivery) {
        let payload = number.to_be_bytes();
        self.links[from].send(&payload, delivery, None).unwrap();
    }

    fn flush(&mut self) {
        for from in 0..2 {
            let mut bytes = Vec::new();
            while self.links[from].poll_transmit(&mut bytes, self.now) {
                for datagram in bytes.chunks(MAX_DATAGRAM) {
                    self.sent[from] += 1;
                    let lost = (self.lost)(from, self.sent[from]);
                    if !lost && datagram.len() <= self.width[from] {
                        let key = (self.now + DELAY, self.sent[0] + self.sent[1]);
                        self.under_way.insert(key, (1 - from, datagram.to_vec()));
                    }
                }
            }
            while let Some(received) = self.links[from].poll_received() {
                self.received[from].push(received);
            }
        }
    }

    fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        let mut still = 0;
        self.flush();
        loop {
            let timeouts = self.links.iter().filter_map(|link| link.poll_timeout().map(|t| t.0));
            let arrival = self.under_way.first_key_value().map(|((at, _), _)| *at);
            let Some(next) = timeouts.chain(arrival).min().filter(|next| *next <= end) else {
                break;
            };
            // What is due when something arrives is done after that.
            still = if next > self.now || arrival == Some(next) { 0 } else { still + 1 };
            assert!(still < 5, "time stands still");
            self.now = self.now.max(next);
            match self.under_way.first_entry().filter(|entry| entry.key().0 <= self.now) {
                Some(entry) => {
                    let (to, bytes) = entry.remove();
                    let datagram = Datagram::decode(&bytes).unwrap();
                    self.links[to].receive(&datagram, bytes.len(), self.now);
                }
                None => self.links.iter_mut().for_each(|link| link.handle_timeout(self.now)),
            }
            self.flush();
        }
        self.now = end;
    }

    /// The numbers of the long messages that arrived at the server, which are as they were sent.
    fn numbers_of_long(&self) -> Vec<usize> {
        let number = |received: &Received| {
            let number = usize::from_be_bytes(*received.payload.first_chunk().unwrap());
            assert_eq!(*received.payload, long(number, received.payload.len()));
            number
        };
        self.received[1].iter().map(number).collect()
    }

    /// The numbers that arrived at one end, in the order of their arrival.
    fn numbers(&self, at: usize) -> Vec<usize> {
        let number = |r: &Received| usize::from_be_bytes((*r.payload).try_into().unwrap());
        self.received[at].iter().map(number).collect()
    }
}

#[test]
fn sequence_numbers_wrap_without_anybody_noticing() {
    let mut pair = Pair::new(u32::MAX - 20, |_, number| number % 5 == 0);
    for number in 0..200 {
        pair.send(0, number, Delivery::ReliableOrdered);
        pair.run_for(Duration::from_millis(30));
    }
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.numbers(1), (0..200).collect::<Vec<_>>());
    assert!(pair.sent[0] > 40 && pair.links[0].is_idle());
}

#[test]
fn message_ids_wrap_without_anybody_noticing() {
    let mut pair = Pair::new(1, |_, number| number % 50 == 0);
    let count = (1 << 16) + 200;
    let mut next = 0;
    while pair.received[1].len() < count {
        let end = count.min(next + MESSAGE_WINDOW as usize);
        for number in next..end {
            pair.send(0, number, Delivery::ReliableOrdered);
        }
        next = end;
        pair.run_for(Duration::from_millis(200));
    }
    assert!(pair.numbers(1).into_iter().eq(0..count));
}

#[test]
fn lost_acknowledgments_cost_copies_but_no_message_and_no_duplicate() {
    let mut pair = Pair::new(1, |from, number| from == 1 && number % 4 != 0);
    for number in 0..100 {
        pair.send(0, number, Delivery::ReliableUnordered);
        pair.run_for(Duration::from_millis(50));
    }
    pair.run_for(Duration::from_secs(5));
    let mut numbers = pair.numbers(1);
    numbers.sort_unstable();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    assert_eq!(pair.links[0].queued_bytes(), 0);
}

#[test]
fn no_more_messages_are_on_their_way_than_the_window_has_room_for() {
    let mut pair = Pair::new(1, |_, number| number == 1);
    for number in 0..500 {
        pair.send(0, number, Delivery::ReliableOrdered);
    }
    pair.run_for(DELAY);
    assert!(pair.received[1].is_empty(), "the first datagram was lost");
    pair.run_for(Duration::from_secs(10));
    assert_eq!(pair.numbers(1), (0..500).collect::<Vec<_>>());
    assert_eq!(pair.links[1].stats().malformed, 0, "something was sent beyond the window");
}

#[test]
fn what_is_sent_once_never_waits_for_a_lazy_acknowledgment_however_small_losses_made_the_window() {
    let mut pair = Pair::new(1, |from, number| from == 1 && number < 300 && number % 5 == 0);
    let mut smallest = u64::MAX;
    for _ in 0..1_500 {
        smallest = smallest.min(pair.links[1].stats().congestion_window);
        pair.links[1].send(&[0; 100], Delivery::Unreliable, None).unwrap();
        pair.flush();
        assert_eq!(pair.links[1].queued_bytes(), 0, "after {:?}", pair.links[1].stats());
        pair.run_for(Duration::from_millis(20));
    }
    assert!(smallest < 4 * MAX_DATAGRAM as u64, "losses shrank it");
}

#[test]
fn a_peer_that_never_acknowledges_is_given_up_after_thirty_seconds_whatever_the_mode() {
    for delivery in [Delivery::Unreliable, Delivery::ReliableUnordered, Delivery::ReliableOrdered] {
        let mut pair = Pair::new(1, |from, _| from == 1);
        while pair.links[1].send(&[0; 1_000], delivery, None).is_ok() {}
        assert!(pair.links[1].queued_bytes() <= MAX_QUEUE_BYTES + 2_000);
        pair.run_for(GIVE_UP - Duration::from_millis(1));
        assert!(!pair.links[1].has_failed(), "{delivery:?}");
        assert!(pair.links[1].queued_bytes() <= MAX_QUEUE_BYTES + 2_000);
        pair.run_for(Duration::from_millis(2));
        assert!(pair.links[1].has_failed(), "{delivery:?}");
        // A window of small datagrams, a probe a second, and an acknowledgment for each heartbeat.
        assert!(pair.sent[1] < 100, "{} datagrams", pair.sent[1]);
    }
}

const DELIVERIES: [Delivery; 3] = Delivery::ALL;

/// A message of this length that begins with a number.
fn long(number: usize, length: usize) -> Vec<u8> {
    let mut message = number.to_be_bytes().to_vec();
    message.extend((message.len()..length).map(|at| (at + number) as u8));
    message
}

#[test]
fn a_narrow_path_carries_the_longest_message_at_once_in_every_mode() {
    for width in [BASE_DATAGRAM, 572, 672, 772, 972, 1_072, 1_199, MAX_DATAGRAM] {
        for delivery in DELIVERIES {
            let mut pair = Pair::new(1, |_, _| false);
            pair.width = [width; 2];
            for number in 0..20 {
                // The first before anything is known of the path, others while it is searched, some afterwards.
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
fn a_path_that_carries_everything_costs_a_probe_for_each_direction() {
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
fn a_path_that_becomes_narrow_keeps_a_long_message_for_less_than_a_second() {
    for delivery in [Delivery::ReliableUnordered, Delivery::ReliableOrdered] {
        for width in [BASE_DATAGRAM, 672, 972, 1_190] {
            let mut pair = Pair::new(1, |_, _| false);
            pair.run_for(Duration::from_secs(3));
            assert_eq!(pair.links[0].stats().datagram_size, MAX_DATAGRAM);
            pair.width = [width; 2];
            pair.links[0].send(&long(0, MAX_MESSAGE), delivery, None).unwrap();
            pair.run_for(Duration::from_millis(500));
            assert_eq!(pair.numbers_of_long(), [0], "{width}");
            // The next one does not wait for anything.
            pair.run_for(Duration::from_secs(1));
            pair.links[0].send(&long(1, MAX_MESSAGE), delivery, None).unwrap();
            pair.run_for(Duration::from_millis(60));
            assert_eq!(pair.numbers_of_long(), [0, 1], "{width}");
            pair.run_for(Duration::from_secs(10));
            let size = pair.links[0].stats().datagram_size;
            assert!((width - 31..=width).contains(&size), "{size} of {width}");
            // It becomes wide again, and somebody tries.
            pair.width = [MAX_DATAGRAM; 2];
            pair.run_for(PATH_RAISE + Duration::from_secs(5));
            assert_eq!(pair.links[0].stats().datagram_size, MAX_DATAGRAM);
        }
    }
}

#[test]
fn a_path_that_becomes_narrow_under_a_flow_ends_no_session_and_delays_no_sign_of_life() {
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
fn lost_parts_are_sent_again_alone_and_a_message_sent_once_is_lost_with_one_of_them() {
    for delivery in DELIVERIES {
        // A third of all datagrams of the client.
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
fn parts_that_no_sender_would_send_are_counted_and_change_nothing() {
    let mut pair = Pair::new(1, |_, _| false);
    let full = [7; PART_SIZE];
    let part = |index, count, payload| Frame::Part { id: 0, ordered: true, index, count, payload };
    let once = |index, count, payload| Frame::OncePart { number: 9, index, count, payload };
    let wrong = [
        part(0, 1, &full[..]),
        part(2, 2, &full),
        part(0, 9, &full),
        part(1, 3, &full[1..]),
        part(1, 2, &[]),
        once(0, 1, &full),
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
fn another_path_is_searched_from_the_beginning() {
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

/// Messages that a queue takes until it is full.
fn fill(queue: &mut Channel) -> usize {
    let message = Batch::of(&[0; 1_000]).unwrap();
    (0..)
        .take_while(|_| {
            queue.send_batch(message.clone(), Delivery::ReliableOrdered, Class::Content) == 1
        })
        .count()
}

#[test]
fn what_a_newcomer_is_told_leaves_as_much_room_for_what_happens_meanwhile() {
    let now = Timestamp::from_micros(1_000_000);
    let queues = || {
        let stream = StreamLink::new(7, Role::Server, StreamReader::default(), now);
        let datagrams = Channel::Datagrams(Box::new(Link::new(7, Role::Server, 1, now)));
        [datagrams, Channel::Stream(Box::new(stream))]
    };
    let usual = queues().map(|mut queue| fill(&mut queue));
    assert!(usual.iter().all(|count| *count <= MAX_QUEUE_BYTES / 1_000 + 1), "{usual:?}");
    let all = vec![Batch::of(&[0; 30]).unwrap(); 10_000];
    for (mut queue, usual) in queues().into_iter().zip(usual) {
        queue.send_regardless(Batch::join(&all));
        assert!(queue.queued_bytes() > MAX_QUEUE_BYTES && !queue.is_full());
        assert_eq!(fill(&mut queue), usual);
        assert!(queue.is_full());
    }
}

#[test]
fn what_a_newcomer_was_told_is_no_room_for_anything_else_when_it_has_it() {
    let mut pair = Pair::new(1, |_, _| false);
    let now = pair.now;
    let mut stream = StreamLink::new(7, Role::Server, StreamReader::default(), now);
    let (message, all) = ([0; 1_000], vec![Batch::of(&[0; 30]).unwrap(); 10_000]);
    pair.links[1].send_regardless(Batch::join(&all));
    stream.send_regardless(&Batch::join(&all));
    pair.run_for(Duration::from_secs(5));
    while stream.poll_transmit(&mut Vec::new(), now) {
        stream.handle_writable(now);
    }
    assert_eq!((pair.received[0].len(), pair.links[1].queued_bytes()), (10_000, 0));
    while pair.links[1].send(&message, Delivery::ReliableOrdered, None).is_ok() {}
    while stream.send(&message).is_ok() {}
    for bytes in [pair.links[1].queued_bytes(), stream.queued_bytes()] {
        assert!(bytes <= MAX_QUEUE_BYTES + 2_000);
    }
}

#[test]
fn the_round_trip_time_of_a_steady_path_is_what_it_is() {
    let mut pair = Pair::new(1, |_, _| false);
    for number in 0..50 {
        for _ in 0..2 {
            pair.send(0, number, Delivery::ReliableOrdered);
            pair.send(1, number, Delivery::ReliableOrdered);
            pair.flush(); // in two datagrams, and so acknowledged at once
        }
        pair.run_for(Duration::from_millis(100));
    }
    for link in &pair.links {
        let stats = link.stats();
        assert_eq!(stats.rtt_min, Some(2 * DELAY));
        let smoothed = stats.rtt_smoothed.unwrap();
        assert!(smoothed.abs_diff(2 * DELAY) < Duration::from_millis(2), "{smoothed:?}");
        assert_eq!(stats.jitter, Some(Duration::ZERO));
    }
}

#[test]
fn nothing_is_sent_twice_on_a_clean_path() {
    let mut pair = Pair::new(1, |_, _| false);
    for number in 0..300 {
        pair.send(number % 2, number, Delivery::ReliableOrdered);
        pair.run_for(Duration::from_millis(7 * (number as u64 % 40)));
    }
    pair.run_for(Duration::from_secs(3));
    for link in &pair.links {
        let stats = link.stats();
        assert_eq!((stats.retransmitted, stats.sent_lost, stats.duplicated), (0, 0, 0));
        assert_eq!((stats.received_missing, stats.reordered), (0, 0));
    }
}

#[test]
fn probes_are_once_a_second_at_most_when_nobody_answers() {
    let mut pair = Pair::new(1, |_, number| number > 4);
    pair.send(0, 0, Delivery::ReliableOrdered);
    pair.run_for(Duration::from_secs(1));
    let before = pair.sent[0];
    pair.send(0, 1, Delivery::ReliableOrdered);
    pair.run_for(Duration::from_secs(20));
    let probes = pair.sent[0] - before;
    assert!((15..40).contains(&probes), "{probes} in 20 s");
}
