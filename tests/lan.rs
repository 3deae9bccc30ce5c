//! Finding a server, roaming and address translation, on a network of namespaces: machines with
//! addresses of their own on a bridge, and a router with nftables. Runs as root, or as anybody whom
//! the kernel lets have a user namespace; needs `ip`, `nft`, `unshare` and `nsenter`.
//!
//! Where the machine refuses, it says so and passes, unless `CI` is set.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: only Linux has network namespaces");
}

#[cfg(target_os = "linux")]
mod program;

#[cfg(target_os = "linux")]
#[path = "lan/checks.rs"]
mod checks;
#[cfg(target_os = "linux")]
#[path = "lan/machines.rs"]
mod machines;
#[cfg(target_os = "linux")]
#[path = "lan/raw.rs"]
mod raw;

#[cfg(target_os = "linux")]
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["--list", ..] => {}
        [machines::INSIDE, ref names @ ..] => checks::run(names),
        [machines::FORGE, from, to] => machines::forge(from, to),
        ref names => machines::enter(names),
    }
}
