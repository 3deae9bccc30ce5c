//! The header: the first 40 bytes of every datagram, at fixed offsets and in network byte order,
//! readable in a hex dump. Each field has a counterpart in a TCP header with the timestamps option
//! (RFC 9293 §3.1, RFC 7323 §3); `proto.md` §3 draws both.

/// The first two bytes of every datagram and of every stream: `CG`.
pub const MAGIC: u16 = 0x4347;
/// The protocol version. Datagrams of other versions are counted and dropped, except that a server
/// answers a `Join` of another version with a refusal that names its own.
pub const VERSION: u8 = 1;
/// Size of a header.
pub const HEADER_LEN: usize = 40;

/// Flags, one bit each; the other six bits are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// The sender is a server. Each side drops datagrams with its own mark, so no server answers a
    /// server.
    pub const FROM_SERVER: Self = Self(0b01);
    /// The acknowledgment, the bitmap and the ack delay are meaningful (TCP's ACK bit).
    pub const ACK: Self = Self(0b10);
    const KNOWN: u8 = 0b11;

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether a bit is set that version 1 does not define.
    #[must_use]
    pub(crate) const fn has_unknown(self) -> bool {
        self.0 & !Self::KNOWN != 0
    }

    /// The union of both sets.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A header as fields. The magic, the version and the checksum belong to `codec`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Sender's role, and which fields are valid.
    pub flags: Flags,
    /// Session number: random, from `Welcome`; zero before that. Its counterpart is TCP's port
    /// pair.
    pub session: u64,
    /// Counts the sender's datagrams in this session, modulo 2^32. No number is used twice.
    pub sequence: u32,
    /// The largest sequence number received from the other end.
    pub acknowledgment: u32,
    /// Bit `i` is set when `acknowledgment - 1 - i` was received too (TCP's SACK).
    pub ack_bitmap: u64,
    /// The sender's monotonic clock at departure, microseconds modulo 2^32 (TCP's TSval).
    pub timestamp: u32,
    /// Delay between arrival of the acknowledged datagram and this departure, in units of 100 us,
    /// saturating (RFC 9000 §19.3).
    pub ack_delay: u16,
    /// Receive window: the largest message id that the sender of this accepts, modulo 2^16.
    /// Absolute as in RFC 9000 §4.1, so that reordering cannot shrink it.
    pub window: u16,
}

impl Header {
    /// Writes the header with a zero checksum.
    pub(super) fn write(&self, out: &mut [u8; HEADER_LEN]) {
        out[0..2].copy_from_slice(&MAGIC.to_be_bytes());
        out[2] = VERSION;
        out[3] = self.flags.0;
        out[4..8].fill(0);
        out[8..16].copy_from_slice(&self.session.to_be_bytes());
        out[16..20].copy_from_slice(&self.sequence.to_be_bytes());
        out[20..24].copy_from_slice(&self.acknowledgment.to_be_bytes());
        out[24..32].copy_from_slice(&self.ack_bitmap.to_be_bytes());
        out[32..36].copy_from_slice(&self.timestamp.to_be_bytes());
        out[36..38].copy_from_slice(&self.ack_delay.to_be_bytes());
        out[38..40].copy_from_slice(&self.window.to_be_bytes());
    }

    /// Reads the fields. The caller has checked magic, version and checksum.
    pub(super) fn read(bytes: &[u8; HEADER_LEN]) -> Self {
        Self {
            flags: Flags(bytes[3]),
            session: u64::from_be_bytes(field(bytes, 8)),
            sequence: u32::from_be_bytes(field(bytes, 16)),
            acknowledgment: u32::from_be_bytes(field(bytes, 20)),
            ack_bitmap: u64::from_be_bytes(field(bytes, 24)),
            timestamp: u32::from_be_bytes(field(bytes, 32)),
            ack_delay: u16::from_be_bytes(field(bytes, 36)),
            window: u16::from_be_bytes(field(bytes, 38)),
        }
    }
}

fn field<const N: usize>(bytes: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[at + i])
}
