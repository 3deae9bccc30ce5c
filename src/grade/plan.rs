//! A plan: a teacher's criteria, points, cases and scenarios for a grading, as TOML.
//!
//! ```toml
//! criteria = ["part1"]
//! hidden = true
//! points = { retransmit = 6 }
//! network = { missing = 7 }
//!
//! [[scenario]]
//! name = "two-lost"
//! title = "Two lines in a row are lost"
//! section = "§I.8"
//! points = 4
//! needs = ["retransmit"]
//! steps = [
//!     { lose = { from = "client", lines = 2 } },
//!     { type = "{1}" },
//!     { heard = "{1}" },
//! ]
//! ```
//!
//! A program reads one plan, which lives as long as the program, like the table of criteria.

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod words;

pub(super) use words::{Bounded, Text};
use words::{CriterionId, Group, Id, List, Name, Section, Title, Word};

use super::case::{NAMES, WORDS};
use super::criteria::{CRITERIA, Criterion, OWN};
use super::judge;
use super::scenario::{SCENARIOS, Scenario, Script};
use crate::hub::Limit;
use crate::lab::plan::from_toml;
use crate::protocol::{Nickname, clean};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Largest file, bytes.
const MAX_FILE: u64 = 64 << 10;
/// Most points of a criterion.
const MAX_POINTS: usize = 1_000;

/// Why a plan cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file cannot be read.
    #[error("cannot read {}: {cause}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The text is not a plan.
    #[error("{}: {message}", .file.display())]
    Text {
        /// The file.
        file: PathBuf,
        /// Line, key and what is wrong.
        message: String,
    },
}

/// A teacher's plan. The default one has the criteria of Parts I and II, and no scenario beside the
/// grader's.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Name and digest of the file, for reports.
    pub(super) file: Option<String>,
    /// A report names the criteria that failed, without output and datagrams of the client.
    pub(super) hidden: bool,
    /// Cases of each scenario.
    pub(super) repetitions: u32,
    /// The criteria, as `--only` has them.
    pub(super) only: Vec<String>,
    /// All criteria: the built-in ones with the plan's points, then the plan's own.
    pub(super) table: Vec<&'static Criterion>,
    /// All scenarios: the built-in ones, then the plan's own.
    pub(super) scenarios: Vec<Scenario>,
    pub(super) choices: Choices,
}

/// The names and words that the seed draws from, and the numbers that it does not draw.
#[derive(Clone, Debug)]
pub(super) struct Choices {
    pub(super) names: Vec<&'static str>,
    pub(super) words: Vec<&'static str>,
    pub(super) network: Network,
}

/// The keys of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Keys {
    criteria: List<Group, 100>,
    hidden: bool,
    repetitions: Option<Bounded<1, 20>>,
    points: BTreeMap<CriterionId, Bounded<0, MAX_POINTS>>,
    names: List<Name, 100>,
    words: List<Word, 100>,
    network: Network,
    scenario: List<Own, 20>,
}

/// Numbers for the grader's scenarios, in place of those that the seed draws.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Network {
    /// First `Join`s that are lost (`lossy-join`).
    pub(super) joins: Option<Bounded<2, 3>>,
    /// `heartbeat_ms` of `Welcome` (`idle`).
    pub(super) heartbeat_ms: Option<Bounded<300, 500>>,
    /// The line that the next one overtakes (`order`).
    pub(super) overtaken: Option<Bounded<2, 4>>,
    /// The line that arrives twice (`order`).
    pub(super) doubled: Option<Bounded<6, 8>>,
    /// The message that is missing while 255 others arrive (`window`).
    pub(super) missing: Option<Bounded<3, 20>>,
}

/// A scenario of the plan, and its criterion.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Own {
    name: Id,
    title: Title,
    section: Section,
    points: Bounded<0, MAX_POINTS>,
    #[serde(default)]
    needs: List<CriterionId, 20>,
    heartbeat_ms: Option<Bounded<250, 60_000>>,
    rate: Option<Bounded<1, 1_000>>,
    burst: Option<Bounded<1, 1_000>>,
    steps: List<Step, 100>,
}

/// A step of a scenario: something happens, or something is waited for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Step {
    /// The teacher says a line to the room.
    Teach(Text),
    /// The teacher says a line to the client alone.
    Whisper(Text),
    /// A line is typed for the client to say.
    Type(Text),
    /// The client prints this, once.
    Printed(Text),
    /// The teacher hears this of the client, once.
    Heard(Text),
    /// Datagrams with lines are lost.
    Lose(Fate),
    /// Datagrams with lines arrive twice.
    Double(Fate),
    /// Datagrams with lines arrive after the next one.
    Delay(Fate),
    /// The server forgets the session.
    Reset,
    /// The server closes.
    Shutdown,
    /// The client's input has the line `exit`, and ends.
    Leave,
    /// The client ends.
    Ended,
}

/// The next datagrams with lines, of one sender.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fate {
    pub(super) from: From,
    /// Number of datagrams: few, so that a client that sends one again each second is in time.
    lines: Option<Bounded<1, 5>>,
}

/// A sender.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum From {
    Client,
    Server,
}

impl Fate {
    /// Number of datagrams.
    pub(super) fn count(&self) -> usize {
        self.lines.map_or(1, |it| it.0)
    }
}

impl Own {
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps.0
    }

    pub(super) fn heartbeat(&self) -> Option<Duration> {
        self.heartbeat_ms.map(|it| Duration::from_millis(it.0 as u64))
    }

    /// The limit that `Welcome` announces.
    pub(super) fn limit(&self) -> Option<Limit> {
        let rate = self.rate?.0 as u16;
        Limit::new(self.burst.map_or(rate, |it| it.0 as u16), rate)
    }

    fn criterion(&'static self) -> Criterion {
        let needs: Vec<_> = self.needs.0.iter().map(|it| &*it.0).collect();
        Criterion {
            id: &self.name.0,
            name: &self.title.0,
            points: self.points.0 as u32,
            section: &self.section.0,
            part: OWN,
            needs: if needs.is_empty() { &["cookie"] } else { needs.leak() },
            scenarios: vec![&*self.name.0].leak(),
            judge: judge::own,
        }
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self::new(Keys::default())
    }
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// The file cannot be read, or is no plan: the error names the line, the key, and the nearest
    /// key that a plan has.
    pub fn read(file: &Path) -> Result<Self, PlanError> {
        let mut text = String::new();
        File::open(file)
            .and_then(|it| it.take(MAX_FILE + 1).read_to_string(&mut text))
            .map_err(|cause| PlanError::Read { file: file.to_owned(), cause })?;
        let plan = if text.len() as u64 > MAX_FILE {
            Err(format!("a plan has at most {MAX_FILE} bytes"))
        } else {
            Self::parse(&text)
        };
        let mut plan =
            plan.map_err(|message| PlanError::Text { file: file.to_owned(), message })?;
        let digest = Sha256::digest(&text);
        let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        plan.file = Some(format!("{} (SHA-256 {digest})", clean(&name)));
        Ok(plan)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let keys: Keys = from_toml(text).map_err(|error| error.to_string())?;
        let names = &keys.names.0;
        let distinct: BTreeSet<_> =
            names.iter().filter_map(|it| Some(Nickname::parse(&it.0).ok()?.key())).collect();
        if names.len() == 1 || distinct.len() < names.len() {
            return Err("names: at least two, none of which looks like another".to_owned());
        }
        let mut known: BTreeSet<_> = CRITERIA.iter().map(|it| it.id).collect();
        known.extend(SCENARIOS.iter().map(|it| it.name));
        for own in &keys.scenario.0 {
            let name = &*own.name.0;
            if !known.insert(name) {
                return Err(format!(
                    "scenario {name}: another scenario or criterion has this name"
                ));
            }
            if own.burst.is_some() && own.rate.is_none() {
                return Err(format!("scenario {name}: burst needs a rate"));
            }
        }
        Ok(Self::new(keys))
    }

    fn new(keys: Keys) -> Self {
        let keys: &'static Keys = Box::leak(Box::new(keys));
        let own = &keys.scenario.0;
        let mut only: Vec<_> = keys.criteria.0.iter().map(|it| it.0.clone()).collect();
        if only.is_empty() {
            only = ["part1", "part2"].map(str::to_owned).to_vec();
        }
        only.extend(own.iter().map(|it| it.name.0.clone()));
        let mut table: Vec<_> = CRITERIA.to_vec();
        for (id, points) in &keys.points {
            table.iter_mut().filter(|it| it.id == id.0).for_each(|it| it.points = points.0 as u32);
        }
        table.extend(own.iter().map(Own::criterion));
        let scenario = |own: &'static Own| Scenario { name: &own.name.0, script: Script::Own(own) };
        let or = |chosen: Vec<&'static str>, usual: &[&'static str]| {
            if chosen.is_empty() { usual.to_vec() } else { chosen }
        };
        Self {
            file: None,
            hidden: keys.hidden,
            repetitions: keys.repetitions.map_or(1, |it| it.0 as u32),
            only,
            table: Vec::leak(table).iter().collect(),
            scenarios: SCENARIOS.iter().copied().chain(own.iter().map(scenario)).collect(),
            choices: Choices {
                names: or(keys.names.0.iter().map(|it| &*it.0).collect(), &NAMES),
                words: or(keys.words.0.iter().map(|it| &*it.0).collect(), &WORDS),
                network: keys.network,
            },
        }
    }
}
