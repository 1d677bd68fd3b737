//! Which requests are renewed.

use http::{HeaderMap, Method, header};

use crate::pages::{accepts_html, is_speculative};

/// Which requests are renewed, beside navigations and forms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Scope {
    /// None.
    #[default]
    Pages,
    /// What scripts of the own origin send, too.
    PagesAndScripts,
}

/// Whether a request may be renewed. It is one that a user made, as far as a browser tells that, and one whose
/// response the browser waits for.
///
/// `is_same_origin` compares the origins; only some requests need that.
pub(super) fn qualifies(
    scope: Scope,
    method: &Method,
    headers: &HeaderMap,
    is_same_origin: impl FnOnce() -> bool,
) -> bool {
    if is_speculative(headers) {
        return false;
    }
    let [Some(mode), Some(dest), Some(site)] =
        ["sec-fetch-mode", "sec-fetch-dest", "sec-fetch-site"].map(|name| single(headers, name))
    else {
        return false;
    };
    // Browsers send these headers over https only, and old ones never.
    let tells = ![mode, dest, site].iter().all(|value| value.is_empty());
    let is_navigation = match (tells, mode, dest) {
        (true, b"navigate", b"document") => true,
        (true, b"navigate", b"iframe" | b"frame") => site == b"same-origin",
        (true, ..) => false,
        (false, ..) => accepts_html(headers),
    };
    let is_of_script = scope == Scope::PagesAndScripts
        && match tells {
            true => site == b"same-origin" && dest == b"empty" && mode != b"navigate" && mode != b"websocket",
            false => !headers.contains_key(header::UPGRADE),
        };
    match *method {
        Method::GET | Method::HEAD => is_navigation || is_of_script,
        Method::POST => (is_navigation || is_of_script) && is_same_origin(),
        _ => is_of_script && is_same_origin(),
    }
}

/// The value of a header: empty if it is missing, `None` if there is more than one.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map_or(&b""[..], |value| value.as_bytes());
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    /// Splits `name: value | name: value`.
    fn headers(text: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in text.split(" | ").filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").expect("a name and a value");
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    /// Each row: the headers, and whether these requests are renewed, by default and for scripts too: `GET`, `POST` of the
    /// own origin, `POST` of another origin, `PUT` of the own origin.
    #[test]
    fn requests_qualify_by_the_table() {
        const PAGE: &str = "sec-fetch-mode: navigate | sec-fetch-dest: document";
        let none = [false; 4];
        let (page, own) = ([true, true, false, false], [true, true, false, true]);
        for (text, by_default, with_scripts) in [
            (PAGE, page, page),
            ("sec-fetch-mode: navigate | sec-fetch-dest: document | sec-fetch-site: none", page, page),
            // Links from elsewhere. The cookies decide by SameSite, and a form by its origin.
            ("sec-fetch-mode: navigate | sec-fetch-dest: document | sec-fetch-site: cross-site", page, page),
            ("sec-fetch-mode: navigate | sec-fetch-dest: iframe | sec-fetch-site: same-origin", page, page),
            ("sec-fetch-mode: navigate | sec-fetch-dest: frame | sec-fetch-site: same-origin", page, page),
            ("sec-fetch-mode: navigate | sec-fetch-dest: iframe | sec-fetch-site: same-site", none, none),
            ("sec-fetch-mode: navigate | sec-fetch-dest: iframe | sec-fetch-site: cross-site", none, none),
            ("sec-fetch-mode: navigate | sec-fetch-dest: iframe", none, none),
            ("sec-fetch-mode: navigate | sec-fetch-dest: embed | sec-fetch-site: same-origin", none, none),
            ("sec-fetch-mode: navigate", none, none),
            ("sec-fetch-dest: document", none, none),
            // Scripts, also those that ask for HTML.
            ("sec-fetch-mode: cors | sec-fetch-dest: empty | sec-fetch-site: same-origin", none, own),
            ("sec-fetch-mode: same-origin | sec-fetch-dest: empty | sec-fetch-site: same-origin", none, own),
            (
                "sec-fetch-mode: cors | sec-fetch-dest: empty | sec-fetch-site: same-origin | accept: text/html",
                none,
                own,
            ),
            ("sec-fetch-mode: cors | sec-fetch-dest: empty | sec-fetch-site: same-site", none, none),
            ("sec-fetch-mode: cors | sec-fetch-dest: empty | sec-fetch-site: cross-site", none, none),
            ("sec-fetch-mode: no-cors | sec-fetch-dest: image | sec-fetch-site: same-origin", none, none),
            ("sec-fetch-mode: websocket | sec-fetch-dest: empty | sec-fetch-site: same-origin", none, none),
            // Browsers that say nothing.
            ("accept: text/html,application/xhtml+xml,*/*;q=0.8", page, own),
            ("accept: application/xml, Text/HTML;level=1;q=0.1", page, own),
            ("accept: application/json | accept: text/html", page, own),
            ("accept: text/html;q=0", none, own),
            ("accept: text/html; Q=0.000", none, own),
            ("accept: text/htmlx, text/*", none, own),
            ("accept: */*", none, own),
            ("", none, own),
            ("upgrade: websocket", none, none),
            // No user has asked for the page yet.
            ("sec-fetch-mode: navigate | sec-fetch-dest: document | sec-purpose: prefetch", none, none),
            ("sec-fetch-mode: navigate | sec-fetch-dest: document | sec-purpose: prefetch;prerender", none, none),
            (
                "sec-fetch-mode: cors | sec-fetch-dest: empty | sec-fetch-site: same-origin | sec-purpose: prefetch",
                none,
                none,
            ),
            ("accept: text/html | purpose: prefetch", none, none),
            ("accept: text/html | x-purpose: preview", none, none),
            ("accept: text/html | x-moz: prefetch", none, none),
            // Ambiguous.
            ("sec-fetch-mode: navigate | sec-fetch-mode: navigate | sec-fetch-dest: document", none, none),
            ("sec-fetch-mode: navigate | sec-fetch-dest: document | sec-fetch-dest: image", none, none),
            ("sec-fetch-mode: NAVIGATE | sec-fetch-dest: document", none, none),
        ] {
            let headers = headers(text);
            for (scope, expected) in [(Scope::Pages, by_default), (Scope::PagesAndScripts, with_scripts)] {
                let found = [(Method::GET, false), (Method::POST, true), (Method::POST, false), (Method::PUT, true)]
                    .map(|(method, own)| qualifies(scope, &method, &headers, || own));
                assert_eq!(found, expected, "{scope:?}: {text}");
                assert_eq!(qualifies(scope, &Method::HEAD, &headers, || false), expected[0], "{scope:?}: HEAD {text}");
            }
        }
    }
}
