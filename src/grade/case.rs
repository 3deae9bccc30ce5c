//! The case of a seed: names, texts, and which datagrams are lost.

use hmac::{Hmac, KeyInit, Mac};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// Words of the texts.
const WORDS: [&str; 16] = [
    "amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "heron", "indigo", "juniper",
    "kelp", "lotus", "maple", "nectar", "onyx", "pine",
];
/// Names of several scripts; none looks like another.
const NAMES: [&str; 8] = ["Zoë", "Дмитрий", "Ελένη", "דניאל", "ราชา", "健太", "지훈", "वीरेन्द्र"];

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
}

impl Case {
    /// The case of this scenario for this seed: the same pair has the same case.
    pub(super) fn new(seed: u64, scenario: &str) -> Self {
        let digest = Sha256::new().chain_update(seed.to_be_bytes()).chain_update(scenario);
        let mut rng = ChaCha20Rng::from_seed(digest.finalize().into());
        let name = below(&mut rng, NAMES.len());
        let teacher = (name + 1 + below(&mut rng, NAMES.len() - 1)) % NAMES.len();
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        Self { name: NAMES[name], teacher: NAMES[teacher], seed, words: rng.next_u64() }
    }

    /// The text number `n` of this kind: unlike every other text of this case.
    pub(super) fn text(&self, kind: &str, n: usize) -> String {
        let digest = Sha256::new().chain_update(self.words.to_be_bytes()).chain_update(kind);
        let digest = digest.chain_update(n.to_be_bytes()).finalize();
        let word = |i: usize| WORDS[usize::from(digest[i]) % WORDS.len()];
        format!("{kind}{n} {} {} {:02x}{:02x}", word(0), word(1), digest[2], digest[3])
    }

    /// A number from `low` to `high`, for this purpose.
    pub(super) fn number(&self, purpose: &str, low: usize, high: usize) -> usize {
        let digest = Sha256::new().chain_update(self.seed).chain_update(purpose).finalize();
        low + usize::from(digest[0]) % (high + 1 - low)
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
