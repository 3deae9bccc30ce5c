//! The cache as the client uses it: shows what it has, takes in what passes, saves now and then.
//! Nothing that goes wrong with it stops a chat.

use super::cache::{Cache, CachedLine};
use super::screen::Screen;
use super::session::Event;
use crate::net::ServerName;
use crate::time::WallTime;
use std::collections::{BTreeSet, VecDeque};
use std::path::Path;

/// See the module.
#[derive(Debug)]
pub(super) struct Memory {
    cache: Option<Cache>,
    server: String,
    /// Under which name this client's own lines are remembered.
    nickname: String,
    changed: bool,
    failing: bool,
    /// Lines of the cache that are to be shown yet, oldest first: the server may tell them, and older
    /// ones, and then they come in its order.
    held: VecDeque<CachedLine>,
    /// Those that were shown.
    shown: BTreeSet<WallTime>,
}

impl Memory {
    /// Opens the cache, if there is to be one.
    pub(super) fn open(server: &ServerName, path: Option<&Path>, screen: &mut Screen) -> Self {
        let server = server.to_string();
        let cache = path.map(|path| {
            let (cache, warning) = Cache::open(path);
            if let Some(warning) = warning {
                screen.error(&warning.to_string());
            }
            cache
        });
        let mut memory = Self {
            cache,
            server,
            nickname: String::new(),
            changed: false,
            failing: false,
            held: VecDeque::new(),
            shown: BTreeSet::new(),
        };
        memory.held = memory.lines().cloned().collect();
        memory
    }

    /// Shows the lines of the cache that come before this event, and says whether the event itself is
    /// to be shown: not if it tells a line that was.
    pub(super) fn precede(&mut self, event: &Event, screen: &mut Screen) -> bool {
        match event {
            Event::Welcome { .. } | Event::Present { .. } => true,
            Event::History { id, .. } => {
                while let Some(line) = self.held.front().filter(|line| line.at <= *id).cloned() {
                    self.held.pop_front();
                    if line.at < *id {
                        self.show(&line, screen);
                    }
                }
                !self.shown.contains(id)
            }
            _ => {
                self.show_all(screen);
                true
            }
        }
    }

    /// Nobody tells anything: shows what there is.
    pub(super) fn show_all(&mut self, screen: &mut Screen) {
        while let Some(line) = self.held.pop_front() {
            self.show(&line, screen);
        }
    }

    fn show(&mut self, line: &CachedLine, screen: &mut Screen) {
        self.shown.insert(line.at);
        screen.cached(line);
    }

    /// Takes in what the user sees, and what the user said. Whispers are not kept.
    pub(super) fn remember(&mut self, event: &Event) {
        let (id, from, text) = match event {
            Event::Welcome { nickname, .. } => {
                self.nickname.clone_from(nickname);
                return;
            }
            Event::Message { id, from, text, private: false, .. }
            | Event::History { id, from, text } => (*id, from, text),
            Event::Confirmed { id: Some(id), text } => (*id, &self.nickname, text),
            _ => return,
        };
        if self.lines().filter_map(|line| line.id).max() >= Some(id.0) {
            return; // a replay tells older lines than the cache has
        }
        let line = CachedLine { id: Some(id.0), at: id, from: from.clone(), text: text.clone() };
        if let Some(cache) = &mut self.cache {
            cache.push(&self.server, line);
            self.changed = true;
        }
    }

    /// Saves what is new. A failure is said once.
    pub(super) fn save(&mut self, screen: &mut Screen) {
        let Some(cache) = self.cache.as_mut().filter(|_| std::mem::take(&mut self.changed)) else {
            return;
        };
        match cache.save() {
            Ok(()) => self.failing = false,
            Err(error) if !std::mem::replace(&mut self.failing, true) => {
                screen.error(&format!("the last lines are not kept: {error}"));
            }
            Err(_) => {}
        }
    }

    fn lines(&self) -> impl Iterator<Item = &CachedLine> {
        self.cache.iter().flat_map(|cache| cache.lines(&self.server))
    }
}
