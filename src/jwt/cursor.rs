//! Reading JSON from left to right, where it is known what comes next.

use std::borrow::Cow;

use super::scan::{integer, plain_len};

/// A cursor over the payload of a token whose signature was verified.
///
/// Every method takes what it names or nothing; a `None` means that something else stands there.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'p> {
    rest: &'p str,
}

impl<'p> Cursor<'p> {
    pub(super) const fn new(payload: &'p str) -> Self {
        Self { rest: payload }
    }

    /// What was not read yet.
    pub(super) const fn rest(&self) -> &'p str {
        self.rest
    }

    /// The next byte, still unread.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.as_bytes().first().copied()
    }

    /// Exactly this text. Inlined, so that what is short and known is compared in place.
    #[inline]
    pub(super) fn text(&mut self, expected: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(expected)?;
        Some(())
    }

    /// So many bytes.
    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Option<&'p str> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    /// Whatever JSON takes for nothing.
    #[inline]
    pub(super) fn skip_blanks(&mut self) {
        while let Some(..=b' ') = self.peek()
            && let Some(rest) = self.rest.strip_prefix([' ', '\t', '\n', '\r'])
        {
            self.rest = rest;
        }
    }

    /// A string with its quotes, also with escapes.
    pub(super) fn string(&mut self) -> Option<Cow<'p, str>> {
        match self.plain_string() {
            Some(text) => Some(Cow::Borrowed(text)),
            None => self.escaped_string().map(Cow::Owned),
        }
    }

    /// A string with its quotes, spelled as `write` would spell it.
    pub(super) fn string_as(&mut self, write: impl Fn(&str) -> String) -> Option<Cow<'p, str>> {
        let before = self.rest;
        let text = self.string()?;
        // One without escapes has but one spelling.
        let is_ours = matches!(text, Cow::Borrowed(_)) || before.strip_suffix(self.rest)? == write(&text);
        is_ours.then_some(text)
    }

    /// Rare: something is escaped, or should be. Let serde_json find the end and unescape, or refuse it.
    #[cold]
    fn escaped_string(&mut self) -> Option<String> {
        // It would skip blanks.
        self.rest.strip_prefix('"')?;
        let mut values = serde_json::Deserializer::from_str(self.rest).into_iter();
        let text = values.next()?.ok()?;
        self.take(values.byte_offset())?;
        Some(text)
    }

    /// A string without escapes, with its quotes.
    #[inline]
    pub(super) fn plain_string(&mut self) -> Option<&'p str> {
        let body = self.rest.strip_prefix('"')?;
        let (text, rest) = body.split_at_checked(plain_len(body.as_bytes()))?;
        self.rest = rest.strip_prefix('"')?;
        Some(text)
    }

    /// A non-negative integer of up to 19 digits without a leading zero.
    #[inline]
    pub(super) fn number(&mut self) -> Option<u64> {
        let (number, len) = integer(self.rest.as_bytes())?;
        self.take(len)?;
        Some(number)
    }

    /// The same, unless it goes on as another kind of number.
    #[inline]
    pub(super) fn whole_number(&mut self) -> Option<u64> {
        let mut reader = *self;
        let number = reader.number()?;
        (!matches!(reader.peek(), Some(b'.' | b'e' | b'E'))).then(|| *self = reader)?;
        Some(number)
    }

    /// `true` or `false`.
    #[inline]
    pub(super) fn switch(&mut self) -> Option<bool> {
        self.text("true").map(|()| true).or_else(|| self.text("false").map(|()| false))
    }

    /// `null`.
    #[inline]
    pub(super) fn null(&mut self) -> Option<()> {
        self.text("null")
    }
}
