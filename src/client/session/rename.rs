//! Nicknames that change: this client's, and those of the others.

use super::refusals::MAX_DETAIL;
use super::{Denied, Event, Notice, Session};
use crate::protocol::limits::{MAX_NAME, MAX_RAW_NAME};
use crate::protocol::{ClientMessage, Delivery, Refusal, clean, clip};
use crate::time::Now;

impl Session {
    /// Asks for another nickname. [`Event::Renamed`] or [`Event::Error`] answers, perhaps after a
    /// reconnect. False without a connection.
    pub fn rename(&mut self, nickname: &str, now: Now) -> bool {
        if self.asks_too_much(now) {
            return true;
        }
        let nickname = clip(nickname.trim(), MAX_RAW_NAME).to_owned();
        let question = ClientMessage::Rename { nickname: &nickname };
        let asked = self.ask(&question, Delivery::ReliableOrdered, now);
        if asked {
            self.wanted = Some(nickname);
        }
        asked
    }

    /// A session begins under `nickname`. A request for another one that the server did not answer
    /// in the session before is sent again: the same request twice is as one.
    pub(super) fn begin_as(&mut self, nickname: &str, now: Now) {
        nickname.clone_into(&mut self.config.nickname);
        self.topic.0.clear(); // a restarted server may have none
        self.nickname = Some(nickname.to_owned());
        if let Some(wanted) = self.wanted.take() {
            self.rename(&wanted, now);
        }
    }

    /// A peer has another nickname.
    pub(super) fn renamed(&mut self, peer: u16, from: &str, to: &str) {
        let [from, to] = [from, to].map(|name| clean(clip(name, MAX_NAME)).into_owned());
        let own = Some(peer) == self.peer;
        if own {
            self.wanted = None;
            self.config.nickname.clone_from(&to);
            self.nickname = Some(to.clone());
        } else {
            self.gaps.rename(peer, &to);
            self.ignored.rename(&from, &to);
            if self.last_whisperer.as_ref() == Some(&from) {
                self.last_whisperer = Some(to.clone());
            }
        }
        self.events.push_back(Event::Renamed { from, to, own });
    }

    /// The server refuses this client's request.
    pub(super) fn not_renamed(&mut self, reason: Refusal, detail: &str) {
        let nickname = clean(&self.wanted.take().unwrap_or_default()).into_owned();
        let detail = clean(clip(detail, MAX_DETAIL)).into_owned();
        self.complain(Notice::NotRenamed(Denied { reason, detail, nickname }));
    }
}
