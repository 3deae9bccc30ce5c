//! Coalesces arrivals and departures of a crowd: they wait for the next announcement, which is a
//! few messages, the same for every peer.
//!
//! The interval between announcements grows with the room, as that of RTCP reports does (RFC 3550
//! §6.2), so that announcements to all peers together are at most `ANNOUNCE_RATE` messages a
//! second, or one to each. The first change after a pause is announced at once.

use crate::protocol::limits::{ANNOUNCE_RATE, MAX_ANNOUNCE_INTERVAL};
use crate::protocol::{LeaveReason, RollEntry, RollWriter};
use crate::registry::PeerId;
use crate::time::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

#[cfg(test)]
mod tests;

/// An announced peer that has left, until its departure is announced.
#[derive(Debug)]
struct Departure {
    peer: PeerId,
    nickname: String,
    next: u16,
    reason: LeaveReason,
}

/// Position of an arrival in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(i64);

/// Changes that wait for the next announcement: at most one departure and one later arrival for a
/// peer number. A peer that arrives and leaves between two announcements is taken out again.
#[derive(Debug, Default)]
pub(super) struct Presence {
    departures: VecDeque<Departure>,
    arrivals: BTreeMap<Place, PeerId>,
    /// Number of announced peers.
    announced: usize,
    /// Time of the last announcement that was due; those that a line hastens do not count.
    last: Option<Timestamp>,
}

impl Presence {
    /// Number of announced peers.
    pub(super) fn announced(&self) -> usize {
        self.announced
    }

    /// When the next announcement is due in a room of `members`; `None` if nothing waits.
    pub(super) fn due(&self, members: usize) -> Option<Timestamp> {
        if self.departures.is_empty() && self.arrivals.is_empty() {
            return None;
        }
        let interval = Duration::from_secs(members as u64) / ANNOUNCE_RATE;
        let interval = interval.min(MAX_ANNOUNCE_INTERVAL);
        Some(self.last.map_or(Timestamp::ZERO, |last| last + interval))
    }

    /// Starts the interval until the next announcement.
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.last = Some(now);
    }

    /// Queues the arrival of a peer.
    pub(super) fn arrive(&mut self, peer: PeerId) -> Place {
        let place = Place(self.arrivals.last_key_value().map_or(0, |(last, _)| last.0 + 1));
        self.arrivals.insert(place, peer);
        place
    }

    /// Moves an arrival to the front of the queue and returns its new place.
    pub(super) fn hasten(&mut self, place: Place) -> Place {
        let Some(peer) = self.arrivals.remove(&place) else { return place };
        let place = Place(self.arrivals.first_key_value().map_or(0, |(first, _)| first.0 - 1));
        self.arrivals.insert(place, peer);
        place
    }

    /// Takes an arrival out of the queue.
    pub(super) fn cancel(&mut self, place: Place) {
        self.arrivals.remove(&place);
    }

    /// Queues the departure of an announced peer.
    pub(super) fn depart(&mut self, peer: PeerId, nickname: &str, next: u16, reason: LeaveReason) {
        let nickname = nickname.to_owned();
        self.departures.push_back(Departure { peer, nickname, next, reason });
    }

    /// Peers that have left and whose departure is not announced yet.
    pub(super) fn departing(&self) -> impl Iterator<Item = RollEntry<'_>> {
        self.departures.iter().map(Departure::entry)
    }

    /// Moves departures of one reason into `roll`, as many as fit; returns their reason.
    pub(super) fn take_departures(&mut self, roll: &mut RollWriter) -> Option<LeaveReason> {
        let reason = self.departures.front()?.reason;
        while let Some(departure) = self.departures.front()
            && departure.reason == reason
            && roll.push(&departure.entry())
        {
            self.departures.pop_front();
            self.announced -= 1;
        }
        Some(reason)
    }

    /// The peer at the front of the arrivals.
    pub(super) fn next_arrival(&self) -> Option<PeerId> {
        self.arrivals.first_key_value().map(|(_, peer)| *peer)
    }

    /// Takes the front of the arrivals out: it is announced.
    pub(super) fn take_arrival(&mut self) {
        self.announced += usize::from(self.arrivals.pop_first().is_some());
    }
}

impl Departure {
    fn entry(&self) -> RollEntry<'_> {
        RollEntry { peer: self.peer.number(), nickname: &self.nickname, next: self.next }
    }
}
