//! The networks and loads of a plan, and the names of their runs.

use super::{Plan, bits, round};
use crate::impair::{Spec, SpecError};
use crate::lab::record::Condition;

/// A network, the messages per second of a sender, and their size.
type Case = (Condition, f64, u32);

impl Plan {
    /// Every combination. An unlimited bandwidth has no queue, so it is measured once.
    pub(super) fn cases(&self) -> Vec<Case> {
        let all = Condition::default();
        let conditions = each(&[all], &self.loss, |c, loss| Condition { loss: loss / 100.0, ..c });
        let conditions = each(&conditions, &self.delay_ms, |c, it| Condition { delay_ms: it, ..c });
        let conditions =
            each(&conditions, &self.jitter_ms, |c, it| Condition { jitter_ms: it, ..c });
        let conditions = each(&conditions, &self.burst, |c, burst| Condition { burst, ..c });
        let conditions =
            each(&conditions, &self.bandwidth, |c, it| Condition { bandwidth: it.bits(), ..c });
        let mut conditions = each(&conditions, &self.queue, |c, queue| Condition {
            queue: c.bandwidth.map(|_| queue),
            ..c
        });
        conditions.dedup();
        let loads = each(&conditions, &self.rate, |c, rate| (c, rate));
        each(&loads, &self.size, |(c, rate), size| (c, rate, size))
    }

    /// The names of a trial's runs up to the variant.
    pub(super) fn name(&self, condition: &Condition, rate: f64, size: u32) -> String {
        let Condition { loss, delay_ms, jitter_ms, burst, bandwidth, queue } = condition;
        let loss = round(loss * 100.0);
        let mut name = format!("loss{loss}-delay{delay_ms}-jitter{jitter_ms}-burst{burst}");
        if let Some(bandwidth) = bandwidth {
            name += &format!("-{}-queue{}", bits(*bandwidth), queue.unwrap_or_default());
        }
        if self.rate.len() > 1 {
            name += &format!("-rate{rate}");
        }
        if self.size.len() > 1 {
            name += &format!("-size{size}");
        }
        name
    }
}

/// Each of `left` with each of `right`.
fn each<A: Copy, B: Copy, C>(left: &[A], right: &[B], join: impl Fn(A, B) -> C) -> Vec<C> {
    left.iter().flat_map(|&a| right.iter().map(move |&b| (a, b))).map(|(a, b)| join(a, b)).collect()
}

/// The condition as the emulated network's configuration, the same in both directions.
pub(super) fn spec(condition: &Condition) -> Result<Spec, SpecError> {
    let Condition { loss, delay_ms, jitter_ms, burst, bandwidth, queue } = condition;
    let mut text = format!("loss {}%", round(loss * 100.0));
    if *burst > 1.0 && *loss > 0.0 {
        text.push_str(&format!(" burst {burst}"));
    }
    text.push_str(&format!(", delay {delay_ms}ms, jitter {jitter_ms}ms"));
    if let Some(bandwidth) = bandwidth {
        text.push_str(&format!(", rate {bandwidth}bit"));
    }
    if let Some(queue) = queue {
        text.push_str(&format!(", limit {queue}"));
    }
    text.parse()
}
