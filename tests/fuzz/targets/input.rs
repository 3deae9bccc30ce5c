//! An input as a sequence of choices. After its end, all choices are zero.

pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        let (byte, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *byte
    }

    pub(super) fn below(&mut self, end: u8) -> u8 {
        self.byte() % end
    }

    pub(super) fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// A number that matters: small, or about to wrap.
    pub(super) fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..=0x7f => u64::from(small),
            large @ 0x80..=0xbf => u64::MAX - u64::from(large & 0x3f),
            0xc0..=0xdf => u64::from(self.word()),
            _ => u64::from(self.word()) << 48 | u64::from(self.word()) << 20,
        }
    }

    /// All bytes that are left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// As many bytes as the input says, at most 2,047.
    pub(super) fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.word() & 0x7ff).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }

    /// A text: the input's bytes as UTF-8, or many repetitions of any one character.
    pub(super) fn text(&mut self) -> String {
        match self.byte() {
            0..=0xdf => {
                let length = usize::from(self.byte()).min(self.0.len());
                let (bytes, rest) = self.0.split_at(length);
                self.0 = rest;
                String::from_utf8_lossy(bytes).into_owned()
            }
            _ => {
                let code = u32::from(self.byte()) << 16 | u32::from(self.word());
                let any = char::from_u32(code % 0x11_0000).unwrap_or('\u{202e}');
                let count = usize::from(self.word() & 0x3ff);
                std::iter::repeat_n(any, count).collect()
            }
        }
    }
}
