//! Peers whose lines and whispers this client hides, and the peer that whispered last.

use super::{Event, Notice, Session};
use crate::protocol::limits::MAX_NAME;
use crate::protocol::{NameKey, Nickname, clean, clip};

/// Most ignored names.
const MAX_IGNORED: usize = 64;

/// The ignored names.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    names: Vec<(NameKey, String)>,
}

impl Ignored {
    /// Whether lines and whispers of this author are hidden.
    pub(super) fn hides(&self, author: &str) -> bool {
        // Most clients ignore nobody, and then no key is computed.
        !self.names.is_empty() && Nickname::parse(author).is_ok_and(|it| self.has(&it.key()))
    }

    /// A peer has another name: it stays ignored.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        if self.hides(from)
            && let (Ok(old), Ok(new)) = (Nickname::parse(from), Nickname::parse(to))
        {
            let old = old.key();
            self.names.retain(|(key, _)| *key != old);
            self.names.push((new.key(), new.to_string()));
        }
    }

    fn has(&self, key: &NameKey) -> bool {
        self.names.iter().any(|(name, _)| name == key)
    }
}

impl Session {
    /// Hides lines and whispers of `name` from now on, and of names that the server takes for the
    /// same one. Tells the user.
    pub fn ignore(&mut self, name: &str) {
        let name = match Nickname::parse(name) {
            Ok(name) => name,
            Err(error) => return self.complain(Notice::NotIgnored(error)),
        };
        let key = name.key();
        if self.nickname.as_deref() == Some(name.as_str()) {
            self.complain(Notice::OwnNameNotIgnored);
        } else if self.ignored.has(&key) {
            self.tell(Notice::IgnoredAlready { name: name.to_string() });
        } else if self.ignored.names.len() >= MAX_IGNORED {
            self.complain(Notice::TooManyIgnored { names: MAX_IGNORED });
        } else {
            self.ignored.names.push((key, name.to_string()));
            self.tell(Notice::Ignored { name: name.to_string() });
        }
    }

    /// Shows lines and whispers of `name` again. Tells the user.
    pub fn unignore(&mut self, name: &str) {
        let key = Nickname::parse(name).ok().map(|name| name.key());
        let place = self.ignored.names.iter().position(|(it, _)| Some(it) == key.as_ref());
        match place.map(|place| self.ignored.names.remove(place)) {
            Some((_, name)) => self.tell(Notice::Unignored { name }),
            None => {
                let ignored = self.ignored.names.iter().map(|(_, name)| name.clone()).collect();
                let name = clean(clip(name, MAX_NAME)).into_owned();
                self.complain(Notice::NotIgnoredYet { name, ignored });
            }
        }
    }

    /// The peer whose whisper was shown last.
    #[must_use]
    pub fn last_whisperer(&self) -> Option<&str> {
        self.last_whisperer.as_deref()
    }

    /// Whether an event is a line of an ignored peer. Takes note of the author of a whisper.
    pub(super) fn is_hidden(&mut self, event: &Event) -> bool {
        let Event::Message { from, to: None, private, .. } = event else { return false };
        let hidden = self.ignored.hides(from);
        if *private && !hidden {
            self.last_whisperer = Some(from.clone());
        }
        hidden
    }
}
