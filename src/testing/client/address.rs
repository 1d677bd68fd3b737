//! The origin of a site, and where redirects on it lead.

use super::cookie_jar::Place;

/// An origin such as `https://app.test`, in lower case.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    text: String,
    /// Where the authority begins.
    authority: usize,
}

impl Origin {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let authority = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
        let is_host = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        let authority = (!authority.is_empty() && authority.chars().all(is_host)).then_some(authority.len())?;
        Some(Self { authority: text.len() - authority, text })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The value of `Host`.
    pub(super) fn authority(&self) -> &str {
        self.text.get(self.authority..).unwrap_or_default()
    }

    fn host(&self) -> &str {
        let authority = self.authority();
        match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        }
    }

    /// Whether browsers treat pages of it as secure.
    pub(super) fn is_secure(&self) -> bool {
        let host = self.host();
        self.text.starts_with("https:")
            || host == "localhost"
            || host.ends_with(".localhost")
            || host == "127.0.0.1"
            || host == "[::1]"
    }

    /// How cookies see a request for this target.
    pub(super) fn place<'a>(&'a self, target: &'a str) -> Place<'a> {
        Place { is_secure: self.is_secure(), host: self.host(), path: path_of(target) }
    }

    /// Returns the target that a `Location` on a page leads to; `None` if it is on another origin.
    pub(super) fn resolve(&self, page: &str, location: &str) -> Option<String> {
        let location = location.split('#').next().unwrap_or_default();
        let on_this_origin = |rest: &str| rest.is_empty() || rest.starts_with(['/', '?']);
        let has_prefix =
            |prefix: &str| location.get(..prefix.len()).is_some_and(|text| text.eq_ignore_ascii_case(prefix));
        let scheme_relative = format!("//{}", self.authority());
        let rest = if has_prefix(&self.text) {
            location.get(self.text.len()..)
        } else if has_prefix(&scheme_relative) {
            location.get(scheme_relative.len()..)
        } else {
            let scheme = location.split(['/', '?']).next().unwrap_or_default();
            if location.starts_with("//") || scheme.contains(':') {
                return None;
            }
            return Some(relative(page, location));
        }?;
        on_this_origin(rest).then(|| relative("/", if rest.is_empty() { "/" } else { rest }))
    }
}

fn path_of(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

/// RFC 3986, section 5.2, within one origin.
fn relative(page: &str, location: &str) -> String {
    let (path, query) = match location.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (location, None),
    };
    let path = match path {
        "" if query.is_none() => return page.to_owned(),
        "" => path_of(page).to_owned(),
        absolute if absolute.starts_with('/') => without_dots(absolute),
        relative => {
            let folder = path_of(page).rsplit_once('/').map_or("", |(folder, _)| folder);
            without_dots(&format!("{folder}/{relative}"))
        }
    };
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    }
}

fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_with_folder = false;
    for segment in path.split('/').skip(1) {
        ends_with_folder = matches!(segment, "." | ".." | "");
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            // Two slashes in a row stay; the last one is added below.
            segment => kept.push(segment),
        }
    }
    if ends_with_folder && kept.last().is_some_and(|last| last.is_empty()) {
        kept.pop();
    }
    let tail = if ends_with_folder && !kept.is_empty() { "/" } else { "" };
    format!("/{}{tail}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_resolved_as_browsers_do() {
        let origin = Origin::parse("https://App.test:8443").unwrap();
        for (location, expected) in [
            ("/", Some("/")),
            ("/a/b?c=/d#e", Some("/a/b?c=/d")),
            ("b", Some("/shop/b")),
            ("./b/", Some("/shop/b/")),
            ("../b", Some("/b")),
            ("../../../b", Some("/b")),
            ("?page=2", Some("/shop/cart?page=2")),
            ("", Some("/shop/cart?page=1")),
            ("https://app.test:8443", Some("/")),
            ("HTTPS://app.test:8443/x", Some("/x")),
            ("//app.test:8443/x", Some("/x")),
            ("//evil.test/x", None),
            ("https://app.test:8443.evil.test/", None),
            ("https://app.test/", None),
            ("mailto:alice@app.test", None),
            ("/a//b/./c/..", Some("/a//b/")),
        ] {
            assert_eq!(origin.resolve("/shop/cart?page=1", location).as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn origins_are_schemes_with_hosts() {
        for (text, is_secure) in [
            ("https://app.test", Some(true)),
            ("http://app.test", Some(false)),
            ("http://localhost:3000", Some(true)),
            ("http://app.localhost", Some(true)),
            ("http://[::1]:3000", Some(true)),
            ("https://", None),
            ("https://app.test/", None),
            ("https://alice@app.test", None),
            ("app.test", None),
        ] {
            assert_eq!(Origin::parse(text).map(|origin| origin.is_secure()), is_secure, "{text}");
        }
        assert_eq!(Origin::parse("http://[::1]:3000").unwrap().host(), "[::1]");
        assert_eq!(Origin::parse("http://[::1]").unwrap().host(), "[::1]");
    }
}
