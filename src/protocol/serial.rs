//! Serial numbers (RFC 1982): the wire carries the low bits of a counter, memory holds all 64.

/// The counter whose low 32 bits are `wire` and that is closest to `near`.
pub fn unwrap32(wire: u32, near: u64) -> u64 {
    near.wrapping_add_signed(i64::from(wire.wrapping_sub(near as u32) as i32))
}

/// The counter whose low 16 bits are `wire` and that is closest to `near`.
pub fn unwrap16(wire: u16, near: u64) -> u64 {
    near.wrapping_add_signed(i64::from(wire.wrapping_sub(near as u16) as i16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_counter_wins_on_both_sides_of_a_wrap() {
        let wrap = 1 << 32;
        assert_eq!(unwrap32(1, wrap - 1), wrap + 1);
        assert_eq!(unwrap32(u32::MAX, wrap + 1), wrap - 1);
        assert_eq!(unwrap16(3, 0x2_fffe), 0x3_0003);
        assert_eq!(unwrap16(0xffff, 0x3_0003), 0x2_ffff);
    }
}
