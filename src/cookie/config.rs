//! Names and attributes of the cookies.

use std::borrow::Cow;

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

/// Which requests from other sites carry the cookies (RFC 6265bis, section 5.7.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SameSite {
    /// None.
    Strict,
    /// Top-level navigations with a safe method, such as links.
    Lax,
    /// All of them. The cookies are then always `Secure`.
    None,
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
}

impl Default for CookieConfig {
    fn default() -> Self {
        Self::new()
    }
}
