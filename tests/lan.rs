//! Discovery, roaming and address translation on a network of namespaces: machines with addresses
//! of their own on a bridge, and a router with nftables. Runs as root, or as a user whom the kernel
//! allows a user namespace. Needs `ip`, `nft`, `unshare` and `nsenter`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[macro_use]
#[allow(unused_macros)]
mod needs;

#[cfg(target_os = "linux")]
mod program;

#[cfg(target_os = "linux")]
#[path = "lan/addresses.rs"]
mod addresses;
#[cfg(target_os = "linux")]
#[path = "lan/checks.rs"]
mod checks;
#[cfg(target_os = "linux")]
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
        [machines::FORGE, from, to] => machines::forge(from, to),
        _ => return machines::enter(checks::CHECKS),
    }
    ExitCode::SUCCESS
}
