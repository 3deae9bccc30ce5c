//! The moderator: bans, mutes, and the lock that refuses new clients.
//!
//! Orders come from the operator of the server, from the host, whose client has the token of the
//! reserved name, and from a page with the token of the room. All state is in memory: a restarted
//! server has forgotten it. In a room on several servers each server has its own moderator.

mod answer;
mod order;

pub use answer::Answer;

use super::handshake::Denial;
use super::{Event, Hub};
use crate::path::network;
use crate::protocol::limits::{BAN, MAX_BANS};
use crate::protocol::{LeaveReason, NameKey, Nickname, Refusal, ServerMessage, Token};
use crate::registry::PeerId;
use crate::time::{Now, Timestamp};
use order::Order;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// A client that was removed, and may not come back yet.
#[derive(Debug)]
struct Ban {
    key: NameKey,
    /// `None` if other peers were at its address.
    network: Option<IpAddr>,
    until: Timestamp,
}

/// A client that may not speak. It stays mute under another name, and without its token under the
/// same one.
#[derive(Debug)]
struct Mute {
    key: NameKey,
    token: Token,
    until: Timestamp,
}

/// The words of a server for its moderator's answers.
pub(super) type Words = fn(&Answer) -> String;

/// The state of the moderator: at most `MAX_BANS` bans, and as many mutes. The oldest give way.
#[derive(Debug, Default)]
pub(super) struct Moderator {
    bans: VecDeque<Ban>,
    mutes: VecDeque<Mute>,
    locked: bool,
}

impl Moderator {
    fn ban(&mut self, ban: Ban, now: Timestamp) {
        self.bans.retain(|it| it.until > now);
        if self.bans.len() >= MAX_BANS {
            self.bans.pop_front();
        }
        self.bans.push_back(ban);
    }

    fn mute(&mut self, mute: Mute, now: Timestamp) {
        self.mutes.retain(|it| it.until > now && it.token != mute.token);
        if self.mutes.len() >= MAX_BANS {
            self.mutes.pop_front();
        }
        self.mutes.push_back(mute);
    }

    /// How long a client with this name, or at this address, may not join.
    fn banned(&self, key: &NameKey, ip: IpAddr, now: Timestamp) -> Option<Duration> {
        let network = Some(network(ip));
        let bans = self.bans.iter().filter(|ban| ban.key == *key || ban.network == network);
        bans.map(|ban| ban.until.since(now)).max().filter(|left| !left.is_zero())
    }
}

impl Hub {
    /// Sets the words in which peers are told what the moderator does. Without them they are told
    /// in English.
    pub fn speak(&mut self, words: fn(&Answer) -> String) {
        self.words = words;
    }

    /// The text of an answer in the words of this server.
    #[must_use]
    pub fn word(&self, answer: &Answer) -> String {
        super::presentable(&(self.words)(answer))
    }

    /// Carries out an order of the operator, such as `kick bob too loud`. Returns what was done.
    ///
    /// # Errors
    /// Why it was not done.
    pub fn order(&mut self, line: &str, now: Now) -> Result<Answer, Answer> {
        self.observe(now.mono);
        let outcome = self.obey(line, now.mono);
        self.deliver_posts();
        outcome
    }

    /// Whether the room is locked: nobody new may join.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.moderator.locked
    }

    /// The topic of the room.
    #[must_use]
    pub fn topic(&self) -> Option<&str> {
        self.room.topic()
    }

    /// Carries out an order of a peer, if it is the host.
    pub(super) fn moderate(&mut self, id: PeerId, line: &str, now: Timestamp) {
        let is_host = self.registry.is_host(id);
        let outcome = if is_host { self.obey(line, now) } else { Err(Answer::NotTheHost) };
        self.tell(id, &outcome.unwrap_or_else(|why| Answer::NotDone(why.into())), now);
    }

    /// Tells one peer in the words of this server.
    fn tell(&mut self, id: PeerId, answer: &Answer, now: Timestamp) {
        let text = self.word(answer);
        if let Some(mut peer) = self.peers.get_mut(id) {
            self.outgoing.tell(&mut peer, &ServerMessage::Notice { text: &text }, now);
        }
    }

    /// Tells all peers in the words of this server.
    fn tell_all(&mut self, answer: &Answer) {
        self.room.notify(&self.word(answer));
    }

    fn obey(&mut self, line: &str, now: Timestamp) -> Result<Answer, Answer> {
        let done = match Order::parse(line)? {
            Order::Kick(name, reason) => self.kick(&name, &reason, now)?,
            Order::Mute(name, time) => self.mute(&name, time, now)?,
            Order::Unmute(name) => {
                let key = name.key();
                let token = self.registry.named(&key).and_then(|id| self.registry.entry(id));
                let token = token.map(|entry| entry.token);
                let before = self.moderator.mutes.len();
                self.moderator.mutes.retain(|it| it.key != key && Some(it.token) != token);
                if self.moderator.mutes.len() == before {
                    return Err(Answer::NotMuted { name: name.to_string() });
                }
                Answer::Unmuted { name: name.to_string() }
            }
            Order::Unban(name) => {
                let key = name.key();
                let before = self.moderator.bans.len();
                self.moderator.bans.retain(|ban| ban.key != key);
                if self.moderator.bans.len() == before {
                    return Err(Answer::NotBanned { name: name.to_string() });
                }
                Answer::Unbanned { name: name.to_string() }
            }
            Order::Topic(topic) => {
                self.room.set_topic(topic.clone());
                Answer::Topic(topic)
            }
            Order::Lock(locked) => {
                self.moderator.locked = locked;
                let done = if locked { Answer::Locked } else { Answer::Unlocked };
                self.tell_all(&done);
                done
            }
        };
        self.events.push_back(Event::Moderated { done: done.clone() });
        Ok(done)
    }

    /// The peer of a name, at this server and not the host.
    fn subject(&self, name: &Nickname) -> Result<PeerId, Answer> {
        let id = self.registry.named(&name.key());
        let name = name.to_string();
        let Some(id) = id else { return Err(Answer::NoPeer { name }) };
        if self.peers.get(id).is_none_or(|peer| peer.is_closing()) {
            return Err(Answer::Elsewhere { name });
        }
        if self.registry.is_host(id) {
            return Err(Answer::Host { name });
        }
        Ok(id)
    }

    /// Removes a peer. Its name stays out for `BAN`, and its address too unless others are there.
    fn kick(&mut self, name: &Nickname, reason: &str, now: Timestamp) -> Result<Answer, Answer> {
        let id = self.subject(name)?;
        let left = || Answer::HasLeft { name: name.to_string() };
        let entry = self.registry.entry(id).ok_or_else(left)?;
        let (nickname, ip) = (entry.nickname.to_string(), entry.path.remote.ip());
        let alone = self.registry.is_alone_at(ip);
        let ban = Ban { key: name.key(), network: alone.then(|| network(ip)), until: now + BAN };
        self.moderator.ban(ban, now);
        let (name, reason) = (nickname, reason.to_owned());
        let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        if !reason.is_empty() {
            self.tell_all(&Answer::RemovedFor { name: name.clone(), reason: reason.clone() });
            self.deliver_posts();
        }
        let detail = super::presentable(&format!("the moderator removed you{because}"));
        self.counters.kicked += 1;
        self.close(id, LeaveReason::Kicked, &detail, now);
        let minutes = BAN.as_secs() / 60;
        Ok(Answer::Removed { name, address_too: alone, minutes, reason })
    }

    fn mute(&mut self, name: &Nickname, time: Duration, now: Timestamp) -> Result<Answer, Answer> {
        let id = self.subject(name)?;
        let left = || Answer::HasLeft { name: name.to_string() };
        let entry = self.registry.entry(id).ok_or_else(left)?;
        let (name, token) = (entry.nickname.to_string(), entry.token);
        let mute = Mute { key: entry.nickname.key(), token, until: now + time };
        self.moderator.mute(mute, now);
        let seconds = time.as_secs_f64().ceil() as u64;
        self.tell(id, &Answer::YouAreMuted { seconds }, now);
        Ok(Answer::Muted { name, seconds })
    }

    /// Whether a line or a whisper of a muted peer is refused. If so, its author is told.
    pub(super) fn is_muted(
        &mut self,
        id: PeerId,
        number: u16,
        private: bool,
        now: Timestamp,
    ) -> bool {
        if self.moderator.mutes.is_empty() {
            return false;
        }
        let Some(entry) = self.registry.entry(id) else { return false };
        let (key, token) = (entry.nickname.key(), entry.token);
        let mutes = self.moderator.mutes.iter().filter(|it| it.key == key || it.token == token);
        let left = mutes.map(|it| it.until.since(now)).max().unwrap_or_default();
        if left.is_zero() {
            return false;
        }
        self.counters.muted += 1;
        let still = Answer::YouAreStillMuted { seconds: left.as_secs() + 1 };
        let detail = self.word(&still);
        if let Some(mut peer) = self.peers.get_mut(id) {
            let rejected = ServerMessage::Rejected { number, private, detail: &detail };
            self.outgoing.tell(&mut peer, &rejected, now);
        }
        true
    }

    /// Whether the moderator lets a client in that is not in the room.
    pub(super) fn lets_in(
        &self,
        nickname: &Nickname,
        resume: &[u8],
        ip: IpAddr,
        now: Timestamp,
    ) -> Result<(), Denial> {
        if self.registry.is_token_of_host(resume) {
            return Ok(());
        }
        let key = nickname.key();
        if let Some(left) = self.moderator.banned(&key, ip, now) {
            let minutes = left.as_secs() / 60 + 1;
            let detail = format!(
                "the moderator removed {nickname} or another one here: try in {minutes} min"
            );
            return Err(Denial::new(Refusal::Kicked, &detail));
        }
        if self.moderator.locked && !self.registry.is_held_for(&key, resume) {
            return Err(Denial::new(Refusal::Locked, "the room is locked: nobody new is let in"));
        }
        Ok(())
    }
}
