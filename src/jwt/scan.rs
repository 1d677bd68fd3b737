//! Where strings and numbers of JSON end, and what numbers say: eight bytes at a time.

const EACH: u64 = 0x0101_0101_0101_0101;
const HIGHEST_BITS: u64 = EACH * 0x80;

/// How many bytes stand before the first that a string of JSON cannot have as it is: `"`, `\` or a control character.
#[inline]
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    let mut len = 0;
    while let Some(word) = bytes.get(len..).and_then(<[u8]>::first_chunk) {
        let found = special(u64::from_le_bytes(*word));
        if found != 0 {
            return len + (found.trailing_zeros() / 8) as usize;
        }
        len += 8;
    }
    let rest = bytes.get(len..).unwrap_or_default();
    len + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..b' ')).unwrap_or(rest.len())
}

/// The highest bit of the first special byte is set and none below it. A byte after it may be marked wrongly, by what
/// the subtraction borrows from it.
#[inline]
fn special(word: u64) -> u64 {
    let less = |word: u64, than: u8| word.wrapping_sub(EACH * u64::from(than)) & !word & HIGHEST_BITS;
    let equal = |byte: u8| less(word ^ (EACH * u64::from(byte)), 1);
    less(word, b' ') | equal(b'"') | equal(b'\\')
}

/// As many digits fit into 64 bits, whichever they are. Times in seconds need half of it.
const MAX_DIGITS: usize = 19;

/// The non-negative integer at the beginning, as JSON writes it, and its length: up to 19 digits without a leading zero.
#[inline]
pub(super) fn integer(bytes: &[u8]) -> Option<(u64, usize)> {
    // Times have ten digits.
    let (mut number, mut len) = bytes.first_chunk().and_then(eight_digits).map_or((0, 0), |number| (number, 8));
    for byte in bytes.get(len..)? {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
        len += 1;
    }
    let has_leading_zero = len > 1 && bytes.first() == Some(&b'0');
    ((1..=MAX_DIGITS).contains(&len) && !has_leading_zero).then_some((number, len))
}

/// Digits become pairs, pairs become fours, and fours become the number.
fn eight_digits(text: &[u8; 8]) -> Option<u64> {
    let digits = u64::from_le_bytes(*text) ^ (EACH * u64::from(b'0'));
    // Whatever is above nine reaches the highest bit of its byte by this, or has reached it already.
    if (digits | digits.wrapping_add(EACH * (0x80 - 10))) & HIGHEST_BITS != 0 {
        return None;
    }
    // The first digit stands lowest.
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)) & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_byte_in_every_place() {
        for at in 0..20 {
            for byte in 0..=u8::MAX {
                let mut text = *b"xxxxxxxxxxxxxxxxxxxx";
                text[at] = byte;
                let is_special = matches!(byte, b'"' | b'\\' | 0..=0x1f);
                assert_eq!(plain_len(&text), if is_special { at } else { 20 }, "{byte:#x} at {at}");
                let mut digits = *b"123456789012345678__";
                digits[at] = byte;
                let expected: String = digits.iter().map(|b| char::from(*b)).take_while(char::is_ascii_digit).collect();
                let expected = expected.parse().ok().filter(|_| digits[0] != b'0').map(|n| (n, expected.len()));
                let is_zero = digits[0] == b'0' && !digits[1].is_ascii_digit();
                assert_eq!(integer(&digits), expected.or(is_zero.then_some((0, 1))), "{byte:#x} at {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn finds_what_a_plain_search_finds(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'!'), Just(b']')], 0..40)) {
            let plain = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).unwrap_or(bytes.len());
            prop_assert_eq!(plain_len(&bytes), plain);
        }

        #[test]
        fn reads_numbers_as_everybody_does(text in "[0-9]{0,22}[^0-9]{0,3}") {
            let digits: &str = text.split(|c: char| !c.is_ascii_digit()).next().unwrap();
            let plain = digits.parse::<u64>().ok().filter(|number| number.to_string() == digits && digits.len() < 20);
            prop_assert_eq!(integer(text.as_bytes()), plain.map(|number| (number, digits.len())));
        }

        #[test]
        fn eight_digits_are_a_number(number in 0..100_000_000_u64) {
            let text = format!("{number:08}");
            prop_assert_eq!(eight_digits(text.as_bytes().first_chunk().unwrap()), Some(number));
        }
    }
}
