//! How many rounds the long tests run.
#![allow(clippy::panic, dead_code)]

use std::env;

/// True if `CHATAGRAM_TESTS=all` asks for the tests that take minutes, and for each test in full.
pub(crate) fn is_all() -> bool {
    match env::var("CHATAGRAM_TESTS") {
        Ok(value) if value == "all" => true,
        Ok(value) if !value.is_empty() => panic!("CHATAGRAM_TESTS={value}: only `all` is known"),
        _ => false,
    }
}

/// The number in `variable`; without one `usual`, or `full` in a run of all tests.
pub(crate) fn amount(variable: &str, usual: u64, full: u64) -> u64 {
    match env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")),
        Err(_) if is_all() => full,
        Err(_) => usual,
    }
}
