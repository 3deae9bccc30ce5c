//! The established session: the link, the state of the room, and the liveness of the server.
//! Handles the server's messages.

use super::attempt::Attempt;
use super::event::{CloseReason, Event, transit};
use super::lines::Taken;
use super::rejoin::First;
use super::roaming::Roaming;
use super::{Notice, Session, Transport, Undelivered};
use crate::bucket::Limit;
use crate::link::Channel;
use crate::protocol::limits::{
    GAP_WAIT, GAP_WAIT_RELIABLE, LASTING, MAX_NAME, MIN_HEARTBEAT, QUIET, ROOM_SIZE, SILENT,
    give_up,
};
use crate::protocol::{
    Delivery, LeaveReason, LiveLine, Mark, PastLine, Roll, RollEntry, ServerMessage, Welcome,
    clean, clip, decode_message,
};
use crate::time::{Now, Timestamp, WallTime};
use std::net::SocketAddr;
use std::time::Duration;

/// Live lines held back until the replay is complete, so that older lines come first.
const HELD_BACK: usize = 256;

#[derive(Debug)]
pub(super) struct Established {
    pub(super) link: Channel,
    pub(super) server: SocketAddr,
    pub(super) roaming: Roaming,
    /// Over a connection until `Welcome`: the attempt, in case there is none.
    pub(super) pending: Option<Box<Attempt>>,
    /// If the server is heard then or later, the session has lasted.
    lasts: Timestamp,
    heard: Timestamp,
    quiet: bool,
    quiet_after: Duration,
    silent_after: Duration,
    /// Remaining lines of the replay; `None` before `Welcome`.
    replay: Option<u16>,
    latest: u64,
    /// The last line in order.
    reached: u64,
    held_back: Vec<Event>,
}

impl Established {
    pub(super) fn new(link: Channel, server: SocketAddr, now: Timestamp) -> Self {
        Self {
            link,
            server,
            roaming: Roaming::default(),
            pending: None,
            lasts: now + LASTING,
            heard: now,
            quiet: false,
            quiet_after: QUIET,
            silent_after: SILENT,
            replay: None,
            latest: 0,
            reached: 0,
            held_back: Vec::new(),
        }
    }

    /// Whether the replay is complete.
    pub(super) fn is_briefed(&self) -> bool {
        self.replay == Some(0)
    }

    /// The lines held back for a replay that will not complete.
    pub(super) fn take_held_back(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.held_back)
    }

    /// Takes a sign of life. True if the server had been reported as quiet.
    pub(super) fn heard(&mut self, now: Timestamp) -> bool {
        self.heard = now;
        std::mem::take(&mut self.quiet)
    }

    /// When the server was last heard.
    pub(super) fn last_heard(&self) -> Timestamp {
        self.heard
    }

    /// Whether the session has lasted: the server was heard some time after it began, or has
    /// accepted a line.
    pub(super) fn has_lasted(&self) -> bool {
        self.heard >= self.lasts
    }

    /// Whether the server was reported as quiet.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Time of the next liveness check.
    pub(super) fn liveness_check(&self) -> Timestamp {
        self.heard + if self.quiet { self.silent_after } else { self.quiet_after }
    }

    /// The silence of the server, if it has just become quiet or counts as dead.
    pub(super) fn silence(&mut self, now: Timestamp) -> Option<Silence> {
        let silence = now.since(self.heard);
        if silence >= self.silent_after {
            self.quiet = true;
            return Some(Silence::Dead(silence));
        }
        (silence >= self.quiet_after && !std::mem::replace(&mut self.quiet, true))
            .then_some(Silence::Quiet(silence))
    }
}

/// How long the server has sent nothing.
#[derive(Clone, Copy, Debug)]
pub(super) enum Silence {
    /// Longer than usual: the user is told.
    Quiet(Duration),
    /// `silent_after` or longer: the client joins again.
    Dead(Duration),
}

impl Session {
    /// Handles a message of the server.
    pub(super) fn handle_message(&mut self, payload: &[u8], held: Duration, now: Now) {
        let message = match decode_message(payload) {
            Ok(message) => message,
            Err(error) => return log::debug!("ignored a message of the server: {error}"),
        };
        match message {
            ServerMessage::Welcome(welcome) => self.welcome(&welcome, now),
            ServerMessage::Present { roll } => {
                let nicknames = self.arrivals(roll, now.mono);
                self.events.extend(tell(nicknames, |nicknames| Event::Present { nicknames }));
            }
            ServerMessage::History(line) => self.history(&line),
            ServerMessage::Joined { peers, roll } => {
                let nicknames = self.arrivals(roll, now.mono);
                let peers = self.counted(peers);
                self.events.extend(tell(nicknames, |nicknames| Event::Joined { nicknames, peers }));
            }
            ServerMessage::Left { peers, reason, roll } => {
                let nicknames = self.departures(roll, now.mono);
                let peers = self.counted(peers);
                let left = |nicknames| Event::Left { nicknames, peers, reason };
                self.events.extend(tell(nicknames, left));
            }
            ServerMessage::Line(line) => self.line(&line, held, now),
            ServerMessage::Accepted { number, position } => {
                self.seen.insert(position);
                self.reach(position);
                if let Some(line) = self.own.take_line(number) {
                    self.established.iter_mut().for_each(|it| it.lasts = it.lasts.min(now.mono));
                    let mark = Some(self.seen.mark(position));
                    self.events.push_back(line.confirmed(mark));
                } else {
                    self.take_back(number);
                }
            }
            ServerMessage::Whisper { at, upstream, from, text, .. } => {
                let at = WallTime(at);
                self.show(Event::Message {
                    mark: None,
                    at,
                    from: cleaned(from, MAX_NAME),
                    to: None,
                    text: clean(text).into_owned(),
                    private: true,
                    held,
                    transit: transit(at, upstream, now),
                });
            }
            ServerMessage::Whispered { number, at, to, text } => {
                self.own.take_whisper(number);
                self.show(Event::Message {
                    mark: None,
                    at: WallTime(at),
                    from: self.nickname.clone().unwrap_or_default(),
                    to: Some(cleaned(to, MAX_NAME)),
                    text: clean(text).into_owned(),
                    private: true,
                    held: Duration::ZERO,
                    transit: None,
                });
            }
            ServerMessage::NotHere { number, to } => {
                let to = clean(to).into_owned();
                let text = self.own.take_whisper(number).map_or_else(String::new, |l| l.text);
                self.complain(Notice::NotHere { to, text });
            }
            ServerMessage::Notice { text } => {
                self.tell(Notice::Worded(clean(text).into_owned()));
            }
            ServerMessage::About(about) => self.about(&about),
            ServerMessage::Counters { number, server } => self.counters(number, server),
            ServerMessage::Pinged { peer, number } => self.pinged(peer, number),
            ServerMessage::Ponged { number, from } => self.ponged(number, from, now),
            ServerMessage::Servers { servers } => {
                if let Some(server) = self.server() {
                    self.targets.list(servers, server, &mut self.rng);
                }
            }
            ServerMessage::Renamed { peer, from, to } => self.renamed(peer, from, to),
            ServerMessage::Topic { text } => self.take_topic(text),
            ServerMessage::Rejected { number, private, detail } => {
                self.rejected(number, private, detail);
            }
            ServerMessage::NotRenamed { reason, detail } => self.not_renamed(reason, detail),
            ServerMessage::Slow { wait_ms } => self.slow_down(wait_ms, now.mono),
            ServerMessage::Closing { reason, detail } => self.closing(reason, detail, now),
        }
    }

    /// Adds peers. Returns their names, without this client's own.
    fn arrivals(&mut self, roll: Roll<'_>, now: Timestamp) -> Vec<String> {
        let timeout = self.gap_timeout();
        let others = self.others(roll);
        for (RollEntry { peer, next, .. }, nickname) in &others {
            self.gaps.arrive(*peer, nickname, *next, timeout, now);
        }
        others.into_iter().map(|(_, nickname)| nickname).collect()
    }

    /// Removes peers. Returns their names.
    fn departures(&mut self, roll: Roll<'_>, now: Timestamp) -> Vec<String> {
        let timeout = self.gap_timeout();
        let others = self.others(roll);
        for (RollEntry { peer, next, .. }, _) in &others {
            self.gaps.depart(*peer, *next, timeout, now);
        }
        others.into_iter().map(|(_, nickname)| nickname).collect()
    }

    /// The entries of other peers, with displayable names. An entry with this client's name is its
    /// own, or that of a predecessor whose departure is not announced yet.
    fn others<'r>(&mut self, roll: Roll<'r>) -> Vec<(RollEntry<'r>, String)> {
        self.announced |= roll.entries().any(|entry| Some(entry.peer) == self.peer);
        let entries = roll.entries().map(|entry| (entry, cleaned(entry.nickname, MAX_NAME)));
        let others = entries.filter(|(entry, nickname)| {
            Some(entry.peer) != self.peer && Some(nickname) != self.nickname.as_ref()
        });
        others.collect()
    }

    /// Number of peers, this client included, while the server counts announced ones only.
    fn counted(&self, peers: u16) -> u16 {
        peers.saturating_add(u16::from(!self.announced))
    }

    fn line(&mut self, line: &LiveLine<'_>, held: Duration, now: Now) {
        let LiveLine { position, at, upstream, peer, number, from, text } = *line;
        let (at, from) = (WallTime(at), cleaned(from, MAX_NAME));
        let awaited = self.gaps.line(peer, &from, number, self.gap_timeout(), now.mono);
        self.reach(position);
        // With unreliable delivery, a line reported as missing is not shown later.
        if self.seen.insert(position) && (awaited || !self.is_unreliable()) {
            let transit = transit(at, upstream, now);
            let text = clean(text).into_owned();
            let (mark, to, private) = (Some(self.seen.mark(position)), None, false);
            self.show(Event::Message { mark, at, from, to, text, private, held, transit });
        }
    }

    fn welcome(&mut self, welcome: &Welcome<'_>, now: Now) {
        let Some(established) = &mut self.established else { return };
        let Welcome { peer, replay, complete, peers, .. } = *welcome;
        if established.replay.is_some() {
            return; // a session has one `Welcome`
        }
        established.pending = None;
        (self.peer, self.announced) = (Some(peer), false);
        let heartbeat = Duration::from_millis(u64::from(welcome.heartbeat_ms));
        let expiry = Duration::from_millis(u64::from(welcome.expiry_ms));
        established.quiet_after = QUIET.max(heartbeat * 5 / 2);
        established.silent_after = SILENT.max(expiry * 3 / 2);
        if let Some(link) = established.link.as_datagrams() {
            link.set_give_up(give_up(expiry));
        }
        established.replay = Some(replay);
        established.latest = welcome.latest;
        let latest = welcome.latest();
        let (session, server) = (established.link.session(), established.server);
        if let Some(stream) = established.link.as_stream() {
            stream.set_heartbeat(heartbeat.max(MIN_HEARTBEAT));
            self.begin_log(latest);
        }
        // Skipped lines are missing unless the replay has them.
        if !complete {
            self.gaps.give_up(None);
        }
        self.gaps.clear();
        self.pacing.limit(Limit::new(welcome.burst, welcome.rate), now.mono);
        let again = self.token.replace(welcome.token).is_some();
        let nickname = cleaned(welcome.nickname, MAX_NAME);
        self.begin_as(&nickname, now);
        let room = cleaned(welcome.room, ROOM_SIZE);
        let moved = self.targets.has_others() && self.last_server.is_some_and(|it| it != server);
        let other_log = std::mem::replace(&mut self.epoch, latest.epoch) != latest.epoch;
        self.events.push_back(Event::Welcome {
            nickname,
            room,
            peers,
            session,
            latest,
            again,
            server,
            moved,
        });
        if again && !complete {
            self.tell(Notice::LinesMissing { other_log: moved && other_log });
        }
        for line in self.own.after_welcome(Taken::from(welcome)) {
            self.report_undelivered(&line, Undelivered::Unconfirmed);
        }
        self.end_replay_if_complete();
    }

    /// Takes epoch and end of this session's log.
    pub(super) fn begin_log(&mut self, latest: Mark) {
        if self.seen.begin(latest) {
            for mark in self.config.shown.iter().filter(|mark| mark.epoch == latest.epoch) {
                self.seen.insert(mark.position);
            }
        }
    }

    fn history(&mut self, line: &PastLine<'_>) {
        let PastLine { position, at, own, number, from, text } = *line;
        self.seen.advance(position); // a replay is in order
        let (mark, at) = (self.seen.mark(position), WallTime(at));
        let (from, text) = (cleaned(from, MAX_NAME), clean(text).into_owned());
        let new = self.seen.insert(position);
        if own && let Some(line) = self.own.take_line(number) {
            self.events.push_back(line.confirmed(Some(mark)));
        } else if new
            && (!own || self.own.take_back(number).is_some())
            && !self.ignored.hides(&from)
        {
            self.events.push_back(Event::History { mark, at, from, text });
        }
        if let Some(left) = self.established.as_mut().and_then(|e| e.replay.as_mut()) {
            *left = left.saturating_sub(1);
        }
        self.end_replay_if_complete();
    }

    /// After the replay: confirms lines of an earlier session that are in the log, and shows the
    /// lines held back.
    fn end_replay_if_complete(&mut self) {
        let Some(established) = self.established.as_mut().filter(|e| e.is_briefed()) else {
            return;
        };
        let held_back = std::mem::take(&mut established.held_back);
        self.seen.advance(established.latest.max(established.reached));
        let found = self.own.after_replay();
        self.events.extend(found.into_iter().map(|line| line.confirmed(None)));
        self.events.extend(held_back);
    }

    /// Advances `seen` after a line. In an ordered mode all earlier lines have arrived, but only
    /// once the replay is over.
    fn reach(&mut self, position: u64) {
        let ordered = self.config.transport == Transport::Tcp
            || self.config.delivery == Delivery::ReliableOrdered;
        let Some(established) = self.established.as_mut().filter(|_| ordered) else { return };
        established.reached = established.reached.max(position);
        if established.is_briefed() {
            self.seen.advance(position);
        }
    }

    /// Shows a line after older ones.
    fn show(&mut self, event: Event) {
        if self.is_hidden(&event) {
            return;
        }
        if let Event::Message { text, to: None, .. } = &event {
            self.text_received += text.len() as u64;
        }
        match &mut self.established {
            Some(established)
                if !established.is_briefed() && established.held_back.len() < HELD_BACK =>
            {
                established.held_back.push(event);
            }
            _ => self.events.push_back(event),
        }
    }

    fn closing(&mut self, reason: LeaveReason, detail: &str, now: Now) {
        if let Some(established) = &mut self.established
            && let Some(link) = established.link.as_datagrams()
        {
            link.acknowledge_now(now.mono);
            let mut bytes = Vec::new();
            if link.poll_transmit(&mut bytes, now.mono) {
                self.last_word = Some((bytes, established.server));
            }
        }
        let detail = clean(detail);
        if !detail.is_empty() {
            self.tell(Notice::Closing { reason, detail: detail.into_owned() });
        }
        let others = self.targets.has_others();
        match reason {
            LeaveReason::Shutdown if !others => self.close(CloseReason::Shutdown),
            _ if self.leaving.is_some() => self.close(CloseReason::Quit),
            LeaveReason::Kicked => self.close(CloseReason::Kicked),
            LeaveReason::Shutdown | LeaveReason::Restart if others => {
                self.rejoin(First::Other, now);
            }
            LeaveReason::Restart => self.await_restart(now),
            _ => self.rejoin(First::Same, now),
        }
    }

    fn await_restart(&mut self, now: Now) {
        self.rejoin(First::Same, now);
        let Some(attempt) = &mut self.attempt else { return };
        let wait = attempt.await_restart(self.config.give_up, now.mono);
        self.tell(Notice::AwaitingRestart { seconds: wait.as_secs() });
    }

    fn gap_timeout(&self) -> Duration {
        if self.is_unreliable() { GAP_WAIT } else { GAP_WAIT_RELIABLE }
    }

    fn is_unreliable(&self) -> bool {
        self.config.transport != Transport::Tcp && self.config.delivery == Delivery::Unreliable
    }
}

/// An event for these names, unless there are none.
fn tell(nicknames: Vec<String>, event: impl FnOnce(Vec<String>) -> Event) -> Option<Event> {
    (!nicknames.is_empty()).then(|| event(nicknames))
}

/// A name cleaned and bounded for display.
fn cleaned(name: &str, most: usize) -> String {
    clean(clip(name, most)).into_owned()
}
