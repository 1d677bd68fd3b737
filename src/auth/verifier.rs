//! Verifies requests. No I/O, no waiting.

use std::{fmt, marker::PhantomData, sync::Arc};

use http::{Extensions, HeaderMap, request::Parts};
use serde::de::DeserializeOwned;

use super::{PresentedTokens, RequestContext, Session, VerifierInner, VerifyError, inner::refused};
use crate::{
    clock::Timestamp,
    cookie::TokenCookie,
    credentials::RawTokens,
    jwt::{Buffer, MAX_TOKEN_LEN},
    revocation::StalePolicy,
};
#[cfg(feature = "dbsc")]
use crate::{
    dbsc::{SKIPPED_HEADER, skip_reason},
    event::{Cause, Operation, SessionEvent, SessionEventKind},
};

/// Verifies requests. It holds keys and the list of revocations, but no store; cheap to clone.
///
/// The layer verifies every request; use this directly where there is no layer.
///
/// There are two kinds. The verifier of a [`SessionManager`](crate::SessionManager) learns of every session that is
/// ended on any node. One of [`Verifier::builder`] is for another service, which has the public keys and nothing else,
/// and **does not learn of logouts**.
pub struct Verifier<C = ()> {
    inner: Arc<VerifierInner>,
    stale_policy: StalePolicy,
    claims: PhantomData<fn() -> C>,
}

impl<C: DeserializeOwned + Send + Sync + 'static> Verifier<C> {
    /// Returns the session that these request headers prove.
    ///
    /// ```
    /// use http::HeaderMap;
    /// use tower_jwt_sessions::{SessionManager, auth::VerifyError};
    ///
    /// fn greeting(sessions: &SessionManager, headers: &HeaderMap) -> String {
    ///     match sessions.verifier().verify(headers) {
    ///         Ok(session) => format!("hello {}", session.user_id()),
    ///         Err(VerifyError::OnlyRefreshToken | VerifyError::Expired) => "refresh first".to_owned(),
    ///         Err(reason) => format!("no session: {reason}"),
    ///     }
    /// }
    /// # let _ = greeting;
    /// ```
    ///
    /// # Errors
    ///
    /// [`VerifyError`] says why there is none.
    pub fn verify(&self, headers: &HeaderMap) -> Result<Session<C>, VerifyError> {
        let found = self.inner.sources.find(headers)?;
        if found.are_absent() {
            // Anonymous requests do not need the time.
            return Err(VerifyError::NoCredentials);
        }
        let now = self.inner.clock.now();
        let session = self.check(&found, now)?;
        if let Some(backend) = &self.inner.backend {
            backend.note_use(session.registered(), now);
        }
        Ok(session)
    }

    /// Returns everything that these request headers prove, including the refresh token.
    ///
    /// Checks two signatures at most. Other values may name sessions, which matters to a login or a logout only.
    pub fn present(&self, headers: &HeaderMap) -> PresentedTokens<C> {
        self.present_in(headers, &Extensions::new())
    }

    /// Returns the same for a request with these extensions.
    pub(crate) fn present_in(&self, headers: &HeaderMap, extensions: &Extensions) -> PresentedTokens<C> {
        self.presented(headers, self.inner.partial_context(headers, extensions))
    }

    /// Returns the same for a request that is known.
    pub(super) fn present_of(&self, parts: &Parts) -> PresentedTokens<C> {
        self.presented(&parts.headers, self.inner.context(parts))
    }

    fn presented(&self, headers: &HeaderMap, context: Arc<RequestContext>) -> PresentedTokens<C> {
        let inner = &self.inner;
        let now = inner.clock.now();
        let mut presented =
            PresentedTokens { verifier: Some(Arc::clone(inner)), context: Some(context), ..PresentedTokens::default() };
        let Ok(values) = inner.sources.find_all(headers) else {
            return PresentedTokens { is_invalid: true, ..presented };
        };
        match inner.sources.find(headers) {
            Ok(found) => {
                presented.refresh = inner.find_refresh(&found, now);
                presented.refresh_attempted = !found.refresh.is_absent();
                presented.session = self.check(&found, now).ok();
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

    /// Reports that a browser has skipped the refresh of a bound session, where it says so: in a request without session.
    #[cfg(feature = "dbsc")]
    pub(crate) fn note_skipped(&self, headers: &HeaderMap, extensions: &Extensions) {
        let inner = &self.inner;
        let (Some(backend), true) = (&inner.backend, inner.binds_devices && headers.contains_key(SKIPPED_HEADER))
        else {
            return;
        };
        let (Some(reason), Ok(found)) = (skip_reason(headers), inner.sources.find(headers)) else { return };
        let now = inner.clock.now();
        if let Some(token) = inner.find_refresh(&found, now).filter(|token| now < token.expires_at) {
            let client = Arc::clone(&inner.partial_context(headers, extensions).client);
            let cause = Cause { operation: Operation::Request, client: Some(client) };
            let kind = SessionEventKind::DeviceProofSkipped(reason);
            backend.emit(&SessionEvent::new(&token.user_id, token.session_id, token.actor(), kind, &cause));
        }
    }

    /// Returns the same verifier under another policy for when the revocation log cannot be read. No difference to one
    /// of [`Verifier::builder`], which never reads it.
    #[must_use]
    pub fn when_stale(self, stale_policy: StalePolicy) -> Self {
        Self { stale_policy, ..self }
    }

    /// Verifies the access token, and whether enough is known of revocations to trust it.
    fn check(&self, found: &RawTokens<'_>, now: Timestamp) -> Result<Session<C>, VerifyError> {
        let (inner, policy) = (&self.inner, self.stale_policy);
        let mut buffer = Buffer::new();
        let opened = inner.open_access(found, now, &mut buffer)?;
        let claims = opened.app_claims(inner.shape).map_err(|error| refused("access", error))?;
        if !inner.permits(policy) {
            return Err(VerifyError::RevocationsUnknown);
        }
        Ok(Session::new(opened.registered, now, claims, Some(Arc::clone(inner)), policy))
    }
}

impl<C> Verifier<C> {
    pub(crate) fn new(inner: Arc<VerifierInner>, stale_policy: StalePolicy) -> Self {
        Self { inner, stale_policy, claims: PhantomData }
    }

    /// Returns the verifier that made a session; `None` for a session of a test.
    pub(super) fn of(session: &Session<C>) -> Option<Self> {
        Some(Self::new(Arc::clone(session.verifier()?), session.stale_policy()))
    }

    pub(crate) fn inner(&self) -> &Arc<VerifierInner> {
        &self.inner
    }
}

impl<C> Clone for Verifier<C> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.inner), self.stale_policy)
    }
}

impl<C> fmt::Debug for Verifier<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("access", &self.inner.access).finish_non_exhaustive()
    }
}
