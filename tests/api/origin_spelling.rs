//! Origins and hosts in all spellings: which of them the guards treat as equal, with tower-http as the oracle of
//! Go's decisions.

use std::{cell::Cell, convert::Infallible};

use axum::{Router, body::Body, response::Response, routing};
use http::{Method, Request, StatusCode};
use proptest::{prelude::*, test_runner::TestRunner};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::csrf::CsrfLayer;
use tower_jwt_sessions::{SessionManager, manager::SessionManagerBuilder};

use crate::support::*;

type Builder = SessionManagerBuilder<Claims>;

async fn manager(configure: impl FnOnce(Builder) -> Builder) -> SessionManager<Claims> {
    World::with(Backend::Memory, configure).await.sessions
}

/// A page under the guard for changes and one under that for WebSockets.
fn app(sessions: &SessionManager<Claims>) -> Router {
    Router::new()
        .route("/", routing::any(async || "hello").layer(sessions.cross_site_guard()))
        .route("/ws", routing::any(async || "hello").layer(sessions.upgrade_guard()))
}

/// Returns the status for a browser without `Sec-Fetch-Site`: its page is in `Origin`, and the service in `Host`.
async fn status(app: &Router, what: &str, host: &str, origin: &str) -> u16 {
    send(app, what, &[("host", host), ("origin", origin)]).await.status
}

#[tokio::test]
async fn host_is_compared_without_case_and_default_port() {
    let app = app(&manager(|builder| builder).await);
    for (host, origin, expected) in [
        ("h.example:443", "https://h.example", 200),
        ("h.example:80", "http://h.example", 200),
        ("H.Example", "https://h.example", 200),
        ("H.EXAMPLE:443", "https://h.example", 200),
        ("h.example:8443", "https://h.example:8443", 200),
        ("h.example:", "https://h.example", 200),
        ("[::1]:443", "https://[::1]", 200),
        ("[2001:DB8::7]:80", "http://[2001:db8::7]", 200),
        ("[2001:db8:0:0:0:0:0:7]:8080", "http://[2001:db8::7]:8080", 200),
        ("192.0.2.1:80", "http://192.0.2.1", 200),
        // Browsers do not send these spellings of the same origin.
        ("h.example", "https://h.example:443", 200),
        ("h.example", "https://H.Example", 200),
        // The default port of the other scheme is another port.
        ("h.example:80", "https://h.example", 403),
        ("h.example:443", "http://h.example", 403),
        ("h.example", "https://h.example:80", 403),
        ("h.example:443", "https://h.example:80", 403),
        ("h.example:8443", "https://h.example", 403),
        // With a trailing dot it is another name, for browsers too.
        ("h.example.", "https://h.example", 403),
        ("h.example", "https://h.example.", 403),
        ("h.example.:443", "https://h.example", 403),
        ("h.example.:443", "https://h.example.", 200),
        // Other parts of a URL are neither accepted nor ignored.
        ("[::1]", "https://[::2]", 403),
        ("[::1]:443", "https://[::1]:8443", 403),
        ("::1", "https://[::1]", 403),
        ("user@h.example", "https://h.example", 403),
        ("h.example", "https://user@h.example", 403),
        ("h.example/", "https://h.example", 403),
        ("h.example:443x", "https://h.example", 403),
        ("h.example:+443", "https://h.example", 403),
        ("h.example:65979", "https://h.example", 403),
        ("h.example, h.example", "https://h.example", 403),
        ("", "https://", 403),
        // Schemes without a default port are not supported.
        ("localhost", "capacitor://localhost", 403),
        ("localhost:443", "wss://localhost", 403),
    ] {
        for what in ["POST /", "GET /ws"] {
            assert_eq!(status(&app, what, host, origin).await, expected, "{what} {host} {origin}");
        }
    }
}

#[tokio::test]
async fn origins_of_applications_and_extensions_pass_when_trusted() {
    const APPS: [&str; 6] = [
        "capacitor://localhost",
        "ionic://localhost",
        "tauri://localhost",
        "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb",
        "moz-extension://3c78ab9e-3d41-4a0e-8c3c-0a6c7c1f3d52",
        "app+x.1://localhost:8080",
    ];
    let trusting = |builder: Builder| APPS.iter().fold(builder, |builder, origin| builder.trusted_origin(*origin));
    let (trusting, own) = (app(&manager(trusting).await), app(&manager(|builder| builder).await));
    for origin in APPS {
        for what in ["POST /", "GET /ws"] {
            for site in ["", "cross-site", "same-site"] {
                let headers = [("origin", origin), ("sec-fetch-site", site)];
                assert_eq!(send(&trusting, what, &headers).await.status, 200, "{what} {site} {origin}");
                assert_eq!(send(&own, what, &headers).await.status, 403, "{what} {site} {origin}");
            }
            // Compared exactly, without changes of port or case.
            for other in [format!("{origin}:1"), origin.to_uppercase(), format!("{origin}/"), format!("{origin}x")] {
                assert_eq!(status(&trusting, what, "app.test", &other).await, 403, "{what} {other}");
            }
        }
    }
}

/// Any spelling of a host, and the name, port and scheme that it stands for.
#[derive(Clone, Debug, PartialEq)]
struct Place {
    scheme: &'static str,
    name: String,
    port: Option<u16>,
}

impl Place {
    fn origin(&self) -> String {
        let port = self.port.filter(|port| *port != self.default_port()).map(|port| format!(":{port}"));
        format!("{}://{}{}", self.scheme, self.name, port.unwrap_or_default())
    }

    fn default_port(&self) -> u16 {
        if self.scheme == "https" { 443 } else { 80 }
    }

    fn port(&self) -> u16 {
        self.port.unwrap_or(self.default_port())
    }

    /// As a client writes it, with any case and with or without the default port.
    fn host(&self, upper: bool, explicit: bool) -> String {
        let name = if upper { self.name.to_uppercase() } else { self.name.clone() };
        match self.port.or(explicit.then_some(self.default_port())) {
            Some(port) => format!("{name}:{port}"),
            None => name,
        }
    }
}

fn places() -> impl Strategy<Value = Place> {
    let names =
        prop::sample::select(vec!["h.example", "h.example.", "www.h.example", "localhost", "[::1]", "192.0.2.1"]);
    let ports = prop::option::of(prop::sample::select(vec![80, 443, 8443]));
    let schemes = prop::sample::select(vec!["http", "https"]);
    (schemes, names, ports).prop_map(|(scheme, name, port)| Place { scheme, name: name.to_owned(), port })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..Default::default() })
}

/// A page passes if and only if it has the name and port of the service under its own scheme.
#[test]
fn only_same_name_and_port_pass_in_any_spelling() {
    let runtime = runtime();
    let app = runtime.block_on(async { app(&manager(|builder| builder).await) });
    let cases = (places(), places(), any::<[bool; 2]>());
    let outcome = runner(2000).run(&cases, |(page, service, [upper, explicit])| {
        // `Host` has no scheme: the service is assumed to have that of the page.
        let service = Place { scheme: page.scheme, ..service };
        let same = page.name == service.name && page.port() == service.port();
        let status = runtime.block_on(status(&app, "POST /", &service.host(upper, explicit), &page.origin()));
        prop_assert_eq!(status, if same { 200 } else { 403 });
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Where Go decides, the guard decides alike: one value of each header, no setting that Go does not have, origins and
/// hosts as browsers spell them.
#[test]
fn guard_agrees_with_tower_http() {
    let runtime = runtime();
    let trusted = ["https://trusted.example", "http://localhost:5173"];
    let trusting = |builder: Builder| trusted.iter().fold(builder, |builder, origin| builder.trusted_origin(*origin));
    let (guard, upgrade) = runtime.block_on(async {
        let sessions = manager(trusting).await;
        (sessions.cross_site_guard(), sessions.upgrade_guard())
    });
    let yes = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty())));
    let oracle = trusted.iter().fold(CsrfLayer::new(), |layer, origin| layer.add_trusted_origin(origin).expect("one"));
    let (guard, upgrade, oracle) = (guard.layer(yes), upgrade.layer(yes), oracle.layer(yes));

    let methods = prop::sample::select(vec!["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE", "get", "X"]);
    let sites = prop::sample::select(vec!["", "same-origin", "same-site", "cross-site", "none", "NONE", "x"]);
    let origins = prop_oneof![
        4 => places().prop_map(|place| place.origin()),
        2 => prop::sample::select(vec![
            "https://trusted.example",
            "http://localhost:5173",
            "https://trusted.example.",
            "null",
            "",
            "capacitor://localhost",
            "h.example",
            "https://u@h.example",
            "https://h.example:port",
        ]).prop_map(str::to_owned),
    ];
    // No default port: that is where Go compares letters, and not what they mean.
    let hosts =
        places().prop_map(|place| Place { port: place.port.filter(|port| *port == 8443), ..place }.host(false, false));
    let cases = (methods, prop::option::of(sites), prop::option::of(origins), prop::option::of(hosts), any::<bool>());
    let refused = Cell::new(0);
    let outcome = runner(4000).run(&cases, |(method, site, origin, host, in_target)| {
        let request = || {
            let mut request = Request::new(Body::empty());
            *request.method_mut() = Method::from_bytes(method.as_bytes()).expect("a method");
            let headers = [("sec-fetch-site", site.map(str::to_owned)), ("origin", origin.clone())];
            for (name, value) in headers.into_iter().chain([("host", host.clone().filter(|_| !in_target))]) {
                if let Some(value) = value {
                    request.headers_mut().insert(name, value.parse().expect("a value"));
                }
            }
            if let Some(host) = host.as_ref().filter(|_| in_target) {
                *request.uri_mut() = format!("https://{host}/").parse().expect("an address");
            }
            request
        };
        let expected = runtime.block_on(oracle.clone().oneshot(request())).expect("a response").status();
        let ours = runtime.block_on(guard.clone().oneshot(request())).expect("a response").status();
        prop_assert_eq!(ours, expected);
        refused.set(refused.get() + u32::from(ours == StatusCode::FORBIDDEN));
        // The other guard decides so for every method.
        let mut as_post = request();
        *as_post.method_mut() = Method::POST;
        let as_post = runtime.block_on(oracle.clone().oneshot(as_post)).expect("a response").status();
        let upgraded = runtime.block_on(upgrade.clone().oneshot(request())).expect("a response").status();
        prop_assert_eq!(upgraded, as_post);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    // Neither decision is rare.
    assert!((500..3500).contains(&refused.get()), "{} of 4000 refused", refused.get());
}
