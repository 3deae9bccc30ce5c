//! Chance that depends on nothing but its place: no state, so no order of calls and no thread can
//! move it.
//!
//! # The generator, for whoever writes it again
//!
//! All arithmetic is on unsigned 64-bit integers and wraps. SplitMix64 (Steele, Lea and Flood, "Fast
//! splittable pseudorandom number generators", OOPSLA 2014) yields, from a state `s`, as its `n`-th
//! output (`n` from 0):
//!
//! ```text
//! split(s, n):  z = s + (n + 1) * 0x9e3779b97f4a7c15
//!               z = (z xor (z >> 30)) * 0xbf58476d1ce4e5b9
//!               z = (z xor (z >> 27)) * 0x94d049bb133111eb
//!               return z xor (z >> 31)
//! ```
//!
//! Each purpose in each direction has its own generator, seeded by one output of the generator of the
//! run's seed; packet `index` (from 0) takes the output of that number:
//!
//! ```text
//! draw(seed, direction, purpose, index) = split(split(seed, 16 * direction + purpose), index)
//! ```
//!
//! with direction up = 0, down = 1 and the numbers of [`Purpose`]. A draw becomes an integer below
//! `limit` as `floor(draw * limit / 2^64)` (128-bit product), and an event of share `x` happens when
//! the integer below 10^9 is less than `x` in billionths. No floating point is involved.
//!
//! Golden vectors: `tests/vectors/impair.txt`.

use super::{Direction, Share};

/// What a draw decides. Each has a stream of its own, so asking for duplicates does not move losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// 0: is the packet lost (given the state, if the model has states)?
    Loss = 0,
    /// 1: the step of the Gilbert-Elliott chain.
    State = 1,
    /// 2: the packet's place in the jitter.
    Jitter = 2,
    /// 3: the place of its copy in the jitter.
    CopyJitter = 3,
    /// 4: is the packet duplicated?
    Duplicate = 4,
    /// 5: is the packet damaged?
    Corrupt = 5,
    /// 6: the bit that is flipped.
    Bit = 6,
}

/// The draws of one purpose in one direction.
#[derive(Clone, Copy, Debug)]
pub struct Stream(u64);

impl Stream {
    /// The stream that belongs to `seed`, `direction` and `purpose`.
    pub const fn new(seed: u64, direction: Direction, purpose: Purpose) -> Self {
        Self(split(seed, 16 * direction as u64 + purpose as u64))
    }

    /// 64 uniform bits for packet `index`.
    pub const fn draw(self, index: u64) -> u64 {
        split(self.0, index)
    }

    /// A uniform integer below `limit` for packet `index`; 0 if `limit` is 0.
    pub const fn below(self, index: u64, limit: u64) -> u64 {
        ((self.draw(index) as u128 * limit as u128) >> 64) as u64
    }

    /// Whether an event of this share happens to packet `index`.
    pub const fn happens(self, index: u64, share: Share) -> bool {
        self.below(index, Share::ALL.billionths() as u64) < share.billionths() as u64
    }
}

const fn split(state: u64, n: u64) -> u64 {
    let z = state.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The outputs of the reference implementation (Vigna, splitmix64.c) from the state 1234567.
    #[test]
    fn it_is_splitmix64() {
        let outputs = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        for (n, output) in (0..).zip(outputs) {
            assert_eq!(split(1_234_567, n), output);
        }
    }

    #[test]
    fn nothing_never_happens_and_all_always() {
        let stream = Stream::new(1, Direction::Up, Purpose::Loss);
        assert!((0..1_000).all(|i| stream.happens(i, Share::ALL)));
        assert!(!(0..1_000).any(|i| stream.happens(i, Share::NONE)));
        assert_eq!(stream.below(3, 0), 0);
    }
}
