//! The chat room: its members, the log of their lines, and the messages to deliver. It knows no
//! transport: each message becomes a [`Post`], encoded once for all its recipients.

mod direct;
mod log;
mod notices;
mod numbers;
mod presence;
mod rename;

pub use log::{Kept, Line, LineIdentity, Past};
pub(crate) use log::{Log, Outcome, Proposal, Replay};
pub(crate) use numbers::Taken;

use crate::protocol::limits::{MAX_ANNOUNCEMENT, MAX_DATAGRAM};
use crate::protocol::{
    Batch, LeaveReason, LiveLine, Mark, PastLine, RollEntry, RollWriter, Say, ServerList,
    ServerMessage, encode_message, encode_message_into,
};
use crate::registry::{Owner, PeerId, PeerMap};
use crate::time::{Timestamp, WallTime};
use presence::{Place, Presence};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;

/// The recipients of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recipients {
    /// This peer.
    One(PeerId),
    /// All peers but this one.
    AllBut(PeerId),
    /// All peers.
    All,
}

/// The kind of a message, which decides its delivery mode and urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A chat line: in the delivery mode of its receiver.
    Line,
    /// Confirms to the author that its line is in the log: in the mode of lines, never urgent.
    Receipt,
    /// Any other message: always reliable and in order.
    Control,
    /// A measurement: sent once, because a retransmission would falsify it.
    Probe,
    /// A message that a newcomer needs: as `Control`, outside the bound of the queue.
    Briefing,
}

/// Messages to deliver.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    /// Recipients.
    pub to: Recipients,
    /// Kind.
    pub kind: Kind,
    /// Encoded messages.
    pub messages: Batch,
}

#[derive(Debug)]
struct Member {
    nickname: String,
    /// Owner of its lines.
    owner: Owner,
    /// Number of its next line.
    next: u16,
    /// Number of its first line in this session.
    first: u16,
    /// Position of its arrival in the queue; `None` once announced.
    unannounced: Option<Place>,
}

impl Member {
    fn entry(&self, peer: PeerId) -> RollEntry<'_> {
        RollEntry { peer: peer.number(), nickname: &self.nickname, next: self.next }
    }
}

/// The members, the log of their lines, and the messages to deliver.
#[derive(Debug)]
pub(crate) struct Room {
    members: PeerMap<Member>,
    presence: Presence,
    /// Roll of the announced members for newcomers, until it changes.
    digest: Option<Batch>,
    log: Log,
    replay: usize,
    /// The current warning; newcomers get it.
    warning: Option<String>,
    /// What the room is about; newcomers get it.
    topic: Option<String>,
    /// Where the room's other servers are; newcomers get it.
    servers: Vec<SocketAddr>,
    posts: VecDeque<Post>,
    /// Buffer for messages whose length is not known yet.
    scratch: Vec<u8>,
}

impl Room {
    /// Makes an empty room with the past lines. Newcomers get at most `replay` of them. `epoch` is
    /// random and not 0: the log's, if the past has none.
    #[must_use]
    pub(crate) fn new(past: Past, replay: usize, epoch: u64) -> Self {
        Self {
            members: PeerMap::new(),
            presence: Presence::default(),
            digest: None,
            log: Log::new(past, epoch),
            replay,
            warning: None,
            topic: None,
            servers: Vec::new(),
            posts: VecDeque::new(),
            scratch: Vec::with_capacity(MAX_DATAGRAM),
        }
    }

    /// Forgets the members and all lines: the room continues with those of an engine.
    pub(crate) fn begin(&mut self, log: Log) {
        self.members = PeerMap::new();
        self.presence = Presence::default();
        self.digest = None;
        self.log = log;
    }

    /// The next messages to deliver.
    pub(crate) fn poll_post(&mut self) -> Option<Post> {
        self.posts.pop_front()
    }

    /// Number of peers in the room.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// The lines for a peer that has seen all up to `seen` (epoch 0: a newcomer), and whether they
    /// are all since then. A rejoining peer gets all it missed that is still in memory.
    #[must_use]
    pub(crate) fn replay(&self, seen: Mark) -> Replay {
        if seen.epoch == 0 { self.log.newest(self.replay) } else { self.log.after(seen) }
    }

    /// Which of this owner's newest lines the log has, for a client that has seen `seen`.
    #[must_use]
    pub(crate) fn taken(&self, owner: Owner, seen: Mark) -> Taken {
        self.log.taken(owner, seen)
    }

    /// The `seen` of a peer after its replay: the newest line, or the position before the first.
    #[must_use]
    pub(crate) fn latest(&self) -> Mark {
        self.log.latest()
    }

    /// Adds a peer; `next` is the number of its next line. The caller sends `Welcome`.
    pub(crate) fn join(&mut self, peer: PeerId, nickname: &str, owner: Owner, next: u16) {
        let unannounced = Some(self.presence.arrive(peer));
        let nickname = nickname.to_owned();
        self.members.insert(peer, Member { nickname, owner, next, first: next, unannounced });
    }

    /// Queues the briefing of a newcomer: the announced members, `lines`, and the current warning.
    /// Later announcements bring the other members.
    pub(crate) fn brief(&mut self, peer: PeerId, lines: &[Rc<Line>]) {
        let (to, kind) = (Recipients::One(peer), Kind::Briefing);
        let messages = self.digest();
        if !messages.is_empty() {
            self.posts.push_back(Post { to, kind, messages });
        }
        let mut messages = Vec::new();
        let owner = self.members.get(peer).map(|member| member.owner);
        for Line { mark, at, from, text, identity } in lines.iter().map(|line| &**line) {
            let own = identity.filter(|identity| Some(identity.owner) == owner);
            let message = ServerMessage::History(PastLine {
                position: mark.position,
                at: at.0,
                own: own.is_some(),
                number: own.map_or(0, |identity| identity.number),
                from,
                text,
            });
            messages.extend(Batch::of(&encode_message(&message)));
        }
        if let Some(text) = &self.topic {
            messages.extend(Batch::of(&encode_message(&ServerMessage::Topic { text })));
        }
        if let Some(text) = &self.warning {
            messages.extend(Batch::of(&encode_message(&ServerMessage::Notice { text })));
        }
        if !self.servers.is_empty() {
            let mut bytes = Vec::new();
            let servers = ServerList::encode(&self.servers, &mut bytes);
            messages.extend(Batch::of(&encode_message(&ServerMessage::Servers { servers })));
        }
        if !messages.is_empty() {
            let messages = Batch::join(&messages);
            self.posts.push_back(Post { to, kind, messages });
        }
    }

    /// The roll of the announced members, shared by all newcomers until it changes.
    fn digest(&mut self) -> Batch {
        if let Some(digest) = &self.digest {
            return digest.clone();
        }
        let announced = self.members.iter().filter(|(_, member)| member.unannounced.is_none());
        let announced = announced.map(|(peer, member)| member.entry(peer));
        let (mut messages, mut roll) = (Vec::new(), RollWriter::default());
        let mut close = |roll: &mut RollWriter| {
            let message = encode_message(&ServerMessage::Present { roll: roll.roll() });
            messages.extend(Batch::of(&message).filter(|_| !roll.is_empty()));
            roll.clear();
        };
        for entry in announced.chain(self.presence.departing()) {
            if !roll.push(&entry) {
                close(&mut roll);
                roll.push(&entry);
            }
        }
        close(&mut roll);
        self.digest.insert(Batch::join(&messages)).clone()
    }

    /// When the next announcement is due; `None` if nothing waits.
    #[must_use]
    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        self.presence.due(self.members.len())
    }

    /// Announces arrivals and departures that are due.
    pub(crate) fn announce(&mut self, now: Timestamp) {
        if self.poll_timeout().is_some_and(|due| due <= now) {
            self.presence.begin(now);
            self.announce_all();
        }
    }

    /// Announces the queued departures, then the arrivals: an arrival may reuse the number or name
    /// of a departed peer.
    fn announce_all(&mut self) {
        let mut roll = RollWriter::default();
        for _ in 0..self.announce_departures() {
            roll.clear();
            while let Some(peer) = self.presence.next_arrival()
                && let Some(member) = self.members.get_mut(peer)
                && roll.push(&member.entry(peer))
            {
                member.unannounced = None;
                self.presence.take_arrival();
            }
            if roll.is_empty() {
                return;
            }
            let peers = counted(self.presence.announced());
            let message = ServerMessage::Joined { peers, roll: roll.roll() };
            self.post(Recipients::All, Kind::Control, &message);
        }
    }

    /// Announces the queued departures. Returns how many messages the announcement may still have.
    fn announce_departures(&mut self) -> usize {
        self.digest = None;
        let mut roll = RollWriter::default();
        for sent in 0..MAX_ANNOUNCEMENT {
            roll.clear();
            let Some(reason) = self.presence.take_departures(&mut roll) else {
                return MAX_ANNOUNCEMENT - sent;
            };
            let peers = counted(self.presence.announced());
            let message = ServerMessage::Left { peers, reason, roll: roll.roll() };
            self.post(Recipients::All, Kind::Control, &message);
        }
        0
    }

    /// Announces the departure of a peer whose name a newcomer has: the newcomer's client takes it
    /// for its own, so `Welcome` must not count it. Arrivals wait, so that peers that leave and
    /// join again in turn do not announce each other.
    pub(crate) fn announce_predecessor(&mut self, nickname: &str) {
        if self.presence.departing().any(|departed| departed.nickname == nickname) {
            self.announce_departures();
        }
    }

    /// Announces a peer's arrival before its first line or whisper.
    fn introduce(&mut self, peer: PeerId) {
        let Some(member) = self.members.get_mut(peer) else { return };
        if let Some(place) = member.unannounced {
            member.unannounced = Some(self.presence.hasten(place));
            self.announce_all();
        }
    }

    /// Sets the number of the next line of a peer that rejoined.
    pub(crate) fn renumber(&mut self, peer: PeerId, next: u16) {
        if let Some(member) = self.members.get_mut(peer) {
            member.next = next;
            self.digest = None;
        }
    }

    /// Proposes a line of a peer to the log. Returns it if it is new; for a repeat, its author is
    /// told the position again.
    pub(crate) fn say(&mut self, peer: PeerId, say: Say<'_>, now: WallTime) -> Option<Rc<Line>> {
        let Say { number, sent, text } = say;
        let Member { nickname: from, owner, .. } = self.members.get(peer)?;
        let identity = LineIdentity { owner: *owner, number };
        match self.log.propose(Proposal { identity, at: now, from, text }) {
            Outcome::Committed(line) => {
                self.relay(peer, number, upstream(line.at, sent), &line);
                self.accept(peer, number, line.mark.position);
                Some(line)
            }
            Outcome::Repeated(position) => {
                self.accept(peer, number, position);
                None
            }
        }
    }

    /// Takes in a line of a peer that an engine has committed.
    pub(crate) fn append(&mut self, peer: PeerId, upstream: i32, line: Line) -> Rc<Line> {
        let line = self.log.append(line);
        if let Some(LineIdentity { number, .. }) = line.identity {
            self.relay(peer, number, upstream, &line);
        }
        line
    }

    /// The position of a line, if the log in memory has it.
    #[must_use]
    pub(crate) fn find(&self, identity: LineIdentity) -> Option<u64> {
        self.log.find(identity)
    }

    /// Tells an author that the log has its line.
    pub(crate) fn accept(&mut self, peer: PeerId, number: u16, position: u64) {
        let accepted = ServerMessage::Accepted { number, position };
        self.post(Recipients::One(peer), Kind::Receipt, &accepted);
    }

    /// Delivers a committed line to all peers but its author.
    fn relay(&mut self, peer: PeerId, number: u16, upstream: i32, line: &Line) {
        self.introduce(peer);
        // A reordered or retransmitted line does not turn the counter back.
        if let Some(member) = self.members.get_mut(peer)
            && (number.wrapping_sub(member.next) as i16) >= 0
        {
            member.next = number.wrapping_add(1);
            self.digest = None;
        }
        let Line { mark: Mark { position, .. }, at, from, text, .. } = line;
        let (position, at, author) = (*position, at.0, peer.number());
        let line = LiveLine { position, at, upstream, peer: author, number, from, text };
        let message = ServerMessage::Line(line);
        self.post(Recipients::AllBut(peer), Kind::Line, &message);
    }

    /// Removes a peer; returns its nickname. A peer that was not announced and said nothing leaves
    /// silently.
    pub(crate) fn leave(&mut self, peer: PeerId, reason: LeaveReason) -> Option<String> {
        if self.members.get(peer).is_some_and(|member| member.next != member.first) {
            self.introduce(peer);
        }
        let Member { nickname, next, unannounced, .. } = self.members.remove(peer)?;
        match unannounced {
            Some(place) => self.presence.cancel(place),
            None => self.presence.depart(peer, &nickname, next, reason),
        }
        Some(nickname)
    }

    /// The nickname of a member.
    #[must_use]
    pub(crate) fn nickname(&self, peer: PeerId) -> Option<&str> {
        self.members.get(peer).map(|member| member.nickname.as_str())
    }

    /// The number of a member's next line.
    #[must_use]
    pub(crate) fn next_number(&self, peer: PeerId) -> Option<u16> {
        self.members.get(peer).map(|member| member.next)
    }

    /// Number of peers, as on the wire.
    #[must_use]
    pub(crate) fn count(&self) -> u16 {
        counted(self.members.len())
    }

    /// Number of peers in a newcomer's `Welcome`: itself and the announced ones.
    #[must_use]
    pub(crate) fn count_for(&self, peer: PeerId) -> u16 {
        let known = self.members.get(peer).is_some_and(|member| member.unannounced.is_none());
        counted(self.presence.announced() + usize::from(!known))
    }

    fn post(&mut self, to: Recipients, kind: Kind, message: &ServerMessage<'_>) {
        encode_message_into(message, &mut self.scratch);
        self.posts.extend(Batch::of(&self.scratch).map(|messages| Post { to, kind, messages }));
    }
}

fn counted(peers: usize) -> u16 {
    u16::try_from(peers).unwrap_or(u16::MAX)
}

/// Delay of a line to the server, with the offset of the two clocks, saturating at 35 minutes.
pub(crate) fn upstream(now: WallTime, sent: u64) -> i32 {
    let micros = now.micros_since(WallTime(sent));
    i32::try_from(micros).unwrap_or(if micros < 0 { i32::MIN } else { i32::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_with_distant_clocks_saturate() {
        assert_eq!(upstream(WallTime(0), u64::MAX / 2), i32::MIN);
        assert_eq!(upstream(WallTime(5), 2), 3);
        assert_eq!(upstream(WallTime(5), u64::MAX), i32::MIN);
        assert_eq!(upstream(WallTime(u64::MAX), 0), i32::MAX);
    }
}
