//! Whose a name is, and names that change.

use super::{Registry, Unavailable, same};
use crate::protocol::{NameKey, Nickname};
use crate::registry::PeerId;
use crate::time::Timestamp;
use std::net::IpAddr;

impl Registry {
    /// The peer with this name and this token. A client that has lost its connection may not know
    /// yet that it was renamed: its last name before counts too.
    #[must_use]
    pub(crate) fn owner(&self, key: &NameKey, resume: &[u8]) -> Option<PeerId> {
        let peers = [self.names.get(key), self.former.get(key)].into_iter().flatten().copied();
        let owns =
            |peer: &PeerId| self.entries.get(*peer).is_some_and(|entry| same(&entry.token, resume));
        peers.into_iter().find(owns)
    }

    /// Whether a peer has the token of the reserved name: it is the host, under any name.
    #[must_use]
    pub(crate) fn is_host(&self, peer: PeerId) -> bool {
        self.entries.get(peer).is_some_and(|entry| self.is_token_of_host(&entry.token))
    }

    /// Whether this is the token of the reserved name.
    #[must_use]
    pub(crate) fn is_token_of_host(&self, token: &[u8]) -> bool {
        self.reserved.as_ref().is_some_and(|(_, reserved)| same(reserved, token))
    }

    /// Whether a name is held for the owner with this token.
    #[must_use]
    pub(crate) fn is_held_for(&self, key: &NameKey, resume: &[u8]) -> bool {
        self.holds.iter().any(|hold| hold.key == *key && same(&hold.token, resume))
    }

    /// Whether at most one peer is at an address.
    #[must_use]
    pub(crate) fn is_alone_at(&self, ip: IpAddr) -> bool {
        self.per_ip.get(&ip).is_none_or(|count| *count <= 1)
    }

    /// Gives an active peer another name, if the peer could join under it. Its old name is free.
    ///
    /// # Errors
    /// [`Unavailable`] says why not; nothing has changed then.
    pub(crate) fn rename(
        &mut self,
        peer: PeerId,
        nickname: &Nickname,
        now: Timestamp,
    ) -> Result<(), Unavailable> {
        self.holds.retain(|hold| hold.until > now);
        let key = nickname.key();
        let taken = self.names.get(&key).is_some_and(|other| *other != peer);
        let Some(entry) = self.entries.get(peer).filter(|_| !taken) else {
            return Err(Unavailable::NameTaken);
        };
        if self.is_reserved(&key, &entry.token) {
            return Err(Unavailable::NameTaken);
        }
        let hold = self.holds.iter().find(|hold| hold.key == key);
        if let Some(hold) = hold.filter(|hold| !same(&hold.token, &entry.token)) {
            return Err(Unavailable::NameHeld(hold.until.since(now)));
        }
        let Some(entry) = self.entries.get_mut(peer) else { return Err(Unavailable::NameTaken) };
        entry.nickname = nickname.clone();
        let old = entry.key.replace(key.clone());
        let former = std::mem::replace(&mut entry.former, old.clone());
        self.holds.retain(|hold| hold.key != key);
        self.release(old.clone(), peer);
        self.forget_former(former, peer);
        self.names.insert(key, peer);
        old.into_iter().for_each(|old| _ = self.former.insert(old, peer));
        Ok(())
    }

    /// Forgets a peer's former name, unless it is that of another peer by now.
    pub(super) fn forget_former(&mut self, former: Option<NameKey>, peer: PeerId) {
        if let Some(key) = former
            && self.former.get(&key) == Some(&peer)
        {
            self.former.remove(&key);
        }
    }
}
