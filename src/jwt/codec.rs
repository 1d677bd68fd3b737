//! Writes and reads the tokens of one kind.

use std::{
    fmt::{self, Write as _},
    mem::MaybeUninit,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use base64_simd::AsOut as _;
use serde::de::DeserializeOwned;

use super::{
    claims::{AppClaims, ClaimsShape, RegisteredClaims},
    cursor::{Cursor, json_string},
    head::PayloadHead,
    signature_cache::SignatureCache,
    terms::SessionTerms,
};
#[cfg(feature = "dbsc")]
use crate::keys::Signature;
use crate::{
    clock::Timestamp,
    id::{SessionId, UserId},
    keys::{AcceptedKey, KeyRing, MAX_SIGNATURE_LEN, SigningKey, VerificationKey, VerificationKeys},
};

/// The purpose of a token. Each kind has a `typ` (RFC 8725, section 3.11) and a key ring of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Access,
    Refresh,
}

impl TokenKind {
    /// Returns the `typ` header parameter; `at+jwt` is that of RFC 9068.
    const fn typ(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Refresh => "rt+jwt",
        }
    }
}

/// The longest token. With its cookie it fits into the 4096 bytes that browsers keep (RFC 6265bis, section 5.6).
pub(crate) const MAX_TOKEN_LEN: usize = 4096;

/// Signs and verifies the tokens of one kind, issuer and audience.
pub(crate) struct Codec {
    kind: TokenKind,
    head: PayloadHead,
    /// `None` if tokens are only verified.
    signing: Option<Signing>,
    /// Each accepted key, with the header segment that it writes and its dot.
    accepted: Vec<(String, AcceptedKey)>,
    /// Replaced with the keys.
    pub(super) signature_cache: SignatureCache,
}

struct Signing {
    header: String,
    key: SigningKey,
}

/// Memory of the caller for the payload of a token, from which its claims are read.
pub(crate) struct Buffer([MaybeUninit<u8>; MAX_TOKEN_LEN / 4 * 3]);

impl Buffer {
    pub(crate) const fn new() -> Self {
        Self([MaybeUninit::uninit(); MAX_TOKEN_LEN / 4 * 3])
    }
}

/// The content of a token with a valid signature.
pub(crate) struct Opened<'b> {
    pub(crate) registered: RegisteredClaims,
    /// The application's claims as a JSON object, if there are any.
    app: Option<&'b str>,
}

impl Opened<'_> {
    /// Reads the application's claims.
    ///
    /// # Errors
    ///
    /// [`TokenError::BadClaims`] if they are not of this type, or one has a reserved name or the name of another.
    pub(crate) fn app_claims<C: DeserializeOwned>(&self, shape: ClaimsShape) -> Result<C, TokenError> {
        shape.read(self.app).ok_or(TokenError::BadClaims)
    }

    /// Returns the claims of a token without application claims.
    ///
    /// # Errors
    ///
    /// [`TokenError::BadClaims`] if it has some.
    pub(crate) fn without_app_claims(self) -> Result<RegisteredClaims, TokenError> {
        match self.app {
            None => Ok(self.registered),
            Some(_) => Err(TokenError::BadClaims),
        }
    }
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// No accepted key writes this header: another kind, algorithm or key, or a retired key.
    ForeignHeader,
    /// Longer than [`MAX_TOKEN_LEN`], or not canonical base64url.
    Malformed,
    BadSignature,
    /// Signed with an accepted key, but of another format, issuer, audience or type of claims.
    BadClaims,
}

/// Why a token cannot be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IssueError {
    /// Longer than [`MAX_TOKEN_LEN`].
    TooLong,
    /// The cryptographic library failed, or there is no signing key.
    Signing,
}

#[cfg(test)]
thread_local! {
    /// How many this thread has checked, for tests that bound the number for a request.
    pub(crate) static SIGNATURES_CHECKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ForeignHeader => "foreign header",
            Self::Malformed => "malformed",
            Self::BadSignature => "bad signature",
            Self::BadClaims => "bad claims",
        })
    }
}

impl Codec {
    /// Makes a codec without keys, which neither signs nor accepts anything. It remembers this many tokens whose
    /// signature of a public key was verified.
    pub(crate) fn new(kind: TokenKind, issuer: &str, audience: &str, cached: usize) -> Self {
        Self {
            kind,
            head: PayloadHead::new(issuer, audience),
            signing: None,
            accepted: Vec::new(),
            signature_cache: SignatureCache::new(cached),
        }
    }

    /// Writes a `client_id` and a `jti` as well, from now on.
    pub(crate) fn identifying(mut self, client_id: &str) -> Self {
        self.head.identify(client_id);
        self
    }

    /// Makes the same codec with these keys in place of its own; it signs nothing.
    pub(crate) fn with_keys(&self, keys: &VerificationKeys) -> Self {
        Self {
            kind: self.kind,
            head: self.head.clone(),
            signing: None,
            accepted: keys.iter().map(|accepted| (header(self.kind, &accepted.key), accepted.clone())).collect(),
            signature_cache: self.signature_cache.empty_copy(),
        }
    }

    /// Makes the same codec with the keys of this ring in place of its own.
    pub(crate) fn with_ring(&self, ring: &KeyRing) -> Self {
        let key = ring.signing_key().clone();
        let signing = Signing { header: header(self.kind, key.verification_key()), key };
        Self { signing: Some(signing), ..self.with_keys(ring.verification_keys()) }
    }

    /// Returns the length of the longest token for this user with these terms and claims: with the longest numbers, so
    /// that a token which fits once fits at every refresh.
    pub(crate) fn longest(&self, user: &UserId, terms: Option<&SessionTerms>, app: &AppClaims) -> usize {
        let (header_len, signature_len) = self.signing.as_ref().map_or((0, 0), |signing| {
            (signing.header.len(), signing.key.verification_key().algorithm().signature_len())
        });
        let terms = terms.map(SessionTerms::members).unwrap_or_default();
        let payload_len = self.longest_payload(&json_string(user.as_str()), &terms, app);
        header_len + base64_len(payload_len) + 1 + base64_len(signature_len)
    }

    fn longest_payload(&self, user: &str, terms: &str, app: &AppClaims) -> usize {
        self.head.len() + user.len() + LONGEST_REST + terms.len() + app.members().len()
    }

    /// Signs a token.
    pub(crate) fn seal(&self, claims: &RegisteredClaims, app: &AppClaims) -> Result<String, IssueError> {
        let signing = self.signing.as_ref().ok_or(IssueError::Signing)?;
        let payload = self.payload(claims, app);
        let signature_len = signing.key.verification_key().algorithm().signature_len();
        let token_len = signing.header.len() + base64_len(payload.len()) + 1 + base64_len(signature_len);
        let mut token = String::with_capacity(token_len);
        token.push_str(&signing.header);
        base64_simd::URL_SAFE_NO_PAD.encode_append(payload, &mut token);
        let signature = signing.key.sign(token.as_bytes()).ok_or(IssueError::Signing)?;
        token.push('.');
        base64_simd::URL_SAFE_NO_PAD.encode_append(signature.as_bytes(), &mut token);
        if token.len() > MAX_TOKEN_LEN {
            return Err(IssueError::TooLong);
        }
        Ok(token)
    }

    /// Returns an authentication tag for a message that is no token and cannot be taken for one.
    #[cfg(feature = "dbsc")]
    pub(crate) fn authenticate(&self, message: &[u8]) -> Option<Signature> {
        self.signing.as_ref()?.key.sign(message)
    }

    /// Whether a key that is accepted `now` has made this tag for a message.
    #[cfg(feature = "dbsc")]
    pub(crate) fn is_authentic(&self, message: &[u8], tag: &[u8], now: Timestamp) -> bool {
        let mut accepted = self.accepted.iter().filter(|(_, accepted)| accepted.is_accepted(now));
        accepted.any(|(_, accepted)| accepted.key.verifies(message, tag))
    }

    pub(super) fn payload(&self, claims: &RegisteredClaims, app: &AppClaims) -> String {
        let user = json_string(claims.user_id.as_str());
        let terms = claims.terms.as_deref().map(SessionTerms::members).unwrap_or_default();
        let mut payload = String::with_capacity(self.longest_payload(&user, &terms, app));
        self.head.write(&mut payload);
        payload.push_str(&user);
        payload.push_str(r#","sid":""#);
        claims.session_id.write_text(&mut payload);
        write_number(&mut payload, r#"","gen":"#, claims.generation.into());
        if self.kind == TokenKind::Access {
            write_number(&mut payload, r#","epoch":"#, claims.epoch.into());
        }
        write_number(&mut payload, r#","auth_time":"#, claims.auth_time.as_secs());
        write_number(&mut payload, r#","iat":"#, claims.issued_at.as_secs());
        write_number(&mut payload, r#","exp":"#, claims.expires_at.as_secs());
        payload.push_str(&terms);
        payload.push_str(app.members());
        payload.push('}');
        self.head.finish(&mut payload);
        payload
    }

    /// Verifies a token with the keys that are accepted `now`, and reads its registered claims. Expiry and revocation
    /// are left to the caller.
    pub(crate) fn open<'b>(
        &self,
        token: &[u8],
        now: Timestamp,
        buffer: &'b mut Buffer,
    ) -> Result<Opened<'b>, TokenError> {
        let (payload, is_new) = self.verify(token, now, &mut buffer.0)?;
        let (registered, rest) = self.read(payload).ok_or(TokenError::BadClaims)?;
        let rest = payload.get_mut(rest..).unwrap_or_default();
        let app = match rest {
            [b'}'] => None,
            // With a brace in place of the comma, the rest is an object of its own.
            [comma @ b',', b'"', ..] => {
                *comma = b'{';
                Some(std::str::from_utf8(rest).map_err(|_| TokenError::BadClaims)?)
            }
            _ => return Err(TokenError::BadClaims),
        };
        // An expired token would take the place of another.
        if is_new && now < registered.expires_at {
            self.signature_cache.insert(token);
        }
        Ok(Opened { registered, app })
    }

    /// Checks header and signature and decodes the payload into the buffer. Returns also whether the signature should
    /// be remembered.
    fn verify<'b>(
        &self,
        token: &[u8],
        now: Timestamp,
        buffer: &'b mut [MaybeUninit<u8>],
    ) -> Result<(&'b mut [u8], bool), TokenError> {
        if token.len() > MAX_TOKEN_LEN {
            return Err(TokenError::Malformed);
        }
        let (header, AcceptedKey { key, .. }) = self
            .accepted
            .iter()
            .find(|(header, accepted)| token.starts_with(header.as_bytes()) && accepted.is_accepted(now))
            .ok_or(TokenError::ForeignHeader)?;
        let signature_len = key.algorithm().signature_len();
        let dot = token.len().checked_sub(base64_len(signature_len) + 1).ok_or(TokenError::Malformed)?;
        let (signed, rest) = token.split_at_checked(dot).ok_or(TokenError::Malformed)?;
        let encoded_signature = rest.strip_prefix(b".").ok_or(TokenError::Malformed)?;
        let encoded_payload = signed.get(header.len()..).ok_or(TokenError::Malformed)?;

        // An HMAC takes no longer than a lookup.
        let is_slow = key.algorithm().public_len().is_some();
        let is_known = is_slow && self.signature_cache.contains(token);
        if !is_known {
            let mut signature = [MaybeUninit::uninit(); MAX_SIGNATURE_LEN];
            let signature = decode(encoded_signature, &mut signature)?;
            #[cfg(test)]
            SIGNATURES_CHECKED.set(SIGNATURES_CHECKED.get() + 1);
            if !key.verifies(signed, signature) {
                return Err(TokenError::BadSignature);
            }
        }
        Ok((decode(encoded_payload, buffer)?, is_slow && !is_known))
    }

    /// Reads the registered claims. Returns also where the application's begin.
    fn read(&self, payload: &[u8]) -> Option<(RegisteredClaims, usize)> {
        let mut cursor = Cursor::new(payload);
        self.head.read(&mut cursor)?;
        let user_id = UserId::from_text(&cursor.string(json_string)?).ok()?;
        cursor.text(r#","sid":""#)?;
        let session_id = SessionId::from_text(cursor.take(SessionId::TEXT_LEN)?)?;
        cursor.text(r#"","gen":"#)?;
        let generation = u32::try_from(cursor.number()?).ok().filter(|generation| *generation > 0)?;
        let epoch = match self.kind {
            TokenKind::Access => {
                cursor.text(r#","epoch":"#)?;
                u32::try_from(cursor.number()?).ok()?
            }
            TokenKind::Refresh => 0,
        };
        cursor.text(r#","auth_time":"#)?;
        let auth_time = Timestamp::from_secs(cursor.number()?);
        cursor.text(r#","iat":"#)?;
        let issued_at = Timestamp::from_secs(cursor.number()?);
        cursor.text(r#","exp":"#)?;
        let expires_at = Timestamp::from_secs(cursor.number()?);
        let terms = SessionTerms::read(&mut cursor)?;
        let registered =
            RegisteredClaims { user_id, session_id, generation, epoch, auth_time, issued_at, expires_at, terms };
        Some((registered, payload.len().checked_sub(cursor.remaining())?))
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&VerificationKey> = self.accepted.iter().map(|(_, accepted)| &accepted.key).collect();
        f.debug_struct("Codec").field("kind", &self.kind).field("keys", &keys).finish_non_exhaustive()
    }
}

/// Returns the header segment of this key, with its dot.
fn header(kind: TokenKind, key: &VerificationKey) -> String {
    let (typ, alg, kid) = (kind.typ(), key.algorithm().name(), key.key_id());
    URL_SAFE_NO_PAD.encode(format!(r#"{{"typ":"{typ}","alg":"{alg}","kid":"{kid}"}}"#)) + "."
}

/// Decodes canonical base64url without padding. Every other spelling is refused, so that a token has only one.
pub(super) fn decode<'b>(encoded: &[u8], buffer: &'b mut [MaybeUninit<u8>]) -> Result<&'b mut [u8], TokenError> {
    // The decoder would panic.
    if decoded_len(encoded.len()) > buffer.len() {
        return Err(TokenError::Malformed);
    }
    match base64_simd::URL_SAFE_NO_PAD.decode(encoded, buffer.as_out()) {
        Ok(decoded) => Ok(decoded),
        Err(_) => Err(TokenError::Malformed),
    }
}

/// Returns the length of this many bytes in base64url.
const fn base64_len(len: usize) -> usize {
    (len * 4).div_ceil(3)
}

/// Returns how many bytes this many characters of base64url decode to.
const fn decoded_len(len: usize) -> usize {
    len * 3 / 4
}

/// The length of a payload without its head, the user, the terms and the application's claims, with the longest numbers.
/// Times have ten digits until the year 2286.
const LONGEST_REST: usize = concat!(
    r#","sid":"0123456789012345678901","gen":4294967295,"epoch":4294967295"#,
    r#","auth_time":9999999999,"iat":9999999999,"exp":9999999999}"#
)
.len();

fn write_number(text: &mut String, name: &str, number: u64) {
    text.push_str(name);
    // Writing to a String does not fail.
    let _ = write!(text, "{number}");
}
