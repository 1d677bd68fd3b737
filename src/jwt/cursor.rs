//! A cursor over JSON whose order and spelling are known.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// Reads a payload from left to right. A method that returns `None` has found something else than it expects.
pub(super) struct Cursor<'p> {
    rest: &'p [u8],
}

/// Any number of so many digits fits into 64 bits.
const MAX_DIGITS: usize = 19;

impl<'p> Cursor<'p> {
    pub(super) const fn new(payload: &'p [u8]) -> Self {
        Self { rest: payload }
    }

    /// Returns how many bytes are left.
    pub(super) const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Returns what is left.
    pub(super) const fn rest(&self) -> &'p [u8] {
        self.rest
    }

    /// Whether this text is next.
    #[inline]
    pub(super) fn is_at(&self, expected: &str) -> bool {
        self.rest.starts_with(expected.as_bytes())
    }

    /// Reads exactly this text. Inlined, so that short constants are compared in place.
    #[inline]
    pub(super) fn text(&mut self, expected: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(expected.as_bytes())?;
        Some(())
    }

    /// Reads this many bytes.
    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Option<&'p [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    /// Reads a non-negative integer of up to 19 digits without a leading zero.
    #[inline]
    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        let mut len = 0;
        for digit in self.rest.iter().take_while(|byte| byte.is_ascii_digit()) {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            len += 1;
        }
        let has_leading_zero = len > 1 && self.rest.starts_with(b"0");
        self.take(len)?;
        ((1..=MAX_DIGITS).contains(&len) && !has_leading_zero).then_some(number)
    }

    /// Reads a string with its quotes, if it is spelled as `write` spells it.
    pub(super) fn string(&mut self, write: impl Fn(&str) -> String) -> Option<Cow<'p, str>> {
        let body = self.rest.strip_prefix(b"\"")?;
        let len = body.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '))?;
        let (text, rest) = body.split_at_checked(len)?;
        if let Some(rest) = rest.strip_prefix(b"\"") {
            // Without escapes there is only one spelling.
            self.rest = rest;
            return std::str::from_utf8(text).ok().map(Cow::Borrowed);
        }
        let mut values = serde_json::Deserializer::from_slice(self.rest).into_iter::<String>();
        let text = values.next()?.ok()?;
        let spelling = self.take(values.byte_offset())?;
        (spelling == write(&text).as_bytes()).then_some(Cow::Owned(text))
    }

    /// Reads a JSON object, in whatever spelling.
    pub(super) fn object(&mut self) -> Option<&'p str> {
        self.is_at("{").then_some(())?;
        let mut values = serde_json::Deserializer::from_slice(self.rest).into_iter::<IgnoredAny>();
        let IgnoredAny = values.next()?.ok()?;
        std::str::from_utf8(self.take(values.byte_offset())?).ok()
    }
}

/// Spells a string as this crate does.
pub(super) fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spelled(text: &str) -> String {
        serde_json::to_string(text).unwrap()
    }

    proptest! {
        #[test]
        fn number_agrees_with_parse(text in "[0-9]{0,22}[^0-9]{0,3}") {
            let digits = text.split(|c: char| !c.is_ascii_digit()).next().unwrap();
            let expected = digits.parse::<u64>().ok().filter(|number| number.to_string() == digits && digits.len() < 20);
            let mut cursor = Cursor::new(text.as_bytes());
            prop_assert_eq!(cursor.number(), expected);
            prop_assert!(expected.is_none() || cursor.remaining() == text.len() - digits.len());
        }

        #[test]
        fn string_accepts_one_spelling(text in "[a\"\\\\/\u{0}-\u{1f}\u{7f}é€\u{1F600}]{0,12}", rest in "[,}a\"]{0,3}") {
            let written = spelled(&text) + &rest;
            let mut cursor = Cursor::new(written.as_bytes());
            let read = cursor.string(spelled);
            prop_assert_eq!(read.as_deref(), Some(&*text));
            prop_assert_eq!(cursor.remaining(), rest.len());
        }

        #[test]
        fn string_refuses_other_spellings(json in "\"([a/é\"\n]|\\\\[/bfnu\"\\\\]|\\\\u00[016][19aA]){0,4}\"?") {
            let read = Cursor::new(json.as_bytes()).string(spelled);
            let text = serde_json::Deserializer::from_str(&json).into_iter::<String>().next().and_then(Result::ok);
            let expected = text.filter(|text| json.starts_with(&spelled(text)));
            prop_assert_eq!(read.as_deref(), expected.as_deref());
        }
    }
}
