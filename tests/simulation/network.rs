//! The network between the server and its clients: it loses, delays, repeats, reorders and damages
//! datagrams, as often as it was told to and whenever the dice say so.

use crate::dice::Dice;
use chatagram::protocol::limits::MAX_DATAGRAM;
use chatagram::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// Datagrams that wait before a narrow line at most.
const MAX_WAITING: u32 = 60;

/// What a network does to datagrams, each chance in a thousand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Impairment {
    pub(crate) loss: u64,
    pub(crate) duplicate: u64,
    pub(crate) corrupt: u64,
    pub(crate) delay: Duration,
    /// Added to the delay by chance. More than the pause between two datagrams reorders them.
    pub(crate) jitter: Duration,
}

impl Impairment {
    pub(crate) const NONE: Self = Self {
        loss: 0,
        duplicate: 0,
        corrupt: 0,
        delay: Duration::from_millis(5),
        jitter: Duration::ZERO,
    };

    /// Anything from a cable to a disaster.
    pub(crate) fn random(dice: &mut Dice) -> Self {
        let mut up_to = |most: usize| if dice.chance(700) { dice.below(most) as u64 } else { 0 };
        Self {
            loss: up_to(300),
            duplicate: up_to(200),
            corrupt: up_to(100),
            delay: Duration::from_millis(up_to(100) + 1),
            jitter: Duration::from_millis(up_to(400)),
        }
    }
}

/// A datagram on its way.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) impairment: Impairment,
    /// Nothing passes from or to these.
    pub(crate) cut_off: BTreeSet<SocketAddr>,
    /// Nothing arrives before: it is kept, and comes all at once.
    pub(crate) held_until: Timestamp,
    /// Lines that take a while for each full datagram, and when they will have taken the last one.
    pub(crate) bottlenecks: BTreeMap<SocketAddr, (Duration, Timestamp)>,
    /// Nothing longer passes from these (the first) or to them, and nobody is told (RFC 2923, 2.1).
    pub(crate) narrow: BTreeMap<SocketAddr, [usize; 2]>,
    /// By arrival, then by departure.
    under_way: BTreeMap<(Timestamp, u64), Packet>,
    /// Of everything that was sent: FNV-1a, eight bytes at a time.
    pub(crate) trace: u64,
    pub(crate) sent: u64,
    /// All bytes of datagrams that were sent.
    pub(crate) bytes: u64,
}

impl Network {
    pub(crate) fn new(impairment: Impairment) -> Self {
        Self {
            impairment,
            cut_off: BTreeSet::new(),
            held_until: Timestamp::ZERO,
            bottlenecks: BTreeMap::new(),
            narrow: BTreeMap::new(),
            under_way: BTreeMap::new(),
            trace: 0xcbf2_9ce4_8422_2325,
            sent: 0,
            bytes: 0,
        }
    }

    pub(crate) fn send(&mut self, packet: Packet, now: Timestamp, dice: &mut Dice) {
        self.note([packet.from, packet.to], &packet.bytes, now);
        self.bytes += packet.bytes.len() as u64;
        let copies = 1 + usize::from(dice.chance(self.impairment.duplicate));
        for _ in 0..copies {
            let cut = self.cut_off.contains(&packet.from) || self.cut_off.contains(&packet.to);
            let length = packet.bytes.len();
            let width = |end, way: usize| self.narrow.get(end).map_or(usize::MAX, |it| it[way]);
            let cut = cut || length > width(&packet.from, 0).min(width(&packet.to, 1));
            if cut || dice.chance(self.impairment.loss) {
                continue;
            }
            let mut packet = packet.clone();
            if dice.chance(self.impairment.corrupt) {
                damage(&mut packet.bytes, dice);
            }
            if let Some((each, free)) = self.bottlenecks.get_mut(&packet.to) {
                if free.since(now) > *each * MAX_WAITING {
                    continue;
                }
                *free = now.max(*free) + *each * length as u32 / MAX_DATAGRAM as u32;
            }
            let queued = self.bottlenecks.get(&packet.to).map_or(now, |(_, free)| *free);
            let arrival = queued + self.impairment.delay + dice.within(self.impairment.jitter);
            self.sent += 1;
            self.under_way.insert((arrival.max(self.held_until), self.sent), packet);
        }
    }

    /// When the next datagram arrives.
    pub(crate) fn next_arrival(&self) -> Option<Timestamp> {
        self.under_way.first_key_value().map(|((at, _), _)| *at)
    }

    /// The datagram that arrives by now.
    pub(crate) fn arrive(&mut self, now: Timestamp) -> Option<Packet> {
        let entry = self.under_way.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    /// Something that is on its way, for whoever listens in.
    pub(crate) fn any_under_way(&self, dice: &mut Dice) -> Option<&Packet> {
        self.under_way.values().nth(dice.below(self.under_way.len()))
    }

    /// Something is sent: it becomes part of the trace.
    pub(crate) fn note(&mut self, ends: [SocketAddr; 2], bytes: &[u8], now: Timestamp) {
        let [from, to] = ends.map(|end| u64::from(end.port()));
        let (words, rest) = bytes.as_chunks();
        let words = words.iter().map(|word| u64::from_be_bytes(*word));
        let rest = rest.iter().map(|byte| u64::from(*byte));
        for word in [now.as_micros(), from << 16 | to].into_iter().chain(words).chain(rest) {
            self.trace = (self.trace ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(29);
        }
    }
}

/// A few bits flip, or the end is missing.
fn damage(bytes: &mut Vec<u8>, dice: &mut Dice) {
    if dice.chance(200) {
        bytes.truncate(dice.below(bytes.len()));
        return;
    }
    for _ in 0..=dice.below(3) {
        let bit = dice.below(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}
