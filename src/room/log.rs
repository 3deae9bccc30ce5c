//! The log: the room's one order. A line is proposed and takes effect when it is committed. This
//! log lives in memory, is restored from a history, and commits at once. In a room with several
//! servers an engine commits, and this is the end of its log ([`Log::shared`]).
//!
//! A *position* within the log's *epoch* identifies a line, never a clock: clocks step. The log
//! keeps the *line identity* from the author too, and refuses repeats by it.
//!
//! Positions of one run of a server have no gaps. Each run begins after a multiple of
//! [`POSITION_STEP`], so that lines lost with the end of a file (power cut, full disk) do not share
//! their positions with later ones.

use super::numbers::{Numbers, Taken};
use crate::protocol::Mark;
use crate::protocol::limits::{LOG_LINES, MAX_POSITION, MAX_REPLAY_BYTES, POSITION_STEP};
use crate::registry::Owner;
use crate::time::WallTime;
use std::collections::VecDeque;
use std::rc::Rc;

/// Line identity: the owner of the name, and the author's own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineIdentity {
    /// Owner of the author's name.
    pub owner: Owner,
    /// The author's number.
    pub number: u16,
}

/// A line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Epoch and position.
    pub mark: Mark,
    /// Wall-clock time of the line, for display only.
    pub at: WallTime,
    /// Owner of the author's name.
    pub from: String,
    /// The text.
    pub text: String,
    /// Line identity, if known.
    pub identity: Option<LineIdentity>,
}

/// A line of an earlier run from a history file, whose contents are untrusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Epoch and position, if the file has them.
    pub mark: Option<Mark>,
    /// As in [`Line`].
    pub at: WallTime,
    /// As in [`Line`].
    pub from: String,
    /// As in [`Line`].
    pub text: String,
    /// As in [`Line`].
    pub identity: Option<LineIdentity>,
}

impl From<Line> for Kept {
    fn from(line: Line) -> Self {
        let Line { mark, at, from, text, identity } = line;
        Self { mark: Some(mark), at, from, text, identity }
    }
}

/// The end of a history.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Oldest first.
    pub lines: Vec<Kept>,
    /// Number of newest lines without damage between or after them.
    pub intact: usize,
}

impl From<Vec<Line>> for Past {
    fn from(lines: Vec<Line>) -> Self {
        let intact = lines.len();
        Self { lines: lines.into_iter().map(Kept::from).collect(), intact }
    }
}

/// A line proposed to the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proposal<'a> {
    /// Line identity.
    pub identity: LineIdentity,
    /// Wall-clock time.
    pub at: WallTime,
    /// Author's nickname.
    pub from: &'a str,
    /// The text.
    pub text: &'a str,
}

/// The outcome of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Committed as the newest line.
    Committed(Rc<Line>),
    /// A repeat: the log has it at this position.
    Repeated(u64),
}

/// The lines for a joining peer.
#[derive(Clone, Debug)]
pub(crate) struct Replay {
    /// Oldest first.
    pub lines: Vec<Rc<Line>>,
    /// Whether these are all lines after its `seen`.
    pub complete: bool,
}

/// The lines in memory, in the order of their positions, and the numbers of their owners.
#[derive(Debug)]
pub(crate) struct Log {
    epoch: u64,
    lines: VecDeque<Rc<Line>>,
    /// All lines after this position are in `lines`.
    floor: u64,
    /// Position of the next line.
    next: u64,
    numbers: Numbers,
}

impl Log {
    /// Restores a log from the past. It continues the epoch of the newest line, or begins `epoch`
    /// if that line has none.
    #[must_use]
    pub(crate) fn new(past: Past, epoch: u64) -> Self {
        let placed = Placed::all(&past.lines, epoch);
        let next = placed
            .positions
            .last()
            .map_or(0, |newest| newest.div_ceil(POSITION_STEP) * POSITION_STEP)
            + 1;
        let mut log = Self {
            epoch: placed.epoch,
            // Full capacity at once: no line pays for a reallocation.
            lines: VecDeque::with_capacity(past.lines.len().max(LOG_LINES + 1)),
            floor: floor(&placed.positions, past.intact).unwrap_or(next - 1),
            next,
            numbers: Numbers::default(),
        };
        for (kept, position) in past.lines.into_iter().zip(placed.positions) {
            let Kept { at, from, text, identity, .. } = kept;
            let mark = Mark { epoch: log.epoch, position };
            if let Some(identity) = identity {
                log.numbers.note(identity, position);
            }
            log.lines.push_back(Rc::new(Line { mark, at, from, text, identity }));
        }
        log.numbers.forget_before(log.floor);
        log.trim();
        log
    }

    /// The end of a log that an engine keeps: all its lines after `floor`, oldest first.
    #[must_use]
    pub(crate) fn shared(epoch: u64, lines: Vec<Line>, floor: u64) -> Self {
        let mut log = Self {
            epoch,
            lines: VecDeque::with_capacity(LOG_LINES + 1),
            floor,
            next: floor.saturating_add(1),
            numbers: Numbers::default(),
        };
        log.numbers.forget_before(floor);
        lines.into_iter().for_each(|line| drop(log.append(line)));
        log
    }

    /// Commits a line, unless it is a repeat.
    pub(crate) fn propose(&mut self, proposal: Proposal<'_>) -> Outcome {
        let Proposal { identity, at, from, text } = proposal;
        if let Some(position) = self.numbers.find(identity) {
            return Outcome::Repeated(position);
        }
        let mark = Mark { epoch: self.epoch, position: self.next };
        let (from, text, identity) = (from.to_owned(), text.to_owned(), Some(identity));
        Outcome::Committed(self.append(Line { mark, at, from, text, identity }))
    }

    /// The position of a line, if the log in memory has it.
    #[must_use]
    pub(crate) fn find(&self, identity: LineIdentity) -> Option<u64> {
        self.numbers.find(identity)
    }

    /// Appends a committed line.
    pub(crate) fn append(&mut self, line: Line) -> Rc<Line> {
        let position = line.mark.position;
        // An engine's positions are untrusted.
        self.next = position.saturating_add(1);
        if let Some(identity) = line.identity {
            self.numbers.note(identity, position);
        }
        let line = Rc::new(line);
        self.lines.push_back(line.clone());
        self.trim();
        line
    }

    /// The newest line's position, or the one before the first.
    #[must_use]
    pub(crate) fn latest(&self) -> Mark {
        let newest = self.lines.back().map_or(0, |line| line.mark.position);
        Mark { epoch: self.epoch, position: newest.max(self.floor) }
    }

    /// The last `most` lines, for a newcomer.
    #[must_use]
    pub(crate) fn newest(&self, most: usize) -> Replay {
        let skip = self.lines.len().saturating_sub(most);
        Replay { lines: self.lines.iter().skip(skip).cloned().collect(), complete: false }
    }

    /// The lines after `seen` that are in memory and fit the bound of a replay.
    #[must_use]
    pub(crate) fn after(&self, seen: Mark) -> Replay {
        let here = seen.epoch == self.epoch;
        // Positions of another log have no meaning here: all lines may be new.
        let after = if here { seen.position } else { 0 };
        let start = self.lines.partition_point(|line| line.mark.position <= after);
        let known = after == self.floor
            || start.checked_sub(1).is_some_and(|last| self.lines[last].mark.position == after);
        let mut room = MAX_REPLAY_BYTES;
        let missed = self.lines.range(start..);
        let fitting = missed.rev().take_while(|line| {
            let fits = line.text.len() <= room;
            room = room.saturating_sub(line.text.len());
            fits
        });
        let mut lines: Vec<_> = fitting.cloned().collect();
        lines.reverse();
        let all = lines.len() == self.lines.len() - start;
        Replay { lines, complete: here && known && after >= self.floor && all }
    }

    /// Which of this owner's newest lines the log has, for a client that has seen `seen`.
    #[must_use]
    pub(crate) fn taken(&self, owner: Owner, seen: Mark) -> Taken {
        let sure = seen.epoch == self.epoch && self.numbers.floor() <= seen.position;
        Taken { sure, ..self.numbers.of(owner) }
    }

    fn trim(&mut self) {
        while self.lines.len() > LOG_LINES {
            if let Some(line) = self.lines.pop_front() {
                self.floor = self.floor.max(line.mark.position);
            }
        }
    }
}

/// Assigns positions to the lines of a history.
struct Placed {
    epoch: u64,
    positions: Vec<u64>,
}

impl Placed {
    /// The newest line's position, if it has one, is kept, and older ones as long as they increase
    /// up to it. Other lines (written by hand, or of another log) get positions by counting down,
    /// the same at each read. Without room for that, a new epoch begins.
    fn all(lines: &[Kept], fresh: u64) -> Self {
        let believed = |mark: &Mark| mark.epoch != 0 && (1..MAX_POSITION).contains(&mark.position);
        let newest = lines.last().and_then(|line| line.mark).filter(believed);
        if let Some(Mark { epoch, position }) = newest
            && let Some(positions) = Self::leading_to(lines, epoch, position)
        {
            return Self { epoch, positions };
        }
        let first = POSITION_STEP + 1 - lines.len().min(POSITION_STEP as usize) as u64;
        Self { epoch: fresh, positions: (first..).take(lines.len()).collect() }
    }

    fn leading_to(lines: &[Kept], epoch: u64, newest: u64) -> Option<Vec<u64>> {
        let mut positions = Vec::with_capacity(lines.len());
        let (mut bound, mut ours) = (newest + 1, true);
        for line in lines.iter().rev() {
            let own = line.mark.filter(|it| it.epoch == epoch && (1..bound).contains(&it.position));
            bound = match own.filter(|_| ours) {
                Some(mark) => mark.position,
                None => {
                    ours = false;
                    bound.checked_sub(1).filter(|position| *position > 0)?
                }
            };
            positions.push(bound);
        }
        positions.reverse();
        Some(positions)
    }
}

/// The position after which no line is missing; `None` if the newest line is damaged.
fn floor(positions: &[u64], intact: usize) -> Option<u64> {
    let follows = |pair: &[u64]| pair[1] == pair[0] + 1 || pair[1] % POSITION_STEP == 1;
    let intact = positions.len().saturating_sub(intact);
    let broken = positions.windows(2).rposition(|pair| !follows(pair)).map_or(0, |at| at + 1);
    positions.get(intact.max(broken)).map(|first| first - 1)
}

#[cfg(test)]
mod tests;
