//! A model of the engine of a room with several servers: what each request does, in one step. It is
//! also the reference for drivers of real ones.

use chatagram::engine::{
    Answer, Ask, Attached, Change, Claim, Entry, Fence, Mail, Place, Proof, Refused, Request, Seat,
    ServerEntry, ServerId, Snapshot,
};
use chatagram::hub::{Line, LineIdentity};
use chatagram::protocol::limits::{ENGINE_EXPIRY, ENGINE_RENEW, LOG_LINES, MAX_SEATS, NAME_HOLD};
use chatagram::protocol::{LeaveReason, Mark};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

const EXPIRY: u64 = ENGINE_EXPIRY.as_millis() as u64;
const HOLD: u64 = NAME_HOLD.as_millis() as u64;
/// If no server renewed its lease for this long, the engine itself was away.
const AWAY: u64 = 2 * ENGINE_RENEW.as_millis() as u64;

#[derive(Clone, Debug)]
struct Taken {
    seat: Seat,
    key: String,
    proof: Proof,
    /// The request that took it.
    number: u64,
}

#[derive(Clone, Debug)]
struct Member {
    attach: u64,
    renewed: u64,
    addresses: Vec<SocketAddr>,
}

/// All that the engine stores. A clone is a copy of its disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Engine {
    place: Option<Place>,
    /// Position of the entry with which the epoch began.
    began: u64,
    pub(crate) entries: Vec<Entry>,
    seats: BTreeMap<Fence, Taken>,
    names: BTreeMap<String, Fence>,
    holds: BTreeMap<String, (Proof, u64)>,
    servers: BTreeMap<ServerId, Member>,
    said: BTreeMap<LineIdentity, u64>,
    /// The last renewal of any server, and until when none is swept.
    beat: u64,
    grace: u64,
}

/// The outcome of a request.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) answer: Answer,
    /// Mail for a server.
    pub(crate) mail: Option<(ServerId, Mail)>,
    /// The position behind which the server reads the log from now on.
    pub(crate) read_from: Option<u64>,
}

impl Engine {
    /// Carries out a request at this time, milliseconds.
    pub(crate) fn execute(&mut self, request: &Request, clock: u64) -> Outcome {
        let Request { server, attach, number, ask } = request;
        let (server, request) = (*server, *number);
        let mut mail = None;
        let mut read_from = None;
        let current = self.servers.get(&server).is_some_and(|it| it.attach == *attach);
        let answer = match &**ask {
            Ask::Attach { resume, epoch, addresses } => {
                if self.servers.get(&server).is_some_and(|it| it.attach > request) {
                    return Outcome { answer: Answer::Stale { request }, mail, read_from };
                }
                let (from, outcome) = self.attach(server, request, *resume, *epoch, clock);
                let addresses = addresses.clone();
                let member = Member { attach: request, renewed: clock, addresses };
                self.servers.insert(server, member);
                self.renew(server, request, clock);
                read_from = Some(from);
                Answer::Attached { request, clock, servers: self.alive(clock), outcome }
            }
            _ if !current => Answer::Stale { request },
            Ask::Renew { read } if !self.has(read.unwrap()) => Answer::Stale { request },
            Ask::Renew { .. } => {
                self.renew(server, request, clock);
                Answer::Renewed { request, clock, servers: self.alive(clock) }
            }
            Ask::Claim(claim) => match self.claim(server, request, claim, clock) {
                Ok(()) => Answer::Kept { request },
                Err(why) => Answer::Refused { request, why },
            },
            Ask::Leave { fence, reason, next, hold } if self.is_of(server, *fence) => {
                let until = hold.then_some(clock + HOLD);
                self.unseat(server, request, *fence, *reason, Some(*next), until);
                Answer::Kept { request }
            }
            Ask::Say(said) if self.is_of(server, said.fence) => {
                if let Some(position) = self.said.get(&said.identity).copied() {
                    Answer::Repeated { request, position }
                } else {
                    self.append(server, request, Change::Said(said.clone()));
                    self.said.insert(said.identity, self.position());
                    Answer::Kept { request }
                }
            }
            Ask::Leave { .. } | Ask::Say(_) => Answer::Refused { request, why: Refused::Fenced },
            Ask::Mail(it) => match self.seats.get(&it.to) {
                Some(taken) if clock <= it.until => {
                    mail = Some((taken.seat.server, it.clone()));
                    Answer::Kept { request }
                }
                _ => Answer::Refused { request, why: Refused::NotHere },
            },
            other => panic!("unknown: {other:?}"),
        };
        Outcome { answer, mail, read_from }
    }

    /// The entries after a position.
    pub(crate) fn after(&self, position: u64) -> &[Entry] {
        let start = self.entries.partition_point(|entry| entry.place.position <= position);
        &self.entries[start..]
    }

    /// The epoch; 0 before the first.
    pub(crate) fn place_epoch(&self) -> u64 {
        self.place.map_or(0, |place| place.epoch)
    }

    pub(crate) fn position(&self) -> u64 {
        self.place.map_or(0, |place| place.position)
    }

    /// The servers whose leases are valid.
    fn alive(&self, clock: u64) -> Vec<ServerEntry> {
        let alive = self.servers.iter().filter(|(_, it)| clock < it.renewed + EXPIRY);
        let entry = |(id, it): (&ServerId, &Member)| ServerEntry {
            server: *id,
            addresses: it.addresses.clone(),
        };
        alive.map(entry).collect()
    }

    fn has(&self, place: Place) -> bool {
        let entry = self.after(place.position - 1).first();
        entry.is_some_and(|entry| entry.place == place)
    }

    fn is_of(&self, server: ServerId, fence: Fence) -> bool {
        self.seats.get(&fence).is_some_and(|taken| taken.seat.server == server)
    }

    fn seats_of(&self, server: ServerId) -> Vec<Fence> {
        self.seats.keys().copied().filter(|fence| self.is_of(server, *fence)).collect()
    }

    fn append(&mut self, server: ServerId, request: u64, change: Change) {
        let Place { epoch, position, chain } = self.place.unwrap();
        let mut hasher = DefaultHasher::new();
        (chain, position, server.0, request, format!("{change:?}")).hash(&mut hasher);
        let place = Place { epoch, position: position + 1, chain: hasher.finish() };
        self.place = Some(place);
        self.entries.push(Entry { place, before: chain, server, request, change });
    }

    fn attach(
        &mut self,
        server: ServerId,
        request: u64,
        resume: Option<Place>,
        epoch: u64,
        clock: u64,
    ) -> (u64, Attached) {
        if self.place.is_none() {
            self.begin(server, request, epoch);
        }
        let here = self.place.unwrap();
        // A server that knows a later epoch, or another history of this one, has what is lost here.
        if let Some(at) = resume.filter(|at| at.epoch >= here.epoch) {
            if self.has(at) {
                return (at.position, Attached::Continues);
            }
            self.begin(server, request, epoch);
        }
        for fence in self.seats_of(server) {
            let until = Some(clock + HOLD);
            self.unseat(server, request, fence, LeaveReason::Timeout, None, until);
        }
        let place = self.place.unwrap();
        let lines = self.after(self.began).iter().filter_map(|entry| {
            let Change::Said(said) = &entry.change else { return None };
            Some((entry.place.position, said.clone()))
        });
        let mut lines: Vec<_> = lines.collect();
        let skip = lines.len().saturating_sub(LOG_LINES);
        let floor = if skip == 0 { self.began } else { lines[skip - 1].0 };
        let lines = lines.split_off(skip);
        let seats = self.seats.values().map(|taken| taken.seat.clone()).collect();
        (place.position, Attached::Fresh(Snapshot { place, seats, lines, floor }))
    }

    /// Begins an epoch.
    fn begin(&mut self, server: ServerId, request: u64, epoch: u64) {
        let position = self.position();
        self.seats.clear();
        self.names.clear();
        self.servers.clear();
        self.said.clear();
        self.place = Some(Place { epoch, position, chain: epoch });
        self.append(server, request, Change::Began);
        self.began = self.position();
    }

    /// Renews the lease of a server, and sweeps the others.
    fn renew(&mut self, server: ServerId, request: u64, clock: u64) {
        if self.beat + AWAY < clock {
            self.grace = clock + EXPIRY;
        }
        self.beat = clock;
        if let Some(member) = self.servers.get_mut(&server) {
            member.renewed = clock;
        }
        if clock < self.grace {
            return;
        }
        let dead = self.servers.iter().filter(|(_, member)| member.renewed + EXPIRY <= clock);
        let dead: Vec<_> = dead.map(|(id, member)| (*id, member.renewed)).collect();
        for (id, renewed) in dead {
            self.sweep(server, request, id, renewed);
        }
    }

    /// Removes the seats of a server, and holds the names until its lease is over.
    fn sweep(&mut self, server: ServerId, request: u64, dead: ServerId, renewed: u64) {
        for fence in self.seats_of(dead) {
            let until = Some(renewed + EXPIRY + HOLD);
            self.unseat(server, request, fence, LeaveReason::Timeout, None, until);
        }
    }

    fn claim(
        &mut self,
        server: ServerId,
        request: u64,
        claim: &Claim,
        clock: u64,
    ) -> Result<(), Refused> {
        let Claim { key, nickname, proof, next } = claim;
        let mut nickname = nickname.clone();
        let mut replaces = None;
        if let Some(fence) = self.names.get(key).copied() {
            let taken = &self.seats[&fence];
            if (taken.seat.server, taken.number) == (server, request) {
                return Ok(());
            }
            let renewed = self.servers.get(&taken.seat.server).map_or(0, |it| it.renewed);
            if taken.proof == *proof {
                nickname.clone_from(&taken.seat.nickname);
                replaces = Some(fence);
                self.seats.remove(&fence);
            } else if renewed + EXPIRY + HOLD <= clock {
                self.unseat(server, request, fence, LeaveReason::Timeout, None, None);
            } else {
                return Err(Refused::NameTaken);
            }
        }
        self.holds.retain(|_, (_, until)| clock < *until);
        if let Some((_, until)) = self.holds.get(key).filter(|(holder, _)| holder != proof) {
            return Err(Refused::NameHeld(Duration::from_millis(until - clock)));
        }
        if self.seats.len() >= MAX_SEATS {
            return Err(Refused::Full);
        }
        self.holds.remove(key);
        let fence = Fence(self.position() + 1);
        let seat = Seat { fence, server, nickname, owner: proof.owner(), next: *next };
        let taken = Taken { seat: seat.clone(), key: key.clone(), proof: *proof, number: request };
        self.names.insert(key.clone(), fence);
        self.seats.insert(fence, taken);
        self.append(server, request, Change::Joined { seat, replaces });
        Ok(())
    }

    fn unseat(
        &mut self,
        server: ServerId,
        request: u64,
        fence: Fence,
        reason: LeaveReason,
        next: Option<u16>,
        hold_until: Option<u64>,
    ) {
        let Taken { key, proof, .. } = self.seats.remove(&fence).unwrap();
        self.names.remove(&key);
        if let Some(until) = hold_until {
            self.holds.insert(key, (proof, until));
        }
        self.append(server, request, Change::Left { fence, reason, next });
    }
}

/// The line of an entry.
pub(crate) fn line(entry: &Entry) -> Option<Line> {
    let Change::Said(said) = &entry.change else { return None };
    let Place { epoch, position, .. } = entry.place;
    Some(Line {
        mark: Mark { epoch, position },
        at: said.at,
        from: said.from.clone(),
        text: said.text.clone(),
        identity: Some(said.identity),
    })
}
