//! The runs of a plan as the arguments of the programs that measure them.

use super::{Error, Plan, Trial};
use crate::impair::{DEFAULT_LIMIT, Loss, Share};
use crate::lab::record::Condition;
use crate::lab::variant::{Control, Variant};
use crate::protocol::limits::{EXPIRY, HEARTBEAT};
use std::time::Duration;

impl Trial {
    /// The server's expiry, which the other timeouts of a session follow: a join cookie has to be
    /// valid for a round trip, and is for a sixth of the expiry. A third more is for a network that
    /// is late.
    pub(in crate::lab) fn expiry(&self) -> Duration {
        EXPIRY.max(8 * self.condition.round_trip())
    }

    /// The interval of the clients' heartbeats: more than one in a round trip would only fill a
    /// narrow path.
    pub(in crate::lab) fn heartbeat(&self) -> Duration {
        HEARTBEAT.max(self.condition.round_trip())
    }

    /// The arguments of `chatagram server` for this variant's run that depend on it. None of them
    /// contains a space.
    pub(in crate::lab) fn server_arguments(&self, variant: &Variant) -> Vec<String> {
        let millis = |time: Duration| format!("{}ms", time.as_millis());
        let control = variant.control.of_quic().name();
        let control = variant.mode.is_quic().then(|| ("--congestion", control.to_owned()));
        let arguments = [
            ("--redundancy", variant.redundancy.to_string()),
            ("--heartbeat", millis(self.heartbeat())),
            ("--expiry", millis(self.expiry())),
        ];
        let arguments = control.into_iter().chain(arguments);
        arguments.flat_map(|(option, value)| [option.to_owned(), value]).collect()
    }

    /// The condition as arguments of tc-netem(8).
    ///
    /// Without a distribution netem's jitter is uniform, as it is here. Its loss chain differs only
    /// in its start: netem starts in the good state, so its first packet gets through.
    #[must_use]
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
        if let Some(bandwidth) = self.condition.bandwidth {
            let queue = self.condition.queue.unwrap_or(DEFAULT_LIMIT as u32);
            words.push_str(&format!(" rate {bandwidth}bit limit {queue}"));
        }
        words
    }
}

impl Plan {
    /// The arguments of `chatagram load` for this variant's run, after the server's address and
    /// without `--out`. Without programs, none of them contains a space.
    #[must_use]
    pub(crate) fn load_arguments(
        &self,
        trial: &Trial,
        variant: &Variant,
        name: &str,
    ) -> Vec<String> {
        let mode = variant.mode;
        let clients = match self.program_of(mode) {
            Some(program) => program.load_options(),
            None => vec![
                ("--transport", mode.transport().to_owned()),
                ("--delivery", mode.column().to_owned()),
                ("--redundancy", variant.redundancy.to_string()),
            ],
        };
        let arguments = [
            ("--name", name.to_owned()),
            ("--senders", self.senders.to_string()),
            ("--receivers", self.receivers.to_string()),
            ("--rate", trial.rate.to_string()),
            ("--size", trial.size.to_string()),
            ("--duration", format!("{}ms", (self.duration_s * 1e3).round())),
            ("--seed", trial.seed.to_string()),
            ("--repetition", trial.repetition.to_string()),
            ("--condition", trial.condition.to_string()),
        ];
        let control = (mode.is_quic() && variant.control != Control::Auto)
            .then(|| ("--congestion", variant.control.to_string()));
        let arguments = clients.into_iter().chain(control).chain(arguments);
        arguments.flat_map(|(option, value)| [option.to_owned(), value]).collect()
    }

    /// All runs for scripts, one per line. Tabs separate the run's name, the arguments for netem,
    /// the congestion control, the arguments for `server`, and those for `load`; a shell may split
    /// the arguments at their spaces.
    ///
    /// # Errors
    /// Those of [`Self::trials`], and [`Error::ProgramsInScripts`].
    pub fn runs_text(&self) -> Result<String, Error> {
        self.check_scripts()?;
        let mut text = String::new();
        for trial in self.trials()? {
            self.variants().iter().for_each(|it| text += &self.run_line(&trial, it));
        }
        Ok(text)
    }

    /// Checks that scripts can measure the plan.
    pub(in crate::lab) fn check_scripts(&self) -> Result<(), Error> {
        if self.program.is_empty() { Ok(()) } else { Err(Error::ProgramsInScripts) }
    }

    /// The line of [`Self::runs_text`] for a run.
    pub(in crate::lab) fn run_line(&self, trial: &Trial, variant: &Variant) -> String {
        let name = trial.run(variant);
        let server = trial.server_arguments(variant).join(" ");
        let load = self.load_arguments(trial, variant, &name).join(" ");
        format!("{name}\t{}\t{}\t{server}\t{load}\n", trial.netem(), variant.control)
    }
}
