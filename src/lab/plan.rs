//! The plan of a lab: every combination of its networks and loads, measured with several modes and
//! repetitions. It is a TOML file or the options of the command.

mod bandwidth;
mod commands;
mod condition;
mod controls;
mod parse;
mod repetitions;
#[cfg(test)]
mod tests;
mod values;

pub use bandwidth::Bandwidth;
pub(super) use bandwidth::bits;
pub use parse::{bandwidth, burst, control, milliseconds, mode, queue, redundancy, seconds, size};
pub use repetitions::Repetitions;

use super::program::Program;
use super::record::{Condition, Mode, ProgramName};
use super::variant::{Control, Variant};
use crate::impair::{DEFAULT_LIMIT, Spec, SpecError};
use crate::link::Copies;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// Limit on the runs of a plan; more are taken for a typing error.
const MAX_RUNS: usize = 100_000;
/// Messages per second and sender, unless a plan or an option says otherwise.
pub const RATE: f64 = 50.0;
/// Bytes of text in a message, unless a plan or an option says otherwise.
pub const SIZE: u32 = 64;

/// The conditions, the modes and the load. The default plan takes less than two minutes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// Packet loss each way, percent.
    #[serde(deserialize_with = "values::percents")]
    pub loss: Vec<f64>,
    /// One-way delays, milliseconds.
    #[serde(deserialize_with = "values::times")]
    pub delay_ms: Vec<f64>,
    /// Delay variation to either side, milliseconds.
    #[serde(deserialize_with = "values::times")]
    pub jitter_ms: Vec<f64>,
    /// Mean lengths of a loss burst, packets; 1 is independent loss.
    #[serde(deserialize_with = "values::bursts")]
    pub burst: Vec<f64>,
    /// Bits per second, each way.
    #[serde(deserialize_with = "values::bandwidths")]
    pub bandwidth: Vec<Bandwidth>,
    /// Packets in the queue of a limited bandwidth.
    #[serde(deserialize_with = "values::queues")]
    pub queue: Vec<u32>,
    /// The modes to measure.
    #[serde(serialize_with = "values::mode_names", deserialize_with = "values::modes")]
    pub modes: Vec<Mode>,
    /// Copies of each message, in the modes that have copies.
    #[serde(deserialize_with = "values::redundancies")]
    pub redundancy: Vec<Copies>,
    /// Congestion controls of TCP and QUIC; each mode is measured with those that it has.
    #[serde(deserialize_with = "values::controls")]
    pub congestion: Vec<Control>,
    /// Runs per condition and mode, each with another seed.
    #[serde(deserialize_with = "values::repetitions")]
    pub repetitions: Repetitions,
    /// Number of sending peers.
    #[serde(deserialize_with = "values::peers")]
    pub senders: u32,
    /// Number of receiving peers.
    #[serde(deserialize_with = "values::peers")]
    pub receivers: u32,
    /// Messages per second and sender.
    #[serde(deserialize_with = "values::rates")]
    pub rate: Vec<f64>,
    /// Bytes of text in a message.
    #[serde(deserialize_with = "values::sizes")]
    pub size: Vec<u32>,
    /// How long the senders send, seconds.
    #[serde(deserialize_with = "values::duration")]
    pub duration_s: f64,
    /// Seed of all randomness.
    #[serde(serialize_with = "values::seed_text", deserialize_with = "values::seed")]
    pub seed: u64,
    /// Programs to measure beside the modes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub program: Vec<Program>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            loss: vec![0.0, 1.0, 5.0, 10.0],
            delay_ms: vec![25.0],
            jitter_ms: vec![0.0],
            burst: vec![1.0],
            bandwidth: vec![Bandwidth::UNLIMITED],
            queue: vec![DEFAULT_LIMIT as u32],
            modes: Mode::USUAL.to_vec(),
            redundancy: vec![Copies::Auto],
            congestion: vec![Control::Auto],
            repetitions: Repetitions::Fixed(3),
            senders: 1,
            receivers: 1,
            rate: vec![RATE],
            size: vec![SIZE],
            duration_s: 4.0,
            seed: 1,
            program: Vec::new(),
        }
    }
}

/// A plan that cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not TOML, or a value has the wrong type or is out of range.
    #[error("{message}")]
    Text {
        /// The parser's message, which names the line.
        message: String,
    },
    /// The text has a key that resembles one of a plan.
    #[error("{message}\ndid you mean `{nearest}`?")]
    UnknownKey {
        /// The parser's message, which names the line.
        message: String,
        /// The key that was probably meant.
        nearest: String,
    },
    /// A list is empty.
    #[error("{0} is empty: give it at least one value")]
    EmptyList(&'static str),
    /// The lists have too many combinations.
    #[error("{0} runs are too many: reduce them to at most {MAX_RUNS}")]
    TooManyRuns(usize),
    /// Two runs have one name, so one directory.
    #[error("run {0} is in the plan twice: leave each value in it once")]
    Repeated(String),
    /// A program has no server, without which its clients have nobody to talk to.
    #[error(
        "the program {name} has no server: give its command, as `server` or --server",
        name = .0.as_str()
    )]
    NoServer(ProgramName),
    /// A mode has none of the congestion controls.
    #[error(
        "{0} has none of these congestion controls: QUIC has new-reno, cubic and bbr; TCP has the \
         kernel's, such as reno, cubic and bbr"
    )]
    NoControl(Mode),
    /// The plan has congestion controls, and no mode that uses one.
    #[error("congestion is for tcp and the modes of QUIC: add one to modes, or leave it out")]
    NothingToControl,
    /// The runs of a program are printed, but only `lab` itself can start its server.
    #[error("--print-runs has no lines for programs: measure them with `chatagram lab`")]
    ProgramsInScripts,
    /// A combination that no network can have.
    #[error("loss {}%, burst {}: {cause}", .condition.loss * 100.0, .condition.burst)]
    Condition {
        /// The combination.
        condition: Condition,
        /// The reason.
        cause: SpecError,
    },
}

/// One condition and repetition, in which all modes run side by side and lose the same packets.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// The names of its runs up to the variant: what the plan varies.
    pub name: String,
    /// The condition.
    pub condition: Condition,
    /// Messages per second and sender.
    pub rate: f64,
    /// Bytes of text in a message.
    pub size: u32,
    /// The condition as the emulated network's configuration.
    pub spec: Spec,
    /// The repetition, from 1.
    pub repetition: u32,
    /// Seed of the network and of the load.
    pub seed: u64,
}

impl Trial {
    /// The name of this variant's run, which is also its directory.
    #[must_use]
    pub fn run(&self, variant: &Variant) -> String {
        format!("{}-{variant}-{}", self.name, self.repetition)
    }
}

impl Plan {
    /// The variants of each trial: the modes, each with all settings that it has, and the programs.
    #[must_use]
    pub fn variants(&self) -> Vec<Variant> {
        let mut variants = Vec::new();
        for &mode in &self.modes {
            for &redundancy in &self.redundancy {
                for &control in self.congestion.iter().filter(|it| it.is_of(mode)) {
                    let variant = Variant::new(mode, redundancy, control);
                    if !variants.contains(&variant) {
                        variants.push(variant);
                    }
                }
            }
        }
        let programs = self.program.iter().map(|it| Mode::Program(it.name));
        variants.extend(programs.map(|it| Variant::new(it, Copies::Auto, Control::Auto)));
        variants
    }

    /// The program of this mode, if it is one.
    #[must_use]
    pub fn program_of(&self, mode: Mode) -> Option<&Program> {
        self.program.iter().find(|it| Mode::Program(it.name) == mode)
    }

    /// Parses a plan.
    ///
    /// # Errors
    /// [`Error::Text`], and [`Error::UnknownKey`] for a misspelt key.
    pub fn parse(text: &str) -> Result<Self, Error> {
        from_toml(text)
    }

    /// The plan as TOML.
    #[must_use]
    pub fn text(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// Leaves each value of a list in it once. Returns a sentence for each that was repeated.
    #[must_use]
    pub fn remove_repeats(&mut self) -> Vec<String> {
        let mut repeated = Vec::new();
        once("loss", &mut self.loss, &mut repeated);
        once("delay_ms", &mut self.delay_ms, &mut repeated);
        once("jitter_ms", &mut self.jitter_ms, &mut repeated);
        once("burst", &mut self.burst, &mut repeated);
        once("bandwidth", &mut self.bandwidth, &mut repeated);
        once("queue", &mut self.queue, &mut repeated);
        once("rate", &mut self.rate, &mut repeated);
        once("size", &mut self.size, &mut repeated);
        once("mode", &mut self.modes, &mut repeated);
        once("redundancy", &mut self.redundancy, &mut repeated);
        once("congestion", &mut self.congestion, &mut repeated);
        repeated
    }

    /// All conditions in order, once for each repetition that may be needed, so that an
    /// interrupted lab has measured each condition equally often.
    ///
    /// # Errors
    /// [`Error::EmptyList`], [`Error::TooManyRuns`], [`Error::NoServer`], [`Error::Condition`] and
    /// [`Error::Repeated`].
    pub fn trials(&self) -> Result<Vec<Trial>, Error> {
        let lists = [
            ("loss", self.loss.len()),
            ("delay_ms", self.delay_ms.len()),
            ("jitter_ms", self.jitter_ms.len()),
            ("burst", self.burst.len()),
            ("bandwidth", self.bandwidth.len()),
            ("queue", self.queue.len()),
            ("rate", self.rate.len()),
            ("size", self.size.len()),
            ("modes", self.modes.len() + self.program.len()),
            ("redundancy", self.redundancy.len()),
            ("congestion", self.congestion.len()),
        ];
        if let Some((name, _)) = lists.iter().find(|(_, length)| *length == 0) {
            return Err(Error::EmptyList(name));
        }
        self.check_controls()?;
        let runs =
            lists.iter().fold(self.repetitions.most() as usize, |n, (_, l)| n.saturating_mul(*l));
        if runs > MAX_RUNS {
            return Err(Error::TooManyRuns(runs));
        }
        if let Some(program) = self.program.iter().find(|it| it.server.is_none()) {
            return Err(Error::NoServer(program.name));
        }
        let (mut trials, mut names) = (Vec::new(), BTreeSet::new());
        let (variants, cases) = (self.variants(), self.cases());
        for repetition in 1..=self.repetitions.most() {
            for (condition, rate, size) in &cases {
                let (condition, rate, size) = (*condition, *rate, *size);
                let spec = condition::spec(&condition)
                    .map_err(|cause| Error::Condition { condition, cause })?;
                let seed = self.seed.wrapping_add(trials.len() as u64);
                let name = self.name(&condition, rate, size);
                let trial = Trial { name, condition, rate, size, spec, repetition, seed };
                for name in variants.iter().map(|variant| trial.run(variant)) {
                    if let Some(name) = names.replace(name) {
                        return Err(Error::Repeated(name));
                    }
                }
                trials.push(trial);
            }
        }
        Ok(trials)
    }
}

/// Removes the rounding error of 0.07 × 100. Shares are whole billionths: no two round alike.
fn round(percent: f64) -> f64 {
    (percent * 1e7).round() / 1e7
}

/// Leaves each value once, and adds a sentence for each that was repeated.
fn once<T: Copy + PartialEq + fmt::Display>(
    name: &str,
    values: &mut Vec<T>,
    repeated: &mut Vec<String>,
) {
    let mut kept = Vec::new();
    for value in values.drain(..) {
        if kept.contains(&value) {
            repeated.push(format!("{name} {value} is repeated in the plan: it is measured once"));
        } else {
            kept.push(value);
        }
    }
    repeated.dedup();
    *values = kept;
}

/// Parses TOML. An error names the line, and the key that was probably meant.
pub(crate) fn from_toml<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    toml::from_str(text).map_err(|error| {
        let message = error.to_string().trim_end().to_owned();
        let unknown = unknown_key(error.message());
        match unknown.and_then(|(wrong, known)| nearest(wrong, &known)) {
            Some(nearest) => Error::UnknownKey { message, nearest: nearest.to_owned() },
            None => Error::Text { message },
        }
    })
}

/// The unknown key of serde's message and the known ones; all are in backquotes.
fn unknown_key(message: &str) -> Option<(&str, Vec<&str>)> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let is_key = message.starts_with("unknown field") || message.starts_with("unknown variant");
    is_key.then_some(())?;
    Some((quoted.next()?, quoted.collect()))
}

pub(crate) fn nearest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = known.iter().map(|it| (strsim::jaro_winkler(wrong, it), *it));
    near.filter(|(alike, _)| *alike > 0.7).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, it)| it)
}
