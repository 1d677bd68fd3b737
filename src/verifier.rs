//! From the headers of a request to a session, or the reason why there is none. No I/O, no waiting.

mod builder;
mod credentials;

use std::{any::Any, fmt, sync::Arc, time::Duration};

use http::HeaderMap;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::{
    clock::{Clock, Timestamp},
    cookie::{Presence, RawTokens, TokenCookie, WarnOnce},
    event::LOG_TARGET,
    jwt::{Buffer, ClaimsShape, LiveCodec, MAX_TOKEN_LEN, Opened, RegisteredClaims, TokenError},
    policy::MAX_CLOCK_SKEW,
    problem::{Problem, Renderer},
    revocation::{Revoked, SessionBackend, StalePolicy},
    session::{Origin, PresentedTokens, Session},
};

pub use self::builder::VerifierBuilder;
pub(crate) use self::credentials::CredentialPlaces;

/// Verifies requests. It holds keys and the list of revocations, but no store; cheap to clone.
///
/// The layer does this for every request; use it directly where there is no layer.
///
/// There are two kinds. That of a [`SessionManager`](crate::SessionManager) knows what ended anywhere. One of
/// [`Verifier::builder`] is for another service, which has nothing but the public keys, and **knows of no logout**.
pub struct Verifier<C> {
    inner: Arc<VerifierInner<C>>,
    stale_policy: StalePolicy,
}

/// Aligned so that what every request reads stands in no cache line with the counter of an `Arc`, which every request
/// writes to: each core would have to fetch it anew.
#[repr(align(128))]
pub(crate) struct VerifierInner<C> {
    pub(crate) access: LiveCodec,
    pub(crate) refresh: LiveCodec,
    pub(crate) places: CredentialPlaces,
    /// The store and what is known to be revoked; `None` for a verifier without a manager.
    pub(crate) backend: Option<Arc<SessionBackend>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) renderer: Renderer,
    /// The longest that an access token may live: revocations are forgotten after that.
    pub(crate) max_access_lifetime: Duration,
    pub(crate) shape: ClaimsShape,
    pub(crate) claims: std::marker::PhantomData<fn() -> C>,
}

/// Why a request has no session.
///
/// For the log and for pages that greet an expired user differently. Answers tell only five cases apart: no
/// credentials, a request that cannot be understood, unknown revocations, an unfinished end, and a token that cannot be
/// used, for whatever reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyError {
    /// Neither cookie came, and no Bearer token where those are accepted.
    NoCredentials,
    /// The access cookie is gone but the refresh cookie came: the access token has expired.
    OnlyRefreshToken,
    /// The access cookie came more than once, so that somebody else may have set one of them.
    AmbiguousCookie,
    /// There is a Bearer token and one of our cookies, or an `Authorization` header of the scheme `Bearer` that is not one
    /// token, or more than one header. Answered with `400`. Only where Bearer tokens are accepted.
    InvalidRequest,
    /// The access token is none of ours.
    InvalidToken,
    /// The access token has expired.
    Expired,
    /// The session has ended, or its access tokens were expired.
    Revoked,
    /// A logout of the session at this node failed in the store: the session may live on, and this node tries again
    /// until it has ended. Answered with `503`, so that nobody takes it for a successful logout.
    EndUnfinished,
    /// The access token is good as far as this node knows, but it does not know enough of what other nodes ended: see
    /// [`StalePolicy`]. Answered with `503`.
    RevocationsUnknown,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCredentials => "no credentials",
            Self::OnlyRefreshToken => "no access token beside the refresh token",
            Self::AmbiguousCookie => "more than one access cookie",
            Self::InvalidRequest => "ambiguous or malformed credentials",
            Self::InvalidToken => "invalid access token",
            Self::Expired => "access token expired",
            Self::Revoked => "session ended or its access expired",
            Self::EndUnfinished => "end of the session unfinished",
            Self::RevocationsUnknown => "revocations unknown",
        })
    }
}

impl std::error::Error for VerifyError {}

impl VerifyError {
    /// What the client is told.
    pub(crate) const fn problem(self) -> Problem {
        match self {
            Self::NoCredentials => Problem::MISSING_CREDENTIALS,
            Self::InvalidRequest => Problem::INVALID_REQUEST,
            Self::RevocationsUnknown => Problem::REVOCATIONS_UNKNOWN,
            Self::EndUnfinished => Problem::STORE_UNAVAILABLE,
            Self::OnlyRefreshToken | Self::AmbiguousCookie | Self::InvalidToken | Self::Expired | Self::Revoked => {
                Problem::INVALID_TOKEN
            }
        }
    }
}

impl<C: DeserializeOwned + Send + Sync + 'static> Verifier<C> {
    pub(crate) fn new(inner: VerifierInner<C>, stale_policy: StalePolicy) -> Self {
        Self { inner: Arc::new(inner), stale_policy }
    }

    /// The same verifier under another policy for when the revocation log cannot be read. No difference to one of
    /// [`Verifier::builder`], which never reads it.
    #[must_use]
    pub fn when_stale(self, stale_policy: StalePolicy) -> Self {
        Self { stale_policy, ..self }
    }

    /// The session that these request headers prove.
    ///
    /// ```
    /// use http::HeaderMap;
    /// use tower_jwt_sessions::{Verifier, VerifyError};
    ///
    /// /// For a protocol that no extractor fits.
    /// fn user(verifier: &Verifier<()>, headers: &HeaderMap) -> Option<String> {
    ///     match verifier.verify(headers) {
    ///         Ok(session) => Some(session.user_id().to_string()),
    ///         Err(VerifyError::NoCredentials) => None,
    ///         Err(reason) => {
    ///             println!("not authenticated: {reason}");
    ///             None
    ///         }
    ///     }
    /// }
    /// # let _ = user;
    /// ```
    ///
    /// # Errors
    ///
    /// [`VerifyError`] says why there is none.
    pub fn verify(&self, headers: &HeaderMap) -> Result<Session<C>, VerifyError> {
        self.inner.verify(headers, self.stale_policy)
    }

    /// Everything that these request headers prove, including the refresh token.
    pub fn present(&self, headers: &HeaderMap) -> PresentedTokens<C> {
        self.inner.present(headers, self.stale_policy)
    }

    /// The verifier that a session comes from.
    pub(crate) fn of(session: &Session<C>) -> Option<Self> {
        let origin: Arc<dyn Any + Send + Sync> = Arc::clone(session.origin()?) as _;
        Some(Self { inner: origin.downcast().ok()?, stale_policy: session.stale_policy() })
    }
}

impl<C> Verifier<C> {
    pub(crate) fn inner(&self) -> &Arc<VerifierInner<C>> {
        &self.inner
    }
}

impl<C: DeserializeOwned + Send + Sync + 'static> VerifierInner<C> {
    fn verify(self: &Arc<Self>, headers: &HeaderMap, policy: StalePolicy) -> Result<Session<C>, VerifyError> {
        let found = self.places.find(headers)?;
        if found.are_absent() {
            // Without credentials not even the time matters.
            return Err(VerifyError::NoCredentials);
        }
        let now = self.clock.now();
        let verified = self.judge(&found, policy, now);
        if let (Ok(session), Some(backend)) = (&verified, &self.backend) {
            backend.note_use(session.proof().0, now);
        }
        verified
    }

    /// Checks two signatures at most. Other values may name sessions, which only matters to a login or a logout.
    fn present(self: &Arc<Self>, headers: &HeaderMap, policy: StalePolicy) -> PresentedTokens<C> {
        let now = self.clock.now();
        let mut presented = PresentedTokens { origin: Some(Arc::clone(self) as _), ..PresentedTokens::default() };
        let Ok(values) = self.places.all(headers) else {
            return PresentedTokens { is_invalid: true, ..presented };
        };
        match self.places.find(headers) {
            Ok(found) => {
                presented.refresh = match found.refresh {
                    Presence::One(token) => self.open_refresh(token, now),
                    Presence::Absent => None,
                    Presence::Several => {
                        ambiguous(&self.places.cookies.ambiguity);
                        None
                    }
                };
                presented.refresh_attempted = !found.refresh.is_absent();
                presented.session = self.judge(&found, policy, now).ok();
            }
            Err(_) => presented.is_invalid = true,
        }
        // A verified token is the only value of its kind.
        let is_verified = |which| match which {
            TokenCookie::Access => presented.session.is_some(),
            TokenCookie::Refresh => presented.refresh.is_some(),
        };
        let rest = values.into_iter().filter(|(which, value)| !is_verified(*which) && value.len() <= MAX_TOKEN_LEN);
        presented.unverified = rest.map(|(which, value)| (which, Box::from(value))).collect();
        presented
    }

    /// The claims of a token of either kind, however old it is.
    pub(crate) fn open_any(&self, token: &[u8], now: Timestamp) -> Option<(TokenCookie, RegisteredClaims)> {
        [TokenCookie::Refresh, TokenCookie::Access]
            .into_iter()
            .find_map(|which| self.open_old(which, token, now).map(|claims| (which, claims)))
    }

    /// The claims of a token of ours that may have expired or been revoked: good only to end its session.
    pub(crate) fn open_old(&self, which: TokenCookie, token: &[u8], now: Timestamp) -> Option<RegisteredClaims> {
        let codec = match which {
            TokenCookie::Access => &self.access,
            TokenCookie::Refresh => &self.refresh,
        };
        open_with_any_claims(codec, token, now)
    }

    /// Verifies the access token, and whether enough is known of revocations to trust it.
    fn judge(
        self: &Arc<Self>,
        found: &RawTokens<'_>,
        policy: StalePolicy,
        now: Timestamp,
    ) -> Result<Session<C>, VerifyError> {
        let session = self.verify_access(found, policy, now)?;
        match self.backend.as_ref().is_none_or(|backend| backend.permits(policy)) {
            true => Ok(session),
            false => Err(VerifyError::RevocationsUnknown),
        }
    }

    fn verify_access(
        self: &Arc<Self>,
        found: &RawTokens<'_>,
        policy: StalePolicy,
        now: Timestamp,
    ) -> Result<Session<C>, VerifyError> {
        let token = match found.access {
            Presence::One(token) => token,
            Presence::Several => return Err(ambiguous(&self.places.cookies.ambiguity)),
            Presence::Absent if found.refresh.is_absent() => return Err(VerifyError::NoCredentials),
            Presence::Absent => return Err(VerifyError::OnlyRefreshToken),
        };
        let mut buffer = Buffer::new();
        let opened = self.access.open(token, now, &mut buffer).map_err(|error| refused("access", error))?;
        let registered = &opened.registered;
        if now >= registered.expires_at {
            return Err(VerifyError::Expired);
        }
        // A token from further ahead than clocks may disagree, or one that would outlive the list of revocations.
        if registered.issued_at > now.saturating_add(MAX_CLOCK_SKEW)
            || registered.expires_at.since(registered.issued_at) > self.max_access_lifetime
        {
            return Err(misfit());
        }
        let revoked = |backend: &Arc<SessionBackend>| {
            backend.find_revoked(registered.session_id, registered.epoch, registered.issued_at)
        };
        if let Some(revoked) = self.backend.as_ref().and_then(revoked) {
            return Err(match revoked {
                Revoked::Certainly => VerifyError::Revoked,
                Revoked::EndUnfinished => VerifyError::EndUnfinished,
            });
        }
        let claims = opened.app_claims(self.shape).map_err(|error| refused("access", error))?;
        Ok(Session::new(opened.registered.into_owned(), now, claims, Some(Arc::clone(self) as _), policy))
    }

    pub(crate) fn open_refresh(&self, token: &[u8], now: Timestamp) -> Option<RegisteredClaims> {
        open_without_claims(&self.refresh, token, now)
    }
}

// Not generic over the claims, so that they are compiled once and what each request needs can be inlined.

fn open_with_any_claims(codec: &LiveCodec, token: &[u8], now: Timestamp) -> Option<RegisteredClaims> {
    let mut buffer = Buffer::new();
    let opened = codec.open(token, now, &mut buffer).ok()?;
    let IgnoredAny = opened.app_claims(ClaimsShape::of::<IgnoredAny>()).ok()?;
    Some(opened.registered.into_owned())
}

fn open_without_claims(codec: &LiveCodec, token: &[u8], now: Timestamp) -> Option<RegisteredClaims> {
    let mut buffer = Buffer::new();
    let opened = codec.open(token, now, &mut buffer).and_then(Opened::without_app_claims);
    opened.map(RegisteredClaims::into_owned).map_err(|error| refused("refresh", error)).ok()
}

// Logs why a token was refused: the log is the only place that tells. Apart from the path of the good ones, which shall
// stay in the processor's cache for instructions.

#[cold]
fn ambiguous(warning: &WarnOnce) -> VerifyError {
    let reason = VerifyError::AmbiguousCookie;
    tracing::debug!(target: LOG_TARGET, ?reason, "refused the session cookies");
    if warning.is_due() {
        tracing::warn!(
            target: LOG_TARGET,
            "duplicate session cookies, none counts: if their domain or path has changed, use CookieConfig::replaces"
        );
    }
    reason
}

/// It is one of ours, so a node is set up in another way: nobody would find that out by the answer.
#[cold]
fn misfit() -> VerifyError {
    tracing::debug!(
        target: LOG_TARGET,
        "refused an access token from the future, or one that lives longer than max_access_lifetime"
    );
    VerifyError::InvalidToken
}

#[cold]
fn refused(kind: &'static str, error: TokenError) -> VerifyError {
    tracing::debug!(target: LOG_TARGET, kind, %error, "refused a token");
    VerifyError::InvalidToken
}

impl<C: 'static> Origin for VerifierInner<C> {
    fn backend(&self) -> Option<&Arc<SessionBackend>> {
        self.backend.as_ref()
    }

    fn renderer(&self) -> &Renderer {
        &self.renderer
    }

    fn is_meant(&self, headers: &HeaderMap) -> bool {
        !self.places.bearer(headers).is_absent()
    }
}

impl<C> Clone for Verifier<C> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), stale_policy: self.stale_policy }
    }
}

impl<C> fmt::Debug for Verifier<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("access", &self.inner.access).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
