//! Names and attributes of the cookies.

use std::borrow::Cow;

use http::HeaderValue;
use tower_cookies::cookie::SameSite;

use super::{
    Once, TokenCookie,
    key::{CookieKey, MAX_ATTRIBUTE_LEN},
};
use crate::error::ConfigError;

/// Names and attributes of the two cookies.
///
/// The defaults are `__Host-access` and `__Host-refresh` with `Secure; HttpOnly; SameSite=Strict; Path=/` and a
/// `Max-Age` that follows the token (RFC 6265bis; OWASP ASVS 5.0, 3.3). `HttpOnly` cannot be switched off.
///
/// ```
/// use tower_jwt_sessions::{CookieConfig, SameSite};
///
/// // For `app.example.com` and `api.example.com` alike; the cookies are then `__Secure-access` and `__Secure-refresh`.
/// let cookies = CookieConfig::new().domain("example.com").same_site(SameSite::Lax);
/// # let _ = cookies;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct CookieConfig {
    access_name: Cow<'static, str>,
    refresh_name: Cow<'static, str>,
    prefix: Option<CookiePrefix>,
    domain: Option<String>,
    access_path: Cow<'static, str>,
    refresh_path: Cow<'static, str>,
    same_site: SameSite,
    partitioned: bool,
    browser_session: bool,
    insecure_http: bool,
    clears_cache: bool,
    clears_storage: bool,
    replaces: Vec<Self>,
}

/// What a browser can be asked to forget at a logout: [`CookieConfig::clear_at_logout`].
///
/// There is no `cookies` among them: that would clear those of the whole registrable domain, so also those of every other
/// application there. Our own are removed anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SiteData {
    /// What the browser keeps in caches for this origin.
    Cache,
    /// What scripts and service workers of this origin keep.
    Storage,
}

/// What a cookie's name promises about it (RFC 6265bis, section 4.1.3); browsers refuse a cookie that breaks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookiePrefix {
    /// `__Host-`: secure, for this host only, for every path. No other host or page can plant such a cookie.
    Host,
    /// `__Host-Http-`: as [`Host`](Self::Host), and no script can plant one either. For browsers that do not know it
    /// yet it is a `__Host-` name.
    HostHttp,
    /// `__Secure-`: secure.
    Secure,
    /// None.
    None,
}

impl CookiePrefix {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "__Host-",
            Self::HostHttp => "__Host-Http-",
            Self::Secure => "__Secure-",
            Self::None => "",
        }
    }

    const fn is_of_host(self) -> bool {
        matches!(self, Self::Host | Self::HostHttp)
    }
}

impl CookieConfig {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            access_name: Cow::Borrowed("access"),
            refresh_name: Cow::Borrowed("refresh"),
            prefix: None,
            domain: None,
            access_path: Cow::Borrowed("/"),
            refresh_path: Cow::Borrowed("/"),
            same_site: SameSite::Strict,
            partitioned: false,
            browser_session: false,
            insecure_http: false,
            clears_cache: false,
            clears_storage: false,
            replaces: Vec::new(),
        }
    }

    /// Names the cookies, without their prefix. Default: `access` and `refresh`.
    pub fn names(mut self, access: impl Into<Cow<'static, str>>, refresh: impl Into<Cow<'static, str>>) -> Self {
        self.access_name = access.into();
        self.refresh_name = refresh.into();
        self
    }

    /// Chooses the prefix of the names. Default: `__Host-` where the other settings allow it, else `__Secure-`.
    pub const fn prefix(mut self, prefix: CookiePrefix) -> Self {
        self.prefix = Some(prefix);
        self
    }

    /// Sends the cookies to this domain and all its subdomains too. Default: this host only.
    ///
    /// # ⚠️ Warning
    ///
    /// Every subdomain then receives the tokens and can plant cookies of the same name.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Sends both cookies below this path only. Default: `/`. A path protects nothing (RFC 6265bis, section 8.6).
    pub fn path(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        let path = path.into();
        self.access_path = path.clone();
        self.refresh_path = path;
        self
    }

    /// Sends the refresh cookie below this path only, which must be where the router is mounted. Default: `/`.
    ///
    /// It costs the `__Host-` prefix, and a request elsewhere can no longer tell an expired session from none.
    pub fn refresh_path(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        self.refresh_path = path.into();
        self
    }

    /// Whether other sites can cause requests with the cookies. Default: [`SameSite::Strict`].
    ///
    /// With `Strict` a user who follows a link from a mail or another site arrives logged out on that first page;
    /// choose [`SameSite::Lax`] if that matters to you. `None` leaves cross-site requests to the origin guard alone.
    pub const fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Keeps the cookies apart for each site that embeds this one in a frame (CHIPS). Only with [`SameSite::None`], since
    /// nothing else reaches a frame of another site; without it, browsers that block cookies of third parties keep none.
    ///
    /// A login in the frame is then one of its own, and the page itself does not know of it.
    pub const fn partitioned(mut self) -> Self {
        self.partitioned = true;
        self
    }

    /// Leaves out `Max-Age`, so that the cookies vanish with the browser session (NIST SP 800-63B-4, section 5.1).
    pub const fn browser_session(mut self) -> Self {
        self.browser_session = true;
        self
    }

    /// Leaves out `Secure` and the name prefixes, for development over plain http on another host than localhost.
    ///
    /// Not needed on `http://localhost` in Chrome and Firefox, which treat it as secure; Safari does not. Building a manager with it logs a warning.
    ///
    /// # ⚠️ Warning
    ///
    /// Everybody on the network path can take over the sessions.
    pub const fn insecure_http_for_development(mut self) -> Self {
        self.insecure_http = true;
        self
    }

    /// Has browsers forget this too at every logout, by `Clear-Site-Data` (W3C Clear Site Data; OWASP ASVS 5.0, 14.3.1).
    /// Default: nothing, since it can take browsers seconds, and what is in the storage is the application's to know.
    ///
    /// It goes with the removal of the cookies that [`SessionManager::logout`](crate::SessionManager::logout) and
    /// `logout_all` return, never with the cookies of a new session. Not sent by
    /// [`add_to`](crate::SessionCookies::add_to), and not with
    /// [`insecure_http_for_development`](Self::insecure_http_for_development), where browsers would ignore it.
    ///
    /// ```
    /// use tower_jwt_sessions::{CookieConfig, SiteData};
    ///
    /// // Clear-Site-Data: "cache", "storage"
    /// let cookies = CookieConfig::new().clear_at_logout(&[SiteData::Cache, SiteData::Storage]);
    /// # let _ = cookies;
    /// ```
    pub fn clear_at_logout(mut self, data: &[SiteData]) -> Self {
        self.clears_cache = data.contains(&SiteData::Cache);
        self.clears_storage = data.contains(&SiteData::Storage);
        self
    }

    /// Removes the cookies of a former configuration, so that they do not stay beside those of this one. Default: none.
    ///
    /// Browsers tell cookies apart by name, domain, path and partition, and send every one that matches. After a change
    /// of [`domain`](Self::domain), [`path`](Self::path), [`refresh_path`](Self::refresh_path) or
    /// [`partitioned`](Self::partitioned) under the same [`names`](Self::names) and [`prefix`](Self::prefix), a browser
    /// that was logged in before the change sends two cookies of one name, which count as none: every request is
    /// answered with `401` until the former cookies expire. Pass the former configuration here for as long as its
    /// cookies live, which is the refresh lifetime. Cookies of former names are removed as well, and so are those that
    /// the former configuration itself replaced.
    ///
    /// A login or refresh removes the former version of each cookie that it sets, a logout removes all of them, each
    /// with a `Set-Cookie` line of its own.
    ///
    /// During a rolling deployment nodes of both configurations serve, and each has to replace the cookies of the
    /// other: deploy `old.replaces(new)` first, then `new.replaces(old)`. Another service that still shares the former
    /// cookies loses them.
    ///
    /// [`add_to`](crate::SessionCookies::add_to) does not send the removal where a current cookie has the same name.
    /// Former `Secure` cookies are not removed with
    /// [`insecure_http_for_development`](Self::insecure_http_for_development), where browsers neither send nor remove
    /// them.
    ///
    /// ```
    /// use tower_jwt_sessions::{CookieConfig, CookiePrefix};
    ///
    /// let base = CookieConfig::new().prefix(CookiePrefix::Secure);
    /// // The cookies were shared with all subdomains, and no longer are.
    /// let cookies = base.clone().replaces(base.domain("example.com"));
    /// # let _ = cookies;
    /// ```
    pub fn replaces(mut self, former: Self) -> Self {
        self.replaces.push(former);
        self
    }

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
    pub(crate) fn plan(&self) -> Result<CookiePlan, ConfigError> {
        let plan = self.plan_alone()?;
        let mut former = Vec::new();
        for config in &self.replaces {
            let plans = config.former_plans()?;
            if plans.first().is_some_and(|own| TokenCookie::BOTH.iter().all(|which| plan.has(&own.key(*which)))) {
                return Err(problem(
                    "replaces(..) names the current cookies: the same names, domain and paths",
                    "leave it out, or pass the configuration of the previous deployment",
                ));
            }
            former.extend(plans);
        }
        Ok(CookiePlan { former: former_cookies(&plan, &former), ..plan })
    }

    /// The plan of this former configuration, then those of the ones that it replaced itself.
    fn former_plans(&self) -> Result<Vec<CookiePlan>, ConfigError> {
        let mut plans = vec![self.plan_alone().map_err(|error| match error {
            ConfigError::Cookie { problem, cure } => self::problem(format!("replaces(..): {problem}"), cure),
            other => other,
        })?];
        for config in &self.replaces {
            plans.extend(config.former_plans()?);
        }
        Ok(plans)
    }

    fn plan_alone(&self) -> Result<CookiePlan, ConfigError> {
        check_name(&self.access_name)?;
        check_name(&self.refresh_name)?;
        if self.access_name == self.refresh_name {
            return Err(problem("both cookies have the same name", "give each its own"));
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
            return Err(problem(
                format!("{} names need Secure cookies", prefix.as_str()),
                "leave out either prefix(..) or insecure_http_for_development()",
            ));
        }
        if prefix.is_of_host() && domain.is_some() {
            return Err(problem("__Host- names forbid a domain", "use CookiePrefix::Secure, or leave out domain(..)"));
        }
        if prefix.is_of_host() && !host_wide {
            return Err(problem("__Host- names demand the path /", "use CookiePrefix::Secure, or leave out the path"));
        }
        if self.insecure_http && self.same_site == SameSite::None {
            return Err(problem(
                "SameSite=None needs Secure cookies",
                "use SameSite::Lax, or leave out insecure_http_for_development()",
            ));
        }
        if self.partitioned && self.same_site != SameSite::None {
            return Err(problem(
                "partitioned cookies are for frames in other sites, where no others than SameSite=None are sent",
                "use SameSite::None, or leave out partitioned()",
            ));
        }
        Ok(CookiePlan {
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
            ambiguity: Once::default(),
            plain_http: Once::default(),
        })
    }
}

impl Default for CookieConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// Settings that were found to fit together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CookiePlan {
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
    /// What is removed when the current cookie of its kind is set.
    pub(super) former: Vec<(TokenCookie, Self)>,
    /// The warning about a request with two cookies of one name.
    pub(crate) ambiguity: Once,
    /// The warning that browsers drop the cookies on plain http.
    pub(crate) plain_http: Once,
}

impl CookiePlan {
    /// Name and path of a cookie.
    pub(super) fn place(&self, which: TokenCookie) -> (&str, &str) {
        match which {
            TokenCookie::Access => (&self.access_name, &self.access_path),
            TokenCookie::Refresh => (&self.refresh_name, &self.refresh_path),
        }
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

/// The cookies of former plans that browsers keep beside the current ones, each once.
fn former_cookies(current: &CookiePlan, former: &[CookiePlan]) -> Vec<(TokenCookie, CookiePlan)> {
    let mut found: Vec<(TokenCookie, CookiePlan)> = Vec::new();
    // Refresh cookies first: a former cookie that was used for both is removed with the new refresh cookie only.
    for which in [TokenCookie::Refresh, TokenCookie::Access] {
        // Over plain http there are no Secure cookies.
        for plan in former.iter().filter(|plan| current.secure || !plan.secure) {
            let key = plan.key(which);
            if !current.has(&key) && !found.iter().any(|(which, plan)| plan.key(*which) == key) {
                // `Secure` and `SameSite` decide whether browsers accept the line: as in the current cookies beside it.
                let (secure, same_site) = (current.secure, current.same_site);
                found.push((which, CookiePlan { secure, same_site, ..plan.clone() }));
            }
        }
    }
    found
}

fn problem(problem: impl Into<String>, cure: &'static str) -> ConfigError {
    ConfigError::Cookie { problem: problem.into(), cure }
}

/// A name is a token (RFC 9110, section 5.6.2) without a prefix that we do not control.
fn check_name(name: &str) -> Result<(), ConfigError> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !matches!(name.len(), 1..=64) || !name.bytes().all(is_token) {
        return Err(problem(
            format!("{name:?} is no cookie name"),
            "use 1 to 64 letters, digits or any of !#$%&'*+-.^_`|~",
        ));
    }
    if name.starts_with("__") {
        return Err(problem(
            format!("the cookie name {name:?} begins with two underscores, which browsers give a meaning to"),
            "leave the prefix out; it is chosen for you, or by prefix(..)",
        ));
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), ConfigError> {
    let fits = path.len() <= MAX_ATTRIBUTE_LEN;
    if fits && path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';') {
        return Ok(());
    }
    Err(problem(
        format!("{path:?} is no cookie path"),
        "begin with a slash and use at most 1024 characters of printable ASCII without spaces and semicolons",
    ))
}

/// Browsers ignore a leading dot (RFC 6265bis, section 5.6.3), so it is taken off.
fn checked_domain(domain: &str) -> Result<String, ConfigError> {
    let domain = domain.strip_prefix('.').unwrap_or(domain);
    let label_fits = |label: &str| {
        matches!(label.len(), 1..=63) && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    // In every spelling: 127.1, too. No name at the top begins with a digit.
    let is_address = domain.rsplit('.').next().is_some_and(|top| top.starts_with(|first: char| first.is_ascii_digit()));
    // As long as names in the DNS can be, and so short enough for an attribute.
    if domain.len() <= 253 && !is_address && domain.contains('.') && domain.split('.').all(label_fits) {
        return Ok(domain.to_ascii_lowercase());
    }
    Err(problem(
        format!("{domain:?} is no cookie domain"),
        "write a registrable domain such as example.com (in punycode if it is international), or leave it out",
    ))
}
