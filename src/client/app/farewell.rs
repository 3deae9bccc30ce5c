//! The question to a host before it closes the room on others.

use super::session::Event;
use crate::words::Language;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

/// Whether others are in the room, and whether the question was asked. Clones share the state.
#[derive(Clone, Debug)]
pub(super) struct Farewell {
    /// For a user whose departure closes the room.
    hosts: bool,
    peers: Arc<AtomicU16>,
    asked: bool,
}

impl Farewell {
    pub(super) fn new(hosts: bool) -> Self {
        Self { hosts, peers: Arc::default(), asked: false }
    }

    /// Sets the number of peers.
    pub(super) fn note(&self, event: &Event) {
        if let Event::Welcome { peers, .. }
        | Event::Joined { peers, .. }
        | Event::Left { peers, .. } = event
        {
            self.peers.store(*peers, Ordering::Relaxed);
        }
    }

    /// The question before leaving; `None` if the room has no other peer, or the question was just
    /// asked.
    pub(super) fn question(&mut self, language: Language) -> Option<String> {
        let others = self.peers.load(Ordering::Relaxed).saturating_sub(1);
        if !self.hosts || others == 0 || std::mem::replace(&mut self.asked, true) {
            return None;
        }
        Some(language.close_the_room(others))
    }

    /// The user goes on chatting: the next farewell is questioned again.
    pub(super) fn withdraw(&mut self) {
        self.asked = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_host_with_company_is_asked_and_only_once() {
        let joined = |peers| Event::Joined { nicknames: vec!["bob".to_owned()], peers };
        let mut host = Farewell::new(true);
        let room = host.clone();
        room.note(&joined(1));
        assert_eq!(host.question(Language::En), None);
        room.note(&joined(3));
        assert!(
            host.question(Language::En).is_some_and(|text| text.starts_with("2 others are here"))
        );
        assert_eq!(host.question(Language::En), None, "the second farewell counts");
        host.withdraw();
        room.note(&joined(2));
        assert!(
            host.question(Language::En).is_some_and(|text| text.starts_with("1 other is here"))
        );
        let mut guest = Farewell::new(false);
        guest.note(&joined(3));
        assert_eq!(guest.question(Language::En), None);
    }
}
