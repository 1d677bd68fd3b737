//! From settings to a manager, or to the first of them that cannot be.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    super::{Inner, SessionManager, claims::ClaimsLoader, keys::KeyRings},
    SessionManagerBuilder,
};
#[cfg(feature = "router")]
use crate::csrf::CrossSiteGuard;
use crate::{
    auth::{Verifier, VerifierInner},
    claims::Claims,
    credentials::CredentialSources,
    error::ConfigError,
    event::LOG_TARGET,
    jwt::{ClaimsShape, Codec, TokenKind, check_claims_type, checked_cache, checked_identifier},
    policy::{Lifetimes, MAX_CLOCK_SKEW, MAX_LIFETIME},
    revocation::{BackendConfig, SessionBackend},
    store::Population,
};

const MAX_REPLAY_WINDOW: Duration = Duration::from_secs(60);

impl<C: Claims> SessionManagerBuilder<C> {
    /// Checks everything, builds the manager and begins to follow the revocation log, on the current tokio runtime, for
    /// as long as the manager, a layer or a session of it exists.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first setting that is missing or cannot work, and the cure;
    /// [`ConfigError::NoRuntime`] outside of a tokio runtime.
    pub fn build(self) -> Result<SessionManager<C>, ConfigError> {
        let missing = |method| ConfigError::Missing { method };
        let access_keys = self.access_keys.ok_or(missing("access_keys"))?;
        let refresh_keys = self.refresh_keys.ok_or(missing("refresh_keys"))?;
        let issuer = checked_identifier("issuer", self.issuer.ok_or(missing("issuer"))?)?;
        let audience = checked_identifier("audience", self.audience.unwrap_or_else(|| issuer.clone()))?;
        let store = self.store.ok_or(missing("store"))?;
        let claims = self.claims.or_else(ClaimsLoader::for_unit).ok_or(missing("claims_source"))?;

        let shape = ClaimsShape::of::<C>();
        check_claims_type::<C>(shape)?;

        let keys = KeyRings::new(access_keys, refresh_keys)?;
        let lifetimes = checked_lifetimes(self.lifetimes, self.max_access_lifetime)?;
        if self.replay_window.length() > MAX_REPLAY_WINDOW {
            return Err(ConfigError::ReplayWindowTooLong { window: self.replay_window.length() });
        }
        let cached = checked_cache(self.cached_signatures)?;
        let cookies = self.cookies.validate()?;
        if !cookies.secure {
            tracing::warn!(
                target: LOG_TARGET,
                "insecure_http_for_development(): session cookies are sent without Secure; never do this in production"
            );
        }
        #[cfg(feature = "router")]
        let cross_site_guard = CrossSiteGuard::new(self.guard, cookies.clone(), self.renderer.clone())?;

        // Bound to one population, as the store's keys are. If an audience of access tokens is called like this, keys
        // and `typ` still differ.
        let refresh_audience = format!("{audience}#refresh");
        let backend = SessionBackend::start(BackendConfig {
            store,
            population: Population::new(&issuer, &audience),
            clock: Arc::clone(&self.clock),
            retention: lifetimes.revocation_retention(),
            replay_window: self.replay_window,
            serve_before_catch_up: self.serve_before_catch_up,
            events: self.events.clone(),
        })?;
        let access = Codec::new(TokenKind::Access, &issuer, &audience, cached);
        let refresh = Codec::new(TokenKind::Refresh, &issuer, &refresh_audience, 0);
        let inner = VerifierInner {
            access: Arc::new(access.with_ring(&keys.access)).into(),
            refresh: Arc::new(refresh.with_ring(&keys.refresh)).into(),
            sources: CredentialSources { cookies, accepts_bearer: self.accepts_bearer },
            backend: Some(Arc::clone(&backend)),
            clock: self.clock,
            renderer: self.renderer,
            max_access_lifetime: lifetimes.max_access,
            shape,
        };
        let verifier = Verifier::new(Arc::new(inner), self.stale_policy);
        Ok(SessionManager {
            inner: Arc::new(Inner {
                verifier,
                keys: Mutex::new(keys),
                backend,
                claims,
                lifetimes,
                replay_window: self.replay_window,
                limit: self.limit,
                events: self.events,
                #[cfg(feature = "router")]
                cross_site_guard,
            }),
        })
    }
}

fn checked_lifetimes(mut lifetimes: Lifetimes, max_access: Option<Duration>) -> Result<Lifetimes, ConfigError> {
    let Lifetimes { access, refresh, absolute, .. } = lifetimes;
    lifetimes.max_access = max_access.unwrap_or(access.max(lifetimes.max_access));
    for (name, lifetime) in [
        ("access_lifetime", access),
        ("refresh_lifetime", refresh),
        ("absolute_lifetime", absolute),
        ("max_access_lifetime", lifetimes.max_access),
    ] {
        if lifetime < Duration::from_secs(1) || lifetime > MAX_LIFETIME {
            return Err(ConfigError::LifetimeOutOfRange { name, lifetime });
        }
    }
    if access < MAX_CLOCK_SKEW {
        return Err(ConfigError::AccessTooShort { access });
    }
    if access > lifetimes.max_access {
        return Err(ConfigError::AccessTooLong { access, max: lifetimes.max_access });
    }
    if access >= refresh {
        return Err(ConfigError::AccessOutlivesRefresh { access, refresh });
    }
    if refresh > absolute {
        return Err(ConfigError::RefreshOutlivesSession { refresh, absolute });
    }
    Ok(lifetimes)
}
