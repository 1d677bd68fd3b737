//! Types that ask in unusual ways, and tell what they were given.

use serde::de::{MapAccess, SeqAccess, Visitor};

use super::*;

/// Whatever it is given.
struct Anything;

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Told(String);

macro_rules! tells {
    ($($method:ident($type:ty))*) => {$(
        fn $method<E>(self, value: $type) -> Result<Told, E> {
            Ok(Told(format!("{} {value:?}", stringify!($method))))
        }
    )*};
}

impl<'de> Visitor<'de> for Anything {
    type Value = Told;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    tells! {
        visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_i128(i128) visit_u128(u128) visit_f32(f32) visit_f64(f64)
        visit_char(char) visit_str(&str) visit_borrowed_str(&'de str) visit_string(String)
        visit_bytes(&[u8]) visit_borrowed_bytes(&'de [u8]) visit_byte_buf(Vec<u8>)
    }

    fn visit_unit<E>(self) -> Result<Told, E> {
        Ok(Told("unit".to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Told, A::Error> {
        let mut all = Vec::new();
        while let Some(element) = elements.next_element::<Value>()? {
            all.push(element);
        }
        Ok(Told(format!("{all:?}")))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Told, A::Error> {
        let mut all = Vec::new();
        while let Some(member) = members.next_entry::<String, Value>()? {
            all.push(member);
        }
        Ok(Told(format!("{all:?}")))
    }
}

/// A type for each way to ask, and all of them as claims, as a value, as an element and as a name.
macro_rules! ways_to_ask {
    ($($name:ident = $method:ident($($arg:expr),*);)*) => {
        $(
            #[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
            struct $name(Told);

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    deserializer.$method($($arg,)* Anything).map(Self)
                }
            }
        )*

        pub(super) fn every_way(json: &str) {
            agree!(json => $($name),*);
            agree!(json => $(Holder<$name>),*);
            agree!(json => $(Holder<Vec<$name>>),*);
        }

        pub(super) fn every_way_of_names(json: &str) {
            agree!(json => $(BTreeMap<$name, IgnoredAny>),*);
        }
    };
}

ways_to_ask! {
    Any = deserialize_any();
    Bool = deserialize_bool();
    U8 = deserialize_u8();
    I64 = deserialize_i64();
    U128 = deserialize_u128();
    F32 = deserialize_f32();
    F64 = deserialize_f64();
    Char = deserialize_char();
    Str = deserialize_str();
    Text = deserialize_string();
    Bytes = deserialize_bytes();
    ByteBuf = deserialize_byte_buf();
    Unit = deserialize_unit();
    UnitStruct = deserialize_unit_struct("x");
    Seq = deserialize_seq();
    Tuple = deserialize_tuple(2);
    TupleStruct = deserialize_tuple_struct("x", 2);
    Map = deserialize_map();
    Struct = deserialize_struct("x", &["a"]);
    Identifier = deserialize_identifier();
    Ignored = deserialize_ignored_any();
}

/// Types that do not ask for all there is, or for more.
macro_rules! odd_maps {
    ($($name:ident = |$members:ident| $read:expr;)*) => {
        $(
            #[derive(Debug)]
            #[expect(dead_code, reason = "printed")]
            struct $name(String);

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    struct Cursor;
                    impl<'de> Visitor<'de> for Cursor {
                        type Value = $name;

                        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                            f.write_str("an object")
                        }

                        fn visit_map<A: MapAccess<'de>>(self, mut $members: A) -> Result<$name, A::Error> {
                            Ok($name(format!("{:?}", $read)))
                        }
                    }
                    deserializer.deserialize_map(Cursor)
                }
            }
        )*

        pub(super) fn every_odd_map(json: &str) {
            agree!(json => $($name),*);
        }
    };
}

type Key = String;

odd_maps! {
    Nothing = |_members| ();
    OneKey = |members| members.next_key::<Key>()?;
    OneMember = |members| members.next_entry::<Key, Value>()?;
    OneTooMany = |members| {
        while members.next_entry::<Key, Value>()?.is_some() {}
        (members.next_entry::<Key, Value>()?, members.next_key::<Key>()?)
    };
    KeysAlone = |members| (members.next_key::<Key>()?, members.next_key::<Key>()?);
}
