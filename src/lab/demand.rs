//! What a load asks of a path, beside what the path carries.

use super::plan::{Plan, bits};
use crate::impair::Spec;
use std::collections::BTreeSet;
use std::fmt;

/// Bytes of headers with the text of a message: 28 of IP and UDP, and 55 of the datagram, its frame
/// and the message (`proto.md` §3). TCP and QUIC take about as many. A message on its way down has
/// the speaker's name and its position in the log too, which this leaves out.
const HEADERS: u64 = 83;
/// Limit on the warnings for one plan.
const MAX_WARNINGS: usize = 5;

/// The messages of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand {
    /// Number of sending peers.
    pub senders: u32,
    /// Number of receiving peers.
    pub receivers: u32,
    /// Messages per second and sender.
    pub rate: f64,
    /// Bytes of text in a message.
    pub size: u32,
}

impl Demand {
    /// The directions of this network that carry less than the messages alone need.
    /// Acknowledgments, copies and what is sent again come on top.
    #[must_use]
    pub fn beyond(self, spec: &Spec) -> Vec<Shortage> {
        // The server sends a message to everyone but its sender.
        let others = self.senders.saturating_add(self.receivers).saturating_sub(1);
        let ways = [("up", &spec.up, 1), ("down", &spec.down, others)];
        let shortage = |(way, profile, copies): (_, &crate::impair::Profile, _)| {
            let carries = profile.rate?;
            let shortage = Shortage { demand: self, way, copies, carries };
            (shortage.asks() > carries as f64).then_some(shortage)
        };
        ways.into_iter().filter_map(shortage).collect()
    }
}

/// A direction that carries less than the load asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shortage {
    demand: Demand,
    way: &'static str,
    /// Packets for each message.
    copies: u32,
    /// Bits per second.
    carries: u64,
}

impl Shortage {
    /// Bits per second.
    fn asks(&self) -> f64 {
        self.demand.rate * self.bits_for_each()
    }

    /// Bits for one message of each sender.
    fn bits_for_each(&self) -> f64 {
        let bytes = (u64::from(self.demand.size) + HEADERS) as f64;
        f64::from(self.demand.senders) * f64::from(self.copies) * bytes * 8.0
    }
}

/// The arithmetic, and the way out.
impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { demand: Demand { senders, rate, size, .. }, way, copies, carries } = self;
        let most = (*carries as f64 / self.bits_for_each() * 100.0).floor() / 100.0;
        write!(
            f,
            "{} {way} carries less than the load asks for, {}: {rate} messages/s × {} × {} × \
             ({size} + {HEADERS} bytes of headers) × 8 bits. The run measures a full queue; ",
            bits(*carries),
            bits(self.asks().round() as u64),
            several(*senders, "sender"),
            several(*copies, "peer"),
        )?;
        if most >= 0.01 {
            write!(f, "use --rate {most} or less, or more bandwidth")
        } else {
            f.write_str("use more bandwidth")
        }
    }
}

fn several(count: u32, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl Plan {
    /// Warnings of paths that carry less than the load, each once. Empty for a plan that cannot be
    /// run.
    #[must_use]
    pub fn shortages(&self) -> Vec<String> {
        let (senders, receivers) = (self.senders, self.receivers);
        let trials = self.trials().unwrap_or_default();
        let mut seen = BTreeSet::new();
        let all = trials.iter().filter(|trial| trial.repetition == 1).flat_map(|trial| {
            Demand { senders, receivers, rate: trial.rate, size: trial.size }.beyond(&trial.spec)
        });
        // Networks that differ only in their losses ask for the same.
        let mut warnings: Vec<_> =
            all.map(|it| it.to_string()).filter(|it| seen.insert(it.clone())).collect();
        let more = warnings.len().saturating_sub(MAX_WARNINGS);
        warnings.truncate(MAX_WARNINGS);
        if more > 0 {
            warnings.push(format!("{more} more paths of the plan carry less than their load"));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_has_the_arithmetic_of_each_direction_and_a_rate_that_fits() {
        // 10/s × 2 × (117 + 83) bytes × 8 are 32 kbit/s up; each goes to four others.
        let demand = Demand { senders: 2, receivers: 3, rate: 10.0, size: 117 };
        let beyond = |spec: &str| -> Vec<_> {
            demand.beyond(&spec.parse().unwrap()).iter().map(ToString::to_string).collect()
        };
        for enough in ["none", "loss 5%", "rate 128kbit", "up: rate 32kbit; down: rate 128kbit"] {
            assert!(beyond(enough).is_empty(), "{enough}");
        }
        let [down] = &beyond("rate 64kbit")[..] else { panic!("{:?}", beyond("rate 64kbit")) };
        for part in [
            "64kbit down",
            "asks for, 128kbit: 10 messages/s × 2 senders × 4 peers",
            "(117 + 83 bytes of headers) × 8 bits",
            "--rate 5 or less",
        ] {
            assert!(down.contains(part), "{part}: {down}");
        }
        let slower = Demand { rate: 5.0, ..demand };
        assert!(slower.beyond(&"rate 64kbit".parse().unwrap()).is_empty());
        assert_eq!(beyond("rate 31kbit").len(), 2);
        assert!(beyond("rate 1bit").iter().all(|it| it.ends_with("use more bandwidth")));
    }

    #[test]
    fn a_plan_warns_once_of_each_path_and_not_of_losses() {
        assert!(Plan::default().shortages().is_empty());
        let narrow = |rates: &str| {
            let text = format!("bandwidth = \"{rates}\"\nloss = [0, 1, 5]\nrepetitions = 2");
            Plan::parse(&text).unwrap().shortages()
        };
        // 50 × (64 + 83) × 8 = 58,800, the same up and down.
        assert_eq!(narrow("off,58800bit"), [""; 0]);
        assert_eq!(narrow("off,58799bit").len(), 2);
        let many = narrow("1kbit,2kbit,3kbit,4kbit");
        assert_eq!(many.len(), 6);
        assert_eq!(many[5], "3 more paths of the plan carry less than their load");
    }
}
