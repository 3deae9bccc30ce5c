//! Forged source addresses, on a network of namespaces: the server sends at most as many bytes to
//! an unproven address as came from it, two servers do not answer each other, and a flood of joins
//! keeps no client out. Needs what `tests/lan.rs` needs, and a `/proc` of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[macro_use]
#[allow(unused_macros)]
mod needs;

#[cfg(target_os = "linux")]
mod program;

#[cfg(target_os = "linux")]
#[path = "attack/checks.rs"]
mod checks;
#[cfg(target_os = "linux")]
#[path = "attack/datagrams.rs"]
mod datagrams;
#[cfg(target_os = "linux")]
#[path = "attack/flood.rs"]
mod flood;
#[cfg(target_os = "linux")]
#[path = "attack/guests.rs"]
mod guests;
#[cfg(target_os = "linux")]
#[allow(dead_code)]
#[path = "lan/machines.rs"]
mod machines;
#[cfg(target_os = "linux")]
#[path = "lan/raw.rs"]
mod raw;

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(not(target_os = "linux"))]
    return needs::not_here("only Linux has network namespaces");
    #[cfg(target_os = "linux")]
    linux()
}

#[cfg(target_os = "linux")]
fn linux() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        [machines::INSIDE, ..] => return checks::run(),
        [datagrams::SPOOF, from, to, times] => datagrams::spoof(from, to, times),
        [flood::FLOOD, to, first, count] => flood::run(to, first, count),
        [guests::GUESTS, to] => guests::run(to),
        _ => return machines::enter(checks::CHECKS),
    }
    ExitCode::SUCCESS
}
