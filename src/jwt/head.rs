//! The beginning of a payload, up to the value of `sub`.

use std::fmt::Write as _;

use base64_simd::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::cursor::{Cursor, json_string};

/// The constant beginning of every payload of a codec, with `client_id` and `jti` if it writes them (RFC 9068, section
/// 2.2).
///
/// They stand before `sub`, so that a payload without them is recognised by one comparison. A codec reads both forms,
/// whichever it writes, since nodes of one service may be configured differently for a while.
#[derive(Clone)]
pub(super) struct PayloadHead {
    /// `{"iss":…,"aud":…,"sub":`
    plain: String,
    /// `{"iss":…,"aud":…,"client_id":…,"jti":"`
    identified: Option<String>,
}

const SUB: &str = r#","sub":"#;
const CLIENT_ID: &str = r#","client_id":"#;
const JTI: &str = r#","jti":""#;

/// 128 bits in base64url.
const JTI_LEN: usize = 22;
/// As long as the digest that takes its place.
const NO_JTI: &str = "0000000000000000000000";

impl PayloadHead {
    pub(super) fn new(issuer: &str, audience: &str) -> Self {
        let plain = format!(r#"{{"iss":{},"aud":{}{SUB}"#, json_string(issuer), json_string(audience));
        Self { plain, identified: None }
    }

    /// Writes the client and a `jti` from now on.
    pub(super) fn identify(&mut self, client_id: &str) {
        let before = self.plain.strip_suffix(SUB).unwrap_or_default();
        self.identified = Some(format!("{before}{CLIENT_ID}{}{JTI}", json_string(client_id)));
    }

    pub(super) fn len(&self) -> usize {
        self.identified.as_ref().map_or(self.plain.len(), |head| head.len() + JTI_LEN + 1 + SUB.len())
    }

    /// Begins a payload. [`finish`](Self::finish) is due when it is complete.
    pub(super) fn write(&self, payload: &mut String) {
        match &self.identified {
            None => payload.push_str(&self.plain),
            // Writing to a String does not fail.
            Some(head) => {
                let _ = write!(payload, r#"{head}{NO_JTI}"{SUB}"#);
            }
        }
    }

    /// Sets the `jti`: half of a digest of all other claims, so that the same token, issued again, has the same one, and
    /// any other token has another one.
    pub(super) fn finish(&self, payload: &mut String) {
        if let Some(head) = &self.identified {
            let digest = Sha256::digest(payload.as_bytes());
            let (half, _) = digest.split_at(16);
            payload.replace_range(head.len()..head.len() + JTI_LEN, &URL_SAFE_NO_PAD.encode_to_string(half));
        }
    }

    /// Reads the beginning of a payload.
    #[inline]
    pub(super) fn read(&self, cursor: &mut Cursor<'_>) -> Option<()> {
        cursor.text(&self.plain).or_else(|| self.read_identified(cursor))
    }

    /// The client and the `jti` are for others: whatever an accepted key has signed is right.
    #[cold]
    fn read_identified(&self, cursor: &mut Cursor<'_>) -> Option<()> {
        cursor.text(self.plain.strip_suffix(SUB)?)?;
        cursor.text(CLIENT_ID)?;
        cursor.string(json_string)?;
        cursor.text(JTI)?;
        let is_base64url = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        cursor.take(JTI_LEN)?.iter().all(is_base64url).then_some(())?;
        cursor.text("\"")?;
        cursor.text(SUB)
    }
}
