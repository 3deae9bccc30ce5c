//! A global allocator that counts the bytes each thread allocates, and the live bytes of each part
//! that the threads work for. A test program that includes this file has this allocator.

// An allocator is `unsafe` to write; this one passes every call on. No program needs all of it.
#![allow(unsafe_code, dead_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The part whose code runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Test,
    Server,
    Clients,
}

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
    static RUNNING: Cell<Part> = const { Cell::new(Part::Test) };
    static LIVE: [Cell<i64>; 3] = const { [const { Cell::new(0) }; 3] };
}

/// The system's allocator with counters.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Records that an allocation of `before` bytes now has `after` bytes.
fn count(before: usize, now: usize) {
    // A thread that ends allocates after its thread-locals are gone.
    let _ = ALLOCATED.try_with(|sum| sum.set(sum.get() + now.saturating_sub(before)));
    let _ = LIVE.try_with(|parts| {
        let live = &parts[RUNNING.get() as usize];
        live.set(live.get() + now as i64 - before as i64);
    });
}

// SAFETY: every call goes to `System` with its own arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), 0);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    /// Counts the growth: the rest is counted already.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), size);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Runs `work`. Returns the bytes that this thread requested meanwhile, freed again or not.
pub(crate) fn allocated<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = ALLOCATED.get();
    let done = work();
    (done, ALLOCATED.get() - before)
}

/// Runs `work` on the account of a part.
pub(crate) fn on_account_of<T>(part: Part, work: impl FnOnce() -> T) -> T {
    let before = RUNNING.replace(part);
    let done = work();
    RUNNING.set(before);
    done
}

/// The live bytes of a part: allocated less freed.
pub(crate) fn live(part: Part) -> i64 {
    LIVE.with(|parts| parts[part as usize].get())
}
