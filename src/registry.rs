//! The registry of peers: nickname ↔ peer ↔ path, and when each peer was last heard. It knows no
//! frames and no rooms. Every operation costs O(log n) or less. Nothing iterates over a hash map,
//! so no order depends on a hash.

mod peer_map;

pub(crate) use peer_map::{PeerId, PeerMap};

use crate::path::Path;
use crate::protocol::limits::NAME_HOLD;
use crate::protocol::{NameKey, Nickname, Token};
use crate::time::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// The owner of a name: a public hash of the token and the name. It stays the same for as long as
/// the name has the same owner, over sessions and restarts of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub u64);

impl Owner {
    /// The owner with this token of the name with this key.
    pub(crate) fn of(token: &Token, key: &str) -> Self {
        let hash = Sha256::new().chain_update(token).chain_update(key).finalize();
        let [first, ..] = hash.as_chunks().0 else { return Self(0) };
        Self(u64::from_be_bytes(*first))
    }
}

/// The limits of a room: peers, peers per address, and time without traffic.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Peers in all.
    pub peers: usize,
    /// Peers from one IP address.
    pub peers_per_ip: usize,
    /// A peer that was not heard for this long is removed.
    pub expiry: Duration,
}

/// Why a peer cannot be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// The name, or one that looks like it, is in use.
    NameTaken,
    /// No peer has the name, but it is held for its owner for this long.
    NameHeld(Duration),
    /// No more peers fit in.
    Full,
    /// No more peers from this IP address.
    TooManyFromAddress,
}

/// One peer.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The nickname, as other peers see it.
    pub nickname: Nickname,
    /// The secret that takes the name back.
    pub token: Token,
    /// The owner of the name.
    pub owner: Owner,
    /// The path to the peer.
    pub path: Path,
    heard: Timestamp,
    /// When `expired` will look at it again.
    review: Timestamp,
    /// The key of its name, until it gives the name up.
    key: Option<NameKey>,
    /// The owner has the token: it presented the token, or was heard after `Welcome` told it.
    owned: bool,
}

impl Entry {
    /// How long nothing valid was received from the peer.
    #[must_use]
    pub(crate) fn silence(&self, now: Timestamp) -> Duration {
        now.since(self.heard)
    }
}

/// A name that waits for its owner.
#[derive(Debug)]
struct Hold {
    key: NameKey,
    token: Token,
    /// The address of the owner. An address has at most as many holds as it may have peers: a
    /// client that joins and vanishes again and again wears out its own holds only.
    ip: IpAddr,
    until: Timestamp,
}

/// The registry of peers.
#[derive(Debug)]
pub(crate) struct Registry {
    capacity: Capacity,
    entries: PeerMap<Entry>,
    names: HashMap<NameKey, PeerId>,
    per_ip: HashMap<IpAddr, usize>,
    /// When to look whether a peer has fallen silent. A datagram of a peer does not move its
    /// review, and costs nothing here: the review looks at the last one and is set again.
    reviews: BTreeSet<(Timestamp, PeerId)>,
    holds: VecDeque<Hold>,
    /// A name that needs this token, for as long as the registry lives.
    reserved: Option<(NameKey, Token)>,
    /// The end of the last standstill: no peer could be heard before.
    resumed: Timestamp,
    next: u64,
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub(crate) fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            entries: PeerMap::new(),
            names: HashMap::new(),
            per_ip: HashMap::new(),
            reviews: BTreeSet::new(),
            holds: VecDeque::new(),
            reserved: None,
            resumed: Timestamp::ZERO,
            next: 0,
        }
    }

    /// Keeps a name, and all that look like it, for a peer with this token.
    pub(crate) fn reserve(&mut self, nickname: &Nickname, token: Token) {
        self.reserved = Some((nickname.key(), token));
    }

    /// The peer that has this name, or one that looks like it.
    #[must_use]
    pub(crate) fn named(&self, key: &NameKey) -> Option<PeerId> {
        self.names.get(key).copied()
    }

    /// The entry of a peer.
    #[must_use]
    pub(crate) fn entry(&self, peer: PeerId) -> Option<&Entry> {
        self.entries.get(peer)
    }

    /// Registers a peer. `resume` opens a name that is held for the owner of that token. A token
    /// that is presented for a free name stays that of the name as well: this may be another run of
    /// the server than the one that gave it, and the owner's lines are in the history. Then `token`
    /// is not used.
    ///
    /// # Errors
    /// [`Unavailable`] says why not; nothing has changed then.
    pub(crate) fn insert(
        &mut self,
        nickname: Nickname,
        token: Token,
        path: Path,
        resume: &[u8],
        now: Timestamp,
    ) -> Result<PeerId, Unavailable> {
        self.holds.retain(|hold| hold.until > now);
        let key = nickname.key();
        if self.names.contains_key(&key) {
            return Err(Unavailable::NameTaken);
        }
        let reserved = self.reserved.as_ref().filter(|(name, _)| *name == key);
        if reserved.is_some_and(|(_, token)| !same(token, resume)) {
            return Err(Unavailable::NameTaken);
        }
        let hold = self.holds.iter().find(|hold| hold.key == key);
        if let Some(hold) = hold.filter(|hold| !same(&hold.token, resume)) {
            return Err(Unavailable::NameHeld(hold.until.since(now)));
        }
        let known = hold.map(|hold| hold.token).or_else(|| Token::try_from(resume).ok());
        if self.entries.len() >= self.capacity.peers.min(usize::from(u16::MAX)) {
            return Err(Unavailable::Full);
        }
        let ip = path.remote.ip();
        if self.is_crowded(ip) {
            return Err(Unavailable::TooManyFromAddress);
        }
        while self.entries.numbered(PeerId(self.next).number()).is_some() {
            self.next += 1;
        }
        let peer = PeerId(self.next);
        self.next += 1;
        self.holds.retain(|hold| hold.key != key);
        self.names.insert(key.clone(), peer);
        *self.per_ip.entry(ip).or_default() += 1;
        let review = now + self.capacity.expiry;
        // The token stays the same for as long as the name has the same owner: a `Welcome` that
        // never arrives must not lock the owner out.
        let returning = known.is_some();
        let token = known.unwrap_or(token);
        let owner = Owner::of(&token, key.as_str());
        self.reviews.insert((review, peer));
        let entry = Entry {
            nickname,
            token,
            owner,
            path,
            heard: now,
            review,
            key: Some(key),
            owned: returning,
        };
        self.entries.insert(peer, entry);
        Ok(peer)
    }

    /// Something valid came in from this peer, in the session in which it was told its token.
    pub(crate) fn heard(&mut self, peer: PeerId, now: Timestamp) {
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.heard = now;
            entry.owned = true;
        }
    }

    /// The peer has another path. Returns false, and changes nothing, if the new address already
    /// has all the peers that it may have, however they came there.
    pub(crate) fn relocate(&mut self, peer: PeerId, path: Path) -> bool {
        let Some(entry) = self.entries.get(peer) else { return false };
        let (old, new) = (entry.path.remote.ip(), path.remote.ip());
        if old != new && self.is_crowded(new) {
            return false;
        }
        self.forget_ip(old);
        *self.per_ip.entry(new).or_default() += 1;
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.path = path;
        }
        true
    }

    /// A new session from `path` replaces the peer's old one, unless that address is full.
    pub(crate) fn renew(&mut self, peer: PeerId, path: Path, now: Timestamp) -> bool {
        let relocated = self.relocate(peer, path);
        if relocated {
            self.heard(peer, now);
        }
        relocated
    }

    /// The peer is closing: its name is free, but it still counts.
    pub(crate) fn retire(&mut self, peer: PeerId) {
        if let Some(entry) = self.entries.get_mut(peer)
            && let Some(key) = entry.key.take()
        {
            self.names.remove(&key);
        }
    }

    /// The peer has gone, and its name is free.
    pub(crate) fn remove(&mut self, peer: PeerId) {
        self.take(peer);
    }

    /// The peer is lost. Its name is held for `NAME_HOLD`, unless the server never heard the peer:
    /// then no client has the token.
    pub(crate) fn lose(&mut self, peer: PeerId, now: Timestamp) {
        if let Some(Entry { key: Some(key), owned: true, token, path, .. }) = self.take(peer) {
            let ip = path.remote.ip();
            self.make_room_for_hold(ip);
            self.holds.push_back(Hold { key, token, ip, until: now + NAME_HOLD });
        }
    }

    fn take(&mut self, peer: PeerId) -> Option<Entry> {
        let entry = self.entries.remove(peer)?;
        self.reviews.remove(&(entry.review, peer));
        self.forget_ip(entry.path.remote.ip());
        if let Some(key) = &entry.key {
            self.names.remove(key);
        }
        Some(entry)
    }

    /// Drops the oldest hold of an address that has too many, or the oldest of all if there are too
    /// many in all.
    fn make_room_for_hold(&mut self, ip: IpAddr) {
        let of_address = self.holds.iter().filter(|hold| hold.ip == ip).count();
        let oldest = if of_address >= self.capacity.peers_per_ip {
            self.holds.iter().position(|hold| hold.ip == ip)
        } else {
            (self.holds.len() >= self.capacity.peers).then_some(0)
        };
        if let Some(oldest) = oldest {
            self.holds.remove(oldest);
        }
    }

    /// A peer that has been silent for the expiry time, if there is one.
    pub(crate) fn expired(&mut self, now: Timestamp) -> Option<PeerId> {
        while let Some((at, peer)) = self.reviews.first().copied().filter(|(at, _)| *at <= now) {
            let entry = self.entries.get_mut(peer)?;
            let deadline = entry.heard.max(self.resumed) + self.capacity.expiry;
            if deadline <= now {
                return Some(peer);
            }
            self.reviews.remove(&(at, peer));
            entry.review = deadline;
            self.reviews.insert((deadline, peer));
        }
        None
    }

    /// The server stood still until now. That time does not count as silence.
    pub(crate) fn resume(&mut self, now: Timestamp) {
        self.resumed = now;
    }

    /// When to call `expired` next.
    #[must_use]
    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        self.reviews.first().map(|(at, _)| *at)
    }

    /// Whether an address has all the peers it may have.
    fn is_crowded(&self, ip: IpAddr) -> bool {
        self.per_ip.get(&ip).is_some_and(|count| *count >= self.capacity.peers_per_ip)
    }

    fn forget_ip(&mut self, ip: IpAddr) {
        if let Some(count) = self.per_ip.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                self.per_ip.remove(&ip);
            }
        }
    }
}

/// Compares secrets in a time that does not depend on where the first difference is.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |bits, (a, b)| bits | (a ^ b)) == 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
