//! A value, read here where it is simple and by serde_json where it is not.

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, SeqAccess, Visitor, value::BorrowedStrDeserializer},
};
use serde_json::de::SliceRead;

use super::{RAW_VALUE, Refused};
use crate::jwt::cursor::Cursor;

/// A value that was not read yet.
pub(super) struct Value<'r, 'de> {
    reader: &'r mut Cursor<'de>,
    /// Of an array. Arrays in arrays are for serde_json, which counts how deep they are.
    is_element: bool,
}

impl<'r, 'de> Value<'r, 'de> {
    pub(super) fn new(reader: &'r mut Cursor<'de>) -> Self {
        Self { reader, is_element: false }
    }

    /// Has serde_json find the end of the value.
    fn text(self) -> Result<&'de str, Refused> {
        let mut values = serde_json::Deserializer::from_str(self.reader.rest()).into_iter::<IgnoredAny>();
        values.next().and_then(Result::ok).ok_or(Refused)?;
        self.reader.take(values.byte_offset()).ok_or(Refused)
    }

    /// Has serde_json read the value, as bytes: of text it takes for granted that it never stands in the midst of a
    /// character, where it does stand, and panics, after it looked for a name that is a `bool`.
    #[inline(never)]
    fn pass_on<T>(
        self,
        read: impl FnOnce(&mut serde_json::Deserializer<SliceRead<'de>>) -> serde_json::Result<T>,
    ) -> Result<T, Refused> {
        let mut value = serde_json::Deserializer::from_slice(self.text()?.as_bytes());
        let result = read(&mut value).map_err(|_| Refused)?;
        value.end().map_err(|_| Refused)?;
        Ok(result)
    }
}

/// Reads here what is asked for if it stands there in its simplest form.
macro_rules! deserialize_simple {
    ($simple:ident as $visit:ident: $($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
            match self.reader.$simple() {
                Some(value) => visitor.$visit(value),
                None => self.pass_on(|other| other.$method(visitor)),
            }
        }
    )*};
}

macro_rules! pass_on {
    ($($method:ident($($arg:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($arg: $type,)* visitor: V) -> Result<V::Value, Refused> {
            self.pass_on(|other| other.$method($($arg,)* visitor))
        }
    )*};
}

impl<'de> Deserializer<'de> for Value<'_, 'de> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        if let Some(text) = self.reader.plain_string() {
            return visitor.visit_borrowed_str(text);
        }
        if let Some(number) = self.reader.whole_number() {
            return visitor.visit_u64(number);
        }
        if let Some(switch) = self.reader.switch() {
            return visitor.visit_bool(switch);
        }
        if let Some(()) = self.reader.null() {
            return visitor.visit_unit();
        }
        match self.reader.peek() {
            Some(b'[') => self.deserialize_seq(visitor),
            _ => self.pass_on(|other| other.deserialize_any(visitor)),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        if self.is_element || self.reader.text("[").is_none() {
            return self.pass_on(|other| other.deserialize_seq(visitor));
        }
        let mut elements = Elements { reader: self.reader, is_first: true };
        let array = visitor.visit_seq(&mut elements)?;
        elements.end()?;
        Ok(array)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.text()?;
        visitor.visit_unit()
    }

    deserialize_simple! { plain_string as visit_borrowed_str:
        deserialize_str deserialize_string deserialize_identifier deserialize_char
    }

    deserialize_simple! { whole_number as visit_u64:
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_f32 deserialize_f64
    }

    deserialize_simple! { switch as visit_bool: deserialize_bool }

    pass_on! {
        deserialize_i128() deserialize_u128() deserialize_bytes() deserialize_byte_buf() deserialize_map()
        deserialize_unit() deserialize_unit_struct(name: &'static str)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match self.reader.null() {
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
        match self.reader.plain_string() {
            Some(variant) => visitor.visit_enum(BorrowedStrDeserializer::new(variant)),
            None => self.pass_on(|other| other.deserialize_enum(name, variants, visitor)),
        }
    }
}

/// The elements of an array.
struct Elements<'r, 'de> {
    reader: &'r mut Cursor<'de>,
    is_first: bool,
}

impl Elements<'_, '_> {
    /// Checks that there are no more.
    fn end(self) -> Result<(), Refused> {
        self.reader.skip_blanks();
        self.reader.text("]").ok_or(Refused)
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refused> {
        self.reader.skip_blanks();
        if self.reader.peek() == Some(b']') {
            return Ok(None);
        }
        if !std::mem::take(&mut self.is_first) {
            self.reader.text(",").ok_or(Refused)?;
            self.reader.skip_blanks();
        }
        seed.deserialize(Value { reader: self.reader, is_element: true }).map(Some)
    }
}
