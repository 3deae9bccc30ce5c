//! Changes of the emulated network while it carries datagrams.

use super::datagrams::{Datagram, Datagrams, End, Impaired};
use crate::impair::{Change, Direction, Network, Profile, Refused, Scope, Script};
use std::collections::BTreeMap;
use std::net::SocketAddr;

impl Datagrams {
    /// Changes the conditions of later datagrams, from or to everybody or one peer. `None` is
    /// nothing for everybody, and for a peer what everybody has.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn set_conditions(
        &mut self,
        direction: Direction,
        scope: Scope,
        profile: Option<Profile>,
    ) -> Result<(), Refused> {
        self.network(direction).set(scope, profile)
    }

    /// The conditions of everybody; `None` without an emulated network.
    #[must_use]
    pub fn conditions(&self, direction: Direction) -> Option<&Profile> {
        self.existing(direction).map(Network::conditions)
    }

    /// Datagrams of a direction so far, with and without an emulated network.
    #[must_use]
    pub fn carried(&self, direction: Direction) -> u64 {
        let is_sending = self.directions().0 == direction;
        let passed = if is_sending { self.passed.0 } else { self.passed.1 };
        self.existing(direction).map_or(passed, Network::entered)
    }

    /// The peers with conditions of their own in a direction.
    pub fn apart(&self, direction: Direction) -> impl Iterator<Item = (&str, &Profile)> {
        self.existing(direction).into_iter().flat_map(Network::apart)
    }

    /// The changes so far, as a script that makes them again.
    #[must_use]
    pub fn record(&self) -> Script {
        let both = [Direction::Up, Direction::Down].map(|it| self.existing(it));
        let changes: Vec<Change> =
            both.into_iter().flatten().flat_map(Network::record).cloned().collect();
        Script { seed: self.script.seed, changes }
    }

    /// Whether the emulated network has to know where the peers are.
    #[must_use]
    pub fn wants_addresses(&self) -> bool {
        self.impaired
            .as_ref()
            .is_some_and(|it| it.sending.wants_addresses() || it.receiving.wants_addresses())
    }

    /// Tells where the peers are, by nickname.
    pub fn set_addresses(&mut self, addresses: &BTreeMap<SocketAddr, String>) {
        if let Some(impaired) = &mut self.impaired {
            impaired.sending.set_addresses(addresses);
            impaired.receiving.set_addresses(addresses);
        }
    }

    /// The emulated network, made if there is none.
    pub(super) fn impaired(&mut self) -> &mut Impaired {
        let (sending, receiving) = self.directions();
        let (script, passed) = (&self.script, self.passed);
        self.impaired.get_or_insert_with(|| {
            Box::new(Impaired {
                sending: Network::new(script, sending, passed.0),
                receiving: Network::new(script, receiving, passed.1),
            })
        })
    }

    fn network(&mut self, direction: Direction) -> &mut Network<Datagram> {
        let is_sending = self.directions().0 == direction;
        let impaired = self.impaired();
        if is_sending { &mut impaired.sending } else { &mut impaired.receiving }
    }

    fn existing(&self, direction: Direction) -> Option<&Network<Datagram>> {
        let impaired = self.impaired.as_deref()?;
        let is_sending = self.directions().0 == direction;
        Some(if is_sending { &impaired.sending } else { &impaired.receiving })
    }

    /// The directions in which this end sends and receives.
    fn directions(&self) -> (Direction, Direction) {
        match self.end {
            End::Client => (Direction::Up, Direction::Down),
            End::Server => (Direction::Down, Direction::Up),
        }
    }
}
