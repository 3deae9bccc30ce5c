//! The built program as a whole: its processes, sockets, terminals and files, on loopback and on
//! networks of namespaces. Most tests wait for processes, so several run at once.
//!
//! ```text
//! cargo test --test system lan::      # the tests of one module
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[macro_use]
#[path = "../needs/mod.rs"]
mod needs;

#[path = "../vectors/catalogue.rs"]
#[allow(dead_code)]
mod catalogue;
#[path = "../simulation/dice.rs"]
mod dice;
#[path = "../vectors/format.rs"]
#[allow(dead_code)]
mod format;
#[cfg(target_os = "linux")]
mod machines;
mod program;
#[cfg(target_os = "linux")]
mod programs;
#[cfg(target_os = "linux")]
mod raw;

#[cfg(target_os = "linux")]
mod attack;
mod completions;
#[cfg(target_os = "linux")]
mod disk;
mod dissector;
mod doctor;
#[cfg(target_os = "linux")]
mod emulated_network;
mod end_to_end;
#[cfg(target_os = "linux")]
mod endurance;
#[cfg(all(unix, feature = "redis"))]
mod engine;
mod environment;
#[cfg(target_os = "linux")]
mod exercises;
#[cfg(unix)]
mod failover;
mod grade;
mod hostile_text;
mod input;
#[cfg(unix)]
mod kills;
mod kit;
#[cfg(target_os = "linux")]
mod lab;
#[cfg(target_os = "linux")]
mod lan;
mod limits;
mod load;
mod metrics;
mod minimal_client;
#[cfg(target_os = "linux")]
mod netem;
#[cfg(not(all(unix, feature = "redis")))]
mod no_engine;
#[cfg(not(feature = "quic"))]
mod no_quic;
#[cfg(all(unix, feature = "web"))]
mod page;
#[cfg(feature = "quic")]
mod private;
#[cfg(feature = "quic")]
mod quic;
mod replay;
mod report;
#[cfg(target_os = "linux")]
mod rotation;
#[cfg(target_os = "linux")]
mod streams;
mod terminal;
#[cfg(target_os = "linux")]
mod threads;
mod transports;
mod watch;
#[cfg(feature = "web")]
mod web;

use needs::{Role, Test};
use std::process::ExitCode;

/// Tests at once, unless `--test-threads` says otherwise: most of them wait.
const THREADS: usize = 8;

/// The tests and roles of a module.
type Module = (fn() -> Vec<Test>, &'static [Role]);

/// Modules with long tests come first, so that no long test runs alone at the end.
const MODULES: &[Module] = &[
    #[cfg(target_os = "linux")]
    (exercises::tests, exercises::ROLES),
    #[cfg(target_os = "linux")]
    (netem::tests, netem::ROLES),
    #[cfg(target_os = "linux")]
    (endurance::tests, endurance::ROLES),
    #[cfg(target_os = "linux")]
    (programs::tests, programs::ROLES),
    #[cfg(target_os = "linux")]
    (lan::tests, lan::ROLES),
    #[cfg(target_os = "linux")]
    (attack::tests, attack::ROLES),
    #[cfg(target_os = "linux")]
    (lab::tests, lab::ROLES),
    #[cfg(all(unix, feature = "redis"))]
    (engine::tests, engine::ROLES),
    #[cfg(not(all(unix, feature = "redis")))]
    (no_engine::tests, no_engine::ROLES),
    #[cfg(unix)]
    (kills::tests, kills::ROLES),
    (grade::tests, grade::ROLES),
    #[cfg(target_os = "linux")]
    (grade::class::tests, grade::class::ROLES),
    (grade::plan::tests, grade::plan::ROLES),
    (kit::tests, kit::ROLES),
    // Their kernels would take half of two processors from the first modules' tests.
    #[cfg(target_os = "linux")]
    (netem::sweep::tests, netem::sweep::ROLES),
    #[cfg(all(target_os = "linux", feature = "quic"))]
    (netem::quic::tests, netem::quic::ROLES),
    (input::tests, input::ROLES),
    (terminal::tests, terminal::ROLES),
    (load::tests, load::ROLES),
    #[cfg(target_os = "linux")]
    (disk::tests, disk::ROLES),
    #[cfg(target_os = "linux")]
    (streams::tests, streams::ROLES),
    (dissector::tests, dissector::ROLES),
    (report::tests, report::ROLES),
    (hostile_text::tests, hostile_text::ROLES),
    (end_to_end::tests, end_to_end::ROLES),
    (transports::tests, transports::ROLES),
    #[cfg(feature = "quic")]
    (private::tests, private::ROLES),
    #[cfg(feature = "quic")]
    (quic::tests, quic::ROLES),
    #[cfg(not(feature = "quic"))]
    (no_quic::tests, no_quic::ROLES),
    #[cfg(unix)]
    (failover::tests, failover::ROLES),
    (metrics::tests, metrics::ROLES),
    #[cfg(all(unix, feature = "web"))]
    (page::tests, page::ROLES),
    #[cfg(feature = "web")]
    (web::tests, web::ROLES),
    (minimal_client::tests, minimal_client::ROLES),
    #[cfg(target_os = "linux")]
    (emulated_network::tests, emulated_network::ROLES),
    (limits::tests, limits::ROLES),
    (watch::tests, watch::ROLES),
    #[cfg(target_os = "linux")]
    (threads::tests, threads::ROLES),
    (completions::tests, completions::ROLES),
    (doctor::tests, doctor::ROLES),
    #[cfg(target_os = "linux")]
    (rotation::tests, rotation::ROLES),
    (replay::tests, replay::ROLES),
    (environment::tests, environment::ROLES),
];

fn main() -> ExitCode {
    let roles: Vec<Role> = MODULES.iter().flat_map(|(_, roles)| *roles).copied().collect();
    if let Some(code) = needs::play(&roles) {
        return code;
    }
    let mut tests: Vec<Test> = MODULES.iter().flat_map(|(tests, _)| tests()).collect();
    if cfg!(not(target_os = "linux")) {
        tests.push(Test::new("", "modules for Linux", || needs::skip("this system is not Linux")));
    }
    let code = needs::run(tests, Some(THREADS));
    // Cargo runs test programs in alphabetical order, so this one is the last.
    if !std::env::args().any(|arg| arg == "--list") {
        print!("{}", needs::summary());
    }
    code
}
