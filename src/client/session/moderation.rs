//! Orders to the room's moderator, and what the moderator does to this client.

use super::refusals::MAX_DETAIL;
use super::{Event, Notice, Session, Undelivered};
use crate::protocol::limits::{MAX_TEXT, MAX_TOPIC};
use crate::protocol::{ClientMessage, Delivery, clean, clip};
use crate::time::Now;

impl Session {
    /// Sends an order of the moderator, such as `kick bob`. [`Event::Status`] answers. False if
    /// there is no connection.
    pub fn moderate(&mut self, order: &str, now: Now) -> bool {
        let order = clip(order, MAX_TEXT);
        self.asks_too_much(now)
            || self.ask(&ClientMessage::Moderate { order }, Delivery::ReliableOrdered, now)
    }

    /// Whether this client has the reserved name: it is the host.
    #[must_use]
    pub fn has_claim(&self) -> bool {
        self.claim.is_some()
    }

    /// The topic of the room.
    #[must_use]
    pub fn topic(&self) -> Option<&str> {
        Some(self.topic.0.as_str()).filter(|topic| !topic.is_empty())
    }

    /// The room has a topic. A rejoin tells the old one again.
    pub(super) fn take_topic(&mut self, text: &str) {
        let text = clean(clip(text, MAX_TOPIC)).into_owned();
        self.topic.0.clone_from(&text);
        if text != self.topic.1 {
            self.topic.1.clone_from(&text);
            self.events.push_back(Event::Topic { text });
        }
    }

    /// The server did not pass a line or a whisper of this client on.
    pub(super) fn rejected(&mut self, number: u16, private: bool, detail: &str) {
        let detail = clean(clip(detail, MAX_DETAIL)).into_owned();
        let line = if private { self.own.take_whisper(number) } else { self.own.take_line(number) };
        match line {
            Some(line) => self.report_undelivered(&line, Undelivered::Rejected(detail)),
            None => self.complain(Notice::Rejected { detail }),
        }
    }
}
