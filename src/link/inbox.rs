//! Incoming reliable messages: each is delivered once. Ordered ones wait for those before them
//! (head-of-line blocking); the wait is measured.

use super::Received;
use super::parts::Assembly;
use crate::protocol::limits::MESSAGE_WINDOW;
use crate::protocol::{Part, unwrap16};
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug)]
struct Waiting {
    payload: Box<[u8]>,
    since: Timestamp,
}

/// The state of one direction.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// All messages with smaller ids were received.
    next: u64,
    /// Messages received beyond `next`; an ordered one with its payload until its turn.
    ahead: BTreeMap<u64, Option<Waiting>>,
    /// Messages with some parts received. The receive window bounds them.
    begun: BTreeMap<u64, Assembly>,
    /// The largest window announced so far.
    announced: Option<u64>,
}

/// The result of receiving a reliable message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    New,
    Duplicate,
    /// Beyond the announced window, or a part cut against the rules.
    AgainstRules,
}

impl Inbox {
    /// The window to announce: the largest id with room. Delivered messages that were not read take
    /// room too, as in TCP (RFC 9293 §3.8.6). The window never shrinks.
    pub(super) fn announce(&mut self, unread: usize) -> u16 {
        let window = (self.next + MESSAGE_WINDOW - 1).saturating_sub(unread as u64);
        let window = window.max(self.limit());
        self.announced = Some(window);
        window as u16
    }

    /// Whether no message is missing before the newest one.
    pub(super) fn is_whole(&self) -> bool {
        self.ahead.is_empty() && self.begun.is_empty()
    }

    fn limit(&self) -> u64 {
        self.announced.unwrap_or(MESSAGE_WINDOW - 1)
    }

    /// Takes in a reliable message and delivers the messages in order.
    pub(super) fn receive(
        &mut self,
        wire: u16,
        payload: &[u8],
        ordered: bool,
        now: Timestamp,
        ready: &mut impl Extend<Received>,
    ) -> Placed {
        let id = unwrap16(wire, self.next);
        if id < self.next || self.ahead.contains_key(&id) {
            return Placed::Duplicate;
        }
        if id > self.limit() {
            return Placed::AgainstRules;
        }
        if !self.begun.is_empty() {
            self.begun.remove(&id);
        }
        if ordered && id > self.next {
            let waiting = Waiting { payload: payload.into(), since: now };
            self.ahead.insert(id, Some(waiting));
            return Placed::New;
        }
        ready.extend([Received { payload: payload.into(), held: Duration::ZERO }]);
        if id > self.next {
            self.ahead.insert(id, None);
            return Placed::New;
        }
        self.next += 1;
        while let Some(waiting) = self.ahead.remove(&self.next) {
            self.next += 1;
            ready.extend(
                waiting
                    .map(|Waiting { payload, since }| Received { payload, held: now.since(since) }),
            );
        }
        Placed::New
    }

    /// Takes in a part of a reliable message; the last one delivers the message.
    pub(super) fn receive_part(
        &mut self,
        wire: u16,
        part: &Part<'_>,
        ordered: bool,
        now: Timestamp,
        ready: &mut impl Extend<Received>,
    ) -> Placed {
        let id = unwrap16(wire, self.next);
        if id < self.next || self.ahead.contains_key(&id) {
            return Placed::Duplicate;
        }
        if id > self.limit() || !part.is_sound() {
            return Placed::AgainstRules;
        }
        match self.begun.entry(id).or_insert_with(|| Assembly::new(part)).add(part) {
            Some(message) => self.receive(wire, &message, ordered, now, ready),
            None => Placed::New,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(inbox: &mut Inbox, id: u16, ordered: bool, at: u64) -> (Placed, Vec<(u8, u128)>) {
        let mut ready = Vec::new();
        let now = Timestamp::from_micros(at);
        let placed = inbox.receive(id, &[id as u8], ordered, now, &mut ready);
        (placed, ready.iter().map(|r| (r.payload[0], r.held.as_micros())).collect())
    }

    #[test]
    fn head_of_line_blocking_of_ordered_messages_is_measured() {
        let mut inbox = Inbox::default();
        assert_eq!(receive(&mut inbox, 2, true, 10), (Placed::New, vec![]));
        assert_eq!(receive(&mut inbox, 1, true, 20), (Placed::New, vec![]));
        assert_eq!(receive(&mut inbox, 1, true, 30), (Placed::Duplicate, vec![]));
        let expected = vec![(0, 0), (1, 30), (2, 40)];
        assert_eq!(receive(&mut inbox, 0, true, 50), (Placed::New, expected));
        assert_eq!(receive(&mut inbox, 0, true, 60), (Placed::Duplicate, vec![]));
    }

    #[test]
    fn unordered_messages_do_not_wait_and_count_for_ordered_ones() {
        let mut inbox = Inbox::default();
        assert_eq!(receive(&mut inbox, 1, false, 10), (Placed::New, vec![(1, 0)]));
        assert_eq!(receive(&mut inbox, 2, true, 20), (Placed::New, vec![]));
        assert_eq!(receive(&mut inbox, 1, false, 30), (Placed::Duplicate, vec![]));
        assert_eq!(receive(&mut inbox, 0, false, 50), (Placed::New, vec![(0, 0), (2, 30)]));
    }

    #[test]
    fn messages_beyond_the_window_are_refused() {
        let mut inbox = Inbox::default();
        assert_eq!(inbox.announce(0), 255);
        assert_eq!(receive(&mut inbox, 256, true, 0), (Placed::AgainstRules, vec![]));
        assert_eq!(receive(&mut inbox, 255, true, 0), (Placed::New, vec![]));
    }

    #[test]
    fn reading_opens_the_window_and_nothing_shrinks_it() {
        let mut inbox = Inbox::default();
        for id in 0..10 {
            receive(&mut inbox, id, true, 0);
        }
        assert_eq!(inbox.announce(10), 255);
        assert_eq!(receive(&mut inbox, 256, true, 0), (Placed::AgainstRules, vec![]));
        assert_eq!((inbox.announce(7), inbox.announce(9)), (258, 258));
        assert_eq!(receive(&mut inbox, 258, true, 0), (Placed::New, vec![]));
        assert_eq!(receive(&mut inbox, 259, true, 0), (Placed::AgainstRules, vec![]));
        assert_eq!(inbox.announce(0), 265);
    }
}
