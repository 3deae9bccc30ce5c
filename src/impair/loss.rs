//! Which packets are lost: chance, a list, every nth, or a window of time.

use super::prng::{Purpose, Stream};
use super::{Direction, Loss, Profile, Share};
use std::time::Duration;

/// Decides about the packets of one direction, one after the other. Any reason is enough.
#[derive(Clone, Debug)]
pub(super) struct Losses {
    profile: Profile,
    chain: Chain,
    chance: Stream,
    state: Stream,
}

/// The Gilbert-Elliott chain: two states, each with its share of loss. Independent loss is the chain
/// that never leaves the good one.
#[derive(Clone, Copy, Debug)]
struct Chain {
    /// From good to bad.
    p: Share,
    /// From bad to good.
    r: Share,
    /// Loss in the bad state.
    bad: Share,
    /// Loss in the good state.
    good: Share,
    /// The state of the packet before this one; there is none before the first.
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

    /// Whether packet `index`, which enters `elapsed` after the first, is lost. To be asked once for
    /// each packet, in order: the chain takes its step here, whatever the other reasons say.
    pub(super) fn takes(&mut self, index: u64, elapsed: Duration) -> bool {
        let share = self.chain.step(self.state, index);
        self.chance.happens(index, share)
            || self.profile.drop.contains(index)
            || self.profile.every.is_some_and(|n| (index % n) == n.get() - 1)
            || self.profile.blackholes.iter().any(|window| window.contains(&elapsed))
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

    /// One step; the share of loss in the new state. The first packet finds the chain in its
    /// stationary distribution, bad with probability p/(p+r): a short run has no bias towards good.
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
