//! The variants of an enum that have no fields, each obtained from the enum's `Deserialize`.

use serde::{
    Deserializer,
    de::{DeserializeOwned, DeserializeSeed, EnumAccess, VariantAccess, Visitor, value::StrDeserializer},
    forward_to_deserialize_any,
};

use super::members::Refused;

/// Each variant without fields and its name, if this is an externally tagged enum, as serde's derive makes it without
/// `tag` and `untagged`. Also within an `Option` or a newtype.
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

/// Gives an enum the variant at this index, as if it had no fields, and everything else an error.
struct Probe<'p> {
    at: usize,
    /// The names of the enum's variants, as it states them.
    names: &'p mut &'static [&'static str],
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refused> {
        Err(Refused)
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
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        *self.names = names;
        visitor.visit_enum(Variant(names.get(self.at).ok_or(Refused)?))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// A variant without fields.
struct Variant(&'static str);

impl<'de> EnumAccess<'de> for Variant {
    type Error = Refused;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Refused> {
        Ok((seed.deserialize(StrDeserializer::new(self.0))?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant {
    type Error = Refused;

    fn unit_variant(self) -> Result<(), Refused> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _: S) -> Result<S::Value, Refused> {
        Err(Refused)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Refused> {
        Err(Refused)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Refused> {
        Err(Refused)
    }
}
