//! Nonces of admitted joins: a copy of a join begins no second session (`proto.md` §7.2).

use crate::protocol::limits::REMEMBERED_NONCES;
use crate::registry::PeerId;
use crate::time::Timestamp;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Session {
    Of(PeerId),
    EndedAt(Timestamp),
}

/// The nonces of present sessions and of the last ones that ended.
#[derive(Debug)]
pub(super) struct Nonces {
    sessions: HashMap<u64, Session>,
    /// Ended sessions, in the order of their ends.
    ended: VecDeque<(Timestamp, u64)>,
    /// When the latest of the forgotten sessions ended.
    floor: Option<Timestamp>,
    cookie_life: Duration,
}

impl Nonces {
    /// Allocates all memory it will need, so that an attacker cannot make it grow.
    pub(super) fn new(cookie_life: Duration) -> Self {
        let ended = VecDeque::with_capacity(REMEMBERED_NONCES);
        let sessions = HashMap::with_capacity(REMEMBERED_NONCES);
        Self { sessions, ended, floor: None, cookie_life }
    }

    /// The join with this nonce was admitted.
    pub(super) fn begin(&mut self, nonce: u64, id: PeerId) {
        self.sessions.insert(nonce, Session::Of(id));
    }

    /// The session that it began is over.
    pub(super) fn end(&mut self, nonce: u64, now: Timestamp) {
        if self.ended.len() == REMEMBERED_NONCES
            && let Some((at, oldest)) = self.ended.pop_front()
        {
            self.floor = Some(at);
            if self.sessions.get(&oldest) == Some(&Session::EndedAt(at)) {
                self.sessions.remove(&oldest);
            }
        }
        self.sessions.insert(nonce, Session::EndedAt(now));
        self.ended.push_back((now, nonce));
    }

    /// A cookie issued before this moment may belong to a join whose nonce is forgotten.
    pub(super) fn floor(&self) -> Option<Timestamp> {
        self.floor
    }

    /// The peer whose present session began with this nonce.
    pub(super) fn peer(&self, nonce: u64) -> Option<PeerId> {
        match self.sessions.get(&nonce)? {
            Session::Of(id) => Some(*id),
            Session::EndedAt(_) => None,
        }
    }

    /// Whether a join with a valid cookie is a copy of an admitted one. No copy has a valid cookie
    /// after two lives of a cookie: a join with this nonce then is from a client that always uses
    /// it.
    pub(super) fn is_echo(&self, nonce: u64, now: Timestamp) -> bool {
        self.sessions.get(&nonce).is_some_and(|session| match session {
            Session::Of(_) => true,
            Session::EndedAt(at) => *at + self.cookie_life + self.cookie_life >= now,
        })
    }

    /// Whether a join with this nonce was admitted, as far as is remembered. A join recorded from a
    /// connection has no cookie that grows old.
    pub(super) fn is_known(&self, nonce: u64) -> bool {
        self.sessions.contains_key(&nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::limits::COOKIE_LIFE;

    #[test]
    fn duplicates_of_a_join_are_recognised_and_a_reused_nonce_is_admitted() {
        let at = |seconds: u64| Timestamp::from_micros(seconds * 1_000_000);
        let mut nonces = Nonces::new(COOKIE_LIFE);
        assert!(!nonces.is_known(7));
        nonces.begin(7, PeerId(1));
        assert!(nonces.is_echo(7, at(1_000)) && nonces.peer(7) == Some(PeerId(1)));
        nonces.end(7, at(1_000));
        assert!(nonces.is_echo(7, at(1_020)) && nonces.peer(7).is_none());
        assert!(!nonces.is_echo(7, at(1_021)) && nonces.is_known(7));
        // The nonce is admitted again: its first record does not interfere.
        nonces.begin(7, PeerId(2));
        for nonce in 0..2 * REMEMBERED_NONCES as u64 {
            nonces.end(100 + nonce, at(2_000));
            assert_eq!(nonces.peer(7), Some(PeerId(2)));
        }
        assert!(
            nonces.sessions.len() <= 1 + REMEMBERED_NONCES
                && nonces.ended.len() == REMEMBERED_NONCES
        );
        nonces.end(7, at(3_000));
        assert!(nonces.is_echo(7, at(3_001)) && nonces.sessions.len() == REMEMBERED_NONCES);
    }
}
