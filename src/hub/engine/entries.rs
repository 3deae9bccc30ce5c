//! The effects of the log's entries on the hub. An entry that contradicts those before is a fault
//! of the engine: the hub logs it and changes nothing.

use super::{Contact, Engine, Hub};
use crate::engine::{Ask, Change, Entry, Fence, Place, Said, Seat, ServerId, Snapshot};
use crate::hub::Event;
use crate::protocol::limits::{MAX_NAME, MAX_TEXT};
use crate::protocol::{LeaveReason, Mark, Nickname, Say, clean, clip};
use crate::registry::PeerId;
use crate::room::{Line, LineIdentity, Log, upstream};
use crate::time::Now;
use std::fmt;

/// Told to the peers of a server that was without contact for long.
const SWEPT: &str = "this server was out of contact with the room's other servers";
/// Told to the peers when the log does not continue.
const ANEW: &str = "the room begins anew: the history may be missing";

impl Engine {
    /// Notes the place of the next entry. Returns whether it follows the one before. If entries are
    /// missing between, or were others, or the epoch is another, the hub attaches again.
    fn takes(&mut self, place: Place, before: u64) -> bool {
        let Some(read) = self.place.filter(|_| self.contact == Contact::Attached) else {
            return false;
        };
        if place.epoch == read.epoch && place.position <= read.position {
            return false; // told before
        }
        let is_next = read.position.checked_add(1) == Some(place.position);
        if place.epoch == read.epoch && is_next && before == read.chain {
            self.place = Some(place);
            return true;
        }
        log::info!("the log has {place:?} after {read:?}: attaching again");
        self.attach_again();
        false
    }
}

impl Hub {
    /// Proposes a line to the engine, unless the log has it: then its author is told again.
    pub(in crate::hub) fn propose(&mut self, id: PeerId, say: Say<'_>, now: Now) {
        let Some(entry) = self.registry.entry(id) else { return };
        let Say { number, sent, text } = say;
        let identity = LineIdentity { owner: entry.owner, number };
        if let Some(position) = self.room.find(identity) {
            return self.room.accept(id, number, position);
        }
        let Some(engine) = self.engine.as_deref_mut() else { return };
        let Some(fence) = engine.seats.here(id) else { return };
        let (from, text) = (entry.nickname.to_string(), text.to_owned());
        let (at, upstream) = (now.wall, upstream(now.wall, sent));
        engine.requests.propose(id, Said { fence, identity, at, upstream, from, text });
        self.outgoing.pressure.set_log(engine.requests.level());
    }

    /// A peer that is at this server leaves the room: once.
    pub(in crate::hub) fn give_up_seat(&mut self, id: PeerId, reason: LeaveReason, hold: bool) {
        let next = self.room.next_number(id).unwrap_or_default();
        let Some(engine) = self.engine.as_deref_mut() else { return };
        let Some(fence) = engine.seats.give_up(id) else { return };
        engine.requests.push(Ask::Leave { fence, reason, next, hold });
        self.registry.keep_elsewhere(id);
        self.tell_departure(id, reason);
    }

    fn fault(&mut self, what: fmt::Arguments<'_>) {
        let now = self.now;
        if let Some(engine) = self.engine.as_deref_mut() {
            engine.fault(now, what);
        }
    }

    fn tell_departure(&mut self, id: PeerId, reason: LeaveReason) {
        if let Some(nickname) = self.room.nickname(id).map(str::to_owned) {
            let peers = self.room.len() - 1;
            self.events.push_back(Event::Left { nickname, reason, peers });
        }
    }

    /// Applies the next entry of the log.
    pub(super) fn apply(&mut self, entry: Entry, now: Now) {
        let Some(engine) = self.engine.as_deref_mut() else { return };
        let Entry { place, before, server, request, change } = entry;
        if !engine.takes(place, before) {
            return;
        }
        match change {
            Change::Began => {}
            Change::Joined { seat, replaces } => {
                let own = server == engine.server;
                if own {
                    engine.requests.remove(request);
                }
                let known = replaces.and_then(|fence| engine.seats.remove(fence));
                match own.then(|| engine.claims.take(request)).flatten() {
                    Some(waiting) => self.seat(waiting, &seat, known, now),
                    None => {
                        self.seat_elsewhere(&seat, known, now);
                        if own {
                            self.give_back(&seat, false);
                        }
                    }
                }
            }
            Change::Left { fence, reason, next } => self.unseat(fence, reason, next, now),
            Change::Said(said) => self.take_line(place, said, server),
        }
        self.read_early_mail(now);
    }

    /// A peer joined at another server, or has left this one already. `known` is the member that
    /// had the name before.
    pub(super) fn seat_elsewhere(&mut self, seat: &Seat, known: Option<PeerId>, now: Now) {
        let Ok(nickname) = Nickname::parse(clip(&seat.nickname, MAX_NAME)) else {
            let name = clip(&seat.nickname, MAX_NAME);
            return self.fault(format_args!("the name {name:?} is impossible"));
        };
        let here = known.filter(|id| self.peers.get(*id).is_some_and(|peer| !peer.is_closing()));
        // As with a session that another one takes over at this server: it is forgotten.
        if let Some(id) = here {
            self.tell_departure(id, LeaveReason::Quit);
            self.finish(id, now.mono);
        }
        let Some(engine) = self.engine.as_deref_mut() else { return };
        let Some(id) = self.registry.add_elsewhere(known, &nickname) else {
            return engine.fault(now.mono, format_args!("no number is left for {nickname}"));
        };
        engine.seats.add(seat.fence, id, false);
        if known.is_some() {
            self.room.renumber(id, seat.next);
        } else {
            self.room.join(id, nickname.as_str(), seat.owner, seat.next);
        }
    }

    /// A peer left.
    fn unseat(&mut self, fence: Fence, reason: LeaveReason, next: Option<u16>, now: Now) {
        let Some(engine) = self.engine.as_deref_mut() else { return };
        let Some(id) = engine.seats.remove(fence) else {
            return engine.fault(now.mono, format_args!("{fence:?} leaves, and is not there"));
        };
        if let Some(next) = next {
            self.room.renumber(id, next);
        }
        if self.peers.get(id).is_some_and(|peer| !peer.is_closing()) {
            self.tell_departure(id, reason);
            self.close(id, LeaveReason::Restart, SWEPT, now.mono);
        }
        self.room.leave(id, reason);
        self.registry.remove_elsewhere(id);
    }

    /// A line was said.
    fn take_line(&mut self, place: Place, said: Said, server: ServerId) {
        let Some(engine) = self.engine.as_deref_mut() else { return };
        let Some(author) = engine.seats.peer(said.fence) else {
            let fence = said.fence;
            return self.fault(format_args!("{fence:?} says a line, and is not there"));
        };
        let own = server == engine.server;
        let settled = engine.requests.committed(said.identity, place.position);
        self.outgoing.pressure.set_log(engine.requests.level());
        let upstream = said.upstream;
        let line = self.room.append(author, upstream, line(place, said));
        self.counters.lines += u64::from(own);
        self.events.push_back(Event::Line(line));
        self.settle(settled);
    }

    /// The log does not continue: the sessions end, and the clients come back to what it has now.
    pub(super) fn begin_anew(&mut self, snapshot: Snapshot, now: Now) {
        let Snapshot { place, seats, lines, floor } = snapshot;
        let ids: Vec<_> = self.peers.ids().collect();
        for id in ids {
            self.close(id, LeaveReason::Restart, ANEW, now.mono);
        }
        self.registry.clear_elsewhere();
        let mut after = floor;
        let lines = lines.into_iter().filter_map(|(position, said)| {
            let fits = after < position && position <= place.position;
            after = if fits { position } else { after };
            fits.then(|| line(Place { position, ..place }, said))
        });
        self.room.begin(Log::shared(place.epoch, lines.collect(), floor));
        if let Some(engine) = self.engine.as_deref_mut() {
            engine.begin(place);
            self.outgoing.pressure.set_log(engine.requests.level());
        }
        for seat in &seats {
            self.seat_elsewhere(seat, None, now);
        }
    }
}

/// A line of the log. The engine's contents are untrusted.
fn line(place: Place, said: Said) -> Line {
    let Said { identity, at, from, text, .. } = said;
    let mark = Mark { epoch: place.epoch, position: place.position };
    let from = clip(&clean(&from), MAX_NAME).to_owned();
    let text = clip(&clean(&text), MAX_TEXT).to_owned();
    Line { mark, at, from, text, identity: Some(identity) }
}
