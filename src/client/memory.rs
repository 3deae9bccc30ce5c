//! The cache as the client uses it: shows what it has, takes in what passes, saves now and then.
//! Nothing that goes wrong with it stops a chat.

use super::cache::{Cache, CachedLine};
use super::screen::Screen;
use super::session::Event;
use crate::net::ServerName;
use crate::time::WallTime;
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
}

impl Memory {
    /// Opens the cache, if there is to be one, and shows its lines.
    pub(super) fn open(server: &ServerName, path: Option<&Path>, screen: &mut Screen) -> Self {
        let server = server.to_string();
        let cache = path.map(|path| {
            let (cache, warning) = Cache::open(path);
            if let Some(warning) = warning {
                screen.error(&warning.to_string());
            }
            cache
        });
        let memory =
            Self { cache, server, nickname: String::new(), changed: false, failing: false };
        memory.lines().for_each(|line| screen.cached(line));
        memory
    }

    /// The ids of the lines shown.
    pub(super) fn shown(&self) -> Vec<WallTime> {
        self.lines().filter_map(|line| line.id).map(WallTime).collect()
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
