//! Values in a plan's file: a number or a string in the syntax of the options; for a list also a
//! single value, or a string with commas.

use super::{
    Bandwidth, Repetitions, bandwidth, burst, control, milliseconds, mode, queue, redundancy,
    seconds, size,
};
use crate::lab::record::Mode;
use crate::lab::variant::Control;
use crate::link::Copies;
use crate::quantity;
use serde::de::{self, DeserializeSeed, SeqAccess, Visitor};
use serde::{Deserializer, Serializer};
use std::fmt;

/// Parses a value's text.
type Read<T, W> = fn(&str) -> Result<T, W>;

/// Deserializes one value.
#[derive(Clone, Copy)]
struct One<T, W>(Read<T, W>);

/// Deserializes a list of values.
struct Many<T, W>(Read<T, W>);

impl<'de, T, W: fmt::Display> DeserializeSeed<'de> for One<T, W> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<T, D::Error> {
        from.deserialize_any(self)
    }
}

impl<T, W: fmt::Display> Visitor<'_> for One<T, W> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a text with a number and a unit")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

impl<'de, T, W: fmt::Display> Visitor<'de> for Many<T, W> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers, or one of them")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Vec<T>, E> {
        One(self.0).visit_i64(value).map(|value| vec![value])
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Vec<T>, E> {
        One(self.0).visit_u64(value).map(|value| vec![value])
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Vec<T>, E> {
        One(self.0).visit_f64(value).map(|value| vec![value])
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
        text.split(',').map(|part| One(self.0).visit_str(part)).collect()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(One(self.0))? {
            values.push(value);
        }
        Ok(values)
    }
}

pub(super) fn percents<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
    from.deserialize_any(Many(quantity::percent))
}

pub(super) fn times<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
    from.deserialize_any(Many(milliseconds))
}

pub(super) fn bursts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
    from.deserialize_any(Many(burst))
}

pub(super) fn modes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Mode>, D::Error> {
    from.deserialize_any(Many(mode))
}

pub(super) fn redundancies<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Copies>, D::Error> {
    from.deserialize_any(Many(redundancy))
}

pub(super) fn controls<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Control>, D::Error> {
    from.deserialize_any(Many(control))
}

pub(super) fn mode_names<S: Serializer>(modes: &[Mode], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(modes.iter().map(|mode| mode.name()))
}

pub(super) fn repetitions<'de, D: Deserializer<'de>>(from: D) -> Result<Repetitions, D::Error> {
    from.deserialize_any(One(str::parse::<Repetitions>))
}

pub(super) fn peers<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    from.deserialize_any(One(|text| quantity::count(text, &quantity::PEERS, "peers")))
}

pub(super) fn bandwidths<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Bandwidth>, D::Error> {
    from.deserialize_any(Many(bandwidth))
}

pub(super) fn queues<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u32>, D::Error> {
    from.deserialize_any(Many(queue))
}

pub(super) fn rates<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
    from.deserialize_any(Many(quantity::message_rate))
}

pub(super) fn sizes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u32>, D::Error> {
    from.deserialize_any(Many(size))
}

pub(super) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    from.deserialize_any(One(seconds))
}

pub(super) fn seed<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    from.deserialize_any(One(|text| {
        text.trim().parse::<u64>().map_err(|error| format!("{text} is not a seed: {error}"))
    }))
}

/// TOML has no whole number above `i64::MAX`: such a seed is text.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(super) fn seed_text<S: Serializer>(seed: &u64, to: S) -> Result<S::Ok, S::Error> {
    match i64::try_from(*seed) {
        Ok(seed) => to.serialize_i64(seed),
        Err(_) => to.collect_str(seed),
    }
}

#[cfg(test)]
mod tests {
    use crate::lab::plan::Plan;

    #[test]
    fn every_seed_survives_writing_and_parsing() {
        for seed in [0, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
            let plan = Plan { seed, ..Plan::default() };
            assert_eq!(Plan::parse(&plan.text()).unwrap(), plan, "{}", plan.text());
        }
        let error = Plan::parse("seed = -1").unwrap_err().to_string();
        assert!(error.contains("-1 is not a seed"), "{error}");
    }
}
