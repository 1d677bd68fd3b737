//! What the clones of a verifier and its sessions share, and the checks that do not depend on the claims' type.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use serde::de::IgnoredAny;

use super::{ClientIp, VerifyError};
use crate::{
    clock::{Clock, Timestamp},
    cookie::{TokenCookie, WarnOnce},
    credentials::{CredentialSources, Occurrence, RawTokens},
    event::LOG_TARGET,
    jwt::{Buffer, ClaimsShape, Codec, Opened, RegisteredClaims, TokenError},
    policy::MAX_CLOCK_SKEW,
    problem::Renderer,
    revocation::{Revoked, SessionBackend, StalePolicy},
};

/// Aligned so that what every request reads stands in no cache line with the counter of an `Arc`, which every request
/// writes to: each core would have to fetch it anew.
#[repr(align(128))]
pub(crate) struct VerifierInner {
    /// Replaced with the keys. Readers neither lock nor wait.
    pub(crate) access: ArcSwap<Codec>,
    pub(crate) refresh: ArcSwap<Codec>,
    pub(crate) sources: CredentialSources,
    /// The store, and what this node knows to be revoked; `None` for a verifier that has only keys.
    pub(crate) backend: Option<Arc<SessionBackend>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) renderer: Renderer,
    /// The longest that an access token may live: revocations are forgotten after that.
    pub(crate) max_access_lifetime: Duration,
    pub(crate) shape: ClaimsShape,
    /// For the events of operations, never for a request alone.
    pub(crate) client_ip: Option<Arc<ClientIp>>,
    /// Whether browsers may say that they have skipped a refresh.
    #[cfg(feature = "dbsc")]
    pub(crate) binds_devices: bool,
}

impl VerifierInner {
    /// Verifies the access token, except for the claims of the application.
    pub(super) fn open_access<'b>(
        &self,
        found: &RawTokens<'_>,
        now: Timestamp,
        buffer: &'b mut Buffer,
    ) -> Result<Opened<'b>, VerifyError> {
        let token = match found.access {
            Occurrence::One(token) => token,
            Occurrence::Several => return Err(ambiguous(&self.sources.cookies.ambiguity)),
            Occurrence::Absent if found.refresh.is_absent() => return Err(VerifyError::NoCredentials),
            Occurrence::Absent => return Err(VerifyError::OnlyRefreshToken),
        };
        let opened = self.access.load().open(token, now, buffer).map_err(|error| refused("access", error))?;
        let registered = &opened.registered;
        if now >= registered.expires_at {
            return Err(VerifyError::Expired);
        }
        // A token from further ahead than clocks may disagree, or one that would outlive the list of revocations.
        if registered.issued_at > now.saturating_add(MAX_CLOCK_SKEW)
            || registered.expires_at.since(registered.issued_at) > self.max_access_lifetime
        {
            return Err(invalid_claims());
        }
        let find_revoked = |backend: &Arc<SessionBackend>| {
            let own = backend.find_revoked(registered.session_id, registered.epoch, registered.issued_at);
            own.or_else(|| backend.find_end_of_actor(registered.actor_session()?))
        };
        match self.backend.as_ref().and_then(find_revoked) {
            None => Ok(opened),
            Some(Revoked::Certainly) => Err(VerifyError::Revoked),
            Some(Revoked::EndUnfinished) => Err(VerifyError::EndUnfinished),
        }
    }

    /// Whether enough is known of revocations to serve a session under this policy.
    pub(super) fn permits(&self, policy: StalePolicy) -> bool {
        self.backend.as_ref().is_none_or(|backend| backend.permits(policy))
    }

    /// Verifies the refresh token of a request. It may have expired.
    pub(super) fn find_refresh(&self, found: &RawTokens<'_>, now: Timestamp) -> Option<RegisteredClaims> {
        match found.refresh {
            Occurrence::One(token) => self.open_refresh(token, now),
            Occurrence::Absent => None,
            Occurrence::Several => {
                ambiguous(&self.sources.cookies.ambiguity);
                None
            }
        }
    }

    /// Verifies a refresh token. It may have expired.
    pub(crate) fn open_refresh(&self, token: &[u8], now: Timestamp) -> Option<RegisteredClaims> {
        let mut buffer = Buffer::new();
        let opened = self.refresh.load().open(token, now, &mut buffer).and_then(Opened::without_app_claims);
        opened.map_err(|error| refused("refresh", error)).ok()
    }

    /// Verifies a token of either kind, which may have expired or been revoked: good only to end its session.
    pub(crate) fn open_any(&self, token: &[u8], now: Timestamp) -> Option<(TokenCookie, RegisteredClaims)> {
        [TokenCookie::Refresh, TokenCookie::Access]
            .into_iter()
            .find_map(|which| self.open_old(which, token, now).map(|claims| (which, claims)))
    }

    /// Verifies a token that may have expired or been revoked: good only to end its session.
    pub(crate) fn open_old(&self, which: TokenCookie, token: &[u8], now: Timestamp) -> Option<RegisteredClaims> {
        let codec = match which {
            TokenCookie::Access => &self.access,
            TokenCookie::Refresh => &self.refresh,
        };
        let mut buffer = Buffer::new();
        let opened = codec.load().open(token, now, &mut buffer).ok()?;
        let IgnoredAny = opened.app_claims(ClaimsShape::of::<IgnoredAny>()).ok()?;
        Some(opened.registered)
    }
}

// The log is the only place that says why a token was refused.

#[cold]
fn ambiguous(warning: &WarnOnce) -> VerifyError {
    tracing::debug!(target: LOG_TARGET, "session cookies refused: more than one of a name");
    if warning.is_due() {
        tracing::warn!(
            target: LOG_TARGET,
            "duplicate session cookies ignored: if their domain or path has changed, use CookieConfig::replaces"
        );
    }
    VerifyError::AmbiguousCookie
}

/// The token is authentic, so nodes are configured differently or their clocks disagree, which the response does not tell.
#[cold]
fn invalid_claims() -> VerifyError {
    tracing::debug!(
        target: LOG_TARGET,
        "access token refused: issued in the future, or longer-lived than max_access_lifetime"
    );
    VerifyError::InvalidToken
}

#[cold]
pub(super) fn refused(kind: &'static str, error: TokenError) -> VerifyError {
    tracing::debug!(target: LOG_TARGET, kind, %error, "token refused");
    VerifyError::InvalidToken
}
