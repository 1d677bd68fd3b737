//! Secrets that are text.

use crate::error::LOG_TARGET;

/// Warns of a text that begins or ends with white space, which editors and shells add unseen. A node that reads its
/// secret from a file with a line break at the end has another key than one that gets it from the environment.
pub(super) fn warn_of_blanks(secret: &[u8], kid: &str) {
    if has_blanks_around(secret) {
        tracing::warn!(
            target: LOG_TARGET,
            kid,
            cure = "remove it on every node, for example with str::trim; nodes with the same secret show the same kid",
            "text secret begins or ends with white space, which is part of the key"
        );
    }
}

/// Random bytes are practically never text.
fn has_blanks_around(secret: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(secret) else { return false };
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || c == BYTE_ORDER_MARK);
    trimmed.len() < text.len() && !trimmed.contains(|c: char| c.is_control() && !c.is_whitespace())
}

const BYTE_ORDER_MARK: char = '\u{feff}';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_with_blanks_around_is_told_from_bytes() {
        let text = "c2VjcmV0IG9mIHRoaXJ0eS10d28gYnl0ZXM";
        for blanks in [["", "\n"], ["", "\r\n"], ["", " "], [" ", ""], ["\t", "\n\n"], ["\u{feff}", ""], ["", "\u{a0}"]]
        {
            assert!(has_blanks_around(blanks.join(text).as_bytes()), "{blanks:?}");
        }
        // As `openssl rand -base64 64` prints it.
        assert!(has_blanks_around(format!("{text}\n{text}\n").as_bytes()));
        assert!(!has_blanks_around(text.as_bytes()));
        assert!(!has_blanks_around(format!("{text}\n{text}").as_bytes()));
        assert!(!has_blanks_around(b"\x80 thirty-two bytes of no encoding\n"));
        assert!(!has_blanks_around(b"\x01\x02 bytes that are UTF-8 by chance\n"));
    }
}
