//! The last lines of a server from the cache file: shown before newer lines, updated as lines
//! arrive, saved now and then. A cache error is shown once and does not stop the chat.

use super::cache::{Cache, CachedLine};
use super::screen::Screen;
use super::session::Event;
use crate::net::ServerName;
use crate::protocol::Mark;
use crate::time::WallTime;
use std::collections::{BTreeSet, VecDeque};
use std::path::Path;

/// The cached lines of one server.
#[derive(Debug)]
pub(super) struct CachedHistory {
    cache: Option<Cache>,
    server: String,
    /// The name under which this client's own lines are kept.
    nickname: String,
    changed: bool,
    failing: bool,
    /// Cached lines that are not shown yet, oldest first. The server's replay may contain them and
    /// older ones; then they are shown in the server's order.
    held: VecDeque<CachedLine>,
    /// Marks of cached lines that were shown.
    shown: BTreeSet<Mark>,
}

impl CachedHistory {
    /// Opens the cache; without a path there is none. Of several servers of a room the first one
    /// gives the name.
    pub(super) fn open(
        server: Option<&ServerName>,
        path: Option<&Path>,
        now: WallTime,
        screen: &mut Screen,
    ) -> Self {
        let server = server.map(ServerName::to_string).unwrap_or_default();
        let cache = path.map(|path| {
            let (cache, warning) = Cache::open(path);
            if let Some(warning) = warning {
                screen.error(&screen.language().cache_warning(&warning));
            }
            cache
        });
        let mut cached = Self {
            cache,
            server,
            nickname: String::new(),
            changed: false,
            failing: false,
            held: VecDeque::new(),
            shown: BTreeSet::new(),
        };
        cached.held = cached.lines().cloned().collect();
        if let Some(latest) =
            cached.held.iter().map(|line| line.at).max().filter(|at| at.is_ahead_of(now))
        {
            screen.status(&screen.language().clock_was_wrong(latest, now));
        }
        cached
    }

    /// Shows the cached lines that come before this event. True if the event itself should be
    /// shown, false if it repeats a cached line that was shown.
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

    /// Shows all cached lines that are left: no replay contains them.
    pub(super) fn show_all(&mut self, screen: &mut Screen) {
        while let Some(line) = self.held.pop_front() {
            self.show(&line, screen);
        }
    }

    fn show(&mut self, line: &CachedLine, screen: &mut Screen) {
        self.shown.extend(line.mark());
        screen.cached(line);
    }

    /// Adds a line that the user saw or said to the cache. Whispers are not kept.
    pub(super) fn remember(&mut self, event: &Event) {
        let (mark, at, from, text) = match event {
            Event::Welcome { nickname, .. } | Event::Renamed { to: nickname, own: true, .. } => {
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

    /// Saves changes. A failure is shown once.
    pub(super) fn save(&mut self, screen: &mut Screen) {
        let Some(cache) = self.cache.as_mut().filter(|_| std::mem::take(&mut self.changed)) else {
            return;
        };
        match cache.save() {
            Ok(()) => self.failing = false,
            Err(error) if !std::mem::replace(&mut self.failing, true) => {
                screen.error(&screen.language().cache_error(&error));
            }
            Err(_) => {}
        }
    }

    fn lines(&self) -> impl Iterator<Item = &CachedLine> {
        self.cache.iter().flat_map(|cache| cache.lines(&self.server))
    }
}
