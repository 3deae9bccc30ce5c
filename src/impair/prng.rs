//! Stateless random numbers: a draw depends only on its place, not on the order of calls or on
//! threads.
//!
//! # The generator
//!
//! All arithmetic is on unsigned 64-bit integers and wraps. SplitMix64 (Steele, Lea and Flood,
//! "Fast splittable pseudorandom number generators", OOPSLA 2014) returns, from a state `s`, as its
//! `n`-th output (`n` from 0):
//!
//! ```text
//! split(s, n):  z = s + (n + 1) * 0x9e3779b97f4a7c15
//!               z = (z xor (z >> 30)) * 0xbf58476d1ce4e5b9
//!               z = (z xor (z >> 27)) * 0x94d049bb133111eb
//!               return z xor (z >> 31)
//! ```
//!
//! Each purpose in each direction has its own generator, seeded by one output of the generator of
//! the run's seed. Packet `index` (from 0) takes the output of that number:
//!
//! ```text
//! draw(seed, direction, purpose, index) = split(split(seed, 16 * direction + purpose), index)
//! ```
//!
//! with direction up = 0, down = 1 and the numbers of [`Purpose`]. A draw maps to an integer below
//! `limit` as `floor(draw * limit / 2^64)` (128-bit product). An event of probability `x` happens
//! if the integer below 10^9 is less than `x` in billionths. No floating point is involved.
//!
//! Golden vectors: `tests/vectors/impair.txt`.

use super::{Direction, Share};

/// The purpose of a draw. Each has its own stream, so that enabling duplicates does not change
/// losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// 0: is the packet lost, given the chain's state?
    Loss = 0,
    /// 1: the step of the Gilbert-Elliott chain.
    State = 1,
    /// 2: the packet's offset within the jitter.
    Jitter = 2,
    /// 3: its copy's offset within the jitter.
    CopyJitter = 3,
    /// 4: is the packet duplicated?
    Duplicate = 4,
    /// 5: does the packet get a bit error?
    Corrupt = 5,
    /// 6: the bit to flip.
    Bit = 6,
}

/// The draws for one purpose in one direction.
#[derive(Clone, Copy, Debug)]
pub struct Stream(u64);

impl Stream {
    /// The stream of `seed`, `direction` and `purpose`.
    #[must_use]
    pub const fn new(seed: u64, direction: Direction, purpose: Purpose) -> Self {
        Self(split(seed, 16 * direction as u64 + purpose as u64))
    }

    /// 64 uniform bits for packet `index`.
    #[must_use]
    pub const fn draw(self, index: u64) -> u64 {
        split(self.0, index)
    }

    /// A uniform integer below `limit` for packet `index`; 0 if `limit` is 0.
    #[must_use]
    pub const fn below(self, index: u64, limit: u64) -> u64 {
        ((self.draw(index) as u128 * limit as u128) >> 64) as u64
    }

    /// Returns true if an event of this probability happens to packet `index`.
    #[must_use]
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
    fn probability_0_never_happens_and_1_always() {
        let stream = Stream::new(1, Direction::Up, Purpose::Loss);
        assert!((0..1_000).all(|i| stream.happens(i, Share::ALL)));
        assert!(!(0..1_000).any(|i| stream.happens(i, Share::NONE)));
        assert_eq!(stream.below(3, 0), 0);
    }
}
