//! Follows the messages of a run through its capture: which packets carried a message, which of
//! them the network dropped, and where TCP held bytes until earlier ones had arrived.
//!
//! Packet numbers are those of Wireshark. A capture may come from anywhere; nothing in it is
//! trusted.

mod packet;
mod stream;

use super::load::message_id;
use super::record::Record;
use crate::net::pcapng::{self, Malformed};
use crate::protocol::{
    ClientMessage, Datagram, Frame, LiveLine, Say, ServerMessage, decode_message,
};
use packet::{Content, Packet};
use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use stream::{Stream, Travelled};

/// The address of the clients' node in the lab's networks.
const CLIENTS: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);
/// The interface of the router towards that node.
const CLIENTS_INTERFACE: &[u8] = b"clients";
/// In the comment of a packet that the network dropped.
const DROPPED: &[u8] = b": dropped";

/// A packet with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sighting {
    /// Its number in Wireshark.
    pub(super) frame: u64,
    /// Wall-clock time, nanoseconds since 1970.
    pub(super) nanos: u64,
    pub(super) step: Step,
}

/// A step of a packet at the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It enters.
    Entered,
    /// It enters, and is dropped.
    Dropped,
    /// It leaves towards the receiver.
    Left,
}

/// The time that a complete message waited at its receiver for an earlier one: in order over UDP,
/// or in the kernel for earlier bytes of TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) nanos: u64,
    /// The packet that ended it.
    pub(super) frame: u64,
    /// True if what it carried was sent more than once; false if it was overtaken only.
    pub(super) again: bool,
}

/// The way of a message in one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Leg {
    /// Its packets, by number.
    pub(super) seen: Vec<Sighting>,
    pub(super) wait: Option<Wait>,
    /// True if its receiver delivers in order.
    pub(super) is_ordered: bool,
}

/// The packets of all messages of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Journeys {
    up: HashMap<(Arc<str>, u64), Leg>,
    /// By receiver, sender and number.
    down: HashMap<(Arc<str>, Arc<str>, u64), Leg>,
}

/// A message at a receiver: to the server, and from it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Journey<'a> {
    pub(super) up: Option<&'a Leg>,
    pub(super) down: Option<&'a Leg>,
}

impl Journeys {
    /// Reads a capture. What comes before damage is kept, with the damage.
    pub(super) fn read(capture: &[u8]) -> (Self, Option<Malformed>) {
        let mut reader = Reader::default();
        let mut capture = pcapng::Capture::new(capture);
        let damage = loop {
            match capture.next_packet() {
                Ok(Some(packet)) => reader.packet(&packet),
                Ok(None) => break None,
                Err(damage) => break Some(damage),
            }
        };
        (reader.finish(), damage)
    }

    /// The packets of a row's message.
    pub(super) fn of(&self, row: &Record) -> Journey<'_> {
        let (sender, receiver) = (row.sender.clone(), row.receiver.clone());
        Journey {
            up: self.up.get(&(sender.clone(), row.id)),
            down: self.down.get(&(receiver, sender, row.id)),
        }
    }
}

/// A capture in progress.
#[derive(Default)]
struct Reader {
    /// The clients' nicknames.
    names: HashMap<SocketAddrV4, Arc<str>>,
    /// One direction each.
    streams: BTreeMap<(SocketAddrV4, SocketAddrV4), Vec<Stream>>,
    journeys: Journeys,
}

impl Reader {
    fn packet(&mut self, captured: &pcapng::Packet<'_>) {
        let Some(packet) = Packet::parse(captured.bytes) else { return };
        let is_up = *packet.from.ip() == CLIENTS;
        let has_entered = is_up == (captured.interface == CLIENTS_INTERFACE);
        let is_dropped = captured.comment.windows(DROPPED.len()).any(|it| it == DROPPED);
        let step = match (has_entered, is_dropped) {
            (true, true) => Step::Dropped,
            (true, false) => Step::Entered,
            (false, _) => Step::Left,
        };
        let seen = Sighting { frame: captured.frame, nanos: captured.nanos, step };
        match packet.content {
            Content::Datagram(bytes) => {
                let Ok(datagram) = Datagram::decode(bytes) else { return };
                for frame in datagram.frames() {
                    let is_ordered = matches!(frame, Frame::Ordered { .. });
                    self.carry(&packet, frame, Leg { seen: vec![seen], wait: None, is_ordered });
                }
            }
            Content::Segment { sequence, is_syn, bytes } => {
                let all = self.streams.entry((packet.from, packet.to)).or_default();
                if all.last().is_none_or(|it| it.is_other(sequence, is_syn)) {
                    all.push(Stream::default());
                }
                if let Some(stream) = all.last_mut() {
                    stream.add(sequence, is_syn, bytes, seen);
                }
            }
        }
    }

    /// Notes that `leg` carried a frame between the ends of `packet`.
    fn carry(&mut self, packet: &Packet<'_>, frame: Frame<'_>, leg: Leg) {
        let payload = match frame {
            Frame::Join(join) => {
                self.names.insert(packet.from, join.nickname.into());
                return;
            }
            Frame::Once { payload }
            | Frame::Unordered { payload, .. }
            | Frame::Ordered { payload, .. } => payload,
            _ => return,
        };
        if *packet.from.ip() == CLIENTS {
            let Ok(ClientMessage::Say(Say { text, .. })) = decode_message(payload) else { return };
            let sender = self.names.get(&packet.from).cloned();
            if let Some((sender, id)) = sender.zip(message_id(text)) {
                self.journeys.up.entry((sender, id)).or_default().join(leg);
            }
        } else {
            let Ok(ServerMessage::Line(LiveLine { from, text, .. })) = decode_message(payload)
            else {
                return;
            };
            let receiver = self.names.get(&packet.to).cloned();
            if let Some((receiver, id)) = receiver.zip(message_id(text)) {
                self.journeys.down.entry((receiver, from.into(), id)).or_default().join(leg);
            }
        }
    }

    fn finish(mut self) -> Journeys {
        find_waits(self.journeys.up.iter_mut().map(|((sender, _), leg)| (sender, leg)));
        find_waits(self.journeys.down.iter_mut().map(|((receiver, ..), leg)| (receiver, leg)));
        // Joins come before lines: the clients' directions first.
        let mut streams: Vec<_> = std::mem::take(&mut self.streams).into_iter().collect();
        streams.sort_by_key(|((from, _), _)| *from.ip() != CLIENTS);
        for ((from, to), all) in streams {
            let ends = Packet { from, to, content: Content::Datagram(&[]) };
            for stream in all {
                stream.records(|Travelled { frame, seen, wait }| {
                    self.carry(&ends, frame, Leg { seen, wait, is_ordered: false });
                });
            }
        }
        self.journeys
    }
}

/// Finds the waits of messages that are delivered in order, for each client: a message is complete
/// when its first packet arrives, and is delivered when all that were sent before it have arrived.
fn find_waits<'a>(legs: impl Iterator<Item = (&'a Arc<str>, &'a mut Leg)>) {
    let mut clients: BTreeMap<&str, Vec<&mut Leg>> = BTreeMap::new();
    for (client, leg) in legs.filter(|(_, leg)| leg.is_ordered) {
        clients.entry(client).or_default().push(leg);
    }
    for mut legs in clients.into_values() {
        legs.sort_by_key(|leg| leg.seen.first().map(|it| it.frame));
        let mut last: Option<(Sighting, bool)> = None;
        for leg in legs {
            let Some(arrival) = leg.arrival() else { continue };
            let own = (arrival, leg.times_sent() > 1);
            match last {
                Some((before, again)) if before.nanos > arrival.nanos => {
                    let nanos = before.nanos - arrival.nanos;
                    leg.wait = Some(Wait { nanos, frame: before.frame, again });
                }
                _ => last = Some(own),
            }
        }
    }
}

impl Leg {
    fn join(&mut self, other: Self) {
        self.seen.extend(other.seen);
        self.wait = self.wait.or(other.wait);
        self.is_ordered |= other.is_ordered;
    }

    /// The first packet that left towards the receiver.
    fn arrival(&self) -> Option<Sighting> {
        self.seen.iter().copied().find(|it| it.step == Step::Left)
    }

    fn times_sent(&self) -> usize {
        self.seen.iter().filter(|it| it.step != Step::Left).count()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
