//! A roll: the list of peers in `Present`, `Joined` and `Left` (`proto.md` §2.3).

use super::codec::{Read, encode_into, read_one};
use super::limits::MAX_ROLL;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// One peer of a roll.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollEntry<'a> {
    /// Its number in the room.
    pub peer: u16,
    /// Its nickname.
    pub nickname: &'a str,
    /// Number of its next line; of a peer that left, the number it would have had.
    pub next: u16,
}

/// Encoded entries, all valid: parsing refuses a roll with an invalid one.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Roll<'a>(&'a [u8]);

impl<'a> Roll<'a> {
    /// Parses the bytes of a roll, without their length.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = read_entry(rest)?.1;
        }
        Some(Self(bytes))
    }

    /// The entries, in order.
    pub fn entries(self) -> impl Iterator<Item = RollEntry<'a>> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (entry, behind) = read_entry(rest)?;
            rest = behind;
            Some(entry)
        })
    }
}

/// Parses the first entry, in its one valid encoding. Returns it with the rest.
fn read_entry(bytes: &[u8]) -> Option<(RollEntry<'_>, &[u8])> {
    match read_one(bytes) {
        Ok(Read { value, used, canonical: true }) => Some((value, &bytes[used..])),
        _ => None,
    }
}

/// The form in the vectors: `[1 "bob" 8, 2 "eve" 0]`.
impl fmt::Debug for Roll<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries()).finish()
    }
}

impl fmt::Debug for RollEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {}", self.peer, self.nickname, self.next)
    }
}

impl Serialize for Roll<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Roll<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <&'a [u8]>::deserialize(deserializer)?;
        let roll = Self::parse(bytes);
        roll.ok_or_else(|| D::Error::custom("the roll has something in it that is no entry"))
    }
}

/// Builds a roll that fits into one message.
#[derive(Clone, Debug, Default)]
pub struct RollWriter {
    bytes: Vec<u8>,
    entries: usize,
}

impl RollWriter {
    /// Appends an entry. Returns whether it fitted; an empty roll has room for any.
    pub fn push(&mut self, entry: &RollEntry<'_>) -> bool {
        let fits = encode_into(entry, &mut self.bytes, MAX_ROLL);
        self.entries += usize::from(fits);
        fits
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The entries appended since the roll was made or cleared.
    #[must_use]
    pub fn roll(&self) -> Roll<'_> {
        Roll(&self.bytes)
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::limits::{MAX_MESSAGE, MAX_NAME};
    use crate::protocol::{LeaveReason, ServerMessage, decode_message, encode_message};

    fn full(nickname: &str) -> RollWriter {
        let mut writer = RollWriter::default();
        while writer.push(&RollEntry { peer: u16::MAX, nickname, next: u16::MAX }) {}
        writer
    }

    #[test]
    fn a_full_roll_fits_into_a_message_and_decodes_to_the_same() {
        for nickname in ["b", &"n".repeat(MAX_NAME)] {
            let writer = full(nickname);
            let (roll, peers, reason) = (writer.roll(), u16::MAX, LeaveReason::Restart);
            let left = ServerMessage::Left { peers, reason, roll };
            let bytes = encode_message(&left);
            assert!(bytes.len() <= MAX_MESSAGE && writer.len() >= 9, "{}", bytes.len());
            assert_eq!(decode_message(&bytes), Ok(left));
            assert_eq!(roll.entries().count(), writer.len());
        }
    }

    #[test]
    fn a_roll_with_a_truncated_or_noncanonical_entry_is_refused() {
        let mut writer = RollWriter::default();
        writer.push(&RollEntry { peer: 1, nickname: "bob", next: 8 });
        let entry = writer.bytes.clone();
        let message = |roll: &[u8]| [&[1, roll.len() as u8], roll].concat();
        let read = |roll: &[u8]| decode_message::<ServerMessage<'_>>(&message(roll)).is_ok();
        assert!(read(&[]) && read(&entry) && read(&entry.repeat(3)));
        for length in 1..entry.len() {
            assert!(!read(&entry[..length]), "{length}");
            assert!(!read(&[&entry, &entry[..length]].concat()), "{length}");
        }
        assert!(!read(&[251, 0, 1, 3, b'b', b'o', b'b', 8]), "a longer form of 1");
        assert!(!read(&[1, 1, 0xff, 8]), "no UTF-8");
    }
}
