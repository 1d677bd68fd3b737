//! Reading claims in the one order and spelling in which they are written.

use std::borrow::Cow;

/// A cursor over the payload of a token whose signature was verified.
///
/// Every method takes what it names or nothing; a `None` anywhere means that the token is not of our format.
pub(super) struct Reader<'p> {
    payload: &'p [u8],
    at: usize,
}

/// So many fit into 64 bits, whichever they are. Times in seconds need half of it.
const MAX_DIGITS: usize = 19;

impl<'p> Reader<'p> {
    pub(super) const fn new(payload: &'p [u8]) -> Self {
        Self { payload, at: 0 }
    }

    fn rest(&self) -> &'p [u8] {
        self.payload.get(self.at..).unwrap_or_default()
    }

    /// Exactly these bytes.
    pub(super) fn text(&mut self, expected: &[u8]) -> Option<()> {
        self.rest().starts_with(expected).then(|| self.at += expected.len())
    }

    /// Exactly these bytes, so few that they are compared in place.
    pub(super) fn literal<const N: usize>(&mut self, expected: &[u8; N]) -> Option<()> {
        (self.rest().first_chunk() == Some(expected)).then(|| self.at += N)
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

    /// A non-negative integer as JSON writes it: up to 19 digits without a leading zero.
    pub(super) fn number(&mut self) -> Option<u64> {
        let rest = self.rest();
        let (mut number, mut len) = (0_u64, 0);
        for byte in rest {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            len += 1;
        }
        self.at += len;
        let has_leading_zero = len > 1 && rest.first() == Some(&b'0');
        ((1..=MAX_DIGITS).contains(&len) && !has_leading_zero).then_some(number)
    }

    /// Where the next unread byte stands.
    pub(super) const fn position(&self) -> usize {
        self.at
    }
}
