//! Re-exports `std::sync`. `tests/interleavings.rs` compiles the modules that use it with loom's
//! types in their place, and tries every order in which the threads can run.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
