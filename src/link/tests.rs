//! Two links and the path between them, in virtual time.

mod path_size;

use super::{Channel, Class, Link, Received, Role, StreamLink};
use crate::protocol::limits::{
    GIVE_UP, INITIAL_WINDOW, MAX_DATAGRAM, MAX_QUEUE_BYTES, MESSAGE_WINDOW,
};
use crate::protocol::{Batch, Datagram, Delivery, StreamReader};
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

const HEARTBEAT: Duration = Duration::from_secs(2);
const DELAY: Duration = Duration::from_millis(20);

/// Decides whether a datagram is lost, by its sender and its number.
type Loss = fn(usize, usize) -> bool;

/// A client (0), a server (1) and a path whose delay is 20 ms unless a test sets another.
struct Pair {
    now: Timestamp,
    links: [Link; 2],
    under_way: BTreeMap<(Timestamp, usize), (usize, Vec<u8>)>,
    sent: [usize; 2],
    lost: Loss,
    delay: Duration,
    /// Largest datagram that passes, by sender.
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
        Self { now, links, under_way, sent, lost, delay: DELAY, width, received }
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
                        let key = (self.now + self.delay, self.sent[0] + self.sent[1]);
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
            // A datagram that arrives goes before timers of the same moment.
            still = if next > self.now || arrival == Some(next) { 0 } else { still + 1 };
            assert!(still < 5, "time does not advance");
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

    /// The numbers that arrived at one end, in the order of their arrival.
    fn numbers(&self, at: usize) -> Vec<usize> {
        let number = |r: &Received| usize::from_be_bytes((*r.payload).try_into().unwrap());
        self.received[at].iter().map(number).collect()
    }
}

#[test]
fn sequence_numbers_wrap_without_loss_of_a_message() {
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
fn message_ids_wrap_without_loss_of_a_message() {
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
fn a_grown_window_sends_no_burst_after_idle_time() {
    let mut pair = Pair::new(1, |_, _| false);
    let payload = [0; 1_000];
    let burst = |pair: &mut Pair| {
        let before = pair.links[0].stats().sent_bytes;
        while pair.links[0].send(&payload, Delivery::ReliableOrdered, None).is_ok() {}
        pair.flush();
        pair.links[0].stats().sent_bytes - before
    };
    for _ in 0..3 {
        burst(&mut pair);
        pair.run_for(Duration::from_millis(200));
    }
    assert!(pair.links[0].stats().congestion_window > 2 * INITIAL_WINDOW, "the window has grown");
    pair.run_for(Duration::from_secs(10));
    let bytes = burst(&mut pair);
    assert!((1..=INITIAL_WINDOW).contains(&bytes), "{bytes} bytes at once");
}

/// Messages sent once are acknowledged lazily, which gives no samples. A path whose delay shrinks
/// causes no probe timeout, which would give one.
#[test]
fn the_round_trip_time_follows_the_path_in_unreliable_mode() {
    let mut pair = Pair::new(1, |_, _| false);
    let talk = |pair: &mut Pair, lines: usize| {
        for number in 0..lines {
            pair.send(0, number, Delivery::Unreliable);
            pair.run_for(Duration::from_millis(200));
        }
        pair.links[0].stats().rtt_smoothed.unwrap()
    };
    pair.delay = 10 * DELAY;
    let long = talk(&mut pair, 50);
    assert!((20 * DELAY..22 * DELAY).contains(&long), "{long:?}");
    pair.delay = DELAY;
    // A sample is due every five seconds and weighs an eighth (RFC 9002 §5.3).
    let short = talk(&mut pair, 1_000);
    assert!((2 * DELAY..4 * DELAY).contains(&short), "{short:?}");
}

#[test]
fn lost_acknowledgments_lose_and_duplicate_no_message() {
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
fn the_sender_respects_the_message_window() {
    let mut pair = Pair::new(1, |_, number| number == 1);
    for number in 0..500 {
        pair.send(0, number, Delivery::ReliableOrdered);
    }
    pair.run_for(DELAY);
    assert!(pair.received[1].is_empty(), "the first datagram was lost");
    pair.run_for(Duration::from_secs(10));
    assert_eq!(pair.numbers(1), (0..500).collect::<Vec<_>>());
    assert_eq!(pair.links[1].stats().malformed, 0, "a message beyond the window was sent");
}

#[test]
fn unreliable_messages_never_wait_for_a_lazy_acknowledgment_in_a_small_window() {
    let mut pair = Pair::new(1, |from, number| from == 1 && number < 300 && number % 5 == 0);
    let mut smallest = u64::MAX;
    for _ in 0..1_500 {
        smallest = smallest.min(pair.links[1].stats().congestion_window);
        pair.links[1].send(&[0; 100], Delivery::Unreliable, None).unwrap();
        pair.flush();
        assert_eq!(pair.links[1].queued_bytes(), 0, "after {:?}", pair.links[1].stats());
        pair.run_for(Duration::from_millis(20));
    }
    assert!(smallest < 4 * MAX_DATAGRAM as u64, "losses shrank the window");
}

#[test]
fn a_peer_that_acknowledges_nothing_fails_after_30_s_in_every_mode() {
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

/// Fills a queue; returns the number of messages it took.
fn fill(queue: &mut Channel) -> usize {
    let message = Batch::of(&[0; 1_000]).unwrap();
    (0..)
        .take_while(|_| {
            queue.send_batch(message.clone(), Delivery::ReliableOrdered, Class::Content) == 1
        })
        .count()
}

#[test]
fn messages_outside_the_bound_leave_as_much_room_for_others() {
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
fn delivered_messages_outside_the_bound_give_no_extra_room() {
    let mut pair = Pair::new(1, |_, _| false);
    let now = pair.now;
    let mut stream = StreamLink::new(7, Role::Server, StreamReader::default(), now);
    let (message, all) = ([0; 1_000], vec![Batch::of(&[0; 30]).unwrap(); 10_000]);
    pair.links[1].send_regardless(Batch::join(&all));
    stream.send_regardless(Batch::join(&all));
    pair.run_for(Duration::from_secs(5));
    while stream.poll_transmit(&mut Vec::new(), now) {
        stream.handle_writable(now);
    }
    assert_eq!((pair.received[0].len(), pair.links[1].queued_bytes()), (10_000, 0));
    while pair.links[1].send(&message, Delivery::ReliableOrdered, None).is_ok() {}
    while stream.send(&message, Delivery::ReliableOrdered, None).is_ok() {}
    for bytes in [pair.links[1].queued_bytes(), stream.queued_bytes()] {
        assert!(bytes <= MAX_QUEUE_BYTES + 2_000);
    }
}

#[test]
fn the_round_trip_time_of_a_steady_path_is_exact() {
    let mut pair = Pair::new(1, |_, _| false);
    for number in 0..50 {
        for _ in 0..2 {
            pair.send(0, number, Delivery::ReliableOrdered);
            pair.send(1, number, Delivery::ReliableOrdered);
            pair.flush(); // two datagrams, so the acknowledgment is not delayed
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
fn a_clean_path_has_no_retransmissions() {
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
fn unanswered_probes_leave_at_most_once_a_second() {
    let mut pair = Pair::new(1, |_, number| number > 4);
    pair.send(0, 0, Delivery::ReliableOrdered);
    pair.run_for(Duration::from_secs(1));
    let before = pair.sent[0];
    pair.send(0, 1, Delivery::ReliableOrdered);
    pair.run_for(Duration::from_secs(20));
    let probes = pair.sent[0] - before;
    assert!((15..40).contains(&probes), "{probes} in 20 s");
}
