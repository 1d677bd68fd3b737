//! The application's claims, handed to serde member by member.
//!
//! What nearly all of them are is read here: strings without escapes, whole numbers, `true`, `false` and `null`. Every
//! other value is found by serde_json and read by serde_json, so there is nothing to get wrong about it. The names pass
//! by on the way: none may be ours, and none may be there twice.
//!
//! Types are read as serde_json reads them from the same object, which the tests hold this to.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, EnumAccess, IgnoredAny, MapAccess, VariantAccess, Visitor,
        value::{BorrowedStrDeserializer, MapDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::de::StrRead;

use super::{names::Names, reader::Reader};

/// The claims are not what the type expects, not JSON, or have a name that they must not have. Which of it matters to
/// nobody, so there is nothing to format.
#[derive(Debug)]
pub(super) struct Refused;

/// Reads the rest of an object: its members with the comma before the first, and the brace at the end.
pub(super) fn read_members<C: DeserializeOwned>(rest: &str) -> Result<C, Refused> {
    // We write no space there.
    match rest.starts_with(",\"") {
        true => C::deserialize(Members::new(rest)),
        false => Err(Refused),
    }
}

/// The outermost object.
struct Members<'de> {
    reader: Reader<'de>,
    names: Names<'de>,
    is_over: bool,
}

impl<'de> Members<'de> {
    fn new(rest: &'de str) -> Self {
        Self { reader: Reader::new(rest), names: Names::default(), is_over: false }
    }

    /// The next name as nearly all are written: between a comma and a colon, without blanks or escapes. `None`, and
    /// nothing is read, for every other one.
    #[inline]
    fn plain_name(&mut self) -> Option<&'de str> {
        let mut reader = self.reader;
        reader.text(",")?;
        let name = reader.plain_string()?;
        reader.text(":")?;
        reader.skip_blanks();
        self.names.admit(name).then(|| self.reader = reader)?;
        Some(name)
    }

    /// The next name however it is written, if there is one.
    #[inline(never)]
    fn any_name(&mut self) -> Result<Option<Cow<'de, str>>, Refused> {
        self.reader.skip_blanks();
        if self.is_over || self.reader.text("}").is_some() {
            self.is_over = true;
            return Ok(None);
        }
        self.reader.text(",").ok_or(Refused)?;
        self.reader.skip_blanks();
        let name = self.reader.string().ok_or(Refused)?;
        let is_good = match &name {
            Cow::Borrowed(name) => self.names.admit(name),
            Cow::Owned(name) => self.names.admit_escaped(name),
        };
        is_good.then_some(()).ok_or(Refused)?;
        self.reader.skip_blanks();
        self.reader.text(":").ok_or(Refused)?;
        self.reader.skip_blanks();
        Ok(Some(name))
    }

    fn value(&mut self) -> Value<'_, 'de> {
        Value(&mut self.reader)
    }

    /// Checks that nothing follows.
    fn end(mut self) -> Result<(), Refused> {
        if !self.is_over && self.any_name()?.is_some() {
            return Err(Refused);
        }
        self.reader.skip_blanks();
        self.reader.rest().is_empty().then_some(()).ok_or(Refused)
    }
}

impl<'de> Deserializer<'de> for Members<'de> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        let claims = visitor.visit_map(&mut self)?;
        self.end()?;
        Ok(claims)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Refused> {
        if name != RAW_VALUE {
            return visitor.visit_newtype_struct(self);
        }
        let json = format!("{{{}", self.reader.rest().strip_prefix(',').ok_or(Refused)?);
        self.deserialize_any(IgnoredAny)?;
        visitor.visit_map(MapDeserializer::new(std::iter::once((RAW_VALUE, json))))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        let claims = visitor.visit_enum(&mut self)?;
        self.end()?;
        Ok(claims)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// The name under which serde_json asks itself for the text of a value.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

impl<'de> MapAccess<'de> for Members<'de> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refused> {
        if let Some(name) = self.plain_name() {
            return seed.deserialize(Name(Cow::Borrowed(name))).map(Some);
        }
        if self.reader.text("}").is_some() {
            self.is_over = true;
            return Ok(None);
        }
        match self.any_name()? {
            Some(name) => seed.deserialize(Name(name)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refused> {
        seed.deserialize(self.value())
    }
}

/// A variant that holds something is an object with its name and what it holds.
impl<'m, 'de> EnumAccess<'de> for &'m mut Members<'de> {
    type Error = Refused;
    type Variant = Value<'m, 'de>;

    fn variant_seed<K: DeserializeSeed<'de>>(self, seed: K) -> Result<(K::Value, Self::Variant), Refused> {
        let name = self.any_name()?.ok_or(Refused)?;
        Ok((seed.deserialize(Name(name))?, self.value()))
    }
}

impl<'de> VariantAccess<'de> for Value<'_, 'de> {
    type Error = Refused;

    fn unit_variant(self) -> Result<(), Refused> {
        serde::Deserialize::deserialize(self)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Refused> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_struct("", fields, visitor)
    }
}

/// A name as serde asks for it: also as the number or the switch that it spells.
struct Name<'de>(Cow<'de, str>);

macro_rules! deserialize_spelled {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
            let Cow::Borrowed(name) = self.0 else { return Err(Refused) };
            // No blanks, which serde_json would skip.
            let is_bare = name.bytes().all(|byte| byte.is_ascii_graphic());
            let mut spelled = serde_json::Deserializer::from_str(if is_bare { name } else { "" });
            let value = spelled.$method(visitor).map_err(|_| Refused)?;
            spelled.end().map_err(|_| Refused)?;
            Ok(value)
        }
    )*};
}

impl<'de> Deserializer<'de> for Name<'de> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match self.0 {
            Cow::Borrowed(name) => visitor.visit_borrowed_str(name),
            Cow::Owned(name) => visitor.visit_string(name),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_enum(serde::de::value::CowStrDeserializer::new(self.0))
    }

    deserialize_spelled! {
        deserialize_bool
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// A value that was not read yet.
struct Value<'r, 'de>(&'r mut Reader<'de>);

impl<'de> Value<'_, 'de> {
    /// Has serde_json find the end of the value.
    fn text(self) -> Result<&'de str, Refused> {
        let mut values = serde_json::Deserializer::from_str(self.0.rest()).into_iter::<IgnoredAny>();
        values.next().and_then(Result::ok).ok_or(Refused)?;
        self.0.take(values.byte_offset()).ok_or(Refused)
    }

    /// Has serde_json read the value.
    #[inline(never)]
    fn pass_on<T>(
        self,
        read: impl FnOnce(&mut serde_json::Deserializer<StrRead<'de>>) -> serde_json::Result<T>,
    ) -> Result<T, Refused> {
        let mut value = serde_json::Deserializer::from_str(self.text()?);
        let result = read(&mut value).map_err(|_| Refused)?;
        value.end().map_err(|_| Refused)?;
        Ok(result)
    }
}

/// Reads here what is asked for if it stands there in its simplest form. `None`, and nothing is read, if not.
macro_rules! deserialize {
    ($($method:ident($($arg:ident: $type:ty),*) $(if let $pattern:pat = $simple:ident => $visit:ident($($value:expr)?))?;)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($arg: $type,)* visitor: V) -> Result<V::Value, Refused> {
            $(if let $pattern = self.0.$simple() {
                return visitor.$visit($($value)?);
            })?
            self.pass_on(|other| other.$method($($arg,)* visitor))
        }
    )*};
}

impl<'de> Deserializer<'de> for Value<'_, 'de> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        if let Some(text) = self.0.plain_string() {
            return visitor.visit_borrowed_str(text);
        }
        if let Some(number) = self.0.whole_number() {
            return visitor.visit_u64(number);
        }
        if let Some(switch) = self.0.switch() {
            return visitor.visit_bool(switch);
        }
        match self.0.null() {
            Some(()) => visitor.visit_unit(),
            None => self.pass_on(|other| other.deserialize_any(visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.text()?;
        visitor.visit_unit()
    }

    deserialize! {
        deserialize_str() if let Some(text) = plain_string => visit_borrowed_str(text);
        deserialize_string() if let Some(text) = plain_string => visit_borrowed_str(text);
        deserialize_identifier() if let Some(text) = plain_string => visit_borrowed_str(text);
        deserialize_char() if let Some(text) = plain_string => visit_borrowed_str(text);
        deserialize_bool() if let Some(switch) = switch => visit_bool(switch);
        deserialize_i8() if let Some(number) = whole_number => visit_u64(number);
        deserialize_i16() if let Some(number) = whole_number => visit_u64(number);
        deserialize_i32() if let Some(number) = whole_number => visit_u64(number);
        deserialize_i64() if let Some(number) = whole_number => visit_u64(number);
        deserialize_u8() if let Some(number) = whole_number => visit_u64(number);
        deserialize_u16() if let Some(number) = whole_number => visit_u64(number);
        deserialize_u32() if let Some(number) = whole_number => visit_u64(number);
        deserialize_u64() if let Some(number) = whole_number => visit_u64(number);
        deserialize_f32() if let Some(number) = whole_number => visit_u64(number);
        deserialize_f64() if let Some(number) = whole_number => visit_u64(number);
        deserialize_unit() if let Some(()) = null => visit_unit();
        deserialize_unit_struct(name: &'static str) if let Some(()) = null => visit_unit();
        deserialize_i128();
        deserialize_u128();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_seq();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match self.0.null() {
            Some(()) => visitor.visit_none(),
            None => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Refused> {
        match name == RAW_VALUE {
            true => self.pass_on(|other| other.deserialize_newtype_struct(name, visitor)),
            false => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        match self.0.plain_string() {
            Some(variant) => visitor.visit_enum(BorrowedStrDeserializer::new(variant)),
            None => self.pass_on(|other| other.deserialize_enum(name, variants, visitor)),
        }
    }
}

impl serde::de::Error for Refused {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("other claims")
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests;
