//! From a problem to a response: as the application chose, or for the reader that the request names.

use std::{fmt, sync::Arc};

use axum_core::{body::Body, response::Response};
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};

use super::Problem;
use crate::pages::{Format, LoginUrl, see_other};

/// Renders problems as the application chose, or for the recipient.
#[derive(Clone, Default)]
pub(crate) struct Renderer(Option<Arc<Chosen>>);

/// What an application chose.
#[derive(Clone, Default)]
struct Chosen {
    render: Option<Arc<Render>>,
    login: Option<LoginUrl>,
}

type Render = dyn Fn(&Problem, Option<&Parts>) -> Response + Send + Sync;

/// What a response to a problem depends on, besides the problem. The default is for a request that is not known.
#[derive(Clone, Default)]
pub(crate) struct Recipient {
    format: Format,
    /// Where a person without a session goes.
    login: Option<Box<HeaderValue>>,
    /// Only for the application's own rendering.
    parts: Option<Arc<Parts>>,
}

impl Recipient {
    /// Returns the recipient of a response to a request of which only the headers are known.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self { format: Format::of(headers), ..Self::default() }
    }
}

impl Renderer {
    pub(crate) fn custom(self, render: impl Fn(&Problem, Option<&Parts>) -> Response + Send + Sync + 'static) -> Self {
        self.with(|chosen| chosen.render = Some(Arc::new(render)))
    }

    pub(crate) fn with_login(self, login: LoginUrl) -> Self {
        self.with(|chosen| chosen.login = Some(login))
    }

    fn with(self, choose: impl FnOnce(&mut Chosen)) -> Self {
        let mut chosen = self.0.map(Arc::unwrap_or_clone).unwrap_or_default();
        choose(&mut chosen);
        Self(Some(Arc::new(chosen)))
    }

    /// Whether the application chose nothing.
    pub(crate) const fn is_default(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the application renders the bodies itself.
    #[cfg(feature = "utoipa")]
    pub(crate) fn is_custom(&self) -> bool {
        self.0.as_ref().is_some_and(|chosen| chosen.render.is_some())
    }

    /// Whether a page without a session leads to a login.
    #[cfg(feature = "utoipa")]
    pub(crate) fn has_login(&self) -> bool {
        self.0.as_ref().is_some_and(|chosen| chosen.login.is_some())
    }

    /// Returns what an error response to this request depends on.
    pub(crate) fn recipient(&self, parts: &Parts) -> Recipient {
        let is_custom = self.0.as_ref().is_some_and(|chosen| chosen.render.is_some());
        Recipient { parts: is_custom.then(|| Arc::new(parts.clone())), ..Recipient::of(&parts.headers) }
    }

    /// Returns the same, for a request that needs a session: a page leads to the login.
    pub(crate) fn visitor(&self, parts: &Parts) -> Recipient {
        let login = self.0.as_ref().and_then(|chosen| chosen.login.as_ref());
        let location = login.and_then(|login| login.location(&parts.method, own_uri(parts), &parts.headers));
        Recipient { login: location.map(Box::new), ..self.recipient(parts) }
    }

    /// Renders a problem. An application that chooses no status, which is `200`, leaves that of the problem.
    pub(crate) fn render(&self, problem: &Problem, recipient: &Recipient) -> Response {
        // Never in place of an outage, which would look like a logout.
        // A page of a session whose device has lost its key would otherwise lead nowhere.
        let leads_to_login = problem.status == StatusCode::UNAUTHORIZED || *problem == Problem::PROOF_REQUIRED;
        if let (true, Some(location)) = (leads_to_login, &recipient.login) {
            return see_other(HeaderValue::clone(location));
        }
        let custom = self.0.as_ref().and_then(|chosen| chosen.render.as_ref());
        let mut response = match custom {
            Some(render) => render(problem, recipient.parts.as_deref()),
            None => default_response(problem, recipient.format),
        };
        if response.status() == StatusCode::OK {
            *response.status_mut() = problem.status;
        }
        let status = response.status();
        write_headers(problem, status, response.headers_mut());
        response
    }
}

/// The address as the browser has it: `nest` removes its prefix from the other one.
#[cfg(feature = "router")]
fn own_uri(parts: &Parts) -> &http::Uri {
    parts.extensions.get::<axum::extract::OriginalUri>().map_or(&parts.uri, |original| &original.0)
}

#[cfg(not(feature = "router"))]
const fn own_uri(parts: &Parts) -> &http::Uri {
    &parts.uri
}

fn default_response(problem: &Problem, format: Format) -> Response {
    let (media_type, body) = match format {
        Format::Problem => ("application/problem+json", problem.to_json()),
        Format::Json => ("application/json", problem.to_json()),
        Format::Html => ("text/html; charset=utf-8", page(problem)),
    };
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    if format == Format::Html {
        let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'self'");
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Without script, style and links, so that the strictest policy fits.
fn page(problem: &Problem) -> String {
    let (title, code, status) = (escaped(problem.title), escaped(problem.code), problem.status.as_u16());
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n</head>\n\
         <body>\n<h1>{title}</h1>\n<p>{status} {code}</p>\n</body>\n</html>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The headers of the problem, as far as they belong to this status.
fn write_headers(problem: &Problem, status: StatusCode, headers: &mut HeaderMap) {
    if status == problem.status {
        if let Some(challenge) = problem.challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge.to_header());
        }
        if problem.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

impl fmt::Debug for Renderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(chosen) = &self.0 else { return f.write_str("Renderer(problem+json)") };
        f.debug_struct("Renderer").field("custom", &chosen.render.is_some()).field("login", &chosen.login).finish()
    }
}

impl fmt::Debug for Recipient {
    /// Without the parts, which have cookies.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipient").field("format", &self.format).field("login", &self.login).finish_non_exhaustive()
    }
}
