//! Writing and reading the tokens of one kind.

use std::{
    fmt::{self, Write as _},
    mem::MaybeUninit,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use base64_simd::AsOut as _;
use serde::de::DeserializeOwned;

use super::{
    AppClaims, ClaimsShape, MAX_TOKEN_LEN, RegisteredClaims, TokenKind, cursor::Cursor, members::Refused,
    signature_cache::SignatureCache,
};
use crate::{
    clock::Timestamp,
    id::{SessionId, UserId, UserIdText},
    keys::{AcceptedKey, KeyRing, MAX_SIGNATURE_LEN, SigningKey, VerificationKey, VerificationKeys},
};

/// Seals and opens the tokens of one kind, issuer and audience.
pub(crate) struct Codec {
    kind: TokenKind,
    /// The constant beginning of every payload, up to the value of `sub`.
    payload_head: String,
    /// None where tokens are only verified.
    signing: Option<Signing>,
    /// The header segment that each key writes, with its dot.
    accepted: Vec<(String, AcceptedKey)>,
    /// Tokens of these keys: gone with any of them.
    pub(super) verified: SignatureCache,
}

struct Signing {
    header: String,
    key: SigningKey,
}

/// Room for the payload of a token, of the caller's: what was read of it stays there.
pub(crate) struct Buffer([MaybeUninit<u8>; MAX_TOKEN_LEN / 4 * 3]);

impl Buffer {
    pub(crate) const fn new() -> Self {
        Self([MaybeUninit::uninit(); MAX_TOKEN_LEN / 4 * 3])
    }
}

/// What stands in a token that this ring has signed.
pub(crate) struct Opened<'b> {
    pub(crate) registered: RegisteredClaims<UserIdText<'b>>,
    /// The members that follow, with the comma before them and the brace at the end.
    rest: &'b str,
}

impl<'b> Opened<'b> {
    /// Reads the claims of the application.
    ///
    /// # Errors
    ///
    /// [`TokenError::BadClaims`] when there are others.
    pub(crate) fn app_claims<C: DeserializeOwned>(&self, shape: ClaimsShape) -> Result<C, TokenError> {
        shape.read(self.rest).map_err(|Refused| TokenError::BadClaims)
    }

    /// The claims of a token that has no others.
    ///
    /// # Errors
    ///
    /// [`TokenError::BadClaims`] when it has.
    pub(crate) fn without_app_claims(self) -> Result<RegisteredClaims<UserIdText<'b>>, TokenError> {
        if self.rest == "}" { Ok(self.registered) } else { Err(TokenError::BadClaims) }
    }
}

/// Why a token is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// The header is not one that this ring writes: another kind, algorithm, key or issuer of tokens, or a key that is
    /// retired.
    ForeignHeader,
    /// Longer than any token of ours, or not base64url in its canonical spelling.
    Malformed,
    BadSignature,
    /// Signed with our key, but not in our format, for our audience, or with claims of the expected type.
    BadClaims,
}

/// Why a token could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IssueError {
    /// Longer than a cookie can be.
    TooLong,
    /// The cryptographic library failed, or there is no key that signs.
    Signing,
}

#[cfg(test)]
thread_local! {
    /// Those of this thread, for tests that bound how many a request takes.
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
    pub(crate) fn new(kind: TokenKind, ring: &KeyRing, issuer: &str, audience: &str, cached: usize) -> Self {
        let key = ring.signing_key().clone();
        let signing = Signing { header: header(kind, key.verification_key()), key };
        Self {
            signing: Some(signing),
            ..Self::verifying(kind, Some(ring.verification_keys()), issuer, audience, cached)
        }
    }

    /// A codec that opens tokens and seals none; without keys it opens none either.
    pub(crate) fn verifying(
        kind: TokenKind,
        keys: Option<&VerificationKeys>,
        issuer: &str,
        audience: &str,
        cached: usize,
    ) -> Self {
        let keys = keys.into_iter().flat_map(VerificationKeys::iter);
        Self {
            kind,
            payload_head: format!(r#"{{"iss":{},"aud":{},"sub":"#, json_string(issuer), json_string(audience)),
            signing: None,
            accepted: keys.map(|accepted| (header(kind, &accepted.key), accepted.clone())).collect(),
            verified: SignatureCache::new(cached),
        }
    }

    /// The length of a token for this user with these claims whose numbers have as many digits as they will ever have,
    /// so that a token that fits once fits always.
    pub(crate) fn longest(&self, user: &UserId, app: &AppClaims) -> usize {
        let (header_len, signature_len) = self.signing.as_ref().map_or((0, 0), |signing| {
            (signing.header.len(), signing.key.verification_key().algorithm().signature_len())
        });
        header_len + base64_len(self.longest_payload(&json_string(user.as_str()), app)) + 1 + base64_len(signature_len)
    }

    fn longest_payload(&self, user: &str, app: &AppClaims) -> usize {
        self.payload_head.len() + user.len() + LONGEST_REST + app.members().len()
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

    pub(super) fn payload(&self, claims: &RegisteredClaims, app: &AppClaims) -> String {
        let user = json_string(claims.user_id.as_str());
        let mut payload = String::with_capacity(self.longest_payload(&user, app));
        payload.push_str(&self.payload_head);
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
        payload.push_str(app.members());
        payload.push('}');
        payload
    }

    /// Verifies a token with the keys that are accepted `now`, and reads its registered claims. Expiry and revocation
    /// are for the caller to judge.
    pub(crate) fn open<'b>(
        &self,
        token: &[u8],
        now: Timestamp,
        buffer: &'b mut Buffer,
    ) -> Result<Opened<'b>, TokenError> {
        let (payload, is_new) = self.verify(token, now, &mut buffer.0)?;
        let payload = std::str::from_utf8(payload).map_err(|_| TokenError::BadClaims)?;
        let opened = self.read(payload).ok_or(TokenError::BadClaims)?;
        // One that has expired would take the place of another for nothing.
        if is_new && now < opened.registered.expires_at {
            self.verified.remember(token);
        }
        Ok(opened)
    }

    /// Checks header and signature and decodes the payload into the buffer. Says also whether the signature is one that
    /// is worth to be remembered.
    fn verify<'b>(
        &self,
        token: &[u8],
        now: Timestamp,
        buffer: &'b mut [MaybeUninit<u8>],
    ) -> Result<(&'b [u8], bool), TokenError> {
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

        // An HMAC takes no longer than looking for the token.
        let is_slow = key.algorithm().public_len().is_some();
        let is_known = is_slow && self.verified.knows(token);
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

    /// Reads the registered claims.
    fn read<'p>(&self, payload: &'p str) -> Option<Opened<'p>> {
        let mut reader = Cursor::new(payload);
        reader.text(&self.payload_head)?;
        let user_id = reader.string_as(json_string)?;
        let user_id = UserIdText::new(user_id).ok()?;
        reader.text(r#","sid":""#)?;
        let session_id = SessionId::from_text(reader.take(SessionId::TEXT_LEN)?.as_bytes())?;
        reader.text(r#"","gen":"#)?;
        let generation = u32::try_from(reader.number()?).ok().filter(|generation| *generation > 0)?;
        let epoch = match self.kind {
            TokenKind::Access => {
                reader.text(r#","epoch":"#)?;
                u32::try_from(reader.number()?).ok()?
            }
            TokenKind::Refresh => 0,
        };
        reader.text(r#","auth_time":"#)?;
        let auth_time = Timestamp::from_secs(reader.number()?);
        reader.text(r#","iat":"#)?;
        let issued_at = Timestamp::from_secs(reader.number()?);
        reader.text(r#","exp":"#)?;
        let expires_at = Timestamp::from_secs(reader.number()?);
        let registered = RegisteredClaims { user_id, session_id, generation, epoch, auth_time, issued_at, expires_at };
        Some(Opened { registered, rest: reader.rest() })
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&VerificationKey> = self.accepted.iter().map(|(_, accepted)| &accepted.key).collect();
        f.debug_struct("Codec").field("kind", &self.kind).field("keys", &keys).finish_non_exhaustive()
    }
}

/// The one header segment that this key writes, with its dot.
fn header(kind: TokenKind, key: &VerificationKey) -> String {
    let (typ, alg, kid) = (kind.typ(), key.algorithm().name(), key.key_id());
    URL_SAFE_NO_PAD.encode(format!(r#"{{"typ":"{typ}","alg":"{alg}","kid":"{kid}"}}"#)) + "."
}

/// Decodes canonical base64url without padding; every other spelling is refused, so that a token has only one.
pub(super) fn decode<'b>(encoded: &[u8], buffer: &'b mut [MaybeUninit<u8>]) -> Result<&'b [u8], TokenError> {
    // The decoder would panic.
    if decoded_len(encoded.len()) > buffer.len() {
        return Err(TokenError::Malformed);
    }
    match base64_simd::URL_SAFE_NO_PAD.decode(encoded, buffer.as_out()) {
        Ok(decoded) => Ok(decoded),
        Err(_) => Err(TokenError::Malformed),
    }
}

/// The length of the base64url of so many bytes.
const fn base64_len(len: usize) -> usize {
    (len * 4).div_ceil(3)
}

/// The length of what is decoded from so many characters of base64url.
const fn decoded_len(len: usize) -> usize {
    len * 3 / 4
}

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What of a payload is neither its head, nor the user or the application's: with numbers that have as many digits as
/// they will ever have, which is ten for times until the year 2286.
const LONGEST_REST: usize = concat!(
    r#","sid":"0123456789012345678901","gen":4294967295,"epoch":4294967295"#,
    r#","auth_time":9999999999,"iat":9999999999,"exp":9999999999}"#
)
.len();

fn write_number(text: &mut String, name: &str, number: u64) {
    text.push_str(name);
    // Into memory, where nothing fails.
    let _ = write!(text, "{number}");
}
