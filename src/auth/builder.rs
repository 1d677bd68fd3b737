//! A verifier for a service that has the public keys and nothing else.

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use axum_core::response::Response;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::{CommonOptions, ValidOptions, Verifier, VerifierInner, required};
use crate::{
    clock::Clock,
    cookie::CookieConfig,
    error::{ConfigError, ConfigErrorKind},
    jwt::{ClaimsShape, Codec, TokenKind},
    keys::VerificationKeys,
    policy::{Lifetimes, check_lifetime},
    problem::{Problem, Renderer},
    revocation::StalePolicy,
};

/// Configures a [`Verifier`] that has no [`SessionManager`](crate::SessionManager). Begin with [`Verifier::builder`].
///
/// [`keys`](Self::keys) and [`issuer`](Self::issuer) are required.
#[must_use]
pub struct VerifierBuilder<C = ()> {
    keys: Option<VerificationKeys>,
    options: CommonOptions,
    max_access_lifetime: Duration,
    claims: PhantomData<fn() -> C>,
}

impl<C: DeserializeOwned + Send + Sync + 'static> Verifier<C> {
    /// Begins the configuration of a verifier for a service that does not log users in: it has the public keys of the
    /// one that does, and neither a store nor a key that signs. Layer and extractors work on it as usual.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use tower_jwt_sessions::{
    ///     ConfigError, Session, SessionLayer, Verifier, keys::VerificationKeys,
    /// };
    ///
    /// async fn me(session: Session) -> String {
    ///     session.user_id().to_string()
    /// }
    ///
    /// /// `jwks` is what `GET /auth/jwks.json` of the other service answered, or a file with it.
    /// fn app(jwks: &str) -> Result<Router, ConfigError> {
    ///     let verifier = Verifier::<()>::builder()
    ///         .keys(VerificationKeys::from_jwks(jwks)?)
    ///         .issuer("https://app.example")
    ///         .build()?;
    ///     Ok(Router::new().route("/me", get(me)).layer(SessionLayer::new(verifier)))
    /// }
    /// # let _ = app;
    /// ```
    ///
    /// # ⚠️ Warning
    ///
    /// **It does not learn of revocations.** A session that has logged out, was ended, or whose theft was detected is
    /// accepted here until its access token expires, and no [`StalePolicy`] changes that. Shorten `access_lifetime`
    /// where it is issued, or use a [`SessionManager`](crate::SessionManager) on the same store where that is too long.
    ///
    /// It does not know refresh tokens either: a [`PresentedTokens`](crate::PresentedTokens) proves an access token at
    /// most.
    pub fn builder() -> VerifierBuilder<C> {
        VerifierBuilder {
            keys: None,
            options: CommonOptions::default(),
            max_access_lifetime: Lifetimes::default().max_access,
            claims: PhantomData,
        }
    }

    /// Replaces the keys, for example when the JWK set was fetched again. Requests under way keep theirs, none waits.
    ///
    /// Which keys to accept and for how long is decided by the service that issues the tokens: its set has the next key
    /// before it signs, and old ones for as long as they matter.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::InvalidKeyChange`] for the verifier of a [`SessionManager`](crate::SessionManager).
    pub fn replace_keys(&self, keys: &VerificationKeys) -> Result<(), ConfigError> {
        if self.inner().backend.is_some() {
            return Err(ConfigError::new(
                ConfigErrorKind::InvalidKeyChange,
                "these are the keys of a SessionManager: use its replace_access_keys",
            ));
        }
        let access = &self.inner().access;
        access.store(Arc::new(access.load().with_keys(keys)));
        Ok(())
    }
}

impl<C: DeserializeOwned + Send + Sync + 'static> VerifierBuilder<C> {
    /// Sets the keys whose tokens are accepted.
    pub fn keys(mut self, keys: VerificationKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Sets the `iss` of the tokens, as the other service has it.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.options.issuer = Some(issuer.into());
        self
    }

    /// Sets the `aud` of the tokens, as the other service has it. Default: the issuer.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.options.audience = Some(audience.into());
        self
    }

    /// Sets the names of the cookies, as the other service has them. Both services receive them when they are on one
    /// host, or the cookies have a [`domain`](CookieConfig::domain).
    pub fn cookies(mut self, cookies: CookieConfig) -> Self {
        self.options.cookies = cookies;
        self
    }

    /// Accepts access tokens in an `Authorization: Bearer` header too, as
    /// [`SessionManagerBuilder::accept_bearer_tokens`](crate::manager::SessionManagerBuilder::accept_bearer_tokens)
    /// does. Default: the header is ignored.
    pub fn accept_bearer_tokens(mut self) -> Self {
        self.options.accepts_bearer = true;
        self
    }

    /// Sets how many tokens with a verified EdDSA or ES256 signature are remembered, as
    /// [`SessionManagerBuilder::cache_signatures`](crate::manager::SessionManagerBuilder::cache_signatures) does.
    /// Default: 0.
    pub fn cache_signatures(mut self, tokens: usize) -> Self {
        self.options.cached_signatures = tokens;
        self
    }

    /// Sets the longest lifetime of an access token that the other service issues; a longer-lived one is refused.
    /// Default: one hour.
    pub fn max_access_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_access_lifetime = lifetime;
        self
    }

    /// Sets the clock. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.options.clock = Arc::new(clock);
        self
    }

    /// Renders error answers in the application's own format, as
    /// [`SessionManagerBuilder::render_errors`](crate::manager::SessionManagerBuilder::render_errors) does.
    pub fn render_errors(
        mut self,
        render: impl Fn(&Problem, Option<&Parts>) -> Response + Send + Sync + 'static,
    ) -> Self {
        self.options.renderer = Renderer::default().custom(render);
        self
    }

    /// Sends browsers without a session from a page to the login, as
    /// [`SessionManagerBuilder::login_url`](crate::manager::SessionManagerBuilder::login_url) does. Default: `401`.
    pub fn login_url(mut self, path: impl Into<String>) -> Self {
        self.options.login_url = Some(path.into());
        self
    }

    /// Checks everything and builds the verifier. It needs no runtime.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first setting that is missing or cannot work, and says what to do.
    pub fn build(self) -> Result<Verifier<C>, ConfigError> {
        let keys = required("keys", self.keys)?;
        let ValidOptions { issuer, audience, sources, cached_signatures, clock, renderer } = self.options.validate()?;
        check_lifetime("max_access_lifetime", self.max_access_lifetime)?;
        let access = Codec::new(TokenKind::Access, &issuer, &audience, cached_signatures);
        let inner = VerifierInner {
            access: Arc::new(access.with_keys(&keys)).into(),
            refresh: Arc::new(Codec::new(TokenKind::Refresh, &issuer, &issuer, 0)).into(),
            sources,
            backend: None,
            clock,
            renderer,
            max_access_lifetime: self.max_access_lifetime,
            shape: ClaimsShape::of::<C>(),
            client_ip: None,
            #[cfg(feature = "dbsc")]
            binds_devices: false,
        };
        Ok(Verifier::new(Arc::new(inner), StalePolicy::KeepServing))
    }
}

impl<C> fmt::Debug for VerifierBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifierBuilder")
            .field("keys", &self.keys)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
