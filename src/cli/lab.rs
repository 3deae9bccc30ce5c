//! The options of `load` and `lab`.

use super::{DeliveryArg, NetworkArgs, Switch, TransportArg, positive_duration};
use crate::impair::Spec;
use crate::lab::load;
use crate::lab::plan::Plan;
use crate::lab::record::{Condition, Destination, Mode};
use crate::net::{BadNetwork, ServerName};
use clap::Args;
use clap::builder::{FalseyValueParser, PathBufValueParser, TypedValueParser};
use std::path::PathBuf;
use std::time::Duration;

/// Options of a run of the lab.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// What carries the chat
    #[arg(long, value_enum, default_value_t, env = "CHATAGRAM_TRANSPORT")]
    pub transport: TransportArg,
    /// How chat lines travel over UDP
    #[arg(long, value_enum, default_value_t, env = "CHATAGRAM_DELIVERY")]
    pub delivery: DeliveryArg,
    /// How many clients speak
    #[arg(
        long, value_name = "PEERS", default_value_t = 1, env = "CHATAGRAM_SENDERS",
        value_parser = clap::value_parser!(u32).range(1..=10_000)
    )]
    pub senders: u32,
    /// How many clients listen
    #[arg(
        long, value_name = "PEERS", default_value_t = 1, env = "CHATAGRAM_RECEIVERS",
        value_parser = clap::value_parser!(u32).range(1..=10_000)
    )]
    pub receivers: u32,
    /// Messages a second for each sender, such as 50 or 0.5
    #[arg(long, default_value = "50", env = "CHATAGRAM_RATE", value_parser = rate)]
    pub rate: f64,
    /// Bytes of text in a message, 16 to 1000
    #[arg(
        long, value_name = "BYTES", default_value_t = 64, env = "CHATAGRAM_SIZE",
        value_parser = clap::value_parser!(u32).range(16..=1_000)
    )]
    pub size: u32,
    /// For how long the senders speak
    #[arg(
        long, value_name = "DURATION", default_value = "10s", env = "CHATAGRAM_DURATION",
        value_parser = positive_duration
    )]
    pub duration: Duration,
    /// What decides when each sender begins, and the chances of --impair
    #[arg(long, default_value_t = 1, env = "CHATAGRAM_SEED")]
    pub seed: u64,
    /// Write records.csv and run.json to this directory, which must be empty or absent;
    /// DIR/records.parquet: the rows as Parquet
    #[arg(
        long, value_name = "DIR", env = "CHATAGRAM_OUT",
        value_parser = PathBufValueParser::new().try_map(Destination::new)
    )]
    pub out: Destination,
    /// What to call the run [default: as the directory]
    #[arg(long, value_name = "RUN", env = "CHATAGRAM_NAME")]
    pub name: Option<String>,
    /// Treat the UDP datagrams of all these clients as a bad network would: 'loss 5%, delay 25ms',
    /// 'wifi' (see README)
    #[arg(long, value_name = "SPEC", env = "CHATAGRAM_IMPAIR")]
    pub impair: Option<Spec>,
    /// Note that the network does this to packets, in a run over one that does: the share lost,
    /// the delay and its variation in milliseconds, the mean length of a burst of losses, such as
    /// 0.05:25:0:1
    #[arg(
        long, value_name = "LOSS:DELAY:JITTER:BURST", env = "CHATAGRAM_CONDITION",
        hide_short_help = true, value_parser = condition
    )]
    pub condition: Option<Condition>,
    /// Note which repetition of the condition this is
    #[arg(
        long, value_name = "N", default_value_t = 1, env = "CHATAGRAM_REPETITION",
        hide_short_help = true, value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub repetition: u32,
}

/// Options of `lab`. What is given goes before the plan's.
#[derive(Debug, Args)]
pub struct LabArgs {
    /// A plan in TOML, see --print-plan [default: a plan of less than two minutes]
    #[arg(value_name = "PLAN.toml", env = "CHATAGRAM_PLAN")]
    pub plan: Option<PathBuf>,
    /// Packets lost each way, in percent: 0,1,5,10
    #[arg(long, value_name = "PERCENT,...", env = "CHATAGRAM_LOSS")]
    pub loss: Option<String>,
    /// One-way delays in milliseconds: 25
    #[arg(long, value_name = "MS,...", env = "CHATAGRAM_DELAY_MS")]
    pub delay_ms: Option<String>,
    /// How far the delay goes to either side, in milliseconds: 0,5
    #[arg(long, value_name = "MS,...", env = "CHATAGRAM_JITTER_MS")]
    pub jitter_ms: Option<String>,
    /// Mean lengths of a burst of losses, in packets; 1: each on its own
    #[arg(long, value_name = "PACKETS,...", env = "CHATAGRAM_BURST")]
    pub burst: Option<String>,
    /// What carries the messages: unreliable, reliable-ordered, reliable-unordered, tcp
    #[arg(long, value_name = "MODE,...", env = "CHATAGRAM_MODES")]
    pub modes: Option<String>,
    /// How often to meet each network, each time with another seed
    #[arg(long, value_name = "N", env = "CHATAGRAM_REPETITIONS")]
    pub repetitions: Option<String>,
    /// How many clients speak
    #[arg(long, value_name = "PEERS", env = "CHATAGRAM_SENDERS")]
    pub senders: Option<String>,
    /// How many clients listen
    #[arg(long, value_name = "PEERS", env = "CHATAGRAM_RECEIVERS")]
    pub receivers: Option<String>,
    /// Messages a second for each sender
    #[arg(long, value_name = "RATE", env = "CHATAGRAM_RATE")]
    pub rate: Option<String>,
    /// Bytes of text in a message
    #[arg(long, value_name = "BYTES", env = "CHATAGRAM_SIZE")]
    pub size: Option<String>,
    /// For how many seconds the senders speak
    #[arg(long, value_name = "SECONDS", env = "CHATAGRAM_DURATION_S")]
    pub duration_s: Option<String>,
    /// Decides everything that is left to chance
    #[arg(long, value_name = "SEED", env = "CHATAGRAM_SEED")]
    pub seed: Option<String>,
    /// Write to this directory
    #[arg(long, value_name = "DIR", default_value = "chatagram-lab", env = "CHATAGRAM_OUT")]
    pub out: PathBuf,
    /// Go on with the lab that is in the directory
    #[arg(long, env = "CHATAGRAM_RESUME", value_parser = FalseyValueParser::new())]
    pub resume: bool,
    /// Print the plan instead of running it
    #[arg(long, env = "CHATAGRAM_PRINT_PLAN", value_parser = FalseyValueParser::new())]
    pub print_plan: bool,
    /// Print the runs instead, for scripts: tabs between the name, the network in the words of
    /// tc-netem, and the arguments of `load`
    #[arg(
        long, env = "CHATAGRAM_PRINT_RUNS", hide_short_help = true,
        value_parser = FalseyValueParser::new()
    )]
    pub print_runs: bool,
}

/// Options of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// A run's directory, such as chatagram-lab/runs/NAME
    #[arg(value_name = "DIR", env = "CHATAGRAM_DIR")]
    pub dir: PathBuf,
    /// What carries the chat this time
    #[arg(long, value_enum, default_value_t, env = "CHATAGRAM_TRANSPORT")]
    pub transport: TransportArg,
    /// How chat lines travel over UDP
    #[arg(long, value_enum, default_value_t, env = "CHATAGRAM_DELIVERY")]
    pub delivery: DeliveryArg,
    /// Write both runs and the report to this directory, which must be empty or absent
    #[arg(long, value_name = "DIR", default_value = "chatagram-replay", env = "CHATAGRAM_OUT")]
    pub out: PathBuf,
}

impl ReplayArgs {
    /// What carries the messages.
    pub fn mode(&self) -> Mode {
        Mode::new(self.transport.into(), self.delivery.into())
    }
}

impl LoadArgs {
    /// The run this describes, against that server.
    pub fn config(&self, server: ServerName, network: &NetworkArgs) -> load::Config {
        load::Config {
            server,
            mode: Mode::new(self.transport.into(), self.delivery.into()),
            no_delay: network.no_delay == Switch::On,
            senders: self.senders,
            receivers: self.receivers,
            rate: self.rate,
            size: self.size,
            duration: self.duration,
            seed: self.seed,
            out: self.out.dir.clone(),
            format: self.out.format,
            name: self
                .name
                .clone()
                .or_else(|| self.out.name())
                .unwrap_or_else(|| "load".to_owned()),
            condition: self.condition,
            impair: self.impair.clone().map(|spec| BadNetwork { spec, seed: self.seed }),
            repetition: self.repetition,
        }
    }
}

impl LabArgs {
    /// The plan this describes, from the text of the plan's file if there is one; `None` if nothing
    /// was asked for. Options are put into the plan as lines of it: one grammar, one set of limits.
    ///
    /// # Errors
    /// The plan's, and those of an option, by name.
    pub fn plan(&self, file: Option<&str>) -> Result<Option<Plan>, String> {
        let list = |text: &str| format!("[{text}]");
        let words = |text: &str| {
            let quoted: Vec<_> = text.split(',').map(|word| format!("{:?}", word.trim())).collect();
            format!("[{}]", quoted.join(", "))
        };
        let itself = |text: &str| text.to_owned();
        type Write<'a> = &'a dyn Fn(&str) -> String;
        let options: [(&str, &Option<String>, Write<'_>); 12] = [
            ("loss", &self.loss, &list),
            ("delay_ms", &self.delay_ms, &list),
            ("jitter_ms", &self.jitter_ms, &list),
            ("burst", &self.burst, &list),
            ("modes", &self.modes, &words),
            ("repetitions", &self.repetitions, &itself),
            ("senders", &self.senders, &itself),
            ("receivers", &self.receivers, &itself),
            ("rate", &self.rate, &itself),
            ("size", &self.size, &itself),
            ("duration_s", &self.duration_s, &itself),
            ("seed", &self.seed, &itself),
        ];
        let mut plan = file.map(Plan::parse).transpose().map_err(|error| error.to_string())?;
        for (key, text, write) in options {
            let Some(text) = text else { continue };
            let line = format!("{key} = {}", write(text));
            let base = plan.take().unwrap_or_default();
            plan = Some(
                base.with(&line)
                    .map_err(|error| format!("--{} {text}: {error}", key.replace('_', "-")))?,
            );
        }
        Ok(plan)
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.01..=100_000.0).contains(rate));
    rate.ok_or_else(|| "must be between 0.01 and 100000 messages a second".to_owned())
}

fn condition(text: &str) -> Result<Condition, String> {
    let numbers: Vec<f64> = text.split(':').map_while(|number| number.parse().ok()).collect();
    match (<[f64; 4]>::try_from(numbers), text.split(':').count()) {
        (Ok([loss, delay_ms, jitter_ms, burst]), 4)
            if (0.0..=1.0).contains(&loss)
                && (0.0..f64::INFINITY).contains(&delay_ms)
                && (0.0..f64::INFINITY).contains(&jitter_ms)
                && (1.0..f64::INFINITY).contains(&burst) =>
        {
            Ok(Condition { loss, delay_ms, jitter_ms, burst })
        }
        _ => Err("write it as LOSS:DELAY:JITTER:BURST, such as 0.05:25:0:1: a share from 0 to 1, \
                  two times in milliseconds, and packets, 1 at least"
            .to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_four_numbers_that_make_sense() {
        let meant = Condition { loss: 0.05, delay_ms: 25.0, jitter_ms: 0.5, burst: 1.0 };
        assert_eq!(condition("0.05:25:0.5:1"), Ok(meant));
        for wrong in ["", "0.05", "0.05:25:0", "1.2:25:0:1", "0:-1:0:1", "0:1:0:0", "0:1:0:1:"] {
            assert!(condition(wrong).is_err(), "{wrong}");
        }
        assert!(rate("0").is_err() && rate("nan").is_err() && rate("0.5") == Ok(0.5));
    }
}
