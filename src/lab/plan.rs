//! What a lab is to measure: every combination of some losses, delays, jitters and bursts, over
//! several modes, several times. Written by hand as TOML, or as options of the command.

mod written;

use super::record::{Condition, Mode};
use crate::impair::{Loss, Share, Spec, SpecError};
use crate::quantity;
use serde::{Deserialize, Serialize};

/// More runs than that are a slip of the pen.
const MOST_RUNS: usize = 100_000;

/// See the module. The default shows the lesson in less than two minutes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// Packets lost each way, percent.
    #[serde(deserialize_with = "written::percents")]
    pub loss: Vec<f64>,
    /// One-way delays, milliseconds.
    #[serde(deserialize_with = "written::times")]
    pub delay_ms: Vec<f64>,
    /// How far the delay goes to either side, milliseconds.
    #[serde(deserialize_with = "written::times")]
    pub jitter_ms: Vec<f64>,
    /// Mean lengths of a burst of losses, packets. 1: each is lost on its own.
    #[serde(deserialize_with = "written::bursts")]
    pub burst: Vec<f64>,
    /// What carries the messages.
    #[serde(serialize_with = "written::mode_names", deserialize_with = "written::modes")]
    pub modes: Vec<Mode>,
    /// How often each condition is met, each time with another seed.
    #[serde(deserialize_with = "written::repetitions")]
    pub repetitions: u32,
    /// Peers that speak.
    #[serde(deserialize_with = "written::peers")]
    pub senders: u32,
    /// Peers that listen.
    #[serde(deserialize_with = "written::peers")]
    pub receivers: u32,
    /// Messages a second for each sender.
    #[serde(deserialize_with = "written::rate")]
    pub rate: f64,
    /// Bytes of text in a message.
    #[serde(deserialize_with = "written::size")]
    pub size: u32,
    /// For how long the senders speak, seconds.
    #[serde(deserialize_with = "written::duration")]
    pub duration_s: f64,
    /// Decides everything that is left to chance.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            loss: vec![0.0, 1.0, 5.0, 10.0],
            delay_ms: vec![25.0],
            jitter_ms: vec![0.0],
            burst: vec![1.0],
            modes: vec![Mode::Unreliable, Mode::ReliableOrdered, Mode::Tcp],
            repetitions: 3,
            senders: 1,
            receivers: 1,
            rate: 50.0,
            size: 64,
            duration_s: 4.0,
            seed: 1,
        }
    }
}

/// A plan that cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not TOML, not a plan, or out of range. Names the line.
    #[error("{0}")]
    Text(String),
    /// A list is empty, or there are too many runs.
    #[error("{0}")]
    Runs(String),
    /// A condition no network can meet.
    #[error("loss {}%, burst {}: {cause}", .condition.loss * 100.0, .condition.burst)]
    Condition {
        /// Which one.
        condition: Condition,
        /// Why not.
        cause: SpecError,
    },
}

/// One network, to be met by every mode side by side: all of them see the same packets lost.
#[derive(Clone, Debug, PartialEq)]
pub struct Meeting {
    /// What the network does.
    pub condition: Condition,
    /// The same as the router takes it.
    pub spec: Spec,
    /// From 1.
    pub repetition: u32,
    /// Of the network and of the load.
    pub seed: u64,
}

impl Meeting {
    /// What this mode's run is called, and its directory.
    pub fn run(&self, mode: Mode) -> String {
        let Condition { loss, delay_ms, jitter_ms, burst } = self.condition;
        let loss = tidy(loss * 100.0);
        format!(
            "loss{loss}-delay{delay_ms}-jitter{jitter_ms}-burst{burst}-{mode}-{}",
            self.repetition
        )
    }

    /// The same network in the words of tc-netem(8).
    ///
    /// Without a distribution netem's jitter is uniform, as here. Its chain of losses is the same
    /// but for its beginning: netem's begins in the good state, so its first packet gets through.
    pub fn netem(&self) -> String {
        let Condition { delay_ms, jitter_ms, .. } = self.condition;
        let mut words = format!("delay {delay_ms}ms");
        if jitter_ms > 0.0 {
            words.push_str(&format!(" {jitter_ms}ms"));
        }
        match self.spec.up.loss {
            Loss::Independent(share) if share == Share::NONE => {}
            Loss::Independent(share) => words.push_str(&format!(" loss {share}")),
            Loss::Burst { loss, mean } => {
                let (p, r) = mean.chain(loss);
                words.push_str(&format!(" loss gemodel {p} {r} 100% 0%"));
            }
            Loss::Gilbert { p, r, bad, good } => {
                words.push_str(&format!(" loss gemodel {p} {r} {bad} {good}"));
            }
        }
        words
    }
}

impl Plan {
    /// What `chatagram load` is to do in this mode's run: its arguments after the server, but for
    /// where to write. None of them has a space in it.
    pub fn load_arguments(&self, meeting: &Meeting, mode: Mode, name: &str) -> Vec<String> {
        let Condition { loss, delay_ms, jitter_ms, burst } = meeting.condition;
        let arguments = [
            ("--transport", mode.transport().to_owned()),
            ("--delivery", mode.column().to_owned()),
            ("--name", name.to_owned()),
            ("--senders", self.senders.to_string()),
            ("--receivers", self.receivers.to_string()),
            ("--rate", self.rate.to_string()),
            ("--size", self.size.to_string()),
            ("--duration", format!("{}ms", (self.duration_s * 1e3).round())),
            ("--seed", meeting.seed.to_string()),
            ("--repetition", meeting.repetition.to_string()),
            ("--condition", format!("{}:{delay_ms}:{jitter_ms}:{burst}", tidy(loss * 100.0))),
        ];
        arguments.into_iter().flat_map(|(option, value)| [option.to_owned(), value]).collect()
    }

    /// All runs as lines for scripts, with tabs between the run's name, the network in netem's words
    /// and the arguments of `load`. A shell may split the last two at their spaces.
    ///
    /// # Errors
    /// As [`Self::meetings`].
    pub fn runs_text(&self) -> Result<String, Error> {
        let mut text = String::new();
        for meeting in self.meetings()? {
            for &mode in &self.modes {
                let name = meeting.run(mode);
                let arguments = self.load_arguments(&meeting, mode, &name).join(" ");
                text.push_str(&format!("{name}\t{}\t{arguments}\n", meeting.netem()));
            }
        }
        Ok(text)
    }

    /// Reads a plan.
    ///
    /// # Errors
    /// [`Error::Text`], with the line, and with the right word where one was misspelt.
    pub fn parse(text: &str) -> Result<Self, Error> {
        toml::from_str(text).map_err(|error| {
            let mut message = error.to_string().trim_end().to_owned();
            if let Some((wrong, expected)) = misspelt(error.message())
                && let Some(near) = nearest(wrong, &expected)
            {
                message.push_str(&format!("\ndid you mean `{near}`?"));
            }
            Error::Text(message)
        })
    }

    /// The plan as a file that says the same.
    pub fn text(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// All networks to be met, in order: the conditions, then again for each repetition, so that a
    /// lab that is cut short has some of everything.
    ///
    /// # Errors
    /// [`Error::Runs`] and [`Error::Condition`].
    pub fn meetings(&self) -> Result<Vec<Meeting>, Error> {
        let lists = [
            ("loss", self.loss.len()),
            ("delay_ms", self.delay_ms.len()),
            ("jitter_ms", self.jitter_ms.len()),
            ("burst", self.burst.len()),
            ("modes", self.modes.len()),
        ];
        if let Some((name, _)) = lists.iter().find(|(_, length)| *length == 0) {
            return Err(Error::Runs(format!("{name} names nothing: give it one value at least")));
        }
        let runs = lists.iter().fold(self.repetitions as usize, |n, (_, l)| n.saturating_mul(*l));
        if runs > MOST_RUNS {
            return Err(Error::Runs(format!("{runs} runs are too many: {MOST_RUNS} at most")));
        }
        let mut meetings = Vec::new();
        for repetition in 1..=self.repetitions {
            for condition in self.conditions() {
                let spec =
                    spec(&condition).map_err(|cause| Error::Condition { condition, cause })?;
                let seed = self.seed.wrapping_add(meetings.len() as u64);
                meetings.push(Meeting { condition, spec, repetition, seed });
            }
        }
        Ok(meetings)
    }

    fn conditions(&self) -> Vec<Condition> {
        let mut conditions = Vec::new();
        for loss in &self.loss {
            for delay_ms in self.delay_ms.iter().copied() {
                for jitter_ms in self.jitter_ms.iter().copied() {
                    for burst in self.burst.iter().copied() {
                        let loss = loss / 100.0;
                        conditions.push(Condition { loss, delay_ms, jitter_ms, burst });
                    }
                }
            }
        }
        conditions
    }
}

/// The condition as the router takes it, the same in both directions.
fn spec(condition: &Condition) -> Result<Spec, SpecError> {
    let Condition { loss, delay_ms, jitter_ms, burst } = condition;
    let mut text = format!("loss {}%", tidy(loss * 100.0));
    if *burst > 1.0 && *loss > 0.0 {
        text.push_str(&format!(" burst {burst}"));
    }
    text.push_str(&format!(", delay {delay_ms}ms, jitter {jitter_ms}ms"));
    text.parse()
}

/// Without the last digits of 0.07 × 100.
fn tidy(percent: f64) -> f64 {
    (percent * 1e6).round() / 1e6
}

/// The word that serde does not know, and those it does: both stand in backquotes.
fn misspelt(message: &str) -> Option<(&str, Vec<&str>)> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    message.starts_with("unknown field").then_some(())?;
    Some((quoted.next()?, quoted.collect()))
}

fn nearest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = known.iter().map(|it| (strsim::jaro_winkler(wrong, it), *it));
    near.filter(|(alike, _)| *alike > 0.7).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, it)| it)
}

/// A delay in milliseconds, as an option and in a plan.
pub fn milliseconds(text: &str) -> Result<f64, String> {
    quantity::milliseconds(text, &quantity::LAB_DELAY)
}

/// A duration in seconds, likewise.
pub fn seconds(text: &str) -> Result<f64, String> {
    quantity::seconds(text, &quantity::RUN)
}

/// The mean length of a burst in packets, likewise.
pub fn burst(text: &str) -> Result<f64, String> {
    quantity::burst(text).map(|thousandths| thousandths as f64 / 1e3)
}

/// A mode by its name, likewise.
pub fn mode(text: &str) -> Result<Mode, String> {
    text.trim().parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_back_as_it_was_written() {
        let plan = Plan { loss: vec![0.5, 7.0], modes: Mode::ALL.to_vec(), ..Plan::default() };
        assert_eq!(Plan::parse(&plan.text()).unwrap(), plan);
        assert_eq!(Plan::parse("").unwrap(), Plan::default());
        assert_eq!(Plan::parse("loss = [3]\n").unwrap().loss, [3.0], "whole numbers too");
        for text in ["loss = 5", "loss = [\"5%\"]", "loss = \"5 %\"", "loss = [5.0]"] {
            assert_eq!(Plan::parse(text).unwrap().loss, [5.0], "{text}");
        }
        let text = "loss = \"0, 5%\"\ndelay_ms = [\"25ms\", 0.5]\nduration_s = \"2s\"";
        let parsed = Plan::parse(text).unwrap();
        assert_eq!((parsed.loss, parsed.delay_ms), (vec![0.0, 5.0], vec![25.0, 0.5]));
        assert_eq!(parsed.duration_s, 2.0);
    }

    #[test]
    fn errors_name_the_line_and_the_way_out() {
        for (text, wanted) in [
            ("seed = 1\nlos = [5]", ["line 2", "did you mean `loss`?"]),
            ("seed = 1\nloss = [5, 120]", ["line 2", "a share is between 0% and 100%"]),
            ("modes = [\"udp\"]", ["line 1", "choose from unreliable"]),
            ("duration_s = 0", ["line 1", "not between 10ms and 1day"]),
            ("rate = \"fast\"", ["line 1", "fast is no amount"]),
            ("loss = [nan]", ["line 1", "no amount"]),
        ] {
            let error = Plan::parse(text).unwrap_err().to_string();
            assert!(wanted.iter().all(|part| error.contains(part)), "{text}: {error}");
        }
        let empty = Plan { modes: vec![], ..Plan::default() };
        assert!(empty.meetings().unwrap_err().to_string().contains("modes names nothing"));
        let huge = Plan { loss: vec![1.0; 1_000], repetitions: 1_000, ..Plan::default() };
        assert!(huge.meetings().unwrap_err().to_string().contains("too many"));
        let absurd = Plan { loss: vec![99.0], burst: vec![2.0], ..Plan::default() };
        assert!(absurd.meetings().is_err());
    }

    #[test]
    fn each_meeting_has_a_name_and_a_seed_of_its_own() {
        let meetings = Plan::default().meetings().unwrap();
        assert_eq!(meetings.len(), 12);
        let names: std::collections::BTreeSet<_> =
            meetings.iter().map(|meeting| (meeting.run(Mode::Tcp), meeting.seed)).collect();
        assert_eq!(names.len(), 12);
        assert_eq!(meetings[2].run(Mode::Tcp), "loss5-delay25-jitter0-burst1-tcp-1");
        assert_eq!(meetings[2].spec, "loss 5%, delay 25ms".parse().unwrap());
        let odd = Plan { loss: vec![7.0], burst: vec![3.0], ..Plan::default() };
        assert_eq!(odd.meetings().unwrap()[0].spec, "loss 7% burst 3, delay 25ms".parse().unwrap());
    }

    #[test]
    fn a_network_is_the_same_in_netems_words() {
        for (loss, jitter_ms, burst, words) in [
            (0.0, 0.0, 1.0, "delay 25ms"),
            (0.0, 0.0, 3.0, "delay 25ms"),
            (7.0, 0.5, 1.0, "delay 25ms 0.5ms loss 7%"),
            // r = 1/4, p = 0.2 / 0.8 of it.
            (20.0, 0.0, 4.0, "delay 25ms loss gemodel 6.25% 25% 100% 0%"),
        ] {
            let (loss, jitter_ms, burst) = (vec![loss], vec![jitter_ms], vec![burst]);
            let plan = Plan { loss, jitter_ms, burst, ..Plan::default() };
            assert_eq!(plan.meetings().unwrap()[0].netem(), words);
        }
    }

    #[test]
    fn runs_are_lines_a_shell_can_split() {
        let plan = Plan { loss: vec![0.1, 7.0], burst: vec![1.0, 1.3], ..Plan::default() };
        let text = plan.runs_text().unwrap();
        assert_eq!(text.lines().count(), 2 * 2 * 3 * 3);
        for line in text.lines() {
            let columns: Vec<_> = line.split('\t').collect();
            let [name, netem, load] = columns[..] else { panic!("{line}") };
            assert!(load.contains(&format!("--name {name} ")) && netem.starts_with("delay "));
            // Nothing that a shell would expand, and no space at an end or after another.
            let plain = |c: char| c.is_ascii_alphanumeric() || " .:%-".contains(c);
            assert!(line.replace('\t', "").chars().all(plain), "{line}");
            assert!(columns.iter().all(|it| it.split(' ').all(|word| !word.is_empty())), "{line}");
        }
    }
}
