//! The configuration of the binding.

use std::{borrow::Cow, time::Duration};

use super::challenge::Purpose;
use crate::{
    cookie::CookieSettings,
    error::{ConfigError, ConfigErrorKind},
    policy::MAX_CLOCK_SKEW,
};

/// Browsers sign six times within a short time and then pause, so that more frequent refreshes would fail.
const SHORTEST_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// How long a challenge may be signed, at least.
const CHALLENGE_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// Configures the binding of sessions to devices:
/// [`SessionManagerBuilder::device_binding`](crate::manager::SessionManagerBuilder::device_binding).
///
/// ```
/// use std::time::Duration;
/// use tower_jwt_sessions::dbsc::DeviceBinding;
///
/// let binding = DeviceBinding::new().bound_lifetime(Duration::from_secs(5 * 60)).mounted_at("/session");
/// # let _ = binding;
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing unless it is passed to device_binding"]
pub struct DeviceBinding {
    bound_lifetime: Duration,
    shortest_lifetime: Duration,
    mounted_at: Cow<'static, str>,
}

impl DeviceBinding {
    /// Creates a configuration with the defaults.
    pub const fn new() -> Self {
        Self {
            bound_lifetime: Duration::from_secs(10 * 60),
            shortest_lifetime: SHORTEST_LIFETIME,
            mounted_at: Cow::Borrowed("/auth"),
        }
    }

    /// Sets how long an access token of a bound session is valid, which is how long a copy of the cookies is of use: five
    /// minutes at least, and no longer than the
    /// [`access_lifetime`](crate::manager::SessionManagerBuilder::access_lifetime), which limits it. Default: ten minutes.
    pub const fn bound_lifetime(mut self, lifetime: Duration) -> Self {
        self.bound_lifetime = lifetime;
        self.shortest_lifetime = SHORTEST_LIFETIME;
        self
    }

    /// Sets a [`bound_lifetime`](Self::bound_lifetime) of less than five minutes, one second at least, for tests in a
    /// browser that cannot wait.
    ///
    /// # ⚠️ Warning
    ///
    /// After a few refreshes browsers refuse to sign for a while, and their users have to log in again.
    pub const fn short_lifetime_for_tests(mut self, lifetime: Duration) -> Self {
        self.bound_lifetime = lifetime;
        self.shortest_lifetime = Duration::from_secs(1);
        self
    }

    /// Sets the path under which the [`router`](crate::SessionManager::router) is nested, as browsers know it. Default:
    /// `/auth`.
    ///
    /// The response to a login tells the browser where to register, and the login does not know where the router is. If
    /// the path is wrong, no session is bound.
    pub fn mounted_at(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        self.mounted_at = path.into();
        self
    }

    /// Checks the settings against the others of the manager.
    pub(crate) fn validate(
        self,
        own_origin: Option<&str>,
        cookies: &CookieSettings,
        access_lifetime: Duration,
    ) -> Result<BindingSettings, ConfigError> {
        let invalid = |kind, message: String| Err(ConfigError::new(kind, message));
        let origin = match own_origin {
            Some(origin) if origin.starts_with("https://") => origin.to_owned(),
            Some(origin) => {
                return invalid(
                    ConfigErrorKind::InvalidOrigin,
                    format!(
                        "device_binding needs https, since browsers bind no session of own_origin {origin:?}: serve \
                             https, or leave device_binding out"
                    ),
                );
            }
            None => {
                return invalid(
                    ConfigErrorKind::MissingOption,
                    "device_binding needs own_origin, the origin whose requests are bound: set it, for example to \
                     \"https://app.example\""
                        .to_owned(),
                );
            }
        };
        if !cookies.secure || cookies.is_partitioned() {
            return invalid(
                ConfigErrorKind::InvalidCookie,
                "device_binding needs Secure cookies without Partitioned, since browsers bind no others: leave out \
                 insecure_http_for_development() and partitioned(), or device_binding"
                    .to_owned(),
            );
        }
        let lifetime = self.bound_lifetime.min(access_lifetime);
        if lifetime < self.shortest_lifetime {
            return invalid(
                ConfigErrorKind::InvalidLifetime,
                format!(
                    "the lifetime of bound access tokens ({lifetime:?}), the shorter one of bound_lifetime and \
                     access_lifetime, is less than {:?}, and browsers sign no more often: lengthen it",
                    self.shortest_lifetime
                ),
            );
        }
        let base = self.mounted_at.strip_suffix('/').unwrap_or(&self.mounted_at).to_owned();
        let is_path = base.is_empty() || base.starts_with('/') && !base.starts_with("//");
        if !is_path || !base.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\?#;,".contains(&byte)) {
            return invalid(
                ConfigErrorKind::InvalidOption,
                format!("invalid mounted_at {:?}: use the path of the router, such as \"/auth\"", self.mounted_at),
            );
        }
        Ok(BindingSettings { origin, base, lifetime })
    }
}

impl Default for DeviceBinding {
    fn default() -> Self {
        Self::new()
    }
}

/// The settings of a [`DeviceBinding`] that were validated.
#[derive(Clone, Debug)]
pub(crate) struct BindingSettings {
    pub(crate) origin: String,
    /// The path of the router, without a slash at its end.
    base: String,
    /// Of access tokens of bound sessions.
    pub(crate) lifetime: Duration,
}

impl BindingSettings {
    /// How long a challenge may be signed. That of a refresh comes with the tokens of the one before, and is good for as long
    /// as they are and a little more: with a new one the browser would have to sign twice each time.
    pub(crate) fn challenge_lifetime(&self, purpose: Purpose) -> Duration {
        match purpose {
            Purpose::Register => CHALLENGE_LIFETIME,
            Purpose::Refresh => CHALLENGE_LIFETIME.max(self.lifetime.saturating_add(MAX_CLOCK_SKEW)),
        }
    }

    pub(crate) fn register_path(&self) -> String {
        format!("{}/dbsc/register", self.base)
    }

    pub(crate) fn refresh_path(&self) -> String {
        format!("{}/dbsc/refresh", self.base)
    }
}
