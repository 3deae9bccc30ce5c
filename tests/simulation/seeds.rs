//! The seeds of the scenarios, and their traces.

use crate::amount::amount;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::thread::available_parallelism;
use std::time::Instant;

/// Runs a scenario, which returns the trace of its run, with every seed.
pub(crate) fn for_every_seed(name: &str, scenario: impl Fn(u64, bool) -> u64 + Sync) {
    for_seeds(1, name, scenario);
}

/// Like [`for_every_seed`], for a slow scenario, or one with a fixed course.
pub(crate) fn for_every_fifth_seed(name: &str, scenario: impl Fn(u64, bool) -> u64 + Sync) {
    for_seeds(5, name, scenario);
}

/// For a mode over QUIC. It is run with more seeds, because these do not give the random numbers
/// of the cryptography.
#[cfg(feature = "quic")]
pub(crate) fn for_every_quic_seed(name: &str, scenario: impl Fn(u64, bool) -> u64 + Sync) {
    run(amount("CHATAGRAM_SEEDS", 1_000, 10_000), 1, name, scenario);
}

/// Runs a scenario with each `step`th seed.
pub(crate) fn for_seeds(step: usize, name: &str, scenario: impl Fn(u64, bool) -> u64 + Sync) {
    run(amount("CHATAGRAM_SEEDS", 250, 3_000), step, name, scenario);
}

/// The seeds of a scenario run on all processors; its traces are folded in the order of the seeds.
fn run(count: u64, step: usize, name: &str, scenario: impl Fn(u64, bool) -> u64 + Sync) {
    let only = std::env::var_os("CHATAGRAM_SEED").map(|_| amount("CHATAGRAM_SEED", 0, 0));
    let seeds = only.map_or(0..count, |only| only..only + 1);
    let start = Instant::now();
    let waiting = Mutex::new(seeds.step_by(step));
    let worker = || {
        let mut traces = Vec::new();
        loop {
            let Some(seed) = waiting.lock().unwrap().next() else { return traces };
            match catch_unwind(AssertUnwindSafe(|| scenario(seed, only.is_some()))) {
                Ok(trace) => traces.push((seed, trace)),
                Err(cause) => {
                    waiting.lock().unwrap().by_ref().for_each(drop);
                    eprintln!(
                        "seed {seed} fails; to see it again:\n    CHATAGRAM_SEED={seed} cargo test \
                         --test simulation {name} -- --exact --nocapture"
                    );
                    resume_unwind(cause);
                }
            }
        }
    };
    let mut traces = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..available_parallelism().map_or(1, usize::from))
            .map(|_| scope.spawn(worker))
            .collect();
        let ended = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|cause| resume_unwind(cause)));
        ended.flatten().collect::<Vec<_>>()
    });
    traces.sort_unstable();
    let folded = traces.iter().fold(0_u64, |folded, (_, trace)| folded.rotate_left(5) ^ trace);
    // A change that keeps the behaviour keeps this number.
    eprintln!("{name}: traces {folded:016x}, {:.1?}", start.elapsed());
}
