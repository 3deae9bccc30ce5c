//! What must hold, written down as what everybody saw. Each check runs the moment something is
//! shown, said or sent; `at_rest` and `at_end` look once more when the network has calmed.

use chatagram::client::session::{CloseReason, Event};
use chatagram::protocol::{Delivery, LeaveReason};
use chatagram::room::Line;
use chatagram::time::WallTime;
use std::collections::{BTreeMap, BTreeSet};

/// The lines that the server wrote down, in its order, whatever was forgotten since.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) lines: Vec<Line>,
    positions: BTreeMap<String, usize>,
    /// Lines before this were forgotten by a server that started without a history.
    pub(crate) forgotten: usize,
}

impl Log {
    pub(crate) fn add(&mut self, line: Line) {
        let before = self.positions.insert(line.text.clone(), self.lines.len());
        assert_eq!(before, None, "{:?} is in the log twice", line.text);
        let newer = self.lines[self.forgotten..].last().is_none_or(|last| last.id < line.id);
        assert!(newer, "the id of {line:?} is not larger than the one before");
        self.lines.push(line);
    }

    /// Where a line that somebody saw is.
    fn find(&self, id: WallTime, from: &str, text: &str) -> usize {
        let position = self.positions.get(text).copied();
        let position = position.unwrap_or_else(|| panic!("{text:?} was shown but never logged"));
        let line = &self.lines[position];
        assert_eq!((line.id, &*line.from), (id, from), "{text:?} was shown with another head");
        position
    }
}

/// What became of an own line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Own {
    Pending,
    Confirmed,
    Reported,
}

/// What one client process said and saw.
#[derive(Debug)]
pub(crate) struct Record {
    /// Tells its lines from those of others, and from those of earlier processes of its name.
    pub(crate) tag: String,
    nickname: String,
    pub(crate) delivery: Delivery,
    own: BTreeMap<String, Own>,
    shown_ids: BTreeSet<WallTime>,
    shown: BTreeSet<String>,
    /// Ids of lines it has shown, oldest first, as the cache would keep them.
    pub(crate) order: Vec<WallTime>,
    last_position: Option<usize>,
    pub(crate) welcomes: usize,
    /// How long the log was at its last welcome before it saw a line.
    since: usize,
    peers: Option<u16>,
    /// By tag of the sender: how long each line was on its way, as far as the clocks agree, microseconds.
    delivered: BTreeMap<String, Vec<i64>>,
    /// The id of its last session.
    pub(crate) session: Option<u64>,
    /// By nickname of the sender.
    gaps: BTreeMap<String, u64>,
    pub(crate) departed: BTreeMap<String, LeaveReason>,
    pub(crate) closed: Option<CloseReason>,
}

impl Record {
    pub(crate) fn new(
        tag: String,
        nickname: &str,
        delivery: Delivery,
        cached: &[WallTime],
    ) -> Self {
        Self {
            tag,
            nickname: nickname.to_owned(),
            delivery,
            own: BTreeMap::new(),
            shown_ids: cached.iter().copied().collect(),
            shown: BTreeSet::new(),
            order: cached.to_vec(),
            last_position: None,
            welcomes: 0,
            since: 0,
            peers: None,
            delivered: BTreeMap::new(),
            session: None,
            gaps: BTreeMap::new(),
            departed: BTreeMap::new(),
            closed: None,
        }
    }

    /// A line this process is about to say, unlike any other.
    pub(crate) fn compose(&mut self, kind: &str, filling: &str) -> String {
        let text = format!("{} {kind}{} {filling}", self.tag, self.own.len());
        let text = text.trim_end().to_owned();
        self.own.insert(text.clone(), Own::Pending);
        text
    }

    /// The line was not taken in the first place.
    pub(crate) fn retract(&mut self, text: &str) {
        self.own.remove(text);
    }

    pub(crate) fn said(&self) -> u64 {
        self.own.len() as u64
    }

    /// What this process saw and lost of everything the other one said.
    pub(crate) fn account(&self, sender: &Record) -> (u64, u64) {
        let missing = self.gaps.get(&sender.nickname).copied().unwrap_or(0);
        (self.latencies(sender).len() as u64, missing)
    }

    /// How long what the other one said was on its way to this one.
    pub(crate) fn latencies(&self, sender: &Record) -> &[i64] {
        self.delivered.get(&sender.tag).map_or(&[], Vec::as_slice)
    }

    /// Looks at one event of the session as it happens.
    pub(crate) fn observe(&mut self, event: &Event, log: &Log) {
        assert_eq!(self.closed, None, "{} goes on after the end: {event:?}", self.tag);
        match event {
            Event::Welcome { peers, again, session, .. } => {
                self.session = Some(*session);
                assert_eq!(*again, self.welcomes > 0, "{} mistakes a return", self.tag);
                if self.last_position.is_none() {
                    self.since = log.lines.len();
                }
                self.welcomes += 1;
                self.peers = Some(*peers);
            }
            Event::Joined { peers, .. } => self.peers = Some(*peers),
            Event::Left { nickname, peers, reason } => {
                self.peers = Some(*peers);
                self.departed.insert(nickname.clone(), *reason);
            }
            Event::Message { id, from, text, to, private: true, .. } => {
                self.show_once(*id, text);
                match to {
                    Some(_) => self.settle(text, Own::Confirmed),
                    None => assert!(
                        text.contains(" whisper")
                            && text.contains(&format!("to={};", self.nickname)),
                        "{text:?} from {from} is not for {}",
                        self.nickname
                    ),
                }
            }
            Event::Message { id, from, text, transit, .. } => {
                assert!(!self.own.contains_key(text), "{} got its own {text:?}", self.tag);
                self.show(log.find(*id, from, text), log);
                let delivered = self.delivered.entry(tag_of(text).to_owned()).or_default();
                delivered.push(transit.unwrap_or_default());
            }
            Event::History { id, from, text } => self.show(log.find(*id, from, text), log),
            Event::Gap { from, missing } => *self.gaps.entry(from.clone()).or_default() += missing,
            Event::Confirmed { text, .. } => {
                let logged = log.positions.contains_key(text);
                assert!(logged, "{text:?} was confirmed and is in no log");
                self.settle(text, Own::Confirmed);
            }
            Event::Error { message } => {
                let whose = self.own.keys().find(|text| message.ends_with(text.as_str()));
                if let Some(text) = whose.cloned() {
                    self.settle(&text, Own::Reported);
                }
            }
            Event::Closed { reason } => {
                self.closed = Some(*reason);
                self.all_settled();
            }
            Event::Who { peers } => {
                let names: BTreeSet<_> = peers.iter().map(|peer| &peer.nickname).collect();
                assert!(!peers.is_empty() && names.len() == peers.len(), "{peers:?}");
            }
            Event::Status { .. }
            | Event::Present { .. }
            | Event::Pong { .. }
            | Event::Stats(_)
            | Event::Resolve
            | Event::Connect(_)
            | Event::Disconnect => {}
        }
    }

    /// Every line it ever said came to something.
    pub(crate) fn all_settled(&self) {
        let pending: Vec<_> = self.own.iter().filter(|(_, fate)| **fate == Own::Pending).collect();
        assert!(pending.is_empty(), "{}: nobody knows what became of {pending:?}", self.tag);
    }

    fn settle(&mut self, text: &str, fate: Own) {
        let before = self.own.insert(text.to_owned(), fate);
        assert_eq!(before, Some(Own::Pending), "{text:?} is {fate:?} now");
    }

    fn show_once(&mut self, id: WallTime, text: &str) {
        assert!(self.shown_ids.insert(id), "{} saw {text:?} ({id}) twice", self.tag);
        assert!(self.shown.insert(text.to_owned()), "{} saw {text:?} twice", self.tag);
        self.order.push(id);
    }

    /// A line of the room is shown. Who receives in order misses none between two of them.
    fn show(&mut self, position: usize, log: &Log) {
        let Line { id, text, .. } = &log.lines[position];
        self.show_once(*id, text);
        if self.delivery != Delivery::ReliableOrdered {
            return;
        }
        if let Some(last) = self.last_position.replace(position) {
            assert!(position > last, "{} saw {text:?} out of order", self.tag);
            self.has_seen(&log.lines[(last + 1).max(log.forgotten.min(position))..position]);
        }
    }

    fn has_seen(&self, lines: &[Line]) {
        for line in lines {
            let known = self.own.contains_key(&line.text) || self.shown_ids.contains(&line.id);
            assert!(known, "{} missed {:?}", self.tag, line.text);
        }
    }

    /// The network has calmed, and this process is in the room.
    pub(crate) fn at_rest(&self, log: &Log, peers: usize) {
        assert_eq!(self.peers.map(usize::from), Some(peers), "{} counts wrongly", self.tag);
        self.all_settled();
        let from = match self.delivery {
            Delivery::Unreliable => return,
            Delivery::ReliableUnordered if self.welcomes > 1 => return,
            Delivery::ReliableUnordered => self.since,
            Delivery::ReliableOrdered => self.last_position.unwrap_or(self.since),
        };
        self.has_seen(&log.lines[from.max(log.forgotten).min(log.lines.len())..]);
    }
}

/// The process that composed a line.
fn tag_of(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default()
}
