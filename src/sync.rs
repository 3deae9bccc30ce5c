//! What threads wait for each other with. Code that is to be tried in every order in which its threads
//! can run takes it from here: `tests/interleavings.rs` compiles that code with loom's in its place.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
