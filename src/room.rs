//! What a chat is: who is in it, what was said, who is to be told. It knows no transport: what it
//! wants said it hands out as [`Post`]s, encoded once however many they go to.

mod log;
mod numbers;

pub use log::{Kept, Line, LineIdentity, Log, Outcome, Past, Proposal, Replay};
pub use numbers::Taken;

use crate::protocol::limits::MAX_DATAGRAM;
use crate::protocol::{
    Batch, LeaveReason, Mark, ServerMessage, encode_message, encode_message_into,
};
use crate::registry::{Owner, PeerId, PeerMap};
use crate::time::WallTime;
use std::collections::VecDeque;
use std::rc::Rc;

/// Messages for a newcomer that are put into one batch.
const BRIEFING: usize = 32;

/// Who is to get a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// This peer.
    One(PeerId),
    /// Everybody but this peer.
    AllBut(PeerId),
    /// Everybody.
    All,
}

/// What a message is, as far as delivery is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A chat line: delivered as its receiver chose.
    Line,
    /// Tells the author of a line that it is in the log: delivered as lines are, but never urgent.
    Receipt,
    /// All else: always reliable and in order.
    Control,
    /// A measurement: sent once, for a repetition would measure something else.
    Probe,
    /// What a newcomer cannot do without: as `Control`, and never refused by a full queue.
    Briefing,
}

/// What the room wants delivered.
#[derive(Clone, Debug)]
pub struct Post {
    /// To whom.
    pub to: Recipients,
    /// How.
    pub kind: Kind,
    /// What.
    pub messages: Batch,
}

#[derive(Debug)]
struct Member {
    nickname: String,
    /// Whose lines its lines are.
    owner: Owner,
    /// The number its next line will have.
    next: u16,
    /// What newcomers were last told of it, and with which number: most come while few talk.
    present: Option<(u16, Batch)>,
}

impl Member {
    /// What newcomers are told of it.
    fn present(&mut self, peer: PeerId) -> Option<Batch> {
        let (nickname, next) = (&self.nickname, self.next);
        if self.present.as_ref().is_none_or(|(told, _)| *told != next) {
            let message = ServerMessage::Present { peer: peer.number(), nickname, next };
            self.present = Batch::of(&encode_message(&message)).map(|message| (next, message));
        }
        self.present.as_ref().map(|(_, message)| message.clone())
    }
}

/// See the module.
#[derive(Debug)]
pub struct Room {
    members: PeerMap<Member>,
    log: Log,
    replay: usize,
    /// What is wrong at the moment: who comes is told.
    warning: Option<String>,
    posts: VecDeque<Post>,
    /// Where messages are written before it is known how long they are.
    scratch: Vec<u8>,
}

impl Room {
    /// An empty room with a past. Newcomers get at most `replay` lines of it. `epoch` is random and not
    /// 0: it names the log, if that begins now.
    pub fn new(past: Past, replay: usize, epoch: u64) -> Self {
        Self {
            members: PeerMap::new(),
            log: Log::new(past, epoch),
            replay,
            warning: None,
            posts: VecDeque::new(),
            scratch: Vec::with_capacity(MAX_DATAGRAM),
        }
    }

    /// What the room wants delivered next.
    pub fn poll_post(&mut self) -> Option<Post> {
        self.posts.pop_front()
    }

    /// How many are in the room.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is in the room.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The lines for somebody who comes and has seen all up to `seen` (epoch 0: it is new), and whether
    /// they are all since then. Who comes back gets all that was missed and is still in memory.
    pub fn replay(&self, seen: Mark) -> Replay {
        if seen.epoch == 0 { self.log.newest(self.replay) } else { self.log.after(seen) }
    }

    /// Which of this owner's newest lines the log has, for a client that has seen `seen`.
    pub fn taken(&self, owner: Owner, seen: Mark) -> Taken {
        self.log.taken(owner, seen)
    }

    /// What whoever has been briefed has seen: the newest line, or that there is none.
    pub fn latest(&self) -> Mark {
        self.log.latest()
    }

    /// Somebody comes in; `next` is the number of its next line. Welcoming it is the caller's.
    pub fn join(&mut self, peer: PeerId, nickname: &str, owner: Owner, next: u16) {
        let member = Member { nickname: nickname.to_owned(), owner, next, present: None };
        self.members.insert(peer, member);
        let message =
            ServerMessage::Joined { peer: peer.number(), nickname, next, peers: self.count() };
        self.post(Recipients::AllBut(peer), Kind::Control, &message);
    }

    /// Tells `peer` who else is here, what was said, and what is wrong at the moment.
    pub fn brief(&mut self, peer: PeerId, lines: &[Rc<Line>]) {
        let others = self.members.iter_mut().filter(|(other, _)| *other != peer);
        let mut messages: Vec<_> =
            others.filter_map(|(other, member)| member.present(other)).collect();
        let owner = self.members.get(peer).map(|member| member.owner);
        for Line { mark, at, from, text, identity } in lines.iter().map(|line| &**line) {
            let own = identity.filter(|identity| Some(identity.owner) == owner);
            let message = ServerMessage::History {
                position: mark.position,
                at: at.0,
                own: own.is_some(),
                number: own.map_or(0, |identity| identity.number),
                from,
                text,
            };
            messages.extend(Batch::of(&encode_message(&message)));
        }
        if let Some(text) = &self.warning {
            messages.extend(Batch::of(&encode_message(&ServerMessage::Notice { text })));
        }
        // There can be as many as members: few and full batches take less room in a queue.
        let (to, kind) = (Recipients::One(peer), Kind::Briefing);
        self.posts.extend(messages.chunks(BRIEFING).map(|messages| {
            let messages = Batch::join(messages);
            Post { to, kind, messages }
        }));
    }

    /// The peer's next line will have this number (it came back under the same name).
    pub fn renumber(&mut self, peer: PeerId, next: u16) {
        if let Some(member) = self.members.get_mut(peer) {
            member.next = next;
        }
    }

    /// A peer says a line. The line that is new in the log and on its way to the others is returned: of
    /// one that the log has already, its author is told again where.
    pub fn say(
        &mut self,
        peer: PeerId,
        number: u16,
        sent: WallTime,
        text: &str,
        now: WallTime,
    ) -> Option<Rc<Line>> {
        let Member { nickname: from, owner, .. } = self.members.get(peer)?;
        let identity = LineIdentity { owner: *owner, number };
        match self.log.propose(Proposal { identity, at: now, from, text }) {
            Outcome::Committed(line) => {
                self.committed(peer, number, sent, &line);
                Some(line)
            }
            Outcome::Repeated(position) => {
                let accepted = ServerMessage::Accepted { number, position };
                self.post(Recipients::One(peer), Kind::Receipt, &accepted);
                None
            }
        }
    }

    /// A line of this peer is in the log: everybody is told.
    fn committed(&mut self, peer: PeerId, number: u16, sent: WallTime, line: &Line) {
        // A line that was overtaken, or is sent again, does not turn the counter back.
        if let Some(member) = self.members.get_mut(peer)
            && (number.wrapping_sub(member.next) as i16) >= 0
        {
            member.next = number.wrapping_add(1);
        }
        let Line { mark: Mark { position, .. }, at, from, text, .. } = line;
        let (position, upstream) = (*position, upstream(*at, sent));
        let peer_number = peer.number();
        let message = ServerMessage::Line {
            position,
            at: at.0,
            upstream,
            peer: peer_number,
            number,
            from,
            text,
        };
        self.post(Recipients::AllBut(peer), Kind::Line, &message);
        let accepted = ServerMessage::Accepted { number, position };
        self.post(Recipients::One(peer), Kind::Receipt, &accepted);
    }

    /// A peer says a line to another one; `to` is who was meant, as far as anybody is.
    pub fn whisper(
        &mut self,
        peer: PeerId,
        to: Result<PeerId, &str>,
        number: u16,
        sent: WallTime,
        text: &str,
        now: WallTime,
    ) {
        let recipient = to.map(|to| (to, self.members.get(to)));
        let (to, nickname) = match recipient {
            Ok((to, Some(member))) => (to, member.nickname.clone()),
            Ok((_, None)) => return,
            Err(to) => {
                let message = ServerMessage::NotHere { number, to };
                return self.post(Recipients::One(peer), Kind::Control, &message);
            }
        };
        let Some(member) = self.members.get(peer) else { return };
        let from = member.nickname.clone();
        if to != peer {
            let upstream = upstream(now, sent);
            let message = ServerMessage::Whisper {
                at: now.0,
                upstream,
                peer: peer.number(),
                from: &from,
                text,
            };
            self.post(Recipients::One(to), Kind::Control, &message);
        }
        let echo = ServerMessage::Whispered { number, at: now.0, to: &nickname, text };
        self.post(Recipients::One(peer), Kind::Control, &echo);
    }

    /// A peer is no longer here. Its nickname, if it was.
    pub fn leave(&mut self, peer: PeerId, reason: LeaveReason) -> Option<String> {
        let Member { nickname, next, .. } = self.members.remove(peer)?;
        let peers = self.count();
        let message =
            ServerMessage::Left { peer: peer.number(), nickname: &nickname, next, peers, reason };
        self.post(Recipients::All, Kind::Control, &message);
        Some(nickname)
    }

    /// `peer` wants to know how long it takes to `to` and back, if anybody of that name is here.
    pub fn ping(&mut self, peer: PeerId, to: Option<PeerId>, number: u16) {
        match to.filter(|to| self.members.contains(*to)) {
            Some(to) => {
                let message = ServerMessage::Pinged { peer: peer.number(), number };
                self.post(Recipients::One(to), Kind::Probe, &message);
            }
            None => {
                let message = ServerMessage::Ponged { number, from: "" };
                self.post(Recipients::One(peer), Kind::Probe, &message);
            }
        }
    }

    /// `peer` answers what `asker` wanted to know.
    pub fn pong(&mut self, peer: PeerId, asker: PeerId, number: u16) {
        let Some(member) = self.members.get(peer) else { return };
        let message = ServerMessage::Ponged { number, from: &member.nickname.clone() };
        self.post(Recipients::One(asker), Kind::Probe, &message);
    }

    /// Tells everybody what is wrong, and from now on everybody who comes.
    pub fn warn(&mut self, text: &str) {
        self.warning = Some(text.to_owned());
        self.post(Recipients::All, Kind::Control, &ServerMessage::Notice { text });
    }

    /// Tells everybody that it is well again.
    pub fn all_clear(&mut self, text: &str) {
        self.warning = None;
        self.post(Recipients::All, Kind::Control, &ServerMessage::Notice { text });
    }

    /// How many are here, as the wire counts.
    pub fn count(&self) -> u16 {
        u16::try_from(self.members.len()).unwrap_or(u16::MAX)
    }

    fn post(&mut self, to: Recipients, kind: Kind, message: &ServerMessage<'_>) {
        encode_message_into(message, &mut self.scratch);
        self.posts.extend(Batch::of(&self.scratch).map(|messages| Post { to, kind, messages }));
    }
}

/// How long a line was on its way up, as far as the two clocks agree, saturating at 35 minutes.
fn upstream(now: WallTime, sent: WallTime) -> i32 {
    let micros = now.micros_since(sent);
    i32::try_from(micros).unwrap_or(if micros < 0 { i32::MIN } else { i32::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_disagree_wildly_saturate() {
        assert_eq!(upstream(WallTime(0), WallTime(u64::MAX / 2)), i32::MIN);
        assert_eq!(upstream(WallTime(5), WallTime(2)), 3);
        assert_eq!(upstream(WallTime(5), WallTime(u64::MAX)), i32::MIN);
        assert_eq!(upstream(WallTime(u64::MAX), WallTime(0)), i32::MAX);
    }
}
