//! The offset and value of each field of a frame or message, for people who read bytes.
//!
//! A serde `Deserializer` records the fields that the types of `frame` and `message` ask for, so
//! there is no second table of fields. `Datagram::decode` decides whether a datagram is valid; a
//! test checks that both agree.

use super::codec::{Read, read_one};
use super::frame::Frame;
use super::message::{ClientMessage, ServerMessage};
use serde::Deserialize;
use serde::de::value::{U8Deserializer, U32Deserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, SeqAccess,
    VariantAccess, Visitor,
};
use std::fmt::{self, Display};
use std::ops::Range;

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Name in `proto.md`; `frame` or `message` for the number of the variant.
    pub name: &'static str,
    /// Range of its bytes, with its length prefix, in the caller's offsets.
    pub at: Range<usize>,
    /// Decoded value.
    pub value: Traced<'a>,
    /// Whether a number in it is not in its shortest encoding.
    pub loose: bool,
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traced<'a> {
    /// An integer.
    Number(i128),
    /// A boolean.
    Bool(bool),
    /// A string, not cleaned.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A variant: a number with its name.
    Name(&'static str, u32),
}

/// The fields of one frame or message, in order, up to the end or the first invalid one.
#[derive(Clone, Debug)]
pub struct Trace<'a> {
    /// The valid fields.
    pub steps: Vec<Step<'a>>,
    /// Offset of the end, or of the failure.
    pub end: usize,
    /// Description of the failure, for people.
    pub trouble: Option<String>,
}

impl<'a> Trace<'a> {
    /// Reads the frame at `at`.
    #[must_use]
    pub fn frame(bytes: &'a [u8], at: usize) -> Self {
        Self::of::<Frame<'a>>("frame", bytes, at..bytes.len())
    }

    /// Reads the message in `at`, by the table of its sender's role.
    #[must_use]
    pub fn message(bytes: &'a [u8], at: Range<usize>, from_server: bool) -> Self {
        if from_server {
            Self::of::<ServerMessage<'a>>("message", bytes, at)
        } else {
            Self::of::<ClientMessage<'a>>("message", bytes, at)
        }
    }

    fn of<T: Deserialize<'a>>(name: &'static str, bytes: &'a [u8], at: Range<usize>) -> Self {
        let mut tracer =
            Tracer { bytes: &bytes[..at.end], at: at.start, what: name, name, steps: Vec::new() };
        let trouble = T::deserialize(&mut tracer).err().map(|error| error.0);
        Self { steps: tracer.steps, end: tracer.at, trouble }
    }

    /// Reads the value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Step<'a>> {
        self.steps.iter().find(|step| step.name == name)
    }
}

struct Tracer<'a> {
    bytes: &'a [u8],
    at: usize,
    /// `frame` or `message`.
    what: &'static str,
    /// Name of the next field.
    name: &'static str,
    steps: Vec<Step<'a>>,
}

/// The kind that was expected.
#[derive(Debug)]
struct Trouble(String);

impl Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Trouble {}

impl serde::de::Error for Trouble {
    fn custom<T: Display>(text: T) -> Self {
        Self(text.to_string())
    }
}

impl<'a> Tracer<'a> {
    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// One integer or boolean.
    fn one<T: DeserializeOwned + serde::Serialize>(
        &mut self,
        kind: &str,
    ) -> Result<(T, bool), Trouble> {
        match read_one(&self.bytes[self.at..]) {
            Ok(Read { value, used, canonical }) => {
                self.at += used;
                Ok((value, !canonical))
            }
            Err(_) if self.left() == 0 => {
                Err(Trouble(format!("{}: the bytes end here", self.name)))
            }
            Err(_) => Err(Trouble(format!("{}: this is no {kind}", self.name))),
        }
    }

    fn step(&mut self, from: usize, value: Traced<'a>, loose: bool) {
        self.steps.push(Step { name: self.name, at: from..self.at, value, loose });
    }

    fn number<T>(&mut self, kind: &str) -> Result<T, Trouble>
    where
        T: DeserializeOwned + serde::Serialize + Copy + Into<i128>,
    {
        let from = self.at;
        let (value, loose) = self.one::<T>(kind)?;
        self.step(from, Traced::Number(value.into()), loose);
        Ok(value)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Trouble> {
        let taken = usize::try_from(length).ok().filter(|length| *length <= self.left());
        let Some(length) = taken else {
            return Err(Trouble(format!(
                "{} should have {length} bytes, {} are left",
                self.name,
                self.left()
            )));
        };
        let from = self.at;
        self.at += length;
        Ok(&self.bytes[from..self.at])
    }

    /// A length and its bytes.
    fn sized(&mut self) -> Result<(&'a [u8], bool), Trouble> {
        let from = self.at;
        let (length, loose) = self.one::<u64>("length")?;
        let bytes = self.take(length);
        if bytes.is_err() {
            self.at = from;
        }
        Ok((bytes?, loose))
    }
}

/// Names of fields that are positional in the code.
fn only_field(variant: &str) -> &'static str {
    match variant {
        "Padding" => "content",
        "Deliver" => "delivery",
        _ => "cookie",
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty),*) => {
        $(fn $method<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Trouble> {
            visitor.$visit(self.number::<$type>(stringify!($type))?)
        })*
    };
}

impl<'a> Deserializer<'a> for &mut Tracer<'a> {
    type Error = Trouble;

    numbers!(deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64, deserialize_i32 visit_i32 i32);

    fn deserialize_bool<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Trouble> {
        let from = self.at;
        let (value, loose) = self.one::<bool>("bool")?;
        self.step(from, Traced::Bool(value), loose);
        visitor.visit_bool(value)
    }

    fn deserialize_str<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Trouble> {
        let from = self.at;
        let (bytes, loose) = self.sized()?;
        let Ok(text) = str::from_utf8(bytes) else {
            self.at = from;
            return Err(Trouble(format!("{} is not UTF-8", self.name)));
        };
        self.step(from, Traced::Text(text), loose);
        visitor.visit_borrowed_str(text)
    }

    fn deserialize_bytes<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Trouble> {
        let from = self.at;
        let (bytes, loose) = self.sized()?;
        self.step(from, Traced::Bytes(bytes), loose);
        visitor.visit_borrowed_bytes(bytes)
    }

    /// Byte arrays, the only tuples in use.
    fn deserialize_tuple<V: Visitor<'a>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Trouble> {
        let from = self.at;
        let bytes = self.take(length as u64)?;
        self.step(from, Traced::Bytes(bytes), false);
        visitor.visit_seq(Bytes(bytes))
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Trouble> {
        let from = self.at;
        let (number, loose) = self.one::<u32>("number")?;
        let Some(variant) = variants.get(number as usize) else {
            self.at = from;
            return Err(Trouble(format!("no {} has the number {number}", self.name)));
        };
        // The code writes reasons in lower case for JSON; proto.md does not.
        let name = match *variant {
            "quit" => "Quit",
            "timeout" => "Timeout",
            "shutdown" => "Shutdown",
            "flood" => "Flood",
            "restart" => "Restart",
            "kicked" => "Kicked",
            other => other,
        };
        self.step(from, Traced::Name(name, number), loose);
        if self.name == self.what {
            self.name = only_field(name);
        }
        visitor.visit_enum(Variant { tracer: self, number })
    }

    /// The payload of a variant, or a part of it.
    fn deserialize_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Trouble> {
        visitor.visit_seq(Fields { tracer: self, fields })
    }

    fn deserialize_any<V: Visitor<'a>>(self, _: V) -> Result<V::Value, Trouble> {
        Err(Trouble("a type that the wire does not have".to_owned()))
    }

    serde::forward_to_deserialize_any! {
        <W: Visitor<'a>>
        i8 i16 i64 i128 u8 u128 f32 f64 char string byte_buf option unit unit_struct newtype_struct
        seq tuple_struct map identifier ignored_any
    }
}

struct Variant<'t, 'a> {
    tracer: &'t mut Tracer<'a>,
    number: u32,
}

impl<'a> EnumAccess<'a> for Variant<'_, 'a> {
    type Error = Trouble;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'a>>(self, seed: V) -> Result<(V::Value, Self), Trouble> {
        let number: U32Deserializer<Trouble> = self.number.into_deserializer();
        Ok((seed.deserialize(number)?, self))
    }
}

impl<'a> VariantAccess<'a> for Variant<'_, 'a> {
    type Error = Trouble;

    fn unit_variant(self) -> Result<(), Trouble> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'a>>(self, seed: T) -> Result<T::Value, Trouble> {
        seed.deserialize(self.tracer)
    }

    fn tuple_variant<V: Visitor<'a>>(self, _: usize, _: V) -> Result<V::Value, Trouble> {
        Err(Trouble("a variant that the wire does not have".to_owned()))
    }

    fn struct_variant<V: Visitor<'a>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Trouble> {
        visitor.visit_seq(Fields { tracer: self.tracer, fields })
    }
}

struct Fields<'t, 'a> {
    tracer: &'t mut Tracer<'a>,
    fields: &'static [&'static str],
}

impl<'a> SeqAccess<'a> for Fields<'_, 'a> {
    type Error = Trouble;

    fn next_element_seed<T: DeserializeSeed<'a>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Trouble> {
        let Some((name, rest)) = self.fields.split_first() else { return Ok(None) };
        self.fields = rest;
        self.tracer.name = name;
        seed.deserialize(&mut *self.tracer).map(Some)
    }
}

struct Bytes<'a>(&'a [u8]);

impl<'a> SeqAccess<'a> for Bytes<'a> {
    type Error = Trouble;

    fn next_element_seed<T: DeserializeSeed<'a>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Trouble> {
        let Some((byte, rest)) = self.0.split_first() else { return Ok(None) };
        self.0 = rest;
        let byte: U8Deserializer<Trouble> = byte.into_deserializer();
        seed.deserialize(byte).map(Some)
    }
}
