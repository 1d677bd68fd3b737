//! The validated settings of the cookies, and the validation.

use std::{borrow::Cow, fmt};

use http::HeaderValue;

use super::{
    WarnOnce,
    config::{CookieConfig, CookiePrefix, SameSite},
    key::{CookieKey, MAX_ATTRIBUTE_LEN},
};
use crate::error::{ConfigError, ConfigErrorKind};

/// One of the two cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenCookie {
    Access,
    Refresh,
}

impl TokenCookie {
    pub(super) const BOTH: [Self; 2] = [Self::Access, Self::Refresh];
}

/// The settings of a [`CookieConfig`] that were validated.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CookieSettings {
    pub(crate) access_name: String,
    pub(crate) refresh_name: String,
    pub(super) domain: Option<String>,
    pub(super) access_path: Cow<'static, str>,
    pub(super) refresh_path: Cow<'static, str>,
    pub(super) same_site: SameSite,
    pub(super) partitioned: bool,
    pub(super) max_age: bool,
    pub(crate) secure: bool,
    pub(super) clear_site_data: Option<HeaderValue>,
    /// The former cookies that are removed when the current one of their kind is set.
    pub(super) former: Vec<(TokenCookie, Self)>,
    /// The warning about a request with two cookies of one name.
    pub(crate) ambiguity: WarnOnce,
    /// The warning about plain http, where browsers drop the cookies.
    pub(crate) plain_http: WarnOnce,
}

impl CookieSettings {
    /// Name and path of a cookie.
    pub(super) fn place(&self, which: TokenCookie) -> (&str, &str) {
        match which {
            TokenCookie::Access => (&self.access_name, &self.access_path),
            TokenCookie::Refresh => (&self.refresh_name, &self.refresh_path),
        }
    }

    /// Whether browsers send the refresh cookie wherever they send the access cookie.
    #[cfg(feature = "router")]
    pub(crate) fn refresh_accompanies_access(&self) -> bool {
        covers(&self.refresh_path, &self.access_path)
    }

    /// Whether the cookies belong to the site that embeds this one.
    #[cfg(feature = "dbsc")]
    pub(crate) const fn is_partitioned(&self) -> bool {
        self.partitioned
    }

    /// The attributes of the access cookie by which browsers find it, as in `Set-Cookie`.
    #[cfg(feature = "dbsc")]
    pub(crate) fn access_attributes(&self) -> String {
        let domain = self.domain.as_deref().map(|domain| format!("Domain={domain}; ")).unwrap_or_default();
        let secure = if self.secure { "Secure; " } else { "" };
        let same_site = match self.same_site {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
            SameSite::None => "None",
        };
        format!("{domain}Path={}; {secure}HttpOnly; SameSite={same_site}", self.access_path)
    }

    /// Returns a name that both use for cookies which a browser sends to the same paths.
    pub(crate) fn name_shared_with(&self, other: &Self) -> Option<&str> {
        let pairs = TokenCookie::BOTH.into_iter().flat_map(|own| TokenCookie::BOTH.map(|theirs| (own, theirs)));
        pairs.map(|(own, theirs)| (self.place(own), other.place(theirs))).find_map(
            |((name, path), (theirs, theirs_at))| {
                (name == theirs && (covers(path, theirs_at) || covers(theirs_at, path))).then_some(name)
            },
        )
    }

    fn key(&self, which: TokenCookie) -> CookieKey {
        let (name, path) = self.place(which);
        let (domain, partitioned) = (self.domain.clone(), self.partitioned);
        CookieKey { name: name.to_owned(), domain, path: path.to_owned(), partitioned }
    }

    /// Whether this is the key of either cookie.
    fn has(&self, key: &CookieKey) -> bool {
        TokenCookie::BOTH.iter().any(|which| self.key(*which) == *key)
    }
}

/// Whether a cookie of this path is sent to that path (RFC 6265bis, section 5.1.4).
fn covers(path: &str, requested: &str) -> bool {
    let rest = requested.strip_prefix(path);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || path.ends_with('/'))
}

impl CookieConfig {
    /// The `Clear-Site-Data` of a logout: a list of quoted strings.
    const fn clear_site_data(&self) -> Option<HeaderValue> {
        match (self.clears_cache, self.clears_storage) {
            _ if self.insecure_http => None,
            (false, false) => None,
            (true, false) => Some(HeaderValue::from_static(r#""cache""#)),
            (false, true) => Some(HeaderValue::from_static(r#""storage""#)),
            (true, true) => Some(HeaderValue::from_static(r#""cache", "storage""#)),
        }
    }

    /// Checks the settings against each other, and those of former configurations against these.
    pub(crate) fn validate(&self) -> Result<CookieSettings, ConfigError> {
        let settings = self.validate_alone()?;
        let mut former = Vec::new();
        for config in &self.replaces {
            let all = config.former_settings()?;
            if all.first().is_some_and(|own| TokenCookie::BOTH.iter().all(|which| settings.has(&own.key(*which)))) {
                return Err(invalid(
                    "replaces(..) names the current cookies: the same names, domain and paths",
                    "leave it out, or pass the configuration of the previous deployment",
                ));
            }
            former.extend(all);
        }
        Ok(CookieSettings { former: former_cookies(&settings, &former), ..settings })
    }

    /// The settings of this former configuration and of those that it replaced itself.
    fn former_settings(&self) -> Result<Vec<CookieSettings>, ConfigError> {
        let former = |error| ConfigError::new(ConfigErrorKind::InvalidCookie, format!("replaces(..): {error}"));
        let mut all = vec![self.validate_alone().map_err(former)?];
        for config in &self.replaces {
            all.extend(config.former_settings()?);
        }
        Ok(all)
    }

    fn validate_alone(&self) -> Result<CookieSettings, ConfigError> {
        check_name(&self.access_name)?;
        check_name(&self.refresh_name)?;
        if self.access_name == self.refresh_name {
            return Err(invalid("both cookies have the same name", "give each its own"));
        }
        check_path(&self.access_path)?;
        check_path(&self.refresh_path)?;
        let domain = self.domain.as_deref().map(checked_domain).transpose()?;
        let host_wide = domain.is_none() && self.access_path == "/" && self.refresh_path == "/";
        let prefix = self.prefix.unwrap_or(match (self.insecure_http, host_wide) {
            (true, _) => CookiePrefix::None,
            (false, true) => CookiePrefix::Host,
            (false, false) => CookiePrefix::Secure,
        });
        if self.insecure_http && prefix != CookiePrefix::None {
            return Err(invalid(
                format!("{} names need Secure cookies", prefix.as_str()),
                "leave out either prefix(..) or insecure_http_for_development()",
            ));
        }
        if prefix.is_host() && domain.is_some() {
            return Err(invalid("__Host- names forbid a domain", "use CookiePrefix::Secure, or leave out domain(..)"));
        }
        if prefix.is_host() && !host_wide {
            return Err(invalid("__Host- names demand the path /", "use CookiePrefix::Secure, or leave out the path"));
        }
        if self.insecure_http && self.same_site == SameSite::None {
            return Err(invalid(
                "SameSite=None needs Secure cookies",
                "use SameSite::Lax, or leave out insecure_http_for_development()",
            ));
        }
        if self.partitioned && self.same_site != SameSite::None {
            return Err(invalid(
                "partitioned cookies are for frames in other sites, where no others than SameSite=None are sent",
                "use SameSite::None, or leave out partitioned()",
            ));
        }
        Ok(CookieSettings {
            access_name: format!("{}{}", prefix.as_str(), self.access_name),
            refresh_name: format!("{}{}", prefix.as_str(), self.refresh_name),
            domain,
            access_path: self.access_path.clone(),
            refresh_path: self.refresh_path.clone(),
            same_site: self.same_site,
            partitioned: self.partitioned,
            max_age: !self.browser_session,
            secure: !self.insecure_http,
            clear_site_data: self.clear_site_data(),
            former: Vec::new(),
            ambiguity: WarnOnce::default(),
            plain_http: WarnOnce::default(),
        })
    }
}

/// The former cookies that browsers keep beside the current ones, each once.
fn former_cookies(current: &CookieSettings, former: &[CookieSettings]) -> Vec<(TokenCookie, CookieSettings)> {
    let mut found: Vec<(TokenCookie, CookieSettings)> = Vec::new();
    // Refresh cookies first: a former cookie that was used for both is removed with the new refresh cookie only.
    for which in [TokenCookie::Refresh, TokenCookie::Access] {
        // There are no Secure cookies on plain http.
        for settings in former.iter().filter(|settings| current.secure || !settings.secure) {
            let key = settings.key(which);
            if !current.has(&key) && !found.iter().any(|(which, settings)| settings.key(*which) == key) {
                // Browsers accept the line by its `Secure` and `SameSite`, which are therefore those of the current
                // cookies.
                let (secure, same_site) = (current.secure, current.same_site);
                found.push((which, CookieSettings { secure, same_site, ..settings.clone() }));
            }
        }
    }
    found
}

fn invalid(problem: impl fmt::Display, help: &str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::InvalidCookie, format!("{problem}: {help}"))
}

/// Checks that the name is a token (RFC 9110, section 5.6.2) without a prefix.
fn check_name(name: &str) -> Result<(), ConfigError> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !matches!(name.len(), 1..=64) || !name.bytes().all(is_token) {
        return Err(invalid(
            format!("invalid cookie name {name:?}"),
            "use 1 to 64 letters, digits or any of !#$%&'*+-.^_`|~",
        ));
    }
    if name.starts_with("__") {
        return Err(invalid(
            format!("cookie name {name:?} begins with two underscores, which browsers treat as a prefix"),
            "leave the prefix out: it is added automatically, or chosen by prefix(..)",
        ));
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), ConfigError> {
    let fits = path.len() <= MAX_ATTRIBUTE_LEN;
    if fits && path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';') {
        return Ok(());
    }
    Err(invalid(
        format!("invalid cookie path {path:?}"),
        "begin with a slash and use at most 1024 characters of printable ASCII without spaces and semicolons",
    ))
}

/// Checks the domain and removes a leading dot, which browsers ignore (RFC 6265bis, section 5.6.3).
fn checked_domain(domain: &str) -> Result<String, ConfigError> {
    let domain = domain.strip_prefix('.').unwrap_or(domain);
    let label_fits = |label: &str| {
        matches!(label.len(), 1..=63) && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    // In every form, also 127.1: no top-level domain begins with a digit.
    let is_address = domain.rsplit('.').next().is_some_and(|top| top.starts_with(|first: char| first.is_ascii_digit()));
    // The greatest length of a name in the DNS, which fits into an attribute.
    if domain.len() <= 253 && !is_address && domain.contains('.') && domain.split('.').all(label_fits) {
        return Ok(domain.to_ascii_lowercase());
    }
    Err(invalid(
        format!("invalid cookie domain {domain:?}"),
        "write a registrable domain such as example.com (in punycode if it is international), or leave it out",
    ))
}
