//! The fuzz targets over their corpora (`tests/fuzz/corpus`), and over mutations of these.
//! `tests/fuzz/cargo-fuzz/Cargo.toml` says how to fuzz for longer.
//!
//! `CHATAGRAM_SEEDS=50000` sets the number of mutations for each target (1,000 by default, 10,000
//! with `CHATAGRAM_TESTS=all`). `CHATAGRAM_SEED=17` runs one of them.

use crate::needs::amount;
use crate::targets::TARGETS;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

/// Longer inputs find nothing that shorter ones do not.
const LONGEST: usize = 8_192;

/// The files of a corpus, sorted by name, because the order must not depend on the file system.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let entries =
        fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn no_file_of_the_corpora_makes_its_target_fail() {
    let mut failed = Vec::new();
    for (name, target) in TARGETS.iter().copied() {
        let corpus = corpus(name);
        assert!(corpus.len() >= 20, "{name} has {} files", corpus.len());
        for (path, bytes) in corpus {
            if catch_unwind(AssertUnwindSafe(|| target(&bytes))).is_err() {
                failed.push(path);
                break;
            }
        }
    }
    assert!(failed.is_empty(), "these make their targets fail: {failed:?}");
}

fn no_mutations_of_the_corpora_make_a_target_fail() {
    let only = std::env::var_os("CHATAGRAM_SEED").map(|_| amount("CHATAGRAM_SEED", 0, 0));
    let seeds = only.map_or(0..amount("CHATAGRAM_SEEDS", 1_000, 10_000), |only| only..only + 1);
    for (name, target) in TARGETS.iter().copied() {
        let corpus = corpus(name);
        for seed in seeds.clone() {
            let bytes = mutated(&corpus, seed);
            if let Err(cause) = catch_unwind(AssertUnwindSafe(|| target(&bytes))) {
                eprintln!(
                    "seed {seed} fails with the target {name}; to see it again:\n    \
                     CHATAGRAM_SEED={seed} cargo test --test memory mutations"
                );
                resume_unwind(cause);
            }
        }
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end.max(1) as u64) as usize
    }
}

/// A file of the corpus with bytes changed, removed, repeated or taken from another file.
fn mutated(corpus: &[(PathBuf, Vec<u8>)], seed: u64) -> Vec<u8> {
    let mut dice = Dice(seed);
    let mut bytes = corpus[dice.below(corpus.len())].1.clone();
    for _ in 0..=dice.below(6) {
        let at = dice.below(bytes.len() + 1);
        let end = at + dice.below((bytes.len() - at).min(64) + 1);
        match dice.below(6) {
            0 => bytes.insert(at, dice.below(256) as u8),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.extend_from_within(at..end),
            3 => {
                let other = &corpus[dice.below(corpus.len())].1;
                let from = dice.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend(&other[from..]);
            }
            _ => bytes[at..end.min(at + 2)]
                .fill_with(|| [0, 1, 0x7f, 0xff, dice.below(256) as u8][dice.below(5)]),
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

tests! {
    no_file_of_the_corpora_makes_its_target_fail,
    no_mutations_of_the_corpora_make_a_target_fail,
}
