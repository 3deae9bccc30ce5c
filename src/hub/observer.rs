//! What becomes of each line on its way to each reader, while somebody watches: the board of a
//! server's page. Without a watcher it costs a comparison for each peer that a line goes to.

use super::peer::Peer;
use super::{Hub, StreamId};
use crate::link::{Fate, Step, Trail};
use crate::protocol::{Batch, LiveLine, ServerMessage, Transport, decode_message};
use crate::time::{Timestamp, WallTime};
use std::collections::VecDeque;
use std::time::Duration;

/// Lines whose time is remembered.
const MAX_LINES: usize = 1_024;
/// Lines on their way to one reader. The oldest is forgotten.
const MAX_PENDING: usize = 512;
/// Observations of each kind until they are taken. In a class of 60, a line each second makes 354
/// in a tenth of a second.
const MAX_SEEN: usize = 1_000;

/// A line that was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its position in the log.
    pub position: u64,
    /// When the server took it, for display.
    pub at: WallTime,
    /// The number of its author.
    pub peer: u16,
    /// The author's nickname.
    pub from: String,
    /// The text.
    pub text: String,
}

/// What became of a line on its way to a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has arrived.
    Shown {
        /// The number of datagrams that carried it.
        sends: u32,
        /// The reader has acknowledged it. Otherwise its transport has taken it, and sends it again
        /// by itself until it arrives; over TCP another sighting follows when it has.
        certain: bool,
    },
    /// It was sent once, and is lost.
    Lost,
    /// It was sent again: a datagram with it was lost, or no acknowledgment came.
    Again,
}

/// An observation about a line and a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The line's position in the log.
    pub position: u64,
    /// The number of the reader.
    pub peer: u16,
    /// Time since the server took the line. The time that an acknowledgment took to come here is
    /// subtracted, as far as it is known: half a round trip, and the reader's own delay.
    pub after: Duration,
    /// What happened.
    pub outcome: Outcome,
}

/// What was observed since the last call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observations {
    /// The lines said.
    pub said: Vec<Said>,
    /// What became of lines, these and earlier ones.
    pub sightings: Vec<Sighting>,
    /// Observations that exceeded the bound.
    pub left_out: u64,
}

/// The lines and readers that are watched.
#[derive(Debug, Default)]
pub(super) struct Observer {
    times: VecDeque<(u64, Timestamp)>,
    seen: Observations,
}

/// The lines on their way to one reader.
#[derive(Debug, Default)]
pub(super) struct Watch(VecDeque<Pending>);

#[derive(Debug)]
struct Pending {
    position: u64,
    trail: Trail,
    /// Datagrams that have carried it; 1 once a stream's transport has taken it.
    sends: u32,
}

impl Hub {
    /// Begins, or ends, to observe lines on their way to their readers.
    pub fn set_observed(&mut self, on: bool) {
        if on == self.observer.is_some() {
            return;
        }
        self.observer = on.then(Box::default);
        for peer in self.peers.iter_mut() {
            peer.set_watched(on);
        }
    }

    /// Whether [`Self::take_observations`] has any.
    #[must_use]
    pub fn has_observations(&self) -> bool {
        self.observer
            .as_ref()
            .is_some_and(|it| !(it.seen.said.is_empty() && it.seen.sightings.is_empty()))
    }

    /// The connections of TCP and of pages with lines whose acknowledgment is not known yet.
    pub fn watched_streams(&self) -> impl Iterator<Item = StreamId> {
        let watched = if self.observer.is_some() { Some(self.peers.iter()) } else { None };
        let waits = |peer: &&Peer| {
            peer.transport() != Transport::Quic && peer.pending().is_some_and(|lines| lines > 0)
        };
        watched.into_iter().flatten().filter(waits).filter_map(|peer| peer.stream)
    }

    /// The other end of a connection has not acknowledged this many bytes; `None` if that is not
    /// known.
    pub fn handle_stream_unacknowledged(
        &mut self,
        id: StreamId,
        bytes: Option<u64>,
        now: Timestamp,
    ) {
        if let Some(observer) = &mut self.observer
            && let Some(id) = self.streams.peer(id)
            && let Some(mut peer) = self.peers.get_mut(id)
        {
            observer.look_at_stream(&mut peer, bytes, now);
        }
    }

    /// What was observed since the last call.
    pub fn take_observations(&mut self) -> Observations {
        self.observer.as_mut().map(|it| std::mem::take(&mut it.seen)).unwrap_or_default()
    }
}

impl Observer {
    /// A line was said.
    pub(super) fn note_said(&mut self, line: &Batch, now: Timestamp) {
        let Some(line) = line.iter().next().and_then(live) else { return };
        if self.times.len() >= MAX_LINES {
            self.times.pop_front();
        }
        self.times.push_back((line.position, now));
        if self.seen.said.len() >= MAX_SEEN {
            self.seen.left_out += 1;
        } else {
            self.seen.said.push(Said {
                position: line.position,
                at: WallTime(line.at),
                peer: line.peer,
                from: line.from.to_owned(),
                text: line.text.to_owned(),
            });
        }
    }

    /// Notes what has happened to the lines on their way to a reader.
    pub(super) fn look_at(&mut self, peer: &mut Peer, now: Timestamp) {
        let Some(mut watch) = peer.watch.take() else { return };
        let number = peer.id.number();
        let back = peer.link.stats().rtt_smoothed.unwrap_or_default() / 2;
        for step in peer.link.take_steps() {
            match step {
                Step::Left { id, again } => {
                    let found = watch.0.iter_mut().find(|it| it.trail == Trail::Reliable(id));
                    let Some(pending) = found else { continue };
                    pending.sends += 1;
                    if again {
                        self.note(pending.position, number, now, Duration::ZERO, Outcome::Again);
                    }
                }
                Step::Acked { trail, delay } => {
                    if let Some(Pending { position, sends, .. }) = watch.remove(trail) {
                        let outcome = Outcome::Shown { sends: sends.max(1), certain: true };
                        self.note(position, number, now, back + delay, outcome);
                    }
                }
            }
        }
        while let Some(fate) = peer.link.poll_fate() {
            let (Fate::Arrived(tag) | Fate::Lost(tag)) = fate;
            let Some(Pending { position, .. }) = watch.remove(Trail::Once(tag)) else { continue };
            let (earlier, outcome) = match fate {
                Fate::Arrived(_) => (back, Outcome::Shown { sends: 1, certain: true }),
                Fate::Lost(_) => (Duration::ZERO, Outcome::Lost),
            };
            self.note(position, number, now, earlier, outcome);
        }
        let handed = peer.link.handed_over().unwrap_or_default();
        for pending in watch.0.iter_mut().filter(|it| it.sends == 0) {
            match pending.trail {
                Trail::Stream(end) if end <= handed => pending.sends = 1,
                _ => continue,
            }
            let outcome = Outcome::Shown { sends: 1, certain: false };
            self.note(pending.position, number, now, Duration::ZERO, outcome);
        }
        // No end of QUIC learns which bytes of the other have arrived.
        if peer.transport() == Transport::Quic {
            watch.0.retain(|it| it.sends == 0);
        }
        peer.watch = Some(watch);
    }

    /// Notes the lines of a stream whose last byte is acknowledged: `unacknowledged` bytes are not.
    fn look_at_stream(&mut self, peer: &mut Peer, unacknowledged: Option<u64>, now: Timestamp) {
        let (number, sent) = (peer.id.number(), peer.link.stats().sent_bytes);
        let Some(watch) = &mut peer.watch else { return };
        watch.0.retain(|pending| {
            let Trail::Stream(end) = pending.trail else { return true };
            let behind = sent.checked_sub(end);
            match (behind, unacknowledged) {
                _ if pending.sends == 0 => true,
                (_, None) => false,
                (Some(behind), Some(unacknowledged)) if behind >= unacknowledged => {
                    let outcome = Outcome::Shown { sends: 1, certain: true };
                    self.note(pending.position, number, now, Duration::ZERO, outcome);
                    false
                }
                _ => true,
            }
        });
    }

    fn note(
        &mut self,
        position: u64,
        peer: u16,
        now: Timestamp,
        earlier: Duration,
        outcome: Outcome,
    ) {
        let Some((_, said)) = self.times.iter().rev().find(|it| it.0 == position) else { return };
        let after = now.since(*said).saturating_sub(earlier);
        if self.seen.sightings.len() >= MAX_SEEN {
            self.seen.left_out += 1;
        } else {
            self.seen.sightings.push(Sighting { position, peer, after, outcome });
        }
    }
}

impl Watch {
    fn remove(&mut self, trail: Trail) -> Option<Pending> {
        let place = self.0.iter().position(|it| it.trail == trail)?;
        self.0.remove(place)
    }
}

impl Peer {
    /// Begins, or ends, to watch the lines to this peer.
    pub(super) fn set_watched(&mut self, on: bool) {
        self.watch = on.then(Box::default);
        self.link.set_observed(on);
    }

    /// Lines on their way to this peer; `None` if nobody watches.
    pub(super) fn pending(&self) -> Option<usize> {
        self.watch.as_ref().map(|watch| watch.0.len())
    }

    /// Queues lines, each by itself, until the queue is full. Returns how many it took.
    pub(super) fn take_watched(&mut self, lines: &Batch) -> usize {
        let Some(watch) = &mut self.watch else { return 0 };
        let mut taken = 0;
        for line in lines.iter() {
            let position = live(line).map_or(0, |line| line.position);
            let Some(trail) = self.link.send_observed(line, self.delivery, position) else { break };
            if watch.0.len() >= MAX_PENDING {
                watch.0.pop_front();
            }
            watch.0.push_back(Pending { position, trail, sends: 0 });
            taken += 1;
        }
        taken
    }
}

fn live(message: &[u8]) -> Option<LiveLine<'_>> {
    match decode_message(message) {
        Ok(ServerMessage::Line(line)) => Some(line),
        _ => None,
    }
}
