//! The position of a line in the log of an epoch.

use serde::{Deserialize, Deserializer, Serializer, de};

/// A position in the log of one epoch. The epoch is random, drawn with a new log, so positions of
/// two logs are never mistaken for each other. No clock is part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// Epoch of the log; 0 if there is none.
    pub epoch: u64,
    /// Increases with each line of the epoch; 0 is before the first.
    pub position: u64,
}

impl Mark {
    /// The epoch in hexadecimal: many JSON readers lose precision with 64-bit numbers.
    #[must_use]
    pub fn epoch_name(self) -> String {
        format!("{:016x}", self.epoch)
    }
}

/// Serde form of a random 64-bit number: a string of 16 hexadecimal digits.
pub mod hex {
    use super::{Deserialize, Deserializer, Serializer, de};

    /// Serializes the digits.
    #[allow(clippy::ref_option, clippy::missing_errors_doc, clippy::trivially_copy_pass_by_ref)]
    pub fn serialize<S: Serializer>(number: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        match number {
            Some(number) => to.collect_str(&format_args!("{number:016x}")),
            None => to.serialize_none(),
        }
    }

    /// Parses the digits.
    #[allow(clippy::missing_errors_doc)]
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let read = |text: String| u64::from_str_radix(&text, 16).map_err(de::Error::custom);
        text.map(read).transpose()
    }
}
