//! How much memory the core allocates, and keeps, also for the fuzz targets: every allocation is
//! counted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[macro_use]
#[path = "../needs/mod.rs"]
mod needs;

#[path = "../simulation/dice.rs"]
mod dice;
#[path = "../fuzz/targets/mod.rs"]
mod targets;

mod allocation;
mod fuzz_corpora;
#[cfg(feature = "quic")]
mod guesses;
mod soak;

use targets::meter;

fn main() -> std::process::ExitCode {
    let modules = [
        soak::tests(),
        allocation::tests(),
        #[cfg(feature = "quic")]
        guesses::tests(),
        fuzz_corpora::tests(),
    ];
    needs::run(modules.into_iter().flatten().collect(), None)
}
