//! Whispers and pings to peers of other servers. They are in no log: the engine passes them on to
//! the server of the reader's seat, and that server answers.

use super::{Engine, Hub};
use crate::engine::{Ask, Content, Fence, Mail};
use crate::protocol::limits::{ANSWER_TIMEOUT, MAIL_WAIT, MAX_MAIL, MAX_TEXT};
use crate::protocol::{Whisper, clean, clip};
use crate::registry::PeerId;
use crate::room::upstream;
use crate::time::{Now, Timestamp, WallTime};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The author gives a whisper up this much later than the reader's server: clocks differ.
const GRACE: Duration = Duration::from_secs(1);

/// A whisper that is not answered.
#[derive(Debug)]
struct Sent {
    author: PeerId,
    number: u16,
    at: WallTime,
    to: String,
    text: String,
    until: Timestamp,
}

/// A ping of a peer of another server.
#[derive(Debug)]
struct Pinged {
    asker: Fence,
    peer: PeerId,
    number: u16,
    at: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Mailbox {
    whispers: BTreeMap<u64, Sent>,
    pings: VecDeque<Pinged>,
    /// Mail that overtook the arrival of its author or reader.
    early: VecDeque<Mail>,
}

impl Mailbox {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// When the first whisper is given up.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.whispers.first_key_value().map(|(_, sent)| sent.until)
    }
}

impl Engine {
    /// Queues mail between two seats, if both are known.
    fn send(&mut self, from: Fence, to: Fence, until: u64, content: Content) {
        self.requests.push(Ask::Mail(Mail { from, to, until, content }));
    }

    /// The seats of a peer here and of a member elsewhere.
    fn ends(&self, here: PeerId, elsewhere: PeerId) -> Option<(Fence, Fence)> {
        let to = self.seats.of(elsewhere)?;
        self.seats.here(elsewhere).is_none().then_some((self.seats.here(here)?, to))
    }

    /// Whether a member is at another server.
    pub(in crate::hub) fn is_elsewhere(&self, id: PeerId) -> bool {
        self.seats.of(id).is_some() && self.seats.here(id).is_none()
    }
}

impl Hub {
    /// Sends a whisper to a member at another server.
    pub(in crate::hub) fn whisper_elsewhere(
        &mut self,
        id: PeerId,
        to: PeerId,
        whisper: Whisper<'_>,
        now: Now,
    ) {
        let Whisper { number, sent, text, .. } = whisper;
        let name = self.room.nickname(to).unwrap_or(whisper.to).to_owned();
        let Some(engine) = self.engine.as_deref_mut() else { return };
        let ends = engine.ends(id, to).filter(|_| engine.mail.whispers.len() < MAX_MAIL);
        let until = engine.clock.at(now.mono + MAIL_WAIT);
        let (Some((from, to)), Some(until)) = (ends, until) else {
            return self.room.not_here(id, number, whisper.to);
        };
        let (at, upstream) = (now.wall, upstream(now.wall, sent));
        let sent = engine.requests.push_numbered(|number| {
            let content = Content::Whisper { number, at, upstream, text: text.to_owned() };
            Ask::Mail(Mail { from, to, until, content })
        });
        let (text, until) = (text.to_owned(), now.mono + MAIL_WAIT + GRACE);
        let whisper = Sent { author: id, number, at, to: name, text, until };
        engine.mail.whispers.insert(sent, whisper);
    }

    /// Passes a ping on to a member at another server.
    pub(in crate::hub) fn ping_elsewhere(&mut self, id: PeerId, to: PeerId, number: u16) {
        let Some(engine) = self.engine.as_deref_mut() else { return };
        if let Some((from, to)) = engine.ends(id, to)
            && let Some(until) = engine.clock.at(self.now + ANSWER_TIMEOUT)
        {
            engine.send(from, to, until, Content::Ping { number });
        }
    }

    /// Passes the answer to a ping on to a member at another server. Returns whether it was asked.
    pub(in crate::hub) fn pong_elsewhere(&mut self, id: PeerId, asker: u16, number: u16) -> bool {
        let Some(asker) = self.registry.numbered_elsewhere(asker) else { return false };
        let Some(engine) = self.engine.as_deref_mut() else { return false };
        let Some((from, to)) = engine.ends(id, asker) else { return false };
        let now = self.now;
        let mut pings = engine.mail.pings.iter();
        let place = pings.position(|ping| {
            (ping.asker, ping.peer, ping.number) == (to, id, number)
                && ping.at + ANSWER_TIMEOUT > now
        });
        let Some(place) = place else { return false };
        engine.mail.pings.remove(place);
        if let Some(until) = engine.clock.at(now + ANSWER_TIMEOUT) {
            engine.send(from, to, until, Content::Pong { number });
        }
        true
    }

    /// Takes in mail. It may have overtaken the log: then it waits until the log is read up to its
    /// two seats.
    pub(super) fn receive_mail(&mut self, mail: Mail, now: Now) {
        let Some(engine) = self.engine.as_deref_mut() else { return };
        let read = engine.place.map_or(0, |place| place.position);
        if mail.from.max(mail.to).0 <= read {
            return self.read_mail(mail, now);
        }
        if engine.mail.early.len() < MAX_MAIL {
            engine.mail.early.push_back(mail);
        }
    }

    /// Reads the mail for which the log is read far enough.
    pub(super) fn read_early_mail(&mut self, now: Now) {
        let Some(engine) = self.engine.as_deref_mut() else { return };
        for mail in std::mem::take(&mut engine.mail.early) {
            self.receive_mail(mail, now);
        }
    }

    fn read_mail(&mut self, mail: Mail, now: Now) {
        let Some(engine) = self.engine.as_deref_mut() else { return };
        let Mail { from, to, until, content } = mail;
        if engine.clock.at(now.mono).is_none_or(|clock| clock > until) {
            return; // its sender gives up too
        }
        let reader = engine.seats.peer(to).filter(|id| engine.seats.here(*id).is_some());
        let author = engine.seats.peer(from);
        match content {
            Content::Whisper { number, at, upstream, text } => {
                if let (Some(author), Some(reader)) = (author, reader) {
                    let text = clean(&text);
                    self.room.pass_whisper(author, reader, at, upstream, clip(&text, MAX_TEXT));
                }
                let delivered = reader.is_some() && author.is_some();
                engine.send(to, from, until, Content::Receipt { number, delivered });
            }
            Content::Receipt { number, delivered } => self.settle_whisper(number, delivered),
            Content::Ping { number } => {
                let (Some(author), Some(reader)) = (author, reader) else { return };
                if engine.mail.pings.len() >= MAX_MAIL {
                    engine.mail.pings.pop_front();
                }
                let at = now.mono;
                engine.mail.pings.push_back(Pinged { asker: from, peer: reader, number, at });
                self.room.ping(author, Some(reader), number);
            }
            Content::Pong { number } => {
                let (Some(author), Some(reader)) = (author, reader) else { return };
                let asker = self.peers.get_mut(reader);
                let mut answered = asker.filter(|it| !it.is_closing());
                if answered
                    .as_mut()
                    .is_some_and(|asker| asker.allowance.answered(author, number, now.mono))
                {
                    self.room.pong(author, reader, number);
                }
            }
        }
    }

    /// Tells the author of a whisper what became of it.
    pub(super) fn settle_whisper(&mut self, sent: u64, delivered: bool) {
        let Some(engine) = self.engine.as_deref_mut() else { return };
        let Some(Sent { author, number, at, to, text, .. }) = engine.mail.whispers.remove(&sent)
        else {
            return;
        };
        engine.requests.remove(sent);
        if delivered {
            self.room.whispered(author, number, at, &to, &text);
        } else {
            self.room.not_here(author, number, &to);
        }
    }

    /// Gives up the whispers that were not answered in time.
    pub(super) fn expire_mail(&mut self, now: Timestamp) {
        while let Some(engine) = self.engine.as_deref_mut()
            && let Some((sent, whisper)) = engine.mail.whispers.first_key_value()
            && whisper.until <= now
        {
            let sent = *sent;
            self.settle_whisper(sent, false);
        }
    }
}
