//! Outgoing lines of the user: queued, paced, handed to the link; and their fates.

use super::lines::Unconfirmed;
use super::{Busy, Event, Notice, Session, Undelivered};
use crate::link::Fate;
use crate::protocol::limits::MAX_NAME;
use crate::protocol::{ClientMessage, Delivery, MAX_TEXT_BYTES, clean, encode_message, split};
use crate::time::{Now, Timestamp};

impl Session {
    pub(super) fn speak(&mut self, to: Option<&str>, line: &str, now: Now) -> Result<(), Busy> {
        if self.own.is_full() {
            return Err(Busy);
        }
        if to.is_some_and(|to| to.len() > MAX_NAME) {
            self.complain(Notice::NameTooLong { text: clean(line).into_owned() });
            return Ok(());
        }
        for piece in split(&clean(line), MAX_TEXT_BYTES) {
            if !piece.trim().is_empty() {
                self.own.push(to, piece, now.wall);
            }
        }
        self.send_waiting(now.mono);
        self.report_backlog(now.mono);
        Ok(())
    }

    /// Hands queued lines to the link, as far as the link, the replay and the rate limit allow.
    /// While an attempt to rejoin is under way they wait: a lost server would make them doubtful.
    pub(super) fn send_waiting(&mut self, now: Timestamp) {
        let Some(established) = self.established.as_mut().filter(|e| e.is_briefed()) else {
            return;
        };
        if self.leaving.is_some() || self.closed || self.attempt.is_some() {
            return;
        }
        if self.undeclared && self.pacing.may_ask(now) {
            let message = encode_message(&ClientMessage::Deliver(self.config.delivery));
            let outcome = established.link.send(&message, Delivery::ReliableOrdered, None);
            self.undeclared = outcome.is_err();
            self.pacing.said(1, now);
        }
        while !established.link.is_full()
            && let Some(tokens) = self.own.next_tokens()
            && let ready = self.pacing.ready(tokens, self.own.unanswered_tokens())
            && ready.is_some_and(|ready| ready <= now)
            && let Some((line, message)) = self.own.send_next()
        {
            self.pacing.said(tokens, now);
            self.text_sent += line.text.len() as u64;
            let (delivery, tag) = match line.to {
                None => (self.config.delivery, Some(u64::from(line.number))),
                Some(_) => (Delivery::ReliableOrdered, None),
            };
            let _ = established.link.send(&message, delivery, tag);
        }
    }

    pub(super) fn take_fates(&mut self) {
        while let Some(fate) =
            self.established.as_mut().and_then(|established| established.link.poll_fate())
        {
            match fate {
                // A line with an `Accepted` in the same datagram is confirmed already.
                Fate::Arrived(number) => {
                    if let Some(line) = self.own.take_line(number as u16) {
                        self.events.push_back(line.confirmed(None));
                    } else {
                        self.take_back(number as u16);
                    }
                }
                Fate::Lost(number) => {
                    if let Some(line) = self.own.take_line(number as u16) {
                        self.report_undelivered(&line, Undelivered::Lost);
                    }
                }
            }
        }
    }

    /// Corrects an earlier report that this line was lost.
    pub(super) fn take_back(&mut self, number: u16) {
        if let Some(text) = self.own.take_back(number) {
            self.tell(Notice::ArrivedAfterAll { text });
        }
    }

    pub(super) fn report_undelivered(&mut self, line: &Unconfirmed, fate: Undelivered) {
        self.own.report(line);
        if line.to.is_none() {
            self.events.push_back(Event::Undelivered { text: line.text.clone() });
        }
        let (to, text) = (line.to.clone(), line.text.clone());
        self.complain(Notice::Undelivered { to, text, fate });
    }
}
