//! The application's claims, handed to serde member by member.
//!
//! What nearly all of them are is read here: strings without escapes, whole numbers, `true`, `false`, `null`, and arrays
//! of such. Every other value is found by serde_json and read by serde_json, so there is nothing to get wrong about it.
//! The names pass by on the way: none may be ours, and none may be there twice.
//!
//! Types are read as serde_json reads them from the same object, which the tests hold this to, but for this: what is no
//! JSON is refused also in bytes and where serde_json only skips it; an array or object may be one deeper, since the
//! depth is counted from the member on; and a type that fails to read a value and goes on finds itself behind it.

mod name;
mod value;

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, EnumAccess, IgnoredAny, MapAccess, VariantAccess, Visitor,
        value::MapDeserializer,
    },
    forward_to_deserialize_any,
};

use self::{name::Name, value::Value};
use super::{cursor::Cursor, names::Names};

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
    reader: Cursor<'de>,
    names: Names<'de>,
}

impl<'de> Members<'de> {
    fn new(rest: &'de str) -> Self {
        Self { reader: Cursor::new(rest), names: Names::default() }
    }

    /// The next name as nearly all are written: after a comma, without blanks or escapes. `None`, and nothing is read,
    /// for every other one.
    #[inline]
    fn plain_name(&mut self) -> Option<&'de str> {
        let mut reader = self.reader;
        reader.text(",")?;
        let name = reader.plain_string()?;
        self.names.admit(name).then(|| self.reader = reader)?;
        Some(name)
    }

    /// The next name however it is written, if there is one.
    #[inline(never)]
    fn any_name(&mut self) -> Result<Option<Cow<'de, str>>, Refused> {
        self.reader.skip_blanks();
        if self.is_over() {
            return Ok(None);
        }
        self.reader.text(",").ok_or(Refused)?;
        self.reader.skip_blanks();
        let name = self.reader.string().ok_or(Refused)?;
        let is_good = match &name {
            Cow::Borrowed(name) => self.names.admit(name),
            Cow::Owned(name) => self.names.admit_escaped(name),
        };
        is_good.then_some(Some(name)).ok_or(Refused)
    }

    /// The brace is left for [`Self::end`], so that whoever asks for another name again is told the same.
    fn is_over(&self) -> bool {
        self.reader.peek() == Some(b'}')
    }

    fn value(&mut self) -> Result<Value<'_, 'de>, Refused> {
        self.reader.skip_blanks();
        self.reader.text(":").ok_or(Refused)?;
        self.reader.skip_blanks();
        Ok(Value::new(&mut self.reader))
    }

    /// Checks that nothing follows.
    fn end(mut self) -> Result<(), Refused> {
        self.reader.skip_blanks();
        self.reader.text("}").ok_or(Refused)?;
        self.reader.skip_blanks();
        self.reader.rest().is_empty().then_some(()).ok_or(Refused)
    }
}

/// What no object is.
macro_rules! refuse {
    ($($method:ident($($type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $(_: $type,)* _: V) -> Result<V::Value, Refused> {
            Err(Refused)
        }
    )*};
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
        let json = format!("{{{}", self.reader.rest().strip_prefix(',').ok_or(Refused)?.trim_ascii_end());
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

    /// Looks at the names all the same.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_any(IgnoredAny)?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        map struct
    }

    refuse! {
        deserialize_bool() deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_char() deserialize_str() deserialize_string()
        deserialize_bytes() deserialize_byte_buf() deserialize_unit() deserialize_unit_struct(&'static str)
        deserialize_seq() deserialize_tuple(usize) deserialize_tuple_struct(&'static str, usize)
        deserialize_identifier()
    }
}

/// The name under which serde_json asks itself for the text of a value.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

impl<'de> MapAccess<'de> for Members<'de> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refused> {
        if let Some(name) = self.plain_name() {
            return seed.deserialize(Name::new(Cow::Borrowed(name))).map(Some);
        }
        if self.is_over() {
            return Ok(None);
        }
        match self.any_name()? {
            Some(name) => seed.deserialize(Name::new(name)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refused> {
        seed.deserialize(self.value()?)
    }
}

/// A variant that holds something is an object with its name and what it holds.
impl<'m, 'de> EnumAccess<'de> for &'m mut Members<'de> {
    type Error = Refused;
    type Variant = Value<'m, 'de>;

    fn variant_seed<K: DeserializeSeed<'de>>(self, seed: K) -> Result<(K::Value, Self::Variant), Refused> {
        let name = self.any_name()?.ok_or(Refused)?;
        Ok((seed.deserialize(Name::new(name))?, self.value()?))
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
