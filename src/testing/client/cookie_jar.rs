//! The cookies of a browser, by RFC 6265bis: what it ignores, replaces, forgets and sends (sections 5.6 to 5.8).
//!
//! Own code and not the crate `cookie_store`, which asks the operating system for the time and knows neither name
//! prefixes nor partitions.

use std::{fmt, time::Duration};

use super::cookie_date;
use crate::{clock::Timestamp, cookie::SameSite};

#[cfg(test)]
mod tests;

/// Where a response comes from, or a request goes to, as cookies see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// Whether the connection is secure: https, or plain http to this machine.
    pub(super) is_secure: bool,
    /// The name of the host, in lower case, without the port.
    pub(super) host: &'a str,
    /// The path, without the query.
    pub(super) path: &'a str,
}

/// A cookie that a [`TestClient`](super::TestClient) keeps.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptCookie {
    /// The name, with its prefix.
    pub name: String,
    /// The value.
    pub value: String,
    /// The domain, or the host if there was no `Domain`.
    pub domain: String,
    /// Whether it is sent to exactly this host, since there was no `Domain`.
    pub host_only: bool,
    /// Below which path it is sent.
    pub path: String,
    /// `Secure`.
    pub secure: bool,
    /// `HttpOnly`.
    pub http_only: bool,
    /// `SameSite`; `None` for no value or an unknown one, which is treated as `Lax`, although not every browser does.
    pub same_site: Option<SameSite>,
    /// Kept apart for the site at the top (CHIPS).
    pub partitioned: bool,
    /// `None` ends with the browser.
    pub expires_at: Option<Timestamp>,
}

/// Why a browser ignores a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IgnoredCookie {
    /// There is a control character in the line.
    ControlCharacter,
    /// It has neither name nor value.
    Empty,
    /// Name and value have more than 4096 bytes.
    TooLong,
    /// `Domain` is not the host, nor a domain above it.
    ForeignDomain,
    /// `Secure` over an insecure connection.
    SecureOverHttp,
    /// It would hide a `Secure` cookie, over an insecure connection.
    OverlaysSecure,
    /// `SameSite=None` without `Secure`.
    SameSiteNoneWithoutSecure,
    /// `Partitioned` without `Secure`.
    PartitionedWithoutSecure,
    /// It does not have the attributes that the prefix of its name requires.
    BrokenPrefix,
}

/// The cookies of a browser. Left out is what no test of a site meets: the only public suffixes are names without a dot.
#[derive(Clone, Debug, Default)]
pub(super) struct CookieJar {
    kept: Vec<KeptCookie>,
}

/// Browsers cut it at 400 days (section 5.5).
const LONGEST: Duration = Duration::from_secs(400 * 24 * 60 * 60);

impl CookieJar {
    /// Takes the value of one `Set-Cookie` line.
    pub(super) fn receive(&mut self, line: &str, from: Place<'_>, now: Timestamp) -> Result<(), IgnoredCookie> {
        if line.chars().any(|c| c.is_ascii_control() && c != '\t') {
            return Err(IgnoredCookie::ControlCharacter);
        }
        let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
        let (name, value) = pair.split_once('=').unwrap_or(("", pair));
        let (name, value) = (blanks_off(name), blanks_off(value));
        if name.is_empty() && value.is_empty() {
            return Err(IgnoredCookie::Empty);
        }
        if name.len() + value.len() > 4096 {
            return Err(IgnoredCookie::TooLong);
        }
        let attributes: Vec<(String, &str)> = attributes
            .split(';')
            .map(|attribute| attribute.split_once('=').unwrap_or((attribute, "")))
            .map(|(name, value)| (blanks_off(name).to_ascii_lowercase(), blanks_off(value)))
            .filter(|(_, value)| value.len() <= 1024)
            .collect();
        // The last one counts.
        let attribute =
            |wanted: &str| attributes.iter().rev().find(|(name, _)| name == wanted).map(|(_, value)| *value);

        let max_age =
            attributes.iter().rev().filter(|(name, _)| name == "max-age").find_map(|(_, value)| seconds(value));
        let expires_at = match (max_age, attribute("expires")) {
            (Some(seconds), _) if seconds <= 0 => Some(Timestamp::default()),
            (Some(seconds), _) => Some(now.saturating_add(LONGEST.min(Duration::from_secs(seconds.unsigned_abs())))),
            // One that cannot be read is no date at all.
            (None, Some(date)) => cookie_date::parse(date).map(|date| date.min(now.saturating_add(LONGEST))),
            (None, None) => None,
        };
        let domain = attribute("domain").unwrap_or_default();
        let domain = domain.strip_prefix('.').unwrap_or(domain).to_ascii_lowercase();
        let host_only = domain.is_empty() || (!domain.contains('.') && domain == from.host);
        if !host_only && (!domain.contains('.') || !domain_matches(from.host, &domain)) {
            return Err(IgnoredCookie::ForeignDomain);
        }
        let path = match attribute("path") {
            Some(path) if path.starts_with('/') => path.to_owned(),
            _ => default_path(from.path).to_owned(),
        };
        let same_site = match attribute("samesite").map(str::to_ascii_lowercase).as_deref() {
            Some("strict") => Some(SameSite::Strict),
            Some("lax") => Some(SameSite::Lax),
            Some("none") => Some(SameSite::None),
            _ => None,
        };
        let new = KeptCookie {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: if host_only { from.host.to_owned() } else { domain },
            host_only,
            path,
            secure: attribute("secure").is_some(),
            http_only: attribute("httponly").is_some(),
            same_site,
            partitioned: attribute("partitioned").is_some(),
            expires_at,
        };
        if new.secure && !from.is_secure {
            return Err(IgnoredCookie::SecureOverHttp);
        }
        // Leave secure cookies alone.
        let overlays = |old: &KeptCookie| {
            old.secure
                && old.name == new.name
                && (domain_matches(&old.domain, &new.domain) || domain_matches(&new.domain, &old.domain))
                && path_matches(&new.path, &old.path)
        };
        if !new.secure && !from.is_secure && self.kept.iter().any(overlays) {
            return Err(IgnoredCookie::OverlaysSecure);
        }
        if new.same_site == Some(SameSite::None) && !new.secure {
            return Err(IgnoredCookie::SameSiteNoneWithoutSecure);
        }
        if new.partitioned && !new.secure {
            return Err(IgnoredCookie::PartitionedWithoutSecure);
        }
        // Prefixes in any spelling; a cookie without a name must not look like one that has one.
        let named = if name.is_empty() { value } else { name }.to_ascii_lowercase();
        let for_the_host = new.secure && host_only && attribute("domain").is_none() && attribute("path") == Some("/");
        if (named.starts_with("__secure-") && (name.is_empty() || !new.secure))
            || (named.starts_with("__host-") && (name.is_empty() || !for_the_host))
            || (named.starts_with("__host-http-") && !new.http_only)
            || (named.starts_with("__http-") && (name.is_empty() || !new.secure || !new.http_only))
        {
            return Err(IgnoredCookie::BrokenPrefix);
        }
        let same = |old: &KeptCookie| {
            (&old.name, &old.domain, old.host_only, &old.path, old.partitioned)
                == (&new.name, &new.domain, host_only, &new.path, new.partitioned)
        };
        match self.kept.iter_mut().find(|old| same(old)) {
            Some(old) => *old = new,
            None => self.kept.push(new),
        }
        self.kept.retain(|kept| kept.expires_at.is_none_or(|end| now < end));
        Ok(())
    }

    /// Returns the cookies that exist at this time.
    pub(super) fn at(&mut self, now: Timestamp) -> &[KeptCookie] {
        self.kept.retain(|kept| kept.expires_at.is_none_or(|end| now < end));
        &self.kept
    }

    /// Deletes every cookie of this name, as a user could.
    pub(super) fn forget(&mut self, name: &str) {
        self.kept.retain(|kept| kept.name != name);
    }

    /// Deletes the cookies that end with the browser: those without `Max-Age` and `Expires`.
    pub(super) fn end_browser_session(&mut self) {
        self.kept.retain(|kept| kept.expires_at.is_some());
    }

    /// Returns the `Cookie` header of a request from the site itself, longer paths first; empty for none.
    pub(super) fn cookie_header(&self, to: Place<'_>, now: Timestamp) -> String {
        self.header(to, now, |_| true)
    }

    /// Returns the `Cookie` header of a request from another site, which has not all cookies (section 5.8.3). Pass
    /// whether a user follows a link: a top-level navigation with a safe method, the only one that has `Lax` cookies.
    pub(super) fn cross_site_cookie_header(&self, to: Place<'_>, now: Timestamp, is_link: bool) -> String {
        self.header(to, now, |kept| match kept.same_site {
            Some(SameSite::None) => true,
            Some(SameSite::Lax) | None => is_link,
            Some(SameSite::Strict) => false,
        })
    }

    fn header(&self, to: Place<'_>, now: Timestamp, is_sent: impl Fn(&KeptCookie) -> bool) -> String {
        let mut sent: Vec<&KeptCookie> = self
            .kept
            .iter()
            .filter(|kept| kept.expires_at.is_none_or(|end| now < end) && is_sent(kept))
            .filter(|kept| if kept.host_only { kept.domain == to.host } else { domain_matches(to.host, &kept.domain) })
            .filter(|kept| path_matches(to.path, &kept.path) && (to.is_secure || !kept.secure))
            .collect();
        sent.sort_by_key(|kept| std::cmp::Reverse(kept.path.len()));
        let pairs: Vec<String> = sent.iter().map(|kept| format!("{}={}", kept.name, kept.value)).collect();
        pairs.join("; ")
    }
}

/// Without the value, which may be a token.
impl fmt::Debug for KeptCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptCookie")
            .field("name", &self.name)
            .field("domain", &self.domain)
            .field("path", &self.path)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for IgnoredCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ControlCharacter => "there is a control character in it",
            Self::Empty => "it has neither name nor value",
            Self::TooLong => "name and value have more than 4096 bytes",
            Self::ForeignDomain => "its Domain is neither the host of the page nor above it",
            Self::SecureOverHttp => "it is Secure, and the page is not",
            Self::OverlaysSecure => "it would hide a Secure cookie",
            Self::SameSiteNoneWithoutSecure => "SameSite=None requires Secure",
            Self::PartitionedWithoutSecure => "Partitioned requires Secure",
            Self::BrokenPrefix => "the prefix of its name requires other attributes",
        })
    }
}

impl std::error::Error for IgnoredCookie {}

fn blanks_off(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// A `Max-Age`, unless it is to be ignored.
fn seconds(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if text.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX }))
}

/// Whether a host is this domain or below it (section 5.1.3).
fn domain_matches(host: &str, domain: &str) -> bool {
    host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// Section 5.1.4.
fn path_matches(path: &str, cookie_path: &str) -> bool {
    path.strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || cookie_path.ends_with('/') || rest.starts_with('/'))
}

/// The path of a request up to its last slash (section 5.1.4).
fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(end) => path.get(..end).unwrap_or("/"),
    }
}
