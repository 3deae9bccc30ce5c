//! The parameters of a condition: runs that differ in one of them share no mean.

use super::percent;
use crate::lab::plan::bits;
use crate::lab::record::{Condition, Emulation, RunInfo};
use serde::Serialize;
use std::cmp::Ordering;

/// The parameters that all repetitions of a condition share.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// The condition; `None` for a run of `load` without `--condition`.
    pub condition: Option<Condition>,
    /// The impairment's text, for a run without a condition.
    pub impair: Option<String>,
    /// The mechanism of the impairment.
    pub emulation: Option<Emulation>,
    /// Number of sending peers.
    pub senders: u32,
    /// Number of receiving peers.
    pub receivers: u32,
    /// Messages per second and sender.
    pub rate: f64,
    /// Bytes of text in a message.
    pub size: u32,
    /// How long the senders sent, in seconds.
    pub duration_s: f64,
}

impl Setting {
    /// The setting of a run.
    #[must_use]
    pub fn of(info: &RunInfo) -> Self {
        Self {
            condition: info.condition,
            impair: info.impair.clone().filter(|_| info.condition.is_none()),
            emulation: info.emulation,
            senders: info.senders,
            receivers: info.receivers,
            rate: info.rate,
            size: info.size,
            duration_s: info.duration_s,
        }
    }

    /// The condition as a heading, then each other parameter that differs among the settings.
    pub(super) fn title(&self, differing: &Differing) -> String {
        let mut title = match (self.condition, &self.impair) {
            (Some(it), _) => format!("{} % loss, {} ms delay", percent(it.loss), it.delay_ms),
            (None, Some(impair)) => format!("impaired: {impair}"),
            (None, None) => "unimpaired".to_owned(),
        };
        let condition = self.condition.unwrap_or_default();
        if condition.jitter_ms != 0.0 {
            title += &format!(", {} ms jitter", condition.jitter_ms);
        }
        if condition.burst > 1.0 {
            title += &format!(", bursts of {}", condition.burst);
        }
        if let Some(bandwidth) = condition.bandwidth {
            title += &format!(", {}/s", bits(bandwidth));
        }
        if let Some(queue) = condition.queue {
            title += &format!(", queue of {queue}");
        }
        for (shown, value) in differing.0.iter().zip(self.others()) {
            if *shown {
                title += &format!(", {value}");
            }
        }
        title
    }

    /// The parameters beside the condition, as parts of a heading.
    fn others(&self) -> [String; 6] {
        let plural = |n: u32, one| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
        [
            plural(self.senders, "sender"),
            plural(self.receivers, "receiver"),
            format!("{} messages a second", self.rate),
            plural(self.size, "byte"),
            format!("{} s", self.duration_s),
            self.emulation.map_or("no emulation", Emulation::name).to_owned(),
        ]
    }

    /// A total order in which the losses of otherwise equal settings ascend.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let key = |it: &Self| {
            let c = it.condition.unwrap_or_default();
            let emulation = f64::from(it.emulation.map_or(0, |it| it as u8 + 1));
            let has_condition = f64::from(u8::from(it.condition.is_some()));
            let bandwidth = c.bandwidth.map_or(f64::MAX, |it| it as f64);
            let queue = f64::from(c.queue.unwrap_or(0));
            let network = [c.delay_ms, c.jitter_ms, c.burst, bandwidth, queue];
            let network = network.into_iter().chain([has_condition, emulation]);
            let load = [it.rate, it.size.into(), it.duration_s];
            let peers = [it.senders.into(), it.receivers.into()];
            network.chain(load).chain(peers).chain([c.loss])
        };
        let order = key(self).zip(key(other)).map(|(a, b)| a.total_cmp(&b));
        order.fold(Ordering::Equal, Ordering::then).then_with(|| self.impair.cmp(&other.impair))
    }
}

/// The parameters of [`Setting::others`] that differ among settings.
pub(super) struct Differing([bool; 6]);

impl Differing {
    pub(super) fn among(settings: &[Setting]) -> Self {
        let mut differing = [false; 6];
        let first = settings.first().map(Setting::others);
        for (one, first) in settings.iter().map(Setting::others).zip(first.iter().cycle()) {
            for (differs, (a, b)) in differing.iter_mut().zip(one.iter().zip(first)) {
                *differs |= a != b;
            }
        }
        Self(differing)
    }
}
