//! The moderator: bans, mutes, and the lock that refuses new clients.
//!
//! Orders come from the operator of the server, from the host, whose client has the token of the
//! reserved name, and from a page with the token of the room. All state is in memory: a restarted
//! server has forgotten it. In a room on several servers each server has its own moderator.

mod order;

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
    /// Carries out an order of the operator, such as `kick bob too loud`. Returns what was done, or
    /// why not, for people.
    ///
    /// # Errors
    /// Why it was not done.
    pub fn order(&mut self, line: &str, now: Now) -> Result<String, String> {
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
        let text = if self.registry.is_host(id) {
            self.obey(line, now).unwrap_or_else(|why| format!("not done: {why}"))
        } else {
            "not done: only the host and the operator of the server moderate".to_owned()
        };
        if let Some(mut peer) = self.peers.get_mut(id) {
            self.outgoing.tell(&mut peer, &ServerMessage::Notice { text: &text }, now);
        }
    }

    fn obey(&mut self, line: &str, now: Timestamp) -> Result<String, String> {
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
                    return Err(format!("{name} is not muted"));
                }
                format!("{name} may speak again")
            }
            Order::Unban(name) => {
                let key = name.key();
                let before = self.moderator.bans.len();
                self.moderator.bans.retain(|ban| ban.key != key);
                if self.moderator.bans.len() == before {
                    return Err(format!("{name} is not kept out"));
                }
                format!("{name} may join again")
            }
            Order::Topic(topic) => {
                let done = topic.as_ref().map_or("there is no topic any more".to_owned(), |text| {
                    format!("the topic is now: {text}")
                });
                self.room.set_topic(topic);
                done
            }
            Order::Lock(locked) => {
                self.moderator.locked = locked;
                let done = if locked {
                    "the room is locked: nobody new is let in"
                } else {
                    "the room is open again"
                };
                self.room.notify(done);
                done.to_owned()
            }
        };
        self.events.push_back(Event::Moderated { done: done.clone() });
        Ok(done)
    }

    /// The peer of a name, at this server and not the host.
    fn subject(&self, name: &Nickname) -> Result<PeerId, String> {
        let id = self.registry.named(&name.key());
        let id = id.ok_or_else(|| format!("no peer is named {name}"))?;
        if self.peers.get(id).is_none_or(|peer| peer.is_closing()) {
            return Err(format!("{name} is at another server: give the order there"));
        }
        if self.registry.is_host(id) {
            return Err(format!("{name} is the host"));
        }
        Ok(id)
    }

    /// Removes a peer. Its name stays out for `BAN`, and its address too unless others are there.
    fn kick(&mut self, name: &Nickname, reason: &str, now: Timestamp) -> Result<String, String> {
        let id = self.subject(name)?;
        let Some(entry) = self.registry.entry(id) else { return Err(format!("{name} has left")) };
        let (nickname, ip) = (entry.nickname.to_string(), entry.path.remote.ip());
        let alone = self.registry.is_alone_at(ip);
        let ban = Ban { key: name.key(), network: alone.then(|| network(ip)), until: now + BAN };
        self.moderator.ban(ban, now);
        let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        if !reason.is_empty() {
            self.room.notify(&super::presentable(&format!("{nickname} is removed{because}")));
            self.deliver_posts();
        }
        let detail = super::presentable(&format!("the moderator removed you{because}"));
        self.counters.kicked += 1;
        self.close(id, LeaveReason::Kicked, &detail, now);
        let minutes = BAN.as_secs() / 60;
        let whole = if alone { "name and address" } else { "the name, not its shared address," };
        Ok(format!("{nickname} is removed; {whole} stay out for {minutes} min{because}"))
    }

    fn mute(&mut self, name: &Nickname, time: Duration, now: Timestamp) -> Result<String, String> {
        let id = self.subject(name)?;
        let Some(entry) = self.registry.entry(id) else { return Err(format!("{name} has left")) };
        let (nickname, token) = (entry.nickname.to_string(), entry.token);
        let mute = Mute { key: entry.nickname.key(), token, until: now + time };
        self.moderator.mute(mute, now);
        let text = format!("the moderator muted you for {} s", time.as_secs_f64().ceil());
        if let Some(mut peer) = self.peers.get_mut(id) {
            self.outgoing.tell(&mut peer, &ServerMessage::Notice { text: &text }, now);
        }
        Ok(format!("{nickname} is muted for {} s", time.as_secs_f64().ceil()))
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
        let detail = format!("the moderator muted you, for {} s more", left.as_secs() + 1);
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
