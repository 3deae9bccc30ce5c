//! The cache as the client uses it: shows what it has, takes in what passes, saves now and then.
//! Nothing that goes wrong with it stops a chat.

use super::cache::{Cache, CachedLine};
use super::screen::Screen;
use super::session::Event;
use crate::net::ServerName;
use crate::protocol::Mark;
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
    shown: BTreeSet<Mark>,
}

impl Memory {
    /// Opens the cache, if there is to be one.
    pub(super) fn open(
        server: &ServerName,
        path: Option<&Path>,
        now: WallTime,
        screen: &mut Screen,
    ) -> Self {
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
        if let Some(latest) =
            memory.held.iter().map(|line| line.at).max().filter(|at| at.is_ahead_of(now))
        {
            screen.status(&format!(
                "the lines remembered of this server are dated as late as {latest}, and it is {now} now: \
                 a clock was wrong then, or is wrong now"
            ));
        }
        memory
    }

    /// Shows the lines of the cache that come before this event, and says whether the event itself is
    /// to be shown: not if it tells a line that was.
    pub(super) fn precede(&mut self, event: &Event, screen: &mut Screen) -> bool {
        match event {
            Event::Welcome { .. } | Event::Present { .. } => true,
            Event::History { mark, .. } => {
                // A line of another log is older than all that this one tells.
                let earlier = |line: &CachedLine| {
                    line.mark()
                        .is_none_or(|it| it.epoch != mark.epoch || it.position <= mark.position)
                };
                while let Some(line) = self.held.pop_front_if(|line| earlier(line)) {
                    if line.mark() != Some(*mark) {
                        self.show(&line, screen);
                    }
                }
                !self.shown.contains(mark)
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
        self.shown.extend(line.mark());
        screen.cached(line);
    }

    /// Takes in what the user sees, and what the user said. Whispers are not kept.
    pub(super) fn remember(&mut self, event: &Event) {
        let (mark, at, from, text) = match event {
            Event::Welcome { nickname, .. } => {
                self.nickname.clone_from(nickname);
                return;
            }
            Event::Message { mark: Some(mark), at, from, text, .. }
            | Event::History { mark, at, from, text } => (*mark, *at, from, text),
            Event::Confirmed { mark: Some(mark), at, text } => (*mark, *at, &self.nickname, text),
            _ => return,
        };
        let known = self.lines().filter_map(CachedLine::mark).filter(|it| it.epoch == mark.epoch);
        if known.max() >= Some(mark) {
            return; // a replay tells older lines than the cache has
        }
        let line = CachedLine {
            epoch: Some(mark.epoch),
            id: Some(mark.position),
            at,
            from: from.clone(),
            text: text.clone(),
        };
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
