//! The emulated network as the page shows and changes it.

use super::Around;
use crate::hub::Hub;
use crate::impair::{Direction, Profile, Scope};
use crate::net::Datagrams;
use crate::protocol::Transport;
use crate::time::Now;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a page wants of the network. A direction that is not given stays as it is.
#[derive(Debug, Deserialize)]
pub(super) struct Wish {
    /// The number of a peer; everybody without one.
    peer: Option<u16>,
    /// In the words of `--impair`. Without any: nothing for everybody, and for a peer what
    /// everybody has.
    up: Option<String>,
    down: Option<String>,
}

/// The conditions of everybody, and of the peers that have their own, by number.
#[derive(Debug, Default, Serialize)]
pub(super) struct Conditions {
    everybody: Option<Both>,
    peers: BTreeMap<u16, Both>,
}

/// In the words of `--impair`.
#[derive(Debug, Default, Serialize)]
struct Both {
    up: Option<String>,
    down: Option<String>,
}

impl Both {
    fn of(&mut self, direction: Direction) -> &mut Option<String> {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }
}

const DIRECTIONS: [Direction; 2] = [Direction::Up, Direction::Down];

impl Conditions {
    /// The conditions now. A peer that is not here is left out.
    pub(super) fn of(hub: &Hub, udp: &Datagrams) -> Self {
        let mut all = Self::default();
        let nothing = Profile::default();
        for direction in DIRECTIONS {
            if let Some(profile) = udp.conditions(direction).filter(|it| **it != nothing) {
                let both = all.everybody.get_or_insert_default();
                *both.of(direction) = Some(profile.to_string());
            }
            for (name, profile) in udp.apart(direction) {
                if let Some(number) = hub.number_of(name) {
                    let both = all.peers.entry(number).or_default();
                    *both.of(direction) = Some(profile.to_string());
                }
            }
        }
        all
    }
}

/// Datagrams so far, up and down.
pub(super) fn carried(udp: &Datagrams) -> [u64; 2] {
    DIRECTIONS.map(|direction| udp.carried(direction))
}

/// Changes the network.
///
/// # Errors
/// Why not, for people.
pub(super) fn change(wish: &Wish, around: &mut Around<'_>) -> Result<(), String> {
    let scope = match wish.peer {
        None => Scope::Everybody,
        Some(number) => Scope::Peer(name(number, around.hub, around.now)?),
    };
    let wishes = [(Direction::Up, &wish.up), (Direction::Down, &wish.down)];
    let wishes =
        wishes.into_iter().filter_map(|(direction, text)| Some((direction, text.as_ref()?)));
    let parsed = wishes.map(|(direction, text)| {
        let profile = match text.trim() {
            "" if scope == Scope::Everybody => Some(Profile::default()),
            "" => None,
            items => Some(Profile::parse(items, direction).map_err(|error| error.to_string())?),
        };
        Ok((direction, profile))
    });
    // Both directions are right, or none is changed.
    for (direction, profile) in parsed.collect::<Result<Vec<_>, String>>()? {
        let text = profile.as_ref().map_or_else(|| "*".to_owned(), Profile::to_string);
        let set = around.udp.set_conditions(direction, scope.clone(), profile);
        set.map_err(|why| why.to_string())?;
        log::info!("the page changes the network: {direction} {scope} {text}");
    }
    let peers = around.hub.datagram_peers().map(|(at, name)| (at, name.to_owned())).collect();
    around.udp.set_addresses(&peers);
    Ok(())
}

/// The name of a peer whose datagrams the server can impair.
fn name(number: u16, hub: &Hub, now: Now) -> Result<String, String> {
    let found = hub.peer_states(now.mono).find(|state| state.about.peer == number);
    let about = found.ok_or("this peer has left")?.about;
    match about.transport {
        _ if about.silence().is_none() => Err("this peer is at another server".to_owned()),
        Transport::Udp | Transport::Quic => Ok(about.nickname.to_owned()),
        Transport::Tcp | Transport::Web => Err(format!(
            "{} is on TCP: its packets are the kernel's, and its stream needs every byte",
            about.nickname
        )),
    }
}
