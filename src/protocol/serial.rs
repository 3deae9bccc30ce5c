//! Serial numbers (RFC 1982): the wire carries the low bits of a 64-bit counter.

/// The counter closest to `near` whose low 32 bits are `wire`. Near zero it is the next one ahead
/// (RFC 9000 §A.3).
#[must_use]
pub(crate) fn unwrap32(wire: u32, near: u64) -> u64 {
    let ahead = wire.wrapping_sub(near as u32);
    let closest = near.checked_add_signed(i64::from(ahead as i32));
    closest.unwrap_or_else(|| near.saturating_add(u64::from(ahead)))
}

/// The same for 16 bits.
#[must_use]
pub(crate) fn unwrap16(wire: u16, near: u64) -> u64 {
    let ahead = wire.wrapping_sub(near as u16);
    let closest = near.checked_add_signed(i64::from(ahead as i16));
    closest.unwrap_or_else(|| near.saturating_add(u64::from(ahead)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unwrapping_finds_the_closest_counter_on_both_sides_of_a_wrap() {
        let wrap = 1 << 32;
        assert_eq!(unwrap32(1, wrap - 1), wrap + 1);
        assert_eq!(unwrap32(u32::MAX, wrap + 1), wrap - 1);
        assert_eq!(unwrap16(3, 0x2_fffe), 0x3_0003);
        assert_eq!(unwrap16(0xffff, 0x3_0003), 0x2_ffff);
    }
    #[test]
    fn unwrapping_never_goes_below_zero() {
        assert_eq!(unwrap32(u32::MAX, 0), u64::from(u32::MAX));
        assert_eq!(unwrap16(0xffff, 255), 0xffff);
        assert_eq!(unwrap16(0, 255), 0);
    }
}
