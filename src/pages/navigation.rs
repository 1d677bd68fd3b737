//! What the headers of a request say about its reader: a person in front of a browser, or a program.

use http::{HeaderMap, HeaderValue, header};

/// How an error is written for this reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// `application/problem+json`, for programs.
    #[default]
    Problem,
    /// `application/json`, which browsers show: Firefox offers to download the media type of problem documents.
    Json,
    /// A page.
    Html,
}

impl Format {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        match is_navigation(headers) {
            false => Self::Problem,
            true if accepts(headers, |range| is_html(range) || matches!(range, "*/*" | "text/*")) => Self::Html,
            true => Self::Json,
        }
    }
}

/// Whether a browser shows the response as a page.
fn is_navigation(headers: &HeaderMap) -> bool {
    let mut modes = headers.get_all("sec-fetch-mode").iter();
    match (modes.next(), modes.next()) {
        (Some(mode), None) => mode == "navigate",
        (Some(_), Some(_)) => false,
        (None, _) => accepts_html(headers),
    }
}

/// Whether the `Accept` header names HTML. Not by `*/*`, which `fetch` and curl send.
pub(crate) fn accepts_html(headers: &HeaderMap) -> bool {
    accepts(headers, is_html)
}

/// Whether the browser prefetches or prerenders a page that no user has asked for yet.
///
/// Today's name is `Sec-Purpose` (Fetch standard, section 3.6); the others are those of older browsers.
pub(crate) fn is_speculative(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose", "x-purpose", "x-moz"].iter().any(|name| headers.contains_key(*name))
}

/// Whether a browser submits a form, and not a script that reads the response.
#[cfg(feature = "router")]
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let is_form_body = || {
        let media_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let media_type = media_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let forms: [&[u8]; 2] = [b"application/x-www-form-urlencoded", b"multipart/form-data"];
        forms.iter().any(|form| media_type.eq_ignore_ascii_case(form))
    };
    // Scripts send forms too, but only browsers without fetch metadata do not tell the two apart.
    is_navigation(headers) || !headers.contains_key("sec-fetch-mode") && is_form_body()
}

fn is_html(range: &str) -> bool {
    range.eq_ignore_ascii_case("text/html")
}

/// Whether `Accept` has such a media range (RFC 9110, section 12.5.1).
fn accepts(headers: &HeaderMap, is_meant: impl Fn(&str) -> bool) -> bool {
    let ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| HeaderValue::to_str(value).ok());
    ranges.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        parts.next().is_some_and(&is_meant) && !parts.any(is_zero_weight)
    })
}

/// Whether a parameter is `q=0`: the media range is not accepted.
fn is_zero_weight(parameter: &str) -> bool {
    let weight = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
    weight.is_some_and(|weight| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_is_chosen_by_the_table() {
        const CHROME: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        for (mode, accept, expected) in [
            ("", "", Format::Problem),
            ("", "*/*", Format::Problem),
            ("", "application/json", Format::Problem),
            ("", CHROME, Format::Html),
            ("", "TEXT/HTML ; q=0.5", Format::Html),
            ("", "text/html;q=0, application/json", Format::Problem),
            ("", "text/html-x, xtext/html", Format::Problem),
            ("navigate", CHROME, Format::Html),
            ("navigate", "*/*", Format::Html),
            ("navigate", "text/*;q=0.1", Format::Html),
            ("navigate", "text/html;q=0.000, application/json", Format::Json),
            ("navigate", "application/json", Format::Json),
            ("navigate", "", Format::Json),
            ("cors", CHROME, Format::Problem),
            ("same-origin", "text/html", Format::Problem),
            ("websocket", "text/html", Format::Problem),
            ("NAVIGATE", CHROME, Format::Problem),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [("sec-fetch-mode", mode), ("accept", accept)] {
                if !value.is_empty() {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            assert_eq!(Format::of(&headers), expected, "{mode:?} {accept:?}");
        }
    }

    #[test]
    fn contradictory_modes_are_no_navigation() {
        let mut headers = HeaderMap::new();
        headers.append("sec-fetch-mode", HeaderValue::from_static("navigate"));
        headers.append("sec-fetch-mode", HeaderValue::from_static("navigate"));
        headers.insert("accept", HeaderValue::from_static("text/html"));
        assert!(!is_navigation(&headers));
    }
}
