//! Counts what a thread allocates, and what lives of it, apart for those it works for. Whoever includes this
//! file has this allocator.

// An allocator is `unsafe` to write. This one hands everything on as it is. Few need all of it.
#![allow(unsafe_code, dead_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Whose code runs.
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

/// The system's allocator, counted.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// So many bytes are there now where there were so many before.
fn count(before: usize, now: usize) {
    // A thread that ends allocates after its variables are gone.
    let _ = ALLOCATED.try_with(|sum| sum.set(sum.get() + now.saturating_sub(before)));
    let _ = LIVE.try_with(|parts| {
        let live = &parts[RUNNING.get() as usize];
        live.set(live.get() + now as i64 - before as i64);
    });
}

// SAFETY: every call goes to `System` with the arguments it came with.
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

    /// What grows counts with what it grows by: the rest was counted before.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), size);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// The bytes this thread asked for during `work`, whether they were freed again or not.
pub(crate) fn allocated<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = ALLOCATED.get();
    let done = work();
    (done, ALLOCATED.get() - before)
}

/// Does something on account of a part.
pub(crate) fn on_account_of<T>(part: Part, work: impl FnOnce() -> T) -> T {
    let before = RUNNING.replace(part);
    let done = work();
    RUNNING.set(before);
    done
}

/// How many bytes a part has: those it has allocated, less those it has freed.
pub(crate) fn live(part: Part) -> i64 {
    LIVE.with(|parts| parts[part as usize].get())
}
