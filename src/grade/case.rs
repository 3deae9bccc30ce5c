//! The case of a seed: names, texts, and which datagrams are lost.

use super::plan::{Bounded, Choices, Network};
use hmac::{Hmac, KeyInit, Mac};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// Words of the texts, unless a plan has others.
pub(super) const WORDS: [&str; 16] = [
    "amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "heron", "indigo", "juniper",
    "kelp", "lotus", "maple", "nectar", "onyx", "pine",
];
/// Names of several scripts; none looks like another.
pub(super) const NAMES: [&str; 8] =
    ["Zoë", "Дмитрий", "Ελένη", "דניאל", "ราชา", "健太", "지훈", "वीरेन्द्र"];

/// The case of one scenario.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// The client's name, as it is given on its command line.
    pub(super) name: &'static str,
    /// The teacher's name.
    pub(super) teacher: &'static str,
    /// Seed of the hub and of the teacher.
    pub(super) seed: [u8; 32],
    words: u64,
    choices: Choices,
}

impl Case {
    /// The case of this scenario for this seed: the same arguments have the same case.
    pub(super) fn new(seed: u64, scenario: &str, repetition: u32, choices: &Choices) -> Self {
        let mut digest = Sha256::new().chain_update(seed.to_be_bytes()).chain_update(scenario);
        if repetition > 0 {
            digest = digest.chain_update([0]).chain_update(repetition.to_be_bytes());
        }
        let mut rng = ChaCha20Rng::from_seed(digest.finalize().into());
        let names = &choices.names;
        let name = below(&mut rng, names.len());
        let teacher = (name + 1 + below(&mut rng, names.len() - 1)) % names.len();
        let (name, teacher) = (names[name], names[teacher]);
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        Self { name, teacher, seed, words: rng.next_u64(), choices: choices.clone() }
    }

    /// The text number `n` of this kind: unlike every other text of this case.
    pub(super) fn text(&self, kind: &str, n: usize) -> String {
        let digest = Sha256::new().chain_update(self.words.to_be_bytes()).chain_update(kind);
        let digest = digest.chain_update(n.to_be_bytes()).finalize();
        let words = &self.choices.words;
        let word = |i: usize| words[usize::from(digest[i]) % words.len()];
        format!("{kind}{n} {} {} {:02x}{:02x}", word(0), word(1), digest[2], digest[3])
    }

    /// A number from `low` to `high`, for this purpose.
    pub(super) fn number(&self, purpose: &str, low: usize, high: usize) -> usize {
        let digest = Sha256::new().chain_update(self.seed).chain_update(purpose).finalize();
        low + usize::from(digest[0]) % (high + 1 - low)
    }

    /// The number that the plan has for this purpose, or one of the seed's in the same range.
    pub(super) fn chosen<const LOW: usize, const HIGH: usize>(
        &self,
        purpose: &str,
        plan: fn(&Network) -> Option<Bounded<LOW, HIGH>>,
    ) -> usize {
        plan(&self.choices.network).map_or_else(|| self.number(purpose, LOW, HIGH), |it| it.0)
    }
}

fn below(rng: &mut ChaCha20Rng, limit: usize) -> usize {
    (rng.next_u64() % limit as u64) as usize
}

/// The seed of a student: a function of the course's key and the student's id, which nobody without
/// the key can compute.
#[must_use]
pub fn seed_of(key: &[u8], student: &str) -> u64 {
    // A key of any length is one (RFC 2104 §2).
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return 0 };
    mac.update(student.as_bytes());
    let bytes = mac.finalize().into_bytes();
    bytes.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte))
}
