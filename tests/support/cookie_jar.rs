//! The cookies of a browser, by RFC 6265bis: what it ignores, replaces, forgets and sends (sections 5.6 to 5.8).
//!
//! Written from the text of the standard and on purpose not with the crate's own code. Left out are what no test can
//! reach: `Expires` is a date in the past or none, a public suffix is a name without a dot, and requests come from the
//! site itself.

use std::time::Duration;

/// Where a response comes from, or a request goes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) https: bool,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SameSite {
    Strict,
    Lax,
    None,
    /// No value or an unknown one, which not every browser protects.
    Default,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) domain: String,
    pub(crate) host_only: bool,
    pub(crate) path: String,
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
    pub(crate) same_site: SameSite,
    /// Kept apart for the site at the top (CHIPS).
    pub(crate) partitioned: bool,
    /// On the clock of the test; `None` ends with the browser.
    pub(crate) expires_at: Option<Duration>,
}

/// The reason why a line was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ignored {
    ControlCharacter,
    Empty,
    TooLong,
    ForeignDomain,
    SecureOverHttp,
    OverlaysSecure,
    SameSiteNoneWithoutSecure,
    PartitionedWithoutSecure,
    BrokenPrefix,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct CookieJar {
    kept: Vec<Kept>,
}

/// Browsers cut it at 400 days (section 5.5).
const LONGEST: i64 = 400 * 24 * 60 * 60;

impl CookieJar {
    /// Takes the value of one `Set-Cookie` line.
    pub(crate) fn receive(&mut self, line: &str, from: Place<'_>, now: Duration) -> Result<(), Ignored> {
        if line.chars().any(|c| c.is_ascii_control() && c != '\t') {
            return Err(Ignored::ControlCharacter);
        }
        let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
        let (name, value) = pair.split_once('=').unwrap_or(("", pair));
        let (name, value) = (blanks_off(name), blanks_off(value));
        if name.is_empty() && value.is_empty() {
            return Err(Ignored::Empty);
        }
        if name.len() + value.len() > 4096 {
            return Err(Ignored::TooLong);
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
            (Some(seconds), _) if seconds <= 0 => Some(Duration::ZERO),
            (Some(seconds), _) => Some(now + Duration::from_secs(seconds.min(LONGEST).unsigned_abs())),
            (None, Some(date)) => {
                assert!(date.contains(" 1970 "), "a date that the model does not support: {date}");
                Some(Duration::ZERO)
            }
            (None, None) => None,
        };
        let domain = attribute("domain").unwrap_or_default();
        let domain = domain.strip_prefix('.').unwrap_or(domain).to_ascii_lowercase();
        let host_only = domain.is_empty() || (!domain.contains('.') && domain == from.host);
        if !host_only && (!domain.contains('.') || !domain_matches(from.host, &domain)) {
            return Err(Ignored::ForeignDomain);
        }
        let path = match attribute("path") {
            Some(path) if path.starts_with('/') => path.to_owned(),
            _ => default_path(from.path).to_owned(),
        };
        let same_site = match attribute("samesite").map(str::to_ascii_lowercase).as_deref() {
            Some("strict") => SameSite::Strict,
            Some("lax") => SameSite::Lax,
            Some("none") => SameSite::None,
            _ => SameSite::Default,
        };
        let new = Kept {
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
        if new.secure && !from.https {
            return Err(Ignored::SecureOverHttp);
        }
        // Leave secure cookies alone.
        let overlays = |old: &Kept| {
            old.secure
                && old.name == new.name
                && (domain_matches(&old.domain, &new.domain) || domain_matches(&new.domain, &old.domain))
                && path_matches(&new.path, &old.path)
        };
        if !new.secure && !from.https && self.kept.iter().any(overlays) {
            return Err(Ignored::OverlaysSecure);
        }
        if new.same_site == SameSite::None && !new.secure {
            return Err(Ignored::SameSiteNoneWithoutSecure);
        }
        if new.partitioned && !new.secure {
            return Err(Ignored::PartitionedWithoutSecure);
        }
        // Prefixes in any spelling; a cookie without a name must not look like one that has one.
        let named = if name.is_empty() { value } else { name }.to_ascii_lowercase();
        let for_the_host = new.secure && host_only && attribute("domain").is_none() && attribute("path") == Some("/");
        if (named.starts_with("__secure-") && (name.is_empty() || !new.secure))
            || (named.starts_with("__host-") && (name.is_empty() || !for_the_host))
            || (named.starts_with("__host-http-") && !new.http_only)
            || (named.starts_with("__http-") && (name.is_empty() || !new.secure || !new.http_only))
        {
            return Err(Ignored::BrokenPrefix);
        }
        let same = |old: &Kept| {
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
    pub(crate) fn at(&mut self, now: Duration) -> &[Kept] {
        self.kept.retain(|kept| kept.expires_at.is_none_or(|end| now < end));
        &self.kept
    }

    /// The value of the first cookie of this name.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.kept.iter().find(|kept| kept.name == name).map(|kept| &*kept.value)
    }

    /// Deletes every cookie of this name, as a user could.
    pub(crate) fn forget(&mut self, name: &str) {
        self.kept.retain(|kept| kept.name != name);
    }

    /// The `Cookie` header of a request from the site itself, longer paths first; empty for none.
    pub(crate) fn cookie_header(&self, to: Place<'_>, now: Duration) -> String {
        let mut sent: Vec<&Kept> = self
            .kept
            .iter()
            .filter(|kept| kept.expires_at.is_none_or(|end| now < end))
            .filter(|kept| if kept.host_only { kept.domain == to.host } else { domain_matches(to.host, &kept.domain) })
            .filter(|kept| path_matches(to.path, &kept.path) && (to.https || !kept.secure))
            .collect();
        sent.sort_by_key(|kept| std::cmp::Reverse(kept.path.len()));
        let pairs: Vec<String> = sent.iter().map(|kept| format!("{}={}", kept.name, kept.value)).collect();
        pairs.join("; ")
    }
}

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
        Some(end) => &path[..end],
    }
}
