//! Counts the bytes that live on the heap, apart for the server, the clients and the test around them:
//! those that a part has allocated, less those that it has freed.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

/// Whose code runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Test,
    Server,
    Clients,
}

static RUNNING: AtomicUsize = AtomicUsize::new(Part::Test as usize);
static LIVE: [AtomicI64; 3] = [const { AtomicI64::new(0) }; 3];

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: all is the system's own; the counters allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }
}

fn count(bytes: i64) {
    LIVE[RUNNING.load(Relaxed)].fetch_add(bytes, Relaxed);
}

/// Does something on account of a part.
pub(crate) fn on_account_of<R>(part: Part, act: impl FnOnce() -> R) -> R {
    let before = RUNNING.swap(part as usize, Relaxed);
    let result = act();
    RUNNING.store(before, Relaxed);
    result
}

/// How many bytes a part has.
pub(crate) fn live(part: Part) -> i64 {
    LIVE[part as usize].load(Relaxed)
}
