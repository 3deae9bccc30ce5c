//! Loss: random, by list, every nth, or in a time window.

use super::prng::{Purpose, Stream};
use super::{Cause, Direction, Loss, Profile, Share};
use std::time::Duration;

/// Decides about the packets of one direction, in order. Each cause alone suffices.
#[derive(Clone, Debug)]
pub(super) struct Losses {
    profile: Profile,
    chain: Chain,
    chance: Stream,
    state: Stream,
}

/// The Gilbert-Elliott chain: two states, each with a loss rate. Independent loss is a chain that
/// stays in the good state.
#[derive(Clone, Copy, Debug)]
struct Chain {
    /// Probability of good to bad.
    p: Share,
    /// Probability of bad to good.
    r: Share,
    /// Loss rate in the bad state.
    bad: Share,
    /// Loss rate in the good state.
    good: Share,
    /// The state at the previous packet; `None` before the first.
    was_bad: Option<bool>,
}

impl Losses {
    pub(super) fn new(profile: &Profile, seed: u64, direction: Direction) -> Self {
        Self {
            profile: profile.clone(),
            chain: Chain::new(profile.loss),
            chance: Stream::new(seed, direction, Purpose::Loss),
            state: Stream::new(seed, direction, Purpose::State),
        }
    }

    /// The first cause by which packet `index`, which enters `elapsed` after the first, is lost.
    /// Call it once per packet, in order: the chain advances here, even if another cause loses the
    /// packet.
    pub(super) fn cause(&mut self, index: u64, elapsed: Duration) -> Option<Cause> {
        let share = self.chain.step(self.state, index);
        let Profile { drop, every, blackholes, .. } = &self.profile;
        if self.chance.happens(index, share) {
            Some(Cause::Chance)
        } else if drop.contains(index) {
            Some(Cause::Listed)
        } else if every.is_some_and(|n| (index % n) == n.get() - 1) {
            Some(Cause::Every)
        } else {
            blackholes.iter().position(|it| it.contains(&elapsed)).map(Cause::Blackhole)
        }
    }
}

impl Chain {
    fn new(loss: Loss) -> Self {
        let (p, r, bad, good) = match loss {
            Loss::Independent(share) => (Share::NONE, Share::NONE, Share::NONE, share),
            Loss::Burst { loss, mean } => {
                let (p, r) = mean.chain(loss);
                (p, r, Share::ALL, Share::NONE)
            }
            Loss::Gilbert { p, r, bad, good } => (p, r, bad, good),
        };
        Self { p, r, bad, good, was_bad: None }
    }

    /// Advances the chain and returns the loss rate in the new state. At the first packet the chain
    /// has its stationary distribution, bad with probability p/(p+r), so short runs are not biased
    /// towards good.
    fn step(&mut self, stream: Stream, index: u64) -> Share {
        let (p, r) = (u64::from(self.p.billionths()), u64::from(self.r.billionths()));
        let bad = match self.was_bad {
            None => stream.below(index, p + r) < p,
            Some(false) => stream.happens(index, self.p),
            Some(true) => !stream.happens(index, self.r),
        };
        self.was_bad = Some(bad);
        if bad { self.bad } else { self.good }
    }
}
