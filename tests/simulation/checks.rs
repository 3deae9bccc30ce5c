//! The invariants, checked against a record of what each client sent and saw. Most checks run at
//! each event; `at_rest` and `all_settled` run once the network is calm.

use chatagram::client::session::{CloseReason, Event};
use chatagram::hub::{Line, LineIdentity};
use chatagram::protocol::{Delivery, LeaveReason, Mark, NameKey, Nickname};
use std::collections::{BTreeMap, BTreeSet};

/// All lines that the server has ever logged, in order.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) lines: Vec<Line>,
    indices: BTreeMap<Mark, usize>,
    /// How often each text was logged.
    texts: BTreeMap<String, usize>,
    identities: BTreeSet<LineIdentity>,
    /// Number of first lines that a server started without history has forgotten.
    pub(crate) forgotten: usize,
    /// An engine keeps the log of several servers.
    pub(crate) shared: bool,
    /// A moderator mutes clients: a line in `Once` that is acknowledged may not be in the log.
    pub(crate) moderated: bool,
}

impl Log {
    pub(crate) fn add(&mut self, line: Line) {
        assert_eq!(self.indices.insert(line.mark, self.lines.len()), None, "{line:?}");
        let identity = line.identity.expect("a line has an author");
        assert!(self.identities.insert(identity), "{line:?} is in the log twice");
        let last = self.lines[self.forgotten..].last();
        let newer =
            last.is_none_or(|last| last.mark < line.mark && last.mark.epoch == line.mark.epoch);
        assert!(newer, "{line:?} does not stand behind the one before");
        *self.texts.entry(line.text.clone()).or_default() += 1;
        self.lines.push(line);
    }

    /// The position of a line that a client saw.
    fn find(&self, mark: Mark, from: &str, text: &str) -> usize {
        let index = self.indices.get(&mark).copied();
        let index = index.unwrap_or_else(|| panic!("{text:?} was shown but never logged"));
        let line = &self.lines[index];
        let told = (&*line.from, &*line.text);
        assert_eq!(told, (from, text), "{mark:?} was shown as another line");
        index
    }

    fn count(&self, text: &str) -> usize {
        self.texts.get(text).copied().unwrap_or(0)
    }
}

/// The outcomes of this process's lines of one text, which it may repeat.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    said: usize,
    confirmed: usize,
    reported: usize,
}

impl Own {
    fn pending(self) -> Option<usize> {
        self.said.checked_sub(self.confirmed + self.reported)
    }
}

/// Lines and events of one client process.
#[derive(Debug)]
pub(crate) struct Record {
    /// Prefix of its lines, distinct from other processes of the same nickname.
    pub(crate) tag: String,
    pub(crate) nickname: String,
    /// All nicknames that it had or asked for: lines and whispers may overtake the answer.
    names: BTreeSet<String>,
    pub(crate) delivery: Delivery,
    own: BTreeMap<String, Own>,
    shown: BTreeSet<Mark>,
    whispers: BTreeSet<String>,
    /// The lines shown, oldest first, like the client's cache.
    pub(crate) order: Vec<Mark>,
    last_position: Option<usize>,
    pub(crate) welcomes: usize,
    /// Length of the log at its last join before it saw a line.
    since: usize,
    peers: Option<u16>,
    /// The nicknames that the server has announced as here, its own included.
    pub(crate) present: BTreeSet<String>,
    /// All nicknames announced in its last session.
    introduced: BTreeSet<String>,
    /// By the sender's tag: the transit time of each line, microseconds.
    delivered: BTreeMap<String, Vec<i64>>,
    /// The id of its last session.
    pub(crate) session: Option<u64>,
    /// Lines missing, by the sender's nickname.
    gaps: BTreeMap<String, u64>,
    pub(crate) departed: BTreeMap<String, LeaveReason>,
    pub(crate) closed: Option<CloseReason>,
    /// Number of lines that it reported as lost or uncertain.
    pub(crate) reported: u64,
    /// Notices and changes of its connection.
    pub(crate) told: Vec<String>,
    /// Number of answers to its pings, and of peers in the last answer to `Who`.
    pub(crate) pongs: usize,
    pub(crate) who: usize,
}

impl Record {
    pub(crate) fn new(tag: String, nickname: &str, delivery: Delivery, cached: &[Mark]) -> Self {
        Self {
            tag,
            nickname: nickname.to_owned(),
            names: BTreeSet::from([nickname.to_owned()]),
            delivery,
            own: BTreeMap::new(),
            shown: cached.iter().copied().collect(),
            whispers: BTreeSet::new(),
            order: cached.to_vec(),
            last_position: None,
            welcomes: 0,
            since: 0,
            peers: None,
            present: BTreeSet::new(),
            introduced: BTreeSet::new(),
            delivered: BTreeMap::new(),
            session: None,
            gaps: BTreeMap::new(),
            departed: BTreeMap::new(),
            closed: None,
            reported: 0,
            told: Vec::new(),
            pongs: 0,
            who: 0,
        }
    }

    /// Composes a new line with a unique text.
    pub(crate) fn compose(&mut self, kind: &str, filling: &str) -> String {
        let text = format!("{} {kind}{} {filling}", self.tag, self.own.len());
        self.compose_again(text.trim_end())
    }

    /// Composes a line, possibly with a repeated text.
    pub(crate) fn compose_again(&mut self, text: &str) -> String {
        self.own.entry(text.to_owned()).or_default().said += 1;
        text.to_owned()
    }

    /// Removes a line that the session did not take.
    pub(crate) fn retract(&mut self, text: &str) {
        let own = self.own.get_mut(text).unwrap();
        own.said -= 1;
        if own.said == 0 {
            self.own.remove(text);
        }
    }

    pub(crate) fn said(&self) -> u64 {
        self.own.values().map(|own| own.said as u64).sum()
    }

    /// The numbers of the sender's lines that this process saw and missed.
    pub(crate) fn account(&self, sender: &Record) -> (u64, u64) {
        let missing = self.gaps.get(&sender.nickname).copied().unwrap_or(0);
        (self.latencies(sender).len() as u64, missing)
    }

    /// The transit times of the sender's lines.
    pub(crate) fn latencies(&self, sender: &Record) -> &[i64] {
        self.delivered.get(&sender.tag).map_or(&[], Vec::as_slice)
    }

    /// Checks one event of the session.
    pub(crate) fn observe(&mut self, event: &Event, log: &Log) {
        assert_eq!(self.closed, None, "{} has an event after its end: {event:?}", self.tag);
        match event {
            Event::Welcome { peers, again, session, nickname, .. } => {
                self.call(nickname);
                self.present = BTreeSet::from([nickname.clone()]);
                self.introduced.clear();
                self.session = Some(*session);
                assert_eq!(*again, self.welcomes > 0, "{} mistakes a return", self.tag);
                if self.last_position.is_none() {
                    self.since = log.lines.len();
                }
                self.welcomes += 1;
                self.peers = Some(*peers);
            }
            Event::Present { nicknames } => self.arrive(nicknames),
            Event::Joined { nicknames, peers } => {
                self.arrive(nicknames);
                self.count(*peers);
            }
            Event::Left { nicknames, peers, reason } => {
                for nickname in nicknames {
                    assert!(self.present.remove(nickname), "{nickname} left {} twice", self.tag);
                }
                self.count(*peers);
                self.departed.extend(nicknames.iter().map(|it| (it.clone(), *reason)));
            }
            Event::Renamed { from, to, own } => {
                if *own {
                    self.call(to);
                    self.present.remove(from);
                } else {
                    assert!(self.present.remove(from), "{from} is renamed, and not here");
                }
                assert!(self.present.insert(to.clone()), "two are named {to}");
                self.introduced.insert(to.clone());
            }
            Event::Message { from, text, to, private: true, .. } => {
                assert!(self.whispers.insert(text.clone()), "{} saw {text:?} twice", self.tag);
                match to {
                    Some(_) => self.confirm(text),
                    None => assert!(
                        self.names.iter().any(|name| key(name) == key(addressee(text))),
                        "{text:?} from {from} is not for {}",
                        self.nickname
                    ),
                }
            }
            Event::Message { mark, from, text, transit, .. } => {
                assert!(!self.own.contains_key(text), "{} got its own {text:?}", self.tag);
                self.show(log.find(mark.unwrap(), from, text), log);
                let known = self.introduced.contains(from);
                let in_order = self.delivery == Delivery::ReliableOrdered;
                assert!(known || !in_order, "{} does not know {from}: {text:?}", self.tag);
                let delivered = self.delivered.entry(tag_of(text).to_owned()).or_default();
                delivered.push(transit.unwrap_or_default());
            }
            Event::History { mark, from, text, .. } => self.show(log.find(*mark, from, text), log),
            Event::Gap { from, missing } => *self.gaps.entry(from.clone()).or_default() += missing,
            Event::Confirmed { mark, text, .. } => {
                self.confirm(text);
                // An engine has a line later than its server has acknowledged the datagram.
                if !log.moderated && (mark.is_some() || !log.shared) {
                    let (confirmed, logged) = (self.own[text].confirmed, log.count(text));
                    let counts = format!("{confirmed} confirmed, {logged} in a log");
                    assert!(confirmed <= logged, "{text:?}: {counts}");
                }
                if let Some(mark) = mark {
                    let line = &log.lines[log.indices[mark]];
                    assert!(line.text == *text && self.names.contains(&line.from), "{line:?}");
                }
            }
            Event::Topic { text } => self.told.push(text.clone()),
            Event::Undelivered { text } => assert!(self.own.contains_key(text), "{text:?}"),
            Event::Error { notice } => {
                let message = notice.to_string();
                let whose = self.own.keys().find(|text| message.ends_with(text.as_str()));
                if let Some(text) = whose.cloned() {
                    self.own.get_mut(&text).unwrap().reported += 1;
                    self.reported += 1;
                    self.check(&text);
                }
            }
            Event::Closed { reason } => {
                self.closed = Some(*reason);
                self.all_settled();
            }
            Event::Who { peers, .. } => {
                let names: BTreeSet<_> = peers.iter().map(|peer| &peer.nickname).collect();
                assert!(!peers.is_empty() && names.len() == peers.len(), "{peers:?}");
                self.who = peers.len();
            }
            Event::Status { notice } => self.told.push(notice.to_string()),
            Event::Pong { .. } => self.pongs += 1,
            Event::Stats(_) | Event::Resolve | Event::Connect(_) | Event::Disconnect => {}
            event => panic!("unchecked: {event:?}"),
        }
    }

    /// The client asks for another name.
    pub(crate) fn may_be_called(&mut self, nickname: &str) {
        self.names.extend(Nickname::parse(nickname).ok().map(|name| name.to_string()));
    }

    /// The client has this name now.
    fn call(&mut self, nickname: &str) {
        nickname.clone_into(&mut self.nickname);
        self.names.insert(nickname.to_owned());
    }

    /// Records the arrival of peers, none of which was here.
    fn arrive(&mut self, nicknames: &[String]) {
        for nickname in nicknames {
            assert!(
                self.present.insert(nickname.clone()),
                "{nickname} was announced to {} twice",
                self.tag
            );
            self.introduced.insert(nickname.clone());
        }
    }

    /// Checks that the server's count equals the number of announced peers.
    fn count(&mut self, peers: u16) {
        self.peers = Some(peers);
        assert_eq!(self.present.len(), usize::from(peers), "{}: {:?}", self.tag, self.present);
    }

    /// Checks that every line it sent has an outcome.
    pub(crate) fn all_settled(&self) {
        let pending = |own: &Own| own.pending() != Some(0);
        let pending: Vec<_> = self.own.iter().filter(|(_, own)| pending(own)).collect();
        assert!(pending.is_empty(), "{}: no outcome of {pending:?}", self.tag);
    }

    fn confirm(&mut self, text: &str) {
        self.own.get_mut(text).unwrap().confirmed += 1;
        self.check(text);
    }

    fn check(&self, text: &str) {
        let own = self.own[text];
        assert!(own.pending().is_some(), "{} settles {text:?} too often: {own:?}", self.tag);
    }

    fn show_once(&mut self, mark: Mark, text: &str) {
        assert!(self.shown.insert(mark), "{} saw {text:?} ({mark:?}) twice", self.tag);
        self.order.push(mark);
    }

    /// Checks a line when it is shown; with ordered delivery no earlier line may be missing.
    fn show(&mut self, position: usize, log: &Log) {
        let Line { mark, text, .. } = &log.lines[position];
        self.show_once(*mark, text);
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
            let known = self.own.contains_key(&line.text) || self.shown.contains(&line.mark);
            assert!(known, "{} missed {:?}", self.tag, line.text);
        }
    }

    /// Checks the record once the network is calm and this process is joined.
    pub(crate) fn at_rest(&self, log: &Log, peers: &[&str]) {
        assert_eq!(self.peers.map(usize::from), Some(peers.len()), "{} counts wrongly", self.tag);
        assert!(self.present.iter().eq(peers), "{} knows of {:?}", self.tag, self.present);
        self.all_settled();
        for (text, own) in &self.own {
            assert!(log.count(text) <= own.said, "{text:?} is in the log more often than said");
        }
        let from = match self.delivery {
            Delivery::Unreliable => return,
            Delivery::ReliableUnordered if self.welcomes > 1 => return,
            Delivery::ReliableUnordered => self.since,
            Delivery::ReliableOrdered => self.last_position.unwrap_or(self.since),
        };
        self.has_seen(&log.lines[from.max(log.forgotten).min(log.lines.len())..]);
    }
}

/// The name to which a whisper was sent.
fn addressee(text: &str) -> &str {
    let (_, rest) = text.split_once(" to=").expect("a whisper has an addressee");
    rest.split(';').next().unwrap_or_default()
}

fn key(name: &str) -> NameKey {
    Nickname::parse(name).expect("a name").key()
}

/// The tag of the process that composed a line.
fn tag_of(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default()
}
