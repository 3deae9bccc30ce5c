//! The 40 bytes every datagram begins with, at fixed offsets and in network byte order, so that a
//! student can read them off a hex dump. Each field has its twin in a TCP header with the
//! timestamps option (RFC 9293 §3.1, RFC 7323 §3); `proto.md` §3 draws both.

/// The first two bytes of every datagram and of every stream: `CG`.
pub const MAGIC: u16 = 0x4347;
/// The version this crate speaks. A datagram of another version is counted and dropped, except
/// that a server answers a `Join` of another version with a refusal that names its own.
pub const VERSION: u8 = 1;
/// Bytes in a header.
pub const HEADER_LEN: usize = 40;

/// One bit each; the other six are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// The sender is the server. Each side drops what carries its own mark, so nothing sent by a
    /// server can make another server answer.
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
    pub const fn has_unknown(self) -> bool {
        self.0 & !Self::KNOWN != 0
    }

    /// Both sets of bits.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A header as fields. The magic, the version and the checksum belong to `codec`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Who sent this, and which fields count.
    pub flags: Flags,
    /// Given by the server in `Welcome`, random; zero before that. TCP's port pair.
    pub session: u64,
    /// Counts this end's datagrams in this session, modulo 2^32. Never used twice.
    pub sequence: u32,
    /// The largest sequence number received from the other end.
    pub acknowledgment: u32,
    /// Bit `i` is set when `acknowledgment - 1 - i` was received too (TCP's SACK).
    pub ack_bitmap: u64,
    /// The sender's monotonic clock when it sent this, microseconds modulo 2^32 (TCP's TSval).
    pub timestamp: u32,
    /// How long the acknowledged datagram had been here when this was sent, in units of 100 us,
    /// saturating (RFC 9000 §19.3).
    pub ack_delay: u16,
    /// The largest message id the sender of this is ready to receive, modulo 2^16 (TCP's window,
    /// but absolute, as in RFC 9000 §4.1, so that reordering cannot shrink it).
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

    /// Reads the fields. Magic, version and checksum were checked by the caller.
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
