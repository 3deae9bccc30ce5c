//! Where a line stands in the room's log: its name for good.

use serde::{Deserialize, Deserializer, Serializer, de};

/// A position in the log of one epoch. An epoch is drawn at random when a log is made, so that equal
/// positions of two logs are never taken for one line. No clock is part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// Which log; 0 stands for none.
    pub epoch: u64,
    /// Larger for each later line of the epoch; 0 stands before the first.
    pub position: u64,
}

impl Mark {
    /// The epoch as people and programs are told: 64 bits do not fit the numbers of many JSON readers.
    #[must_use]
    pub fn epoch_name(self) -> String {
        format!("{:016x}", self.epoch)
    }
}

/// A number of 64 random bits as files have it: 16 hexadecimal digits in a text.
pub mod hex {
    use super::{Deserialize, Deserializer, Serializer, de};

    /// Writes it.
    #[allow(clippy::ref_option, clippy::missing_errors_doc, clippy::trivially_copy_pass_by_ref)]
    pub fn serialize<S: Serializer>(number: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        match number {
            Some(number) => to.collect_str(&format_args!("{number:016x}")),
            None => to.serialize_none(),
        }
    }

    /// Reads it.
    #[allow(clippy::missing_errors_doc)]
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let read = |text: String| u64::from_str_radix(&text, 16).map_err(de::Error::custom);
        text.map(read).transpose()
    }
}
