//! Asking for memory before it is needed. A line to everybody visits the memory of every peer, and when lines are rare
//! none of it is in a cache: to wait for it takes longer than what is then done with it. Meanwhile a processor can do
//! something else.
//!
//! It is a hint: nothing depends on it, and where there is no way to give it this does nothing.
#![allow(unsafe_code)]

/// Asks for all of a value, and for nothing it points to.
#[inline]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        /// Bytes that come at once.
        const LINE: usize = 64;
        let start = (&raw const *value).cast::<i8>();
        let before = start.addr() % LINE;
        for offset in (0..before + size_of::<T>()).step_by(LINE) {
            // SAFETY: part of every x86-64. It changes nothing that a program could see, and faults at no address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_sub(before).wrapping_add(offset)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
