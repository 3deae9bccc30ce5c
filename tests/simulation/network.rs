//! The network between the server and its clients: it loses, delays, duplicates, reorders and
//! corrupts datagrams at random.

use crate::dice::Dice;
use chatagram::protocol::limits::MAX_DATAGRAM;
use chatagram::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Limit on the queue of a bottleneck, in full datagrams.
const MAX_WAITING: u32 = 60;
/// The destinations of a shared bottleneck.
pub(crate) const ELSEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// The network's behaviour; probabilities are per mille.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Impairment {
    pub(crate) loss: u64,
    pub(crate) duplicate: u64,
    pub(crate) corrupt: u64,
    pub(crate) delay: Duration,
    /// Random addition to the delay, which reorders datagrams.
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

    /// Random behaviour, from a cable to a very bad network.
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

/// A datagram in flight.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// The datagrams in flight and the state of the network.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) impairment: Impairment,
    /// Addresses that are disconnected.
    pub(crate) cut_off: BTreeSet<SocketAddr>,
    /// Nothing passes from the first to the second of these addresses.
    pub(crate) apart: BTreeSet<[SocketAddr; 2]>,
    /// No datagram arrives before this time.
    pub(crate) held_until: Timestamp,
    /// Bottlenecks by destination, or at [`ELSEWHERE`] one for all destinations without their own:
    /// the time per full datagram, and when the queue is empty.
    pub(crate) bottlenecks: BTreeMap<SocketAddr, (Duration, Timestamp)>,
    /// Black holes: the largest datagram from and to these addresses; larger ones are lost silently
    /// (RFC 2923 §2.1).
    pub(crate) narrow: BTreeMap<SocketAddr, [usize; 2]>,
    /// By arrival, then by departure.
    in_flight: BTreeMap<(Timestamp, u64), Packet>,
    /// Hash of everything sent: FNV-1a, eight bytes at a time.
    pub(crate) trace: u64,
    pub(crate) sent: u64,
    /// Bytes of all datagrams sent.
    pub(crate) bytes: u64,
}

impl Network {
    pub(crate) fn new(impairment: Impairment) -> Self {
        Self {
            impairment,
            cut_off: BTreeSet::new(),
            apart: BTreeSet::new(),
            held_until: Timestamp::ZERO,
            bottlenecks: BTreeMap::new(),
            narrow: BTreeMap::new(),
            in_flight: BTreeMap::new(),
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
            let cut = cut || self.apart.contains(&[packet.from, packet.to]);
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
            let own = self.bottlenecks.contains_key(&packet.to);
            let hop = if own { packet.to } else { ELSEWHERE };
            if let Some((each, free)) = self.bottlenecks.get_mut(&hop) {
                if free.since(now) > *each * MAX_WAITING {
                    continue;
                }
                *free = now.max(*free) + *each * length as u32 / MAX_DATAGRAM as u32;
            }
            let queued = self.bottlenecks.get(&hop).map_or(now, |(_, free)| *free);
            let arrival = queued + self.impairment.delay + dice.within(self.impairment.jitter);
            self.sent += 1;
            self.in_flight.insert((arrival.max(self.held_until), self.sent), packet);
        }
    }

    /// The time at which the next datagram arrives.
    pub(crate) fn next_arrival(&self) -> Option<Timestamp> {
        self.in_flight.first_key_value().map(|((at, _), _)| *at)
    }

    /// Removes the next datagram that arrives by `now`.
    pub(crate) fn arrive(&mut self, now: Timestamp) -> Option<Packet> {
        let entry = self.in_flight.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    /// A random datagram in flight, for an attacker to overhear.
    pub(crate) fn any_under_way(&self, dice: &mut Dice) -> Option<&Packet> {
        self.in_flight.values().nth(dice.below(self.in_flight.len()))
    }

    /// Adds sent bytes to the trace.
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

/// Flips a few bits or truncates the datagram.
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
