//! What a chat is: who is in it, what was said, who is to be told. It knows no transport: what it
//! wants said it hands out as [`Post`]s, encoded once however many they go to.

use crate::protocol::limits::{LOG_LINES, MAX_DATAGRAM, MAX_REPLAY_BYTES};
use crate::protocol::{Batch, LeaveReason, ServerMessage, encode_message, encode_message_into};
use crate::registry::PeerId;
use crate::time::WallTime;
use std::collections::{BTreeMap, VecDeque};
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

/// A line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its name for good, and when it was said.
    pub id: WallTime,
    /// Whose it is.
    pub from: String,
    /// What was said.
    pub text: String,
}

/// What was said earlier: the lines still in memory, and whether they are all there ever were.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Oldest first.
    pub lines: Vec<Line>,
    /// Whether older lines exist that are not among them.
    pub truncated: bool,
}

#[derive(Debug)]
struct Member {
    nickname: String,
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
            let message = ServerMessage::Present { peer: peer.0, nickname, next };
            self.present = Batch::of(&encode_message(&message)).map(|message| (next, message));
        }
        self.present.as_ref().map(|(_, message)| message.clone())
    }
}

/// See the module.
#[derive(Debug)]
pub struct Room {
    members: BTreeMap<PeerId, Member>,
    log: VecDeque<Rc<Line>>,
    /// Stands for what was before the first line of `log`: the last one that was dropped from it, or
    /// else the moment the room was made.
    before: WallTime,
    last_id: WallTime,
    replay: usize,
    /// What is wrong at the moment: who comes is told.
    warning: Option<String>,
    posts: VecDeque<Post>,
    /// Where messages are written before it is known how long they are.
    scratch: Vec<u8>,
}

impl Room {
    /// An empty room with a past. Newcomers get at most `replay` lines of it.
    pub fn new(past: Past, replay: usize, now: WallTime) -> Self {
        let last_id = past.lines.iter().map(|line| line.id).max().unwrap_or_default();
        // All the room it will need: a log that grows is copied, at the cost of whoever's line that is.
        let mut log = VecDeque::with_capacity(past.lines.len().max(LOG_LINES + 1));
        log.extend(past.lines.into_iter().map(Rc::new));
        let mut room = Self {
            members: BTreeMap::new(),
            log,
            before: now,
            last_id,
            replay,
            warning: None,
            posts: VecDeque::new(),
            scratch: Vec::with_capacity(MAX_DATAGRAM),
        };
        room.trim();
        room
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

    /// The lines for somebody who comes and last saw `seen` (zero: is new), and whether they are
    /// all since then. Who comes back gets all that was missed and is still in memory.
    pub fn replay(&self, seen: WallTime) -> (Vec<Rc<Line>>, bool) {
        if seen == WallTime(0) {
            let skip = self.log.len().saturating_sub(self.replay);
            return (self.log.iter().skip(skip).cloned().collect(), false);
        }
        let mut room = MAX_REPLAY_BYTES;
        // Only a line that is in this log says where to begin. Any other may be from another log, or
        // from a day when the clock was wrong: comparing with it says nothing.
        let known = self.log.iter().rposition(|line| line.id == seen).map(|position| position + 1);
        let known = known.or_else(|| (seen == self.before).then_some(0));
        let missed = self.log.iter().skip(known.unwrap_or(0)).rev();
        let fitting = missed.clone().take_while(|line| {
            let fits = line.text.len() <= room;
            room = room.saturating_sub(line.text.len());
            fits
        });
        let mut lines: Vec<_> = fitting.cloned().collect();
        lines.reverse();
        let all = lines.len() == missed.count();
        (lines, all && known.is_some())
    }

    /// What whoever has been briefed has seen: the newest line, or that there is none.
    pub fn latest(&self) -> WallTime {
        self.log.back().map_or(self.before, |line| line.id)
    }

    /// Somebody comes in; `next` is the number of its next line. Welcoming it is the caller's.
    pub fn join(&mut self, peer: PeerId, nickname: &str, next: u16) {
        let member = Member { nickname: nickname.to_owned(), next, present: None };
        self.members.insert(peer, member);
        let message = ServerMessage::Joined { peer: peer.0, nickname, next, peers: self.count() };
        self.post(Recipients::AllBut(peer), Kind::Control, &message);
    }

    /// Tells `peer` who else is here, what was said, and what is wrong at the moment.
    pub fn brief(&mut self, peer: PeerId, lines: &[Rc<Line>]) {
        let others = self.members.iter_mut().filter(|(other, _)| **other != peer);
        let mut messages: Vec<_> =
            others.filter_map(|(other, member)| member.present(*other)).collect();
        for Line { id, from, text } in lines.iter().map(|line| &**line) {
            let message = ServerMessage::History { id: id.0, from, text };
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
        if let Some(member) = self.members.get_mut(&peer) {
            member.next = next;
        }
    }

    /// A peer says a line. It is in the log with the id returned, and on its way to the others.
    pub fn say(
        &mut self,
        peer: PeerId,
        number: u16,
        sent: WallTime,
        text: &str,
        now: WallTime,
    ) -> Option<Rc<Line>> {
        let id = self.new_id(now);
        let member = self.members.get_mut(&peer)?;
        // A line that was overtaken, or is sent again, does not turn the counter back.
        if (number.wrapping_sub(member.next) as i16) >= 0 {
            member.next = number.wrapping_add(1);
        }
        let from = member.nickname.clone();
        let message = ServerMessage::Line {
            id: id.0,
            upstream: upstream(now, sent),
            peer: peer.0,
            number,
            from: &from,
            text,
        };
        self.post(Recipients::AllBut(peer), Kind::Line, &message);
        let accepted = ServerMessage::Accepted { number, id: id.0 };
        self.post(Recipients::One(peer), Kind::Receipt, &accepted);
        let line = Rc::new(Line { id, from, text: text.to_owned() });
        self.log.push_back(line.clone());
        self.trim();
        Some(line)
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
        let recipient = to.map(|to| (to, self.members.get(&to)));
        let (to, nickname) = match recipient {
            Ok((to, Some(member))) => (to, member.nickname.clone()),
            Ok((_, None)) => return,
            Err(to) => {
                let message = ServerMessage::NotHere { number, to };
                return self.post(Recipients::One(peer), Kind::Control, &message);
            }
        };
        let id = self.new_id(now);
        let Some(member) = self.members.get(&peer) else { return };
        let from = member.nickname.clone();
        if to != peer {
            let upstream = upstream(now, sent);
            let message =
                ServerMessage::Whisper { id: id.0, upstream, peer: peer.0, from: &from, text };
            self.post(Recipients::One(to), Kind::Control, &message);
        }
        let echo = ServerMessage::Whispered { number, id: id.0, to: &nickname, text };
        self.post(Recipients::One(peer), Kind::Control, &echo);
    }

    /// A peer is no longer here. Its nickname, if it was.
    pub fn leave(&mut self, peer: PeerId, reason: LeaveReason) -> Option<String> {
        let Member { nickname, next, .. } = self.members.remove(&peer)?;
        let peers = self.count();
        let message =
            ServerMessage::Left { peer: peer.0, nickname: &nickname, next, peers, reason };
        self.post(Recipients::All, Kind::Control, &message);
        Some(nickname)
    }

    /// `peer` wants to know how long it takes to `to` and back, if anybody of that name is here.
    pub fn ping(&mut self, peer: PeerId, to: Option<PeerId>, number: u16) {
        match to.filter(|to| self.members.contains_key(to)) {
            Some(to) => {
                let message = ServerMessage::Pinged { peer: peer.0, number };
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
        let Some(member) = self.members.get(&peer) else { return };
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

    /// Unique and increasing, whatever the wall clock does.
    fn new_id(&mut self, now: WallTime) -> WallTime {
        self.last_id = now.max(WallTime(self.last_id.0 + 1));
        self.last_id
    }

    fn trim(&mut self) {
        while self.log.len() > LOG_LINES {
            if let Some(line) = self.log.pop_front() {
                self.before = line.id;
            }
        }
    }
}

/// How long a line was on its way up, as far as the two clocks agree, saturating at 35 minutes.
fn upstream(now: WallTime, sent: WallTime) -> i32 {
    let micros = now.micros_since(sent);
    i32::try_from(micros).unwrap_or(if micros < 0 { i32::MIN } else { i32::MAX })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const A: PeerId = PeerId(0);

    fn room() -> Room {
        let mut room = Room::new(Past::default(), 10, WallTime(1_000));
        room.join(A, "alice", 0);
        room
    }

    fn say(room: &mut Room, text: &str, now: u64) -> WallTime {
        room.say(A, 0, WallTime(now), text, WallTime(now)).unwrap().id
    }

    #[test]
    fn ids_increase_even_when_the_clock_steps_back() {
        let mut room = room();
        let first = say(&mut room, "one", 5_000);
        let second = say(&mut room, "two", 4_000);
        assert!(second > first);
    }

    #[test]
    fn newcomers_get_the_last_ten_and_those_who_come_back_all_they_missed() {
        let mut room = room();
        let ids: Vec<_> = (0..40).map(|i| say(&mut room, "x", 2_000 + i)).collect();
        let (new, complete) = room.replay(WallTime(0));
        assert_eq!((new.len(), new[0].id, complete), (10, ids[30], false));
        let (missed, complete) = room.replay(ids[4]);
        assert_eq!((missed.len(), missed[0].id, complete), (35, ids[5], true));
    }

    #[test]
    fn a_room_without_a_past_does_not_claim_to_know_it() {
        let room = room();
        assert_eq!(room.replay(WallTime(999)), (vec![], false));
    }

    #[test]
    fn the_log_is_bounded_and_says_when_it_is_no_longer_complete() {
        let mut room = room();
        let ids: Vec<_> = (0..2_000).map(|i| say(&mut room, "x", 2_000 + i)).collect();
        assert!(!room.replay(ids[0]).1);
        assert_eq!(room.replay(ids[2_000 - 1_025]).0.len(), 1_024);
        assert!(room.replay(ids[2_000 - 1_025]).1);
    }

    #[test]
    fn clocks_that_disagree_wildly_saturate() {
        assert_eq!(upstream(WallTime(0), WallTime(u64::MAX / 2)), i32::MIN);
        assert_eq!(upstream(WallTime(5), WallTime(2)), 3);
    }
}
