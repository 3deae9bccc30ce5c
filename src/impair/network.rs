//! An emulated network in one direction whose conditions change, for everybody or for one peer.
//!
//! All datagrams of the direction share one index, so what a datagram meets depends on the seed,
//! its index and the conditions in force at that index; see [`Script`].

use super::counts::Drops;
use super::script::{Change, MAX_APART, MAX_CHANGES, Scope, Script};
use super::{Counts, Direction, Fate, Impairment, Profile};
use crate::time::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// The emulated network in one direction.
#[derive(Clone, Debug)]
pub struct Network<P = Vec<u8>> {
    seed: u64,
    direction: Direction,
    everybody: Impairment<P>,
    conditions: Profile,
    /// By nickname.
    apart: BTreeMap<String, Apart<P>>,
    /// Where the peers are that have conditions of their own.
    addresses: BTreeMap<SocketAddr, String>,
    /// The index of the next packet.
    entered: u64,
    drops: Drops,
    /// Changes to come.
    script: VecDeque<Change>,
    /// Changes that were made.
    record: Vec<Change>,
    /// Counters of peers that had conditions of their own.
    past: Counts,
}

/// The conditions of one peer.
#[derive(Clone, Debug)]
struct Apart<P> {
    impairment: Impairment<P>,
    /// `None`: those of everybody again. Packets on their way still arrive.
    conditions: Option<Profile>,
}

/// Why conditions cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The script is full.
    #[error("the network was changed {MAX_CHANGES} times: restart the server to go on")]
    TooManyChanges,
    /// Too many peers have conditions of their own.
    #[error("at most {MAX_APART} peers have conditions of their own: end those of another first")]
    TooManyPeers,
}

impl<P: AsRef<[u8]> + AsMut<[u8]> + Clone> Network<P> {
    /// A network that follows the changes of `script` in this direction. `entered` packets have
    /// passed before, without impairment.
    #[must_use]
    pub fn new(script: &Script, direction: Direction, entered: u64) -> Self {
        let (seed, conditions) = (script.seed, Profile::default());
        let changes = script.changes.iter().filter(|it| it.direction == direction);
        let mut network = Self {
            seed,
            direction,
            everybody: Impairment::new(&conditions, seed, direction),
            conditions,
            apart: BTreeMap::new(),
            addresses: BTreeMap::new(),
            entered,
            drops: Drops::default(),
            script: changes.cloned().collect(),
            record: Vec::new(),
            past: Counts::default(),
        };
        network.follow();
        network
    }

    /// Makes the changes of the script that are due.
    fn follow(&mut self) {
        while let Some(change) = self.script.pop_front_if(|it| it.index <= self.entered) {
            // A script that was read is no longer than the record, and lists as few peers.
            if let Err(why) = self.make(change) {
                log::warn!("a change of the script is left out: {why}");
            }
        }
    }

    /// Changes the conditions from the next packet on; `None` is nothing for everybody, and for a
    /// peer what everybody has.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn set(&mut self, scope: Scope, profile: Option<Profile>) -> Result<(), Refused> {
        let is_same = match &scope {
            Scope::Everybody => Some(&self.conditions) == profile.as_ref(),
            Scope::Peer(name) => {
                let before = self.apart.get(name).and_then(|it| it.conditions.as_ref());
                before == profile.as_ref()
            }
        };
        if is_same {
            return Ok(());
        }
        let (direction, index) = (self.direction, self.entered);
        self.make(Change { direction, index, scope, profile })
    }

    fn make(&mut self, change: Change) -> Result<(), Refused> {
        if self.record.len() >= MAX_CHANGES {
            return Err(Refused::TooManyChanges);
        }
        let (seed, direction) = (self.seed, self.direction);
        match &change.scope {
            Scope::Everybody => {
                self.conditions = change.profile.clone().unwrap_or_default();
                self.everybody.set_profile(&self.conditions, seed, direction);
            }
            Scope::Peer(name) => {
                for (_, it) in self.apart.extract_if(.., |_, it| it.is_over()) {
                    self.past += &it.impairment.counts();
                }
                if !self.apart.contains_key(name) && self.apart.len() >= MAX_APART {
                    return Err(Refused::TooManyPeers);
                }
                let conditions = change.profile.clone();
                let profile = conditions.clone().unwrap_or_default();
                let new = || Impairment::new(&profile, seed, direction);
                let apart = self.apart.entry(name.clone());
                let apart = apart.or_insert_with(|| Apart { impairment: new(), conditions: None });
                apart.impairment.set_profile(&profile, seed, direction);
                apart.conditions = conditions;
            }
        }
        self.record.push(change);
        Ok(())
    }

    /// Tells where the peers are. Those that are not named have the conditions of everybody.
    pub fn set_addresses(&mut self, addresses: &BTreeMap<SocketAddr, String>) {
        self.addresses.clone_from(addresses);
    }

    /// Whether any peer has, or will have, conditions of its own.
    #[must_use]
    pub fn wants_addresses(&self) -> bool {
        let coming = self.script.iter().any(|it| it.scope != Scope::Everybody);
        coming || !self.apart.is_empty()
    }

    /// Enters the next packet of the peer at this address and returns its fate. It, or its copy,
    /// may be due at once: call [`Self::pop`] afterwards.
    pub fn push(&mut self, peer: SocketAddr, packet: P, now: Timestamp) -> Fate {
        self.follow();
        let index = self.entered;
        self.entered += 1;
        let apart = if self.apart.is_empty() { None } else { self.addresses.get(&peer) };
        let apart = apart.and_then(|name| self.apart.get_mut(name));
        let impairment = match apart {
            Some(Apart { impairment, conditions: Some(_) }) => impairment,
            _ => &mut self.everybody,
        };
        let fate = impairment.push_as(index, packet, now);
        if matches!(fate, Fate::Lost(_)) {
            self.drops.note(index);
        }
        fate
    }

    /// Removes the earliest packet that is due by `now`. Call it until it returns `None`.
    pub fn pop(&mut self, now: Timestamp) -> Option<P> {
        if self.apart.is_empty() {
            return self.everybody.pop(now);
        }
        let all = std::iter::once(&mut self.everybody);
        let all = all.chain(self.apart.values_mut().map(|it| &mut it.impairment));
        all.min_by_key(|it| it.poll_timeout().unwrap_or(Timestamp::from_micros(u64::MAX)))?.pop(now)
    }

    /// The time at which the next packet is due; `None` if no packet is held.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let apart = self.apart.values().filter_map(|it| it.impairment.poll_timeout());
        self.everybody.poll_timeout().into_iter().chain(apart).min()
    }

    /// The counters so far. This formats the list of drops, so do not call it for every packet.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = self.everybody.counts();
        counts += &self.past;
        self.apart.values().for_each(|it| counts += &it.impairment.counts());
        Counts { drops: self.drops.text(), ..counts }
    }

    /// The index of the next packet.
    #[must_use]
    pub fn entered(&self) -> u64 {
        self.entered
    }

    /// The conditions of everybody.
    #[must_use]
    pub fn conditions(&self) -> &Profile {
        &self.conditions
    }

    /// The peers with conditions of their own.
    pub fn apart(&self) -> impl Iterator<Item = (&str, &Profile)> {
        self.apart.iter().filter_map(|(name, it)| Some((name.as_str(), it.conditions.as_ref()?)))
    }

    /// The changes that were made.
    #[must_use]
    pub fn record(&self) -> &[Change] {
        &self.record
    }
}

impl<P: AsRef<[u8]> + AsMut<[u8]> + Clone> Apart<P> {
    fn is_over(&self) -> bool {
        self.conditions.is_none() && self.impairment.poll_timeout().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALICE: u16 = 1;
    const BOB: u16 = 2;

    fn address(port: u16) -> SocketAddr {
        ([10, 0, 0, 9], port).into()
    }

    fn network(script: &Script) -> Network {
        let mut network = Network::new(script, Direction::Up, 0);
        let names = [(address(ALICE), "alice".to_owned()), (address(BOB), "bob".to_owned())];
        network.set_addresses(&names.into());
        network
    }

    fn carry(network: &mut Network, port: u16, count: u64) -> Vec<bool> {
        (0..count)
            .map(|n| {
                let now = Timestamp::from_micros(n);
                let fate = network.push(address(port), vec![1, 2, 3], now);
                while network.pop(now + std::time::Duration::from_secs(1)).is_some() {}
                matches!(fate, Fate::Lost(_))
            })
            .collect()
    }

    fn items(text: &str) -> Option<Profile> {
        Some(Profile::parse(text, Direction::Up).unwrap())
    }

    #[test]
    fn conditions_of_one_peer_leave_the_others_alone() {
        let mut network = network(&Script::default());
        network.set(Scope::Peer("bob".to_owned()), items("loss 100%")).unwrap();
        assert!(carry(&mut network, BOB, 10).iter().all(|lost| *lost));
        assert!(!carry(&mut network, ALICE, 10).contains(&true));
        assert!(!carry(&mut network, 99, 10).contains(&true));
        network.set(Scope::Everybody, items("loss 100%")).unwrap();
        network.set(Scope::Peer("bob".to_owned()), items("none")).unwrap();
        assert!(!carry(&mut network, BOB, 10).contains(&true));
        assert!(carry(&mut network, ALICE, 10).iter().all(|lost| *lost));
        network.set(Scope::Peer("bob".to_owned()), None).unwrap();
        assert!(carry(&mut network, BOB, 10).iter().all(|lost| *lost));
        assert_eq!(network.apart().count(), 0);
        assert_eq!(network.counts().drops, "0-9,40-59");
        assert_eq!((network.counts().packets, network.counts().lost), (60, 30));
    }

    #[test]
    fn a_packet_on_its_way_arrives_after_the_delay_that_it_met() {
        let mut network = network(&Script::default());
        let bob = || Scope::Peer("bob".to_owned());
        network.set(bob(), items("delay 5ms")).unwrap();
        network.push(address(BOB), vec![1], Timestamp::ZERO);
        network.set(bob(), None).unwrap();
        network.push(address(BOB), vec![2], Timestamp::ZERO);
        assert_eq!(network.pop(Timestamp::ZERO), Some(vec![2]));
        assert_eq!(network.poll_timeout(), Some(Timestamp::from_micros(5_000)));
        assert_eq!(network.pop(Timestamp::from_micros(4_999)), None);
        assert_eq!(network.pop(Timestamp::from_micros(5_000)), Some(vec![1]));
    }

    #[test]
    fn changes_and_peers_are_bounded() {
        let mut network = network(&Script::default());
        for n in 0..MAX_APART {
            network.set(Scope::Peer(format!("peer{n}")), items("loss 1%")).unwrap();
        }
        let another = || Scope::Peer("another".to_owned());
        assert_eq!(network.set(another(), items("loss 1%")), Err(Refused::TooManyPeers));
        network.set(Scope::Peer("peer7".to_owned()), None).unwrap();
        network.set(another(), items("loss 1%")).unwrap();
        let mut loss = ["loss 1%", "loss 2%"].into_iter().cycle();
        while network.record().len() < MAX_CHANGES {
            network.set(Scope::Everybody, items(loss.next().unwrap())).unwrap();
        }
        let next = network.set(Scope::Everybody, items(loss.next().unwrap()));
        assert_eq!(next, Err(Refused::TooManyChanges));
    }

    proptest! {
        /// Changes at any moments, recorded and replayed as text.
        #[test]
        fn a_recorded_script_loses_the_same_packets(
            seed in any::<u64>(),
            steps in prop::collection::vec(
                (0..4_usize, prop_oneof![Just(ALICE), Just(BOB)], 0..40_u64), 0..12
            ),
        ) {
            let conditions = ["loss 30%", "loss 40% burst 3, delay 2ms", "every 3", "none"];
            let mut first = network(&Script { seed, ..Script::default() });
            let mut lost = Vec::new();
            for (place, (what, port, count)) in steps.iter().enumerate() {
                let scope = if place % 2 == 0 { Scope::Everybody } else {
                    Scope::Peer("bob".to_owned())
                };
                first.set(scope, items(conditions[*what])).unwrap();
                lost.extend(carry(&mut first, *port, *count));
            }
            let text = Script { seed, changes: first.record().to_vec() }.to_string();
            let mut second = network(&text.parse().unwrap());
            let mut again = Vec::new();
            for (_, port, count) in &steps {
                again.extend(carry(&mut second, *port, *count));
            }
            prop_assert_eq!(lost, again);
            prop_assert_eq!(first.counts().drops, second.counts().drops);
        }
    }
}
