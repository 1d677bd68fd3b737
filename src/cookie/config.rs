//! The configuration of the cookies: names and attributes.

use std::borrow::Cow;

/// Names and attributes of the two cookies.
///
/// The defaults are `__Host-access` and `__Host-refresh` with `Secure; HttpOnly; SameSite=Strict; Path=/` and a
/// `Max-Age` that follows the token (RFC 6265bis; OWASP ASVS 5.0, 3.3). `HttpOnly` cannot be switched off.
///
/// ```
/// use tower_jwt_sessions::cookie::{CookieConfig, SameSite};
///
/// // For `app.example.com` and `api.example.com` alike; the cookies are then `__Secure-access` and `__Secure-refresh`.
/// let cookies = CookieConfig::new().domain("example.com").same_site(SameSite::Lax);
/// # let _ = cookies;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct CookieConfig {
    pub(super) access_name: Cow<'static, str>,
    pub(super) refresh_name: Cow<'static, str>,
    pub(super) prefix: Option<CookiePrefix>,
    pub(super) domain: Option<String>,
    pub(super) access_path: Cow<'static, str>,
    pub(super) refresh_path: Cow<'static, str>,
    pub(super) same_site: SameSite,
    pub(super) partitioned: bool,
    pub(super) browser_session: bool,
    pub(super) insecure_http: bool,
    pub(super) clears_cache: bool,
    pub(super) clears_storage: bool,
    pub(super) replaces: Vec<Self>,
}

/// What browsers can be asked to clear at a logout: [`CookieConfig::clear_at_logout`].
///
/// `cookies` is missing on purpose: it would clear the cookies of the whole registrable domain, including those of
/// other applications. The session cookies are removed anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SiteData {
    /// Caches of this origin.
    Cache,
    /// Storage of scripts and service workers of this origin.
    Storage,
}

/// Which requests from other sites carry the cookies (RFC 6265bis, section 5.7.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SameSite {
    /// No cross-site requests.
    Strict,
    /// Of cross-site requests only top-level navigations with a safe method, such as links.
    Lax,
    /// All cross-site requests. Requires `Secure` cookies.
    None,
}

/// The prefix of the cookie names (RFC 6265bis, section 4.1.3). Browsers refuse a cookie that does not have the
/// attributes that its prefix requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookiePrefix {
    /// `__Host-`: `Secure`, for this host only, path `/`. No other host can set such a cookie.
    Host,
    /// `__Host-Http-`: as [`Host`](Self::Host), and no script can set one either. Browsers that do not know this prefix
    /// treat it as `__Host-`.
    HostHttp,
    /// `__Secure-`: `Secure`.
    Secure,
    /// No prefix.
    None,
}

impl CookiePrefix {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "__Host-",
            Self::HostHttp => "__Host-Http-",
            Self::Secure => "__Secure-",
            Self::None => "",
        }
    }

    pub(super) const fn is_host(self) -> bool {
        matches!(self, Self::Host | Self::HostHttp)
    }
}

impl CookieConfig {
    /// Creates a configuration with the defaults.
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

    /// Creates a configuration for sites that are reached by links: the defaults, with [`SameSite::Lax`].
    ///
    /// Users who follow a link from an e-mail or another site arrive logged in. Requests from other sites that change
    /// something carry no cookies either way, as long as `GET` changes nothing.
    pub const fn for_pages() -> Self {
        Self::new().same_site(SameSite::Lax)
    }

    /// Sets the names of the cookies without their prefix. Default: `access` and `refresh`.
    pub fn names(mut self, access: impl Into<Cow<'static, str>>, refresh: impl Into<Cow<'static, str>>) -> Self {
        self.access_name = access.into();
        self.refresh_name = refresh.into();
        self
    }

    /// Sets the prefix of the names. Default: `__Host-` if the other settings allow it, else `__Secure-`.
    pub const fn prefix(mut self, prefix: CookiePrefix) -> Self {
        self.prefix = Some(prefix);
        self
    }

    /// Sends the cookies to this domain and all its subdomains. Default: this host only.
    ///
    /// # ⚠️ Warning
    ///
    /// Every subdomain then receives the tokens and can set cookies of the same name.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Sends both cookies below this path only. Default: `/`. A path is no protection (RFC 6265bis, section 8.6).
    pub fn path(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        let path = path.into();
        self.access_path = path.clone();
        self.refresh_path = path;
        self
    }

    /// Sends the refresh cookie below this path only, which must be the path of the router. Default: `/`.
    ///
    /// The names then have no `__Host-` prefix, and requests elsewhere cannot tell an expired session from none.
    pub fn refresh_path(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        self.refresh_path = path.into();
        self
    }

    /// Sets which requests from other sites carry the cookies. Default: [`SameSite::Strict`].
    ///
    /// With `Strict`, users who follow a link from an e-mail or another site arrive logged out on that first page;
    /// choose [`SameSite::Lax`] if that matters, or begin with [`for_pages`](Self::for_pages). With `None`, only the
    /// `CrossSiteGuard` protects against cross-site requests.
    pub const fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Partitions the cookies by the site that embeds this one in a frame (CHIPS). Only with [`SameSite::None`], since
    /// other cookies are not sent from frames in other sites. Without it, browsers that block third-party cookies keep
    /// none.
    ///
    /// A login in such a frame is separate from a login on the page itself.
    pub const fn partitioned(mut self) -> Self {
        self.partitioned = true;
        self
    }

    /// Omits `Max-Age`, so that the cookies are gone when the browser is closed (NIST SP 800-63B-4, section 5.1).
    ///
    /// For a single login there is [`Login::persistent`](crate::manager::Login::persistent).
    pub const fn browser_session(mut self) -> Self {
        self.browser_session = true;
        self
    }

    /// Omits `Secure` and the name prefixes, for development over plain http on other hosts than localhost.
    ///
    /// Not needed on `http://localhost` in Chrome and Firefox, which treat it as secure; Safari does not. Building a
    /// manager with it logs a warning.
    ///
    /// # ⚠️ Warning
    ///
    /// Anyone on the network path can take over the sessions.
    pub const fn insecure_http_for_development(mut self) -> Self {
        self.insecure_http = true;
        self
    }

    /// Asks browsers to clear this data at every logout (W3C Clear Site Data; OWASP ASVS 5.0, 14.3.1). Default:
    /// nothing, since it can take browsers seconds.
    ///
    /// `Clear-Site-Data` is sent with the cookies that [`SessionManager::logout`](crate::SessionManager::logout) and
    /// `logout_all` return, never with those of a new session. It is not sent by
    /// [`add_to`](crate::SessionCookies::add_to), nor with
    /// [`insecure_http_for_development`](Self::insecure_http_for_development), where browsers would ignore it.
    ///
    /// ```
    /// use tower_jwt_sessions::cookie::{CookieConfig, SiteData};
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

    /// Removes the cookies of a former configuration. Default: none.
    ///
    /// Browsers tell cookies apart by name, domain, path and partition, and send all that match. After a change of
    /// [`domain`](Self::domain), [`path`](Self::path), [`refresh_path`](Self::refresh_path) or
    /// [`partitioned`](Self::partitioned) under the same [`names`](Self::names) and [`prefix`](Self::prefix), browsers
    /// that were logged in before the change send two cookies of one name. Neither is accepted, so every request is
    /// answered with `401` until the former cookies expire. Pass the former configuration here while its cookies live,
    /// which is the refresh lifetime. Cookies of former names are removed as well, and so are those that the former
    /// configuration replaced itself.
    ///
    /// A login or refresh removes the former version of each cookie that it sets; a logout removes all of them.
    ///
    /// During a rolling deployment, nodes of both configurations serve, and each must replace the cookies of the other:
    /// deploy `old.replaces(new)` first, then `new.replaces(old)`. Other services that share the former cookies lose
    /// them.
    ///
    /// [`add_to`](crate::SessionCookies::add_to) does not send the removal of a former cookie that has the name of a
    /// current one. Former `Secure` cookies are not removed with
    /// [`insecure_http_for_development`](Self::insecure_http_for_development), where browsers neither send nor remove
    /// them.
    ///
    /// ```
    /// use tower_jwt_sessions::cookie::{CookieConfig, CookiePrefix};
    ///
    /// let base = CookieConfig::new().prefix(CookiePrefix::Secure);
    /// // The cookies were shared with all subdomains until this deployment.
    /// let cookies = base.clone().replaces(base.domain("example.com"));
    /// # let _ = cookies;
    /// ```
    pub fn replaces(mut self, former: Self) -> Self {
        self.replaces.push(former);
        self
    }
}

impl Default for CookieConfig {
    fn default() -> Self {
        Self::new()
    }
}
