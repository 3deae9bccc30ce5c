//! Prefetch: loads memory into the cache before it is needed. A line to everybody visits the memory
//! of every peer. When lines are rare, none of that memory is in a cache, and waiting for it takes
//! longer than the work on it.
//!
//! A prefetch is a hint: nothing depends on it. On processors other than x86-64 it does nothing.
#![allow(unsafe_code)]

/// Prefetches all cache lines of a value, and none of what it points to.
#[inline]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        /// Bytes of a cache line.
        const LINE: usize = 64;
        let start = (&raw const *value).cast::<i8>();
        let before = start.addr() % LINE;
        for offset in (0..before + size_of::<T>()).step_by(LINE) {
            // SAFETY: SSE is part of every x86-64. A prefetch changes nothing that a program can
            // see, and no address makes it fault.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_sub(before).wrapping_add(offset)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
