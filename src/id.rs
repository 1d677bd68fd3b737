//! Identifiers of sessions and users.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
    sync::Arc,
};

use aws_lc_rs::{digest, rand};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use base64_simd::AsOut as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The identifier of a session: 128 random bits from the operating system, written as 22 characters of base64url.
///
/// It is not a credential. It appears in signed tokens, in the list of a user's sessions and in the path of
/// `DELETE /sessions/{id}`. It is not a UUID, which has 122 random bits; OWASP ASVS 5.0 requires 128 (7.2.3, 11.5.1).
///
/// `Display` writes the identifier. `Debug` writes a short one-way digest of it, so that log lines can be correlated
/// with each other but not with a token.
///
/// ```
/// use tower_jwt_sessions::SessionId;
///
/// let id: SessionId = "AAECAwQFBgcICQoLDA0ODw".parse()?;
/// assert_eq!(id.as_bytes()[15], 15);
/// assert!(!format!("{id:?}").contains("AAECAwQF"));
/// # Ok::<(), tower_jwt_sessions::error::InvalidSessionId>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId([u8; Self::LEN]);

impl SessionId {
    /// The length in bytes.
    pub const LEN: usize = 16;
    /// The length of the text form in characters.
    pub const TEXT_LEN: usize = 22;

    /// Generates an identifier; `None` if the random number generator of the system fails.
    pub(crate) fn random() -> Option<Self> {
        let mut bytes = [0; Self::LEN];
        rand::fill(&mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// Creates an identifier from the bytes that a store has kept.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes, for stores.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Appends the text form.
    pub(crate) fn write_text(self, text: &mut String) {
        URL_SAFE_NO_PAD.encode_string(self.0, text);
    }

    /// Reads the canonical text form from raw bytes.
    pub(crate) fn from_text(text: &[u8]) -> Option<Self> {
        if text.len() != Self::TEXT_LEN {
            return None;
        }
        let mut bytes = [0; Self::LEN];
        base64_simd::URL_SAFE_NO_PAD.decode(text, bytes.as_mut_slice().as_out()).ok()?;
        Some(Self(bytes))
    }

    /// The digest that identifies the session in logs. It is the same on every node, and cannot be turned back into the
    /// identifier.
    ///
    /// A digest without a key is enough, since the input has 128 bits of entropy.
    pub fn log_digest(&self) -> impl fmt::Display + use<> {
        struct Hex([u8; 4]);
        impl fmt::Display for Hex {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
        Hex(short_digest("tower-jwt-sessions log v1", [&self.0[..]]))
    }
}

/// The first bytes of the SHA-256 of a label and these parts, each prefixed with its length.
pub(crate) fn short_digest<'p, const LEN: usize>(label: &str, parts: impl IntoIterator<Item = &'p [u8]>) -> [u8; LEN] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(label.as_bytes());
    for part in parts {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part);
    }
    let mut short = [0; LEN];
    short.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    short
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId(#{})", self.log_digest())
    }
}

impl FromStr for SessionId {
    type Err = InvalidSessionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_text(text.as_bytes()).ok_or(InvalidSessionId(()))
    }
}

impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The error of parsing a text that is not a [`SessionId`], which has 22 characters of canonical base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSessionId(());

impl fmt::Display for InvalidSessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid session id: expected 22 characters of canonical base64url")
    }
}

impl std::error::Error for InvalidSessionId {}

/// The identifier of a user: any text of 1 to 255 bytes. It is the `sub` claim of both tokens.
///
/// Methods that take a user accept `impl ToString`, so integers, UUIDs and strings all work. Prefer an opaque key over
/// an e-mail address: tokens are signed, not encrypted.
///
/// ```
/// use tower_jwt_sessions::UserId;
///
/// assert_eq!(UserId::new(42)?.as_str(), "42");
/// assert!(UserId::new("").is_err());
/// # Ok::<(), tower_jwt_sessions::error::InvalidUserId>(())
/// ```
#[derive(Clone)]
pub struct UserId(Text);

/// Short identifiers are stored inline, since every request reads one.
#[derive(Clone)]
enum Text {
    /// Always UTF-8.
    Short {
        len: u8,
        bytes: [u8; SHORT],
    },
    Long(Arc<str>),
}

/// The length of a UUID with hyphens, and two more: a user id then has 40 bytes.
const SHORT: usize = 38;

impl UserId {
    /// The maximum length in bytes.
    pub const MAX_LEN: usize = 255;

    /// Creates a user id from the text of `user`.
    ///
    /// # Errors
    ///
    /// [`InvalidUserId`] when the text is empty or longer than [`UserId::MAX_LEN`] bytes.
    pub fn new(user: impl ToString) -> Result<Self, InvalidUserId> {
        Self::from_text(&user.to_string())
    }

    /// The same for a text that is one already, without an allocation if it is short.
    #[inline]
    pub(crate) fn from_text(text: &str) -> Result<Self, InvalidUserId> {
        let len = text.len();
        if !(1..=Self::MAX_LEN).contains(&len) {
            return Err(InvalidUserId { len });
        }
        let mut bytes = [0; SHORT];
        Ok(Self(match (u8::try_from(len), bytes.get_mut(..len)) {
            (Ok(len), Some(room)) => {
                room.copy_from_slice(text.as_bytes());
                Text::Short { len, bytes }
            }
            _ => Text::Long(text.into()),
        }))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // Always valid. Checking it again takes a few nanoseconds, less than an allocation.
            Text::Short { len, bytes } => {
                bytes.get(..usize::from(*len)).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
            }
            Text::Long(text) => text,
        }
    }
}

impl PartialEq for UserId {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for UserId {}

impl Hash for UserId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialOrd for UserId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UserId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Escaped, so that a user id cannot begin a new line in a log.
impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserId({:?})", self.as_str())
    }
}

impl AsRef<str> for UserId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for UserId {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for UserId {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl Serialize for UserId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The error of creating a [`UserId`] from a text that is empty or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUserId {
    len: usize,
}

impl fmt::Display for InvalidUserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid user id: {} bytes, need 1 to {}", self.len, UserId::MAX_LEN)
    }
}

impl std::error::Error for InvalidUserId {}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn short_and_long_user_ids_are_their_text(a in ".{0,300}", b in ".{0,3}") {
            let ids = [&a, &b].map(UserId::new);
            for (text, id) in [&a, &b].into_iter().zip(&ids) {
                match id {
                    Ok(id) => proptest::prop_assert_eq!(id.as_str(), text),
                    Err(_) => proptest::prop_assert!(text.is_empty() || text.len() > UserId::MAX_LEN),
                }
            }
            if let [Ok(one), Ok(other)] = ids {
                proptest::prop_assert_eq!(one.cmp(&other), a.cmp(&b));
                proptest::prop_assert_eq!(one == other, a == b);
            }
        }
    }

    #[test]
    fn limits_of_length_are_exact() {
        for len in [1, SHORT - 1, SHORT, SHORT + 1, UserId::MAX_LEN] {
            let text = "x".repeat(len);
            assert_eq!(UserId::new(&text).unwrap().as_str(), text);
        }
        assert!(UserId::new("x".repeat(UserId::MAX_LEN + 1)).is_err());
        assert!(UserId::new("").is_err());
        assert_eq!(size_of::<UserId>(), 40);
    }
}
