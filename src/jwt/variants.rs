//! The variants without fields of an enum, obtained from its `Deserialize`.

use serde::{
    Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, EnumAccess, VariantAccess, Visitor,
        value::{Error, StrDeserializer},
    },
    forward_to_deserialize_any,
};

/// Returns each variant without fields and its name if the type is an externally tagged enum, also within an `Option`
/// or a newtype. Enums are externally tagged unless they have `#[serde(tag = "…")]` or `#[serde(untagged)]`.
pub(super) fn unit_variants<C: DeserializeOwned>() -> Vec<(&'static str, C)> {
    let mut names: &[&str] = &[];
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        let variant = C::deserialize(Probe { at, names: &mut names });
        let Some(name) = names.get(at) else { return found };
        found.extend(variant.ok().map(|variant| (*name, variant)));
        at += 1;
    }
}

/// Deserializes the variant at this index of an enum as if it had no fields, and nothing else.
struct Probe<'p> {
    at: usize,
    /// Receives the names of the enum's variants.
    names: &'p mut &'static [&'static str],
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(refused())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.names = names;
        visitor.visit_enum(Variant(names.get(self.at).ok_or_else(refused)?))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// A variant without fields.
struct Variant(&'static str);

impl<'de> EnumAccess<'de> for Variant {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        Ok((seed.deserialize(StrDeserializer::new(self.0))?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _: S) -> Result<S::Value, Error> {
        Err(refused())
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(refused())
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Error> {
        Err(refused())
    }
}

fn refused() -> Error {
    serde::de::Error::custom("not a variant without fields")
}
