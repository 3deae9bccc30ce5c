//! The fate of one packet, and the rule that decided it.

use super::spec::{Profile, Rate, Time};
use super::{DEFAULT_LIMIT, Direction};
use std::fmt;
use std::time::Duration;

/// The fate of a packet that has entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is lost.
    Lost(Cause),
    /// It is dropped because the queue is full.
    Overflowed,
    /// It leaves.
    Forwarded {
        /// The time until it leaves, with the time in the queue.
        delay: Duration,
        /// The bit that is flipped; bit 0 is the least significant bit of the first byte.
        flipped: Option<u64>,
        /// The time until its copy leaves; `Some(None)` if the queue is too full for the copy.
        copy: Option<Option<Duration>>,
    },
}

/// The rule that loses a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Random loss.
    Chance,
    /// The list of packets to drop.
    Listed,
    /// Every nth.
    Every,
    /// The blackhole with this position in the profile.
    Blackhole(usize),
}

/// A packet that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    /// Its index.
    pub index: u64,
    /// True for the copy that duplication made.
    pub is_copy: bool,
    /// The time since it entered.
    pub delay: Duration,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

impl Profile {
    /// A sentence about packet `index`, with the rule in the words of the impairment's text: `up
    /// 17: dropped by 'loss 5%'`.
    #[must_use]
    pub fn explain(&self, direction: Direction, index: u64, fate: &Fate) -> String {
        let what = match fate {
            Fate::Lost(cause) => format!("dropped by '{}'", self.rule(*cause, index)),
            Fate::Overflowed => format!("dropped, queue full: '{}'", self.queue()),
            Fate::Forwarded { delay, flipped, copy } => {
                let flipped = flipped.map(|bit| format!("corrupted (bit {bit}), "));
                let copy = copy.map(|copy| match copy {
                    Some(delay) => format!(", duplicated: the copy leaves after {}", Time(delay)),
                    None => format!(", duplicated: no room for the copy: '{}'", self.queue()),
                });
                let [flipped, copy] = [flipped, copy].map(Option::unwrap_or_default);
                format!("{flipped}leaves after {}{copy}", Time(*delay))
            }
        };
        format!("{direction} {index}: {what}")
    }

    fn rule(&self, cause: Cause, index: u64) -> String {
        match cause {
            Cause::Chance => self.loss.to_string(),
            Cause::Listed => format!("drop {index}"),
            Cause::Every => self.every.map(|n| format!("every {n}")).unwrap_or_default(),
            Cause::Blackhole(at) => {
                let window = self.blackholes.get(at).cloned().unwrap_or_default();
                format!("blackhole {}-{}", Time(window.start), Time(window.end))
            }
        }
    }

    /// The rules that bound the queue.
    fn queue(&self) -> String {
        match self.rate {
            Some(rate) => {
                format!("rate {}, limit {}", Rate(rate), self.limit.unwrap_or(DEFAULT_LIMIT))
            }
            None => format!("at most {} packets held", super::MAX_HELD),
        }
    }
}

impl Departure {
    /// A sentence about the packet: `up 17: left after 25ms`.
    #[must_use]
    pub fn explain(&self, direction: Direction) -> String {
        let Self { index, is_copy, delay } = self;
        let copy = if *is_copy { "copy " } else { "" };
        format!("{direction} {index}: {copy}left after {}", Time(*delay))
    }
}

#[cfg(test)]
mod tests {
    use crate::impair::{Departure, Direction, Impairment, Spec};
    use crate::time::Timestamp;
    use std::time::Duration;

    /// The fates of the first `count` packets, one each millisecond, in a network of this text.
    fn said(text: &str, count: u64) -> Vec<String> {
        let spec: Spec = text.parse().unwrap();
        let mut network = Impairment::new(&spec.up, 1, Direction::Up);
        let push = |index| {
            let fate = network.push(vec![0_u8; 100], Timestamp::from_micros(index * 1_000));
            spec.up.explain(Direction::Up, index, &fate)
        };
        (0..count).map(push).collect()
    }

    #[test]
    fn each_rule_is_named_in_the_words_of_the_impairment() {
        assert_eq!(said("loss 100%", 1), ["up 0: dropped by 'loss 100%'"]);
        assert_eq!(said("gilbert 100% 1%", 1), ["up 0: dropped by 'gilbert 100% 1%'"]);
        assert_eq!(
            said("drop 1, every 3, blackhole 3ms-4ms, delay 2ms", 4),
            [
                "up 0: leaves after 2ms",
                "up 1: dropped by 'drop 1'",
                "up 2: dropped by 'every 3'",
                "up 3: dropped by 'blackhole 3ms-4ms'",
            ]
        );
        assert_eq!(
            said("rate 8kbit, limit 2", 3),
            [
                "up 0: leaves after 100ms",
                "up 1: leaves after 199ms",
                "up 2: dropped, queue full: 'rate 8kbit, limit 2'",
            ]
        );
        let copied = said("corrupt 100%, duplicate 100%, delay 5ms, rate 8kbit, limit 3", 2);
        let bit = copied[0].split(['(', ')']).nth(1).unwrap();
        assert_eq!(
            copied[0],
            format!(
                "up 0: corrupted ({bit}), leaves after 105ms, duplicated: the copy leaves after \
                 205ms"
            )
        );
        assert!(copied[1].ends_with("no room for the copy: 'rate 8kbit, limit 3'"), "{copied:?}");
    }

    #[test]
    fn a_departure_tells_packet_copy_and_delay() {
        let spec: Spec = "duplicate 100%, delay 5ms".parse().unwrap();
        let mut network = Impairment::new(&spec.up, 1, Direction::Down);
        let at = Timestamp::from_micros;
        network.push(vec![7_u8], at(0));
        let first = network.depart(at(5_200)).unwrap();
        assert_eq!(first.0, [7]);
        assert_eq!(first.1.explain(Direction::Down), "down 0: left after 5.2ms");
        let copy = network.depart(at(6_000)).unwrap().1;
        let delay = Duration::from_millis(6);
        assert_eq!(copy, Departure { index: 0, is_copy: true, delay });
        assert_eq!(copy.explain(Direction::Down), "down 0: copy left after 6ms");
        assert_eq!(network.depart(at(7_000)), None);
    }
}
