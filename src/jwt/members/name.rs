//! A name, read as whatever serde asks for.

use std::borrow::Cow;

use serde::{
    Deserializer,
    de::{
        Visitor,
        value::{BorrowedStrDeserializer, StrDeserializer},
    },
    forward_to_deserialize_any,
};

use super::Refused;

/// A name that was not read yet: also the number or the switch that it spells.
pub(super) struct Name<'de>(Cow<'de, str>);

impl<'de> Name<'de> {
    #[inline]
    pub(super) const fn new(name: Cow<'de, str>) -> Self {
        Self(name)
    }
}

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
            Cow::Owned(name) => visitor.visit_str(&name),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match self.0 {
            Cow::Borrowed(name) => visitor.visit_borrowed_bytes(name.as_bytes()),
            Cow::Owned(name) => visitor.visit_bytes(name.as_bytes()),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_bytes(visitor)
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
        match &self.0 {
            Cow::Borrowed(name) => visitor.visit_enum(BorrowedStrDeserializer::new(name)),
            Cow::Owned(name) => visitor.visit_enum(StrDeserializer::new(name)),
        }
    }

    deserialize_spelled! {
        deserialize_bool
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    forward_to_deserialize_any! {
        char str string unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
