//! Forged senders on a network of namespaces: nobody who has not answered gets more than was sent in
//! its name, two servers do not talk to each other, and a flood of joins keeps nobody out. Needs what
//! `tests/lan.rs` needs, and a `/proc` of its own.
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

#[cfg(target_os = "linux")]
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["--list", ..] => {}
        [machines::INSIDE, ref names @ ..] => checks::run(names),
        [datagrams::SPOOF, from, to, times] => datagrams::spoof(from, to, times),
        [flood::FLOOD, to, first, count] => flood::run(to, first, count),
        [guests::GUESTS, to] => guests::run(to),
        ref names => machines::enter(names),
    }
}
