//! What the builders of managers and of verifiers have in common.

use std::{fmt, sync::Arc};

use crate::{
    clock::{Clock, SystemClock},
    cookie::CookieConfig,
    credentials::CredentialSources,
    error::{ConfigError, ConfigErrorKind},
    pages::LoginUrl,
    problem::Renderer,
};

/// Options of both builders, as they were set.
pub(crate) struct CommonOptions {
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<String>,
    pub(crate) cookies: CookieConfig,
    pub(crate) accepts_bearer: bool,
    pub(crate) cached_signatures: usize,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) renderer: Renderer,
    pub(crate) login_url: Option<String>,
}

/// The same options, validated.
pub(crate) struct ValidOptions {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) sources: CredentialSources,
    pub(crate) cached_signatures: usize,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) renderer: Renderer,
}

impl CommonOptions {
    pub(crate) fn validate(self) -> Result<ValidOptions, ConfigError> {
        let issuer = valid_identifier("issuer", required("issuer", self.issuer)?)?;
        let audience = valid_identifier("audience", self.audience.unwrap_or_else(|| issuer.clone()))?;
        if self.cached_signatures > MAX_CACHED {
            return Err(ConfigError::new(
                ConfigErrorKind::InvalidOption,
                format!(
                    "cache_signatures ({}) exceeds {MAX_CACHED}: set it to twice the number of users who are active at \
                     a time",
                    self.cached_signatures
                ),
            ));
        }
        let cookies = self.cookies.validate()?;
        let renderer = match self.login_url {
            Some(path) => self.renderer.with_login(LoginUrl::parse(&path).ok_or_else(|| invalid_login_url(&path))?),
            None => self.renderer,
        };
        Ok(ValidOptions {
            issuer,
            audience,
            sources: CredentialSources { cookies, accepts_bearer: self.accepts_bearer },
            cached_signatures: self.cached_signatures,
            clock: self.clock,
            renderer,
        })
    }
}

impl Default for CommonOptions {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: None,
            cookies: CookieConfig::new(),
            accepts_bearer: false,
            cached_signatures: 0,
            clock: Arc::new(SystemClock),
            renderer: Renderer::default(),
            login_url: None,
        }
    }
}

impl fmt::Debug for CommonOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommonOptions")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("cookies", &self.cookies)
            .finish_non_exhaustive()
    }
}

/// The value of an option that has no default.
pub(crate) fn required<T>(method: &'static str, value: Option<T>) -> Result<T, ConfigError> {
    value.ok_or_else(|| {
        ConfigError::new(ConfigErrorKind::MissingOption, format!("{method} was not called: it has no default"))
    })
}

/// Refuses an issuer or audience that leaves too little room in a token.
fn valid_identifier(name: &'static str, identifier: String) -> Result<String, ConfigError> {
    match identifier.len() {
        1..=255 => Ok(identifier),
        len => Err(ConfigError::new(
            ConfigErrorKind::InvalidOption,
            format!("invalid {name} of {len} bytes: use 1 to 255 bytes, such as the URL of your service"),
        )),
    }
}

/// Refuses a login page elsewhere, and one whose path would need encoding.
fn invalid_login_url(path: &str) -> ConfigError {
    ConfigError::new(
        ConfigErrorKind::InvalidOption,
        format!("invalid login_url {path:?}: use the path of the page alone, such as \"/login\", percent-encoded"),
    )
}

/// A cached token takes up to four kilobytes, so that more would take more than four gigabytes.
const MAX_CACHED: usize = 1 << 20;
