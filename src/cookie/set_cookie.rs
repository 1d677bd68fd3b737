//! Writes the session cookies into a response.

use std::{
    convert::Infallible,
    fmt::{self, Write as _},
    time::Duration,
};

use axum_core::response::{IntoResponse, IntoResponseParts, Response, ResponseParts};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, header};
use tower_cookies::{
    Cookie, Cookies,
    cookie::{
        self,
        time::{Duration as CookieDuration, OffsetDateTime},
    },
};

use super::{CookieSettings, SameSite, TokenCookie, key::CookieKey};

const REGISTRATION: HeaderName = HeaderName::from_static("secure-session-registration");
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// Browsers drop a cookie whose name and value are longer together (RFC 6265bis, section 5.6).
const MAX_COOKIE_LEN: usize = 4096;

/// How long before its token a cookie goes whose absence the browser acts upon. Otherwise requests would arrive with a
/// token that has just expired.
const EARLY: Duration = Duration::from_secs(2);

/// The cookies that a login, refresh or logout sets or removes: response parts.
///
/// Return them as part of the response. They replace cookies of the same name, domain and path and set
/// `Cache-Control: no-store` (RFC 6749, section 5.1), also in place of headers for single caches such as
/// `CDN-Cache-Control` (RFC 9213). Under the layer, a `Set-Cookie` that comes after them in the
/// tuple does not remove them.
///
/// Applications that write their cookies with tower-cookies call [`SessionCookies::add_to`] instead.
#[derive(Clone)]
#[must_use = "the session cookies reach the browser only if they are returned as part of a response"]
pub struct SessionCookies {
    cookies: Vec<ReadyCookie>,
    expires_in: Option<Duration>,
    /// Whether the cookies outlast the browser, where the configuration says so.
    is_persistent: bool,
    /// `Clear-Site-Data`, only with a removal.
    clear_site_data: Option<HeaderValue>,
    /// Whether the browser has to drop the access cookie when its token expires, whatever else the configuration says.
    is_access_timed: bool,
    /// `Secure-Session-Registration`, only with a session that may be bound.
    registration: Option<HeaderValue>,
}

/// A cookie and its `Set-Cookie` line, built together so that an invalid line is an error at once.
#[derive(Clone)]
struct ReadyCookie {
    cookie: Cookie<'static>,
    line: HeaderValue,
}

/// Why a cookie could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IssueCookieError {
    TooLong,
    /// Not visible ASCII; excluded by the checks of [`CookieConfig`](super::CookieConfig).
    Unwritable,
}

impl SessionCookies {
    pub(crate) const fn new() -> Self {
        Self {
            cookies: Vec::new(),
            expires_in: None,
            is_persistent: true,
            clear_site_data: None,
            is_access_timed: false,
            registration: None,
        }
    }

    /// Sets whether the cookies that follow outlast the browser, as far as the configuration lets them.
    pub(crate) const fn persistent(mut self, persistent: bool) -> Self {
        self.is_persistent = persistent;
        self
    }

    /// Has the browser drop the access cookie a little before its token expires: one that is to refresh then notices it by
    /// the missing cookie.
    pub(crate) const fn timed(mut self, is_access_timed: bool) -> Self {
        self.is_access_timed = is_access_timed;
        self
    }

    /// Offers the browser to bind the session to its device.
    pub(crate) fn offering(mut self, registration: Option<HeaderValue>) -> Self {
        self.registration = registration;
        self
    }

    /// Sets the access cookie.
    pub(crate) fn with_access(
        mut self,
        settings: &CookieSettings,
        token: String,
        lives: Duration,
    ) -> Result<Self, IssueCookieError> {
        self.expires_in = Some(lives);
        self.set(settings, TokenCookie::Access, token, lives)?;
        Ok(self)
    }

    /// Sets the refresh cookie.
    pub(crate) fn with_refresh(
        mut self,
        settings: &CookieSettings,
        token: String,
        lives: Duration,
    ) -> Result<Self, IssueCookieError> {
        self.set(settings, TokenCookie::Refresh, token, lives)?;
        Ok(self)
    }

    /// Removes both cookies and all former ones.
    pub(crate) fn removal(settings: &CookieSettings) -> Result<Self, IssueCookieError> {
        let mut removal = Self { clear_site_data: settings.clear_site_data.clone(), ..Self::new() };
        for which in TokenCookie::BOTH {
            removal.remove_former(settings, which)?;
            removal.remove(settings, which)?;
        }
        Ok(removal)
    }

    /// Removes the access cookie alone: a browser that is to refresh notices it by the missing cookie.
    #[cfg(feature = "router")]
    pub(crate) fn access_removal(settings: &CookieSettings) -> Result<Self, IssueCookieError> {
        let mut removal = Self::new();
        removal.remove(settings, TokenCookie::Access)?;
        Ok(removal)
    }

    /// Removes the former cookies that the current one of this kind replaces.
    ///
    /// A refresh that does not set the refresh cookie does not remove a former one either, since that may be the one
    /// that was presented.
    fn remove_former(&mut self, settings: &CookieSettings, which: TokenCookie) -> Result<(), IssueCookieError> {
        settings
            .former
            .iter()
            .filter(|former| former.0 == which)
            .try_for_each(|(which, settings)| self.remove(settings, *which))
    }

    fn remove(&mut self, settings: &CookieSettings, which: TokenCookie) -> Result<(), IssueCookieError> {
        // The same name, domain and path as when it was set, or the browser keeps the old one (RFC 6265bis, section
        // 5.7).
        let mut cookie = base(settings, which, String::new());
        cookie.set_max_age(CookieDuration::ZERO);
        cookie.set_expires(OffsetDateTime::UNIX_EPOCH);
        self.cookies.push(ready(cookie)?);
        Ok(())
    }

    fn set(
        &mut self,
        settings: &CookieSettings,
        which: TokenCookie,
        token: String,
        lives: Duration,
    ) -> Result<(), IssueCookieError> {
        if settings.place(which).0.len() + token.len() > MAX_COOKIE_LEN {
            return Err(IssueCookieError::TooLong);
        }
        // Before the cookie is set, since clients that ignore domain and path keep the last cookie of a name.
        self.remove_former(settings, which)?;
        let mut cookie = base(settings, which, token);
        let is_timed = self.is_access_timed && which == TokenCookie::Access;
        if settings.max_age && self.is_persistent || is_timed {
            let early = if is_timed { EARLY } else { Duration::ZERO };
            let lives = lives.saturating_sub(early).max(Duration::from_secs(1)).as_secs();
            cookie.set_max_age(CookieDuration::seconds(i64::try_from(lives).unwrap_or(i64::MAX)));
        }
        self.cookies.push(ready(cookie)?);
        Ok(())
    }

    /// The lifetime of the access token, so that clients know when to refresh; `None` after a logout.
    ///
    /// A duration and not a point in time, since the clock of the client may be wrong.
    pub const fn expires_in(&self) -> Option<Duration> {
        self.expires_in
    }

    /// Adds the cookies to a jar of tower-cookies.
    ///
    /// Set `Cache-Control: no-store` on the response yourself: a jar cannot do that.
    ///
    /// A jar has one cookie per name, so it cannot remove a former cookie that has the name of a current one
    /// ([`CookieConfig::replaces`](super::CookieConfig::replaces)). Return the cookies as response parts while there
    /// are former cookies to remove.
    pub fn add_to(self, jar: &Cookies) {
        // Not `Cookies::remove`, which writes nothing for a cookie that the request did not carry.
        self.cookies.into_iter().for_each(|ready| jar.add(ready.cookie));
    }

    /// Adds to a response those cookies that it does not set itself, and forbids every cache to store it.
    #[cfg(feature = "router")]
    pub(crate) fn add_missing(self, headers: &mut HeaderMap) {
        for ReadyCookie { cookie, line } in self.cookies {
            let key = CookieKey::of(&cookie);
            if !headers.get_all(header::SET_COOKIE).iter().any(|other| key.is_in(other.as_bytes())) {
                headers.append(header::SET_COOKIE, line);
            }
        }
        forbid_caches(headers, "private, no-store");
    }

    /// Writes the cookies into a response, and stores them in its extensions for the layer.
    fn write_to(self, headers: &mut HeaderMap, extensions: &mut Extensions) {
        let mut asserted = extensions.remove::<AssertedCookies>().unwrap_or_default();
        for ReadyCookie { cookie, line } in self.cookies {
            // It does not matter whether the browser drops the cookies of a logout.
            asserted.sets_secure |= self.expires_in.is_some() && cookie.secure() == Some(true);
            let key = CookieKey::of(&cookie);
            asserted.lines.retain(|(other, _)| *other != key);
            asserted.lines.push((key, line));
        }
        // Never with the cookies of a new session, since browsers clear after they have set cookies.
        let before = std::mem::replace(&mut asserted.clear_site_data, self.clear_site_data);
        if asserted.clear_site_data.is_none() && before.is_some() && headers.get(CLEAR_SITE_DATA) == before.as_ref() {
            headers.remove(CLEAR_SITE_DATA);
        }
        asserted.registration = self.registration;
        asserted.write(headers);
        extensions.insert(asserted);
    }
}

impl IntoResponseParts for SessionCookies {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        // `ResponseParts` lends headers and extensions one at a time.
        let mut extensions = std::mem::take(parts.extensions_mut());
        self.write_to(parts.headers_mut(), &mut extensions);
        *parts.extensions_mut() = extensions;
        Ok(parts)
    }
}

impl IntoResponse for SessionCookies {
    fn into_response(self) -> Response {
        (self, ()).into_response()
    }
}

impl fmt::Debug for SessionCookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.cookies.iter().map(|ready| ready.cookie.name()).collect();
        f.debug_struct("SessionCookies").field("names", &names).finish_non_exhaustive()
    }
}

fn base(settings: &CookieSettings, which: TokenCookie, value: String) -> Cookie<'static> {
    let (name, path) = settings.place(which);
    let mut cookie = Cookie::new(name.to_owned(), value);
    cookie.set_http_only(true);
    cookie.set_path(path.to_owned());
    cookie.set_same_site(match settings.same_site {
        SameSite::Strict => cookie::SameSite::Strict,
        SameSite::Lax => cookie::SameSite::Lax,
        SameSite::None => cookie::SameSite::None,
    });
    // Without `Secure` only on plain http, where browsers would drop the cookie.
    cookie.set_secure(settings.secure);
    cookie.set_partitioned(settings.partitioned);
    if let Some(domain) = &settings.domain {
        cookie.set_domain(domain.clone());
    }
    cookie
}

/// Capacity for the usual attributes.
const ATTRIBUTES: usize = 128;

fn ready(cookie: Cookie<'static>) -> Result<ReadyCookie, IssueCookieError> {
    // Tokens are long: without the capacity, each piece written would move them.
    let mut text = String::with_capacity(cookie.name().len() + cookie.value().len() + ATTRIBUTES);
    write!(text, "{cookie}").map_err(|_| IssueCookieError::Unwritable)?;
    let mut line = HeaderValue::try_from(text).map_err(|_| IssueCookieError::Unwritable)?;
    line.set_sensitive(true);
    Ok(ReadyCookie { cookie, line })
}

/// The `Set-Cookie` lines of the session. They are also in the extensions of the response, so that the layer can write
/// them again after the other response parts of the handler.
#[derive(Clone, Default)]
struct AssertedCookies {
    lines: Vec<(CookieKey, HeaderValue)>,
    /// Whether they set a `Secure` cookie of a session.
    sets_secure: bool,
    clear_site_data: Option<HeaderValue>,
    registration: Option<HeaderValue>,
}

impl AssertedCookies {
    fn write(&self, headers: &mut HeaderMap) {
        let is_ours = |line: &HeaderValue| self.lines.iter().any(|(key, _)| key.is_in(line.as_bytes()));
        let others: Vec<HeaderValue> =
            headers.get_all(header::SET_COOKIE).iter().filter(|line| !is_ours(line)).cloned().collect();
        headers.remove(header::SET_COOKIE);
        for line in others.into_iter().chain(self.lines.iter().map(|(_, line)| line.clone())) {
            headers.append(header::SET_COOKIE, line);
        }
        forbid_caches(headers, "no-store");
        // An offer is only good for the session that it comes with.
        match &self.registration {
            Some(offer) => drop(headers.insert(REGISTRATION, offer.clone())),
            None => drop(headers.remove(REGISTRATION)),
        }
        if let Some(data) = &self.clear_site_data {
            headers.insert(CLEAR_SITE_DATA, data.clone());
        }
    }
}

/// Sets `Cache-Control`, and removes the headers that some caches heed before it: those that are targeted at one kind of
/// cache (RFC 9213), their predecessor, and nginx's. With them a cache would hand the cookies to other users.
fn forbid_caches(headers: &mut HeaderMap, cache_control: &'static str) {
    let is_targeted = |name: &&HeaderName| {
        name.as_str().ends_with("-cache-control") || matches!(name.as_str(), "surrogate-control" | "x-accel-expires")
    };
    let targeted: Vec<HeaderName> = headers.keys().filter(is_targeted).cloned().collect();
    for name in targeted {
        headers.remove(name);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control));
}

/// Forbids to store this response, which contains tokens without setting cookies. The layer repeats it at the end.
pub(crate) fn forbid_storage<B>(response: &mut http::Response<B>) {
    let asserted = response.extensions_mut().remove::<AssertedCookies>().unwrap_or_default();
    asserted.write(response.headers_mut());
    response.extensions_mut().insert(asserted);
}

/// Whether this response sets `Secure` cookies of a session.
#[cfg(feature = "router")]
pub(crate) fn sets_secure_cookies<B>(response: &http::Response<B>) -> bool {
    response.extensions().get::<AssertedCookies>().is_some_and(|asserted| asserted.sets_secure)
}

/// Writes the cookies of [`SessionCookies::write_to`] again, over what other response parts have written since.
pub(crate) fn assert_cookies<B>(response: &mut http::Response<B>) {
    if response.extensions().get::<AssertedCookies>().is_none() {
        return;
    }
    // The response lends headers and extensions one at a time.
    let extensions = std::mem::take(response.extensions_mut());
    if let Some(asserted) = extensions.get::<AssertedCookies>() {
        asserted.write(response.headers_mut());
    }
    *response.extensions_mut() = extensions;
}
