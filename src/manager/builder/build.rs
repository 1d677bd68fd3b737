//! Validates the options and builds the manager.

use std::sync::{Arc, Mutex};

use super::{SessionManagerBuilder, neighbours::Neighbour};
#[cfg(feature = "dbsc")]
use crate::policy::Lifetimes;
use crate::{
    auth::{ValidOptions, Verifier, VerifierInner, required},
    claims::Claims,
    error::{ConfigError, ConfigErrorKind, LOG_TARGET},
    jwt::{ClaimsShape, Codec, TokenKind, check_claims_type},
    manager::{Inner, SessionManager, claims_source::ClaimsLoader, key_rings::KeyRings},
    revocation::{BackendConfig, SessionBackend},
    store::Population,
};
#[cfg(feature = "router")]
use crate::{csrf::CrossSiteGuard, pages::NextPath};

impl<C: Claims> SessionManagerBuilder<C> {
    /// Validates the options, builds the manager and starts to follow the revocation log, on the current tokio runtime,
    /// for as long as the manager, a layer or a session of it exists.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first option that is missing or cannot work, and what to change;
    /// [`ConfigErrorKind::NoRuntime`] outside of a tokio runtime.
    pub fn build(self) -> Result<SessionManager<C>, ConfigError> {
        let access_keys = required("access_keys", self.access_keys)?;
        let refresh_keys = required("refresh_keys", self.refresh_keys)?;
        #[cfg(feature = "router")]
        let after_logout = self.after_logout.or_else(|| self.options.login_url.clone());
        let ValidOptions { issuer, audience, sources, cached_signatures, clock, renderer } = self.options.validate()?;
        let population = Population::new(&issuer, &audience);
        let own = Neighbour::new(population, sources.cookies.clone());
        self.neighbours.iter().try_for_each(|other| own.check(other))?;
        let client_id = self.rfc9068_client_id.map(valid_client_id).transpose()?;
        let store = required("store", self.store)?;
        let claims = required("claims_source", self.claims.or_else(ClaimsLoader::for_unit))?;

        let shape = ClaimsShape::of::<C>();
        check_claims_type::<C>(shape)?;

        let keys = KeyRings::new(access_keys, refresh_keys)?;
        let lifetimes = self.lifetimes.validate(self.max_access_lifetime)?;
        let replay_window = self.replay_window.validate()?;
        if !sources.cookies.secure {
            tracing::warn!(
                target: LOG_TARGET,
                "insecure_http_for_development(): session cookies are sent without Secure; never do this in production"
            );
        }
        #[cfg(feature = "router")]
        let after_logout = after_logout.map(own_path).transpose()?;
        #[cfg(feature = "dbsc")]
        let (device_binding, lifetimes) = {
            let own_origin = self.guard.own_origin.as_deref();
            let validate =
                |binding: crate::dbsc::DeviceBinding| binding.validate(own_origin, &sources.cookies, lifetimes.access);
            let binding = self.device_binding.map(validate).transpose()?;
            let bound = binding.as_ref().map_or(lifetimes.bound, |binding| binding.lifetime);
            (binding, Lifetimes { bound, ..lifetimes })
        };
        #[cfg(feature = "router")]
        let cross_site_guard = CrossSiteGuard::new(self.guard, sources.cookies.clone(), renderer.clone())?;

        // Bound to one population, as the store's keys are. If an audience of access tokens is called like this, keys
        // and `typ` still differ.
        let refresh_audience = format!("{audience}#refresh");
        let backend = SessionBackend::start(BackendConfig {
            store,
            population,
            clock: Arc::clone(&clock),
            retention: lifetimes.revocation_retention(),
            replay_window,
            serve_before_catch_up: self.serve_before_catch_up,
            events: self.events.clone(),
        })?;
        let access = Codec::new(TokenKind::Access, &issuer, &audience, cached_signatures);
        let access = match client_id {
            Some(client_id) => access.identifying(&client_id),
            None => access,
        };
        let refresh = Codec::new(TokenKind::Refresh, &issuer, &refresh_audience, 0);
        let inner = VerifierInner {
            access: Arc::new(access.with_ring(&keys.access)).into(),
            refresh: Arc::new(refresh.with_ring(&keys.refresh)).into(),
            sources,
            backend: Some(Arc::clone(&backend)),
            clock,
            renderer,
            max_access_lifetime: lifetimes.max_access,
            shape,
            client_ip: self.client_ip,
            #[cfg(feature = "dbsc")]
            binds_devices: device_binding.is_some(),
        };
        Ok(SessionManager {
            context: None,
            inner: Arc::new(Inner {
                verifier: Verifier::new(Arc::new(inner), self.stale_policy),
                keys: Mutex::new(keys),
                backend,
                claims,
                lifetimes,
                replay_window,
                limit: self.limit,
                events: self.events,
                #[cfg(feature = "dbsc")]
                device_binding,
                #[cfg(feature = "router")]
                cross_site_guard,
                #[cfg(feature = "router")]
                after_logout,
            }),
        })
    }
}

/// Checks the syntax of RFC 6749, appendix A.1.
fn valid_client_id(client_id: String) -> Result<String, ConfigError> {
    let is_valid = (1..=255).contains(&client_id.len()) && client_id.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    match is_valid {
        true => Ok(client_id),
        false => Err(ConfigError::new(
            ConfigErrorKind::InvalidOption,
            format!(
                "invalid client_id {client_id:?} of rfc9068_claims: use 1 to 255 printable ASCII characters, such as \
                 \"web\""
            ),
        )),
    }
}

#[cfg(feature = "router")]
fn own_path(path: String) -> Result<NextPath, ConfigError> {
    let refused =
        format!("invalid after_logout {path:?}: use a path of this site, such as \"/login\", percent-encoded");
    NextPath::configured(path).ok_or_else(|| ConfigError::new(ConfigErrorKind::InvalidOption, refused))
}
