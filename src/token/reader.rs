//! Reading claims in the one order and spelling in which they are written.

use std::borrow::Cow;

/// A cursor over the payload of a token whose signature was verified.
///
/// Every method takes what it names or nothing; a `None` anywhere means that the token is not of our format.
pub(super) struct Reader<'p> {
    payload: &'p [u8],
    at: usize,
}

impl<'p> Reader<'p> {
    pub(super) const fn new(payload: &'p [u8]) -> Self {
        Self { payload, at: 0 }
    }

    fn rest(&self) -> &'p [u8] {
        self.payload.get(self.at..).unwrap_or_default()
    }

    /// Exactly these bytes.
    pub(super) fn literal(&mut self, expected: &[u8]) -> Option<()> {
        self.rest().starts_with(expected).then(|| self.at += expected.len())
    }

    /// Exactly `len` bytes.
    pub(super) fn bytes(&mut self, len: usize) -> Option<&'p [u8]> {
        let taken = self.rest().get(..len)?;
        self.at += len;
        Some(taken)
    }

    /// A JSON string with its quotes.
    pub(super) fn string(&mut self) -> Option<Cow<'p, str>> {
        let rest = self.rest();
        let body = rest.strip_prefix(b"\"")?;
        let end = body.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '))?;
        if body.get(end) == Some(&b'"') {
            self.at += end + 2;
            return std::str::from_utf8(body.get(..end)?).ok().map(Cow::Borrowed);
        }
        // Rare: something is escaped, or should be. Let serde_json find the end and unescape, or refuse it.
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<String>();
        let text = values.next()?.ok()?;
        self.at += values.byte_offset();
        Some(Cow::Owned(text))
    }

    /// A non-negative integer as JSON writes it: digits without a leading zero.
    pub(super) fn number(&mut self) -> Option<u64> {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = self.bytes(digits)?;
        match text {
            [] | [b'0', _, ..] => None,
            _ => text
                .iter()
                .try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))),
        }
    }

    /// Where the next unread byte stands.
    pub(super) const fn position(&self) -> usize {
        self.at
    }
}
