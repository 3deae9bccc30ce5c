//! The registry of peers: nickname ↔ peer ↔ path, and when each peer was last heard. It knows no
//! frames and no rooms. Every operation costs O(log n) or less. Nothing iterates over a hash map,
//! so no order depends on a hash.

mod peer_map;
mod rename;

pub(crate) use peer_map::{PeerId, PeerMap};

use crate::path::Path;
use crate::protocol::limits::NAME_HOLD;
use crate::protocol::{NameKey, Nickname, Token};
use crate::time::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// The owner of lines: a public hash of a client's token. It stays the same over sessions, renames
/// and restarts of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub u64);

impl Owner {
    /// The owner with this token, whatever its name is.
    pub(crate) fn of(token: &Token) -> Self {
        let hash = Sha256::digest(token);
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
    /// The key of its name before.
    former: Option<NameKey>,
    /// The owner has the token: it presented the token, or was heard after `Welcome` told it.
    owned: bool,
}

impl Entry {
    /// Whether the owner has the token.
    #[must_use]
    pub(crate) fn is_owned(&self) -> bool {
        self.owned
    }

    /// How long nothing valid was received from the peer.
    #[must_use]
    pub(crate) fn silence(&self, now: Timestamp) -> Duration {
        now.since(self.heard)
    }
}

/// A peer to register.
#[derive(Debug)]
pub(crate) struct Newcomer {
    /// As in [`Entry`].
    pub nickname: Nickname,
    /// As in [`Entry`].
    pub token: Token,
    /// Whether it presented the token.
    pub owned: bool,
    /// As in [`Entry`].
    pub path: Path,
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
    /// Members of the room without a session here: those of other servers, and those whose
    /// departure is not committed. With the key of the name, as long as it is theirs.
    elsewhere: PeerMap<Option<NameKey>>,
    names: HashMap<NameKey, PeerId>,
    /// The former names of renamed peers, one of each: their clients may not know the new one.
    former: HashMap<NameKey, PeerId>,
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
            elsewhere: PeerMap::new(),
            names: HashMap::new(),
            former: HashMap::new(),
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
        if self.is_reserved(&key, resume) {
            return Err(Unavailable::NameTaken);
        }
        let hold = self.holds.iter().find(|hold| hold.key == key);
        if let Some(hold) = hold.filter(|hold| !same(&hold.token, resume)) {
            return Err(Unavailable::NameHeld(hold.until.since(now)));
        }
        let known = hold.map(|hold| hold.token).or_else(|| Token::try_from(resume).ok());
        self.vacancy(path.remote.ip())?;
        let peer = self.fresh().ok_or(Unavailable::Full)?;
        self.holds.retain(|hold| hold.key != key);
        // The token stays the same for as long as the name has the same owner: a `Welcome` that
        // never arrives must not lock the owner out.
        let (token, owned) = (known.unwrap_or(token), known.is_some());
        self.enter(peer, key, Newcomer { nickname, token, owned, path }, now);
        Ok(peer)
    }

    /// Whether a name is reserved for another token.
    #[must_use]
    pub(crate) fn is_reserved(&self, key: &NameKey, resume: &[u8]) -> bool {
        let reserved = self.reserved.as_ref().filter(|(name, _)| name == key);
        reserved.is_some_and(|(_, token)| !same(token, resume))
    }

    /// Whether there is a place for one more peer from this address.
    pub(crate) fn vacancy(&self, ip: IpAddr) -> Result<(), Unavailable> {
        if self.entries.len() >= self.capacity.peers.min(usize::from(u16::MAX)) {
            return Err(Unavailable::Full);
        }
        if self.is_crowded(ip) { Err(Unavailable::TooManyFromAddress) } else { Ok(()) }
    }

    /// An id whose number no member has; `None` if all are in use.
    fn fresh(&mut self) -> Option<PeerId> {
        if self.entries.len() + self.elsewhere.len() > usize::from(u16::MAX) {
            return None;
        }
        let used = |number| {
            self.entries.numbered(number).or_else(|| self.elsewhere.numbered(number)).is_some()
        };
        while used(PeerId(self.next).number()) {
            self.next += 1;
        }
        self.next += 1;
        Some(PeerId(self.next - 1))
    }

    /// Registers a peer whose name an engine has given to it: the member `known`, if the room has
    /// it already. `None` if all peer numbers are in use.
    pub(crate) fn seat(
        &mut self,
        known: Option<PeerId>,
        newcomer: Newcomer,
        now: Timestamp,
    ) -> Option<PeerId> {
        let peer = known.or_else(|| self.fresh())?;
        self.elsewhere.remove(peer);
        self.enter(peer, newcomer.nickname.key(), newcomer, now);
        Some(peer)
    }

    /// Adds an entry.
    fn enter(&mut self, peer: PeerId, key: NameKey, newcomer: Newcomer, now: Timestamp) {
        let Newcomer { nickname, token, owned, path } = newcomer;
        self.names.insert(key.clone(), peer);
        *self.per_ip.entry(path.remote.ip()).or_default() += 1;
        let (heard, review) = (now, now + self.capacity.expiry);
        let (owner, key, former) = (Owner::of(&token), Some(key), None);
        self.reviews.insert((review, peer));
        let entry = Entry { nickname, token, owner, path, heard, review, key, former, owned };
        self.entries.insert(peer, entry);
    }

    /// Adds a member that has no session here: `known`, if the room has it already. `None` if all
    /// peer numbers are in use.
    pub(crate) fn add_elsewhere(
        &mut self,
        known: Option<PeerId>,
        nickname: &Nickname,
    ) -> Option<PeerId> {
        let peer = known.or_else(|| self.fresh())?;
        let key = nickname.key();
        self.names.insert(key.clone(), peer);
        self.elsewhere.insert(peer, Some(key));
        Some(peer)
    }

    /// A peer has no session here any more, and stays a member until its departure is committed.
    pub(crate) fn keep_elsewhere(&mut self, peer: PeerId) {
        self.elsewhere.insert(peer, None);
    }

    /// A member without a session here has left.
    pub(crate) fn remove_elsewhere(&mut self, peer: PeerId) {
        let key = self.elsewhere.remove(peer).flatten();
        self.release(key, peer);
    }

    /// Forgets all members without a session here.
    pub(crate) fn clear_elsewhere(&mut self) {
        for peer in self.elsewhere.ids().collect::<Vec<_>>() {
            self.remove_elsewhere(peer);
        }
    }

    /// The members without a session here that have a name.
    pub(crate) fn elsewhere(&self) -> impl Iterator<Item = PeerId> {
        self.elsewhere.iter().filter(|(_, key)| key.is_some()).map(|(peer, _)| peer)
    }

    /// The member without a session here that has this number now.
    #[must_use]
    pub(crate) fn numbered_elsewhere(&self, number: u16) -> Option<PeerId> {
        self.elsewhere.numbered(number)
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
        let Some(Entry { key, former, .. }) = self.entries.get_mut(peer) else { return };
        let (key, former) = (key.take(), former.take());
        self.release(key, peer);
        self.forget_former(former, peer);
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
        self.release(entry.key.clone(), peer);
        self.forget_former(entry.former.clone(), peer);
        Some(entry)
    }

    /// Frees the name, unless another peer has it by now.
    fn release(&mut self, key: Option<NameKey>, peer: PeerId) {
        if let Some(key) = key
            && self.names.get(&key) == Some(&peer)
        {
            self.names.remove(&key);
        }
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
