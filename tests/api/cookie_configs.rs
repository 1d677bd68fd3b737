//! Every accepted configuration of the cookies works in a browser that follows RFC 6265bis.

use std::{cell::Cell, time::Duration};

use axum::{Router, response::IntoResponse as _};
use http::{HeaderMap, HeaderValue, header};
use proptest::{prelude::*, test_runner::TestRunner};
use tower_jwt_sessions::{
    KeyRing, MemoryStore, SessionCookies, SessionManager,
    clock::{Clock as _, Timestamp},
    cookie::{CookieConfig, CookiePrefix, SameSite},
    policy::ReplayWindow,
    testing::{KeptCookie, TestClient, TestClock},
};

use crate::support::*;

/// The settings of an application, valid or not.
#[derive(Clone, Debug)]
struct Settings {
    names: Option<(String, String)>,
    prefix: Option<CookiePrefix>,
    domain: Option<String>,
    path: Option<String>,
    refresh_path: Option<String>,
    same_site: SameSite,
    partitioned: bool,
    browser_session: bool,
    insecure: bool,
}

const HOST: &str = "www.app.test";

fn any_settings() -> impl Strategy<Value = Settings> {
    let name = || prop_oneof!["[a-z]{1,8}", "[!#$%&'*+.^_`|~0-9a-zA-Z-]{1,20}", Just("__Host-x".to_owned()), ".{0,3}"];
    let prefix = prop::sample::select(vec![
        CookiePrefix::Host,
        CookiePrefix::HostHttp,
        CookiePrefix::Secure,
        CookiePrefix::None,
    ]);
    let domain =
        prop::sample::select(vec!["app.test", ".App.Test", "www.app.test", "WWW.APP.TEST", "test", "app.test "]);
    let path = || {
        let known =
            ["/", "/app", "/app/", "/app/auth", "/app/%20a=b,\"c\"", "app", "", "/a;b", "/ä"].map(str::to_owned);
        prop_oneof![
            6 => prop::sample::select(known.to_vec()),
            // Around the longest attribute that a browser accepts, and a domain name of that length.
            1 => (1000_usize..1100).prop_map(|len| format!("/{}", "x".repeat(len))),
        ]
    };
    let same_site = prop::sample::select(vec![SameSite::Strict, SameSite::Lax, SameSite::None]);
    (
        prop::option::of((name(), name())),
        prop::option::weighted(0.4, prefix),
        prop::option::weighted(0.3, domain.prop_map(str::to_owned)),
        prop::option::weighted(0.3, path()),
        prop::option::weighted(0.3, path()),
        same_site,
        prop::bool::weighted(0.2),
        any::<bool>(),
        prop::bool::weighted(0.2),
    )
        .prop_map(
            |(names, prefix, domain, path, refresh_path, same_site, partitioned, browser_session, insecure)| Settings {
                names,
                prefix,
                domain,
                path,
                refresh_path,
                same_site,
                partitioned,
                browser_session,
                insecure,
            },
        )
}

impl Settings {
    fn config(&self) -> CookieConfig {
        let mut config = CookieConfig::new().same_site(self.same_site);
        if let Some((access, refresh)) = self.names.clone() {
            config = config.names(access, refresh);
        }
        if let Some(prefix) = self.prefix {
            config = config.prefix(prefix);
        }
        if let Some(domain) = &self.domain {
            config = config.domain(domain);
        }
        if let Some(path) = self.path.clone() {
            config = config.path(path);
        }
        if let Some(path) = self.refresh_path.clone() {
            config = config.refresh_path(path);
        }
        if self.partitioned {
            config = config.partitioned();
        }
        if self.browser_session {
            config = config.browser_session();
        }
        if self.insecure {
            config = config.insecure_http_for_development();
        }
        config
    }

    fn paths(&self) -> [&str; 2] {
        let access = self.path.as_deref().unwrap_or("/");
        [access, self.refresh_path.as_deref().unwrap_or(access)]
    }

    /// Returns the attributes that the browser must store for the cookie, apart from its name and value.
    fn check(&self, kept: &KeptCookie, path: &str, lives: Duration, now: Timestamp) {
        let domain = self.domain.as_deref().map(|domain| domain.trim_start_matches('.').to_ascii_lowercase());
        assert_eq!(kept.host_only, domain.is_none());
        assert_eq!(kept.domain, domain.unwrap_or_else(|| HOST.to_owned()));
        assert_eq!(kept.path, path);
        assert_eq!((kept.secure, kept.http_only), (!self.insecure, true));
        assert_eq!((kept.same_site, kept.partitioned), (Some(self.same_site), self.partitioned));
        assert_eq!(kept.expires_at, (!self.browser_session).then_some(now.saturating_add(lives)));
        let (secure, host) = (kept.name.starts_with("__Secure-"), kept.name.starts_with("__Host-"));
        let host_wide = kept.host_only && self.paths() == ["/"; 2];
        match self.prefix {
            Some(CookiePrefix::Host) => assert!(host),
            Some(CookiePrefix::HostHttp) => assert!(kept.name.starts_with("__Host-Http-")),
            Some(CookiePrefix::Secure) => assert!(secure),
            Some(_) => assert!(!secure && !host),
            // The longest value that the other settings allow.
            None if self.insecure => assert!(!secure && !host),
            None => assert_eq!((host, secure), if host_wide { (true, false) } else { (false, true) }),
        }
    }
}

/// The grammar for servers (section 4.1.1), which is narrower than what browsers accept.
fn check_grammar(lines: &[String]) {
    let mut names = Vec::new();
    for line in lines {
        let mut parts = line.split("; ");
        let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("a name and a value");
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        assert!(!name.is_empty() && name.bytes().all(is_token), "{name:?}");
        let is_octet = |byte| matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e);
        assert!(value.bytes().all(is_octet), "{value:?}");
        let attributes: Vec<String> =
            parts.map(|part| part.split('=').next().unwrap_or_default().to_ascii_lowercase()).collect();
        for (n, attribute) in attributes.iter().enumerate() {
            assert!(!attributes[..n].contains(attribute), "{attribute} is there twice: {line}");
        }
        for required in ["samesite", "path"] {
            assert!(attributes.iter().any(|attribute| attribute == required), "no {required}: {line}");
        }
        assert!(!names.contains(&name), "{name} is set twice: {lines:?}");
        names.push(name);
    }
}

/// A browser of the site, and the time at which it keeps cookies.
struct Client {
    sessions: SessionManager,
    clock: TestClock,
    browser: TestClient,
}

impl Client {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Keeps the cookies of a response, each of which must be accepted.
    fn receive(&self, cookies: SessionCookies) -> usize {
        let response = cookies.into_response();
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        let lines = response.headers().get_all(header::SET_COOKIE);
        let lines: Vec<String> = lines.iter().map(|line| line.to_str().expect("text").to_owned()).collect();
        check_grammar(&lines);
        self.browser.keep_cookies(response);
        lines.len()
    }

    fn headers(&self, path: &str) -> HeaderMap {
        let cookies = self.browser.cookie_header(path);
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(&cookies).expect("a header"))])
    }
}

/// Runs login, refresh and logout. Returns whether the configuration was accepted.
async fn live(settings: &Settings) -> bool {
    let clock = TestClock::new();
    let built = SessionManager::builder()
        .replay_window(ReplayWindow::Fixed(seconds(10)))
        .access_keys(KeyRing::hs256(ACCESS_SECRET).expect("long enough"))
        .refresh_keys(KeyRing::hs256(REFRESH_SECRET).expect("long enough"))
        .issuer(ISSUER)
        .store(MemoryStore::with_clock(clock.clone()))
        .clock(clock.clone())
        .cookies(settings.config())
        .build();
    let Ok(sessions) = built else { return false };
    sessions.revocation_feed().caught_up().await;
    let scheme = if settings.insecure { "http" } else { "https" };
    let browser = TestClient::new(Router::new()).origin(&format!("{scheme}://{HOST}")).clock(clock.clone());
    let client = Client { sessions: sessions.clone(), clock, browser };
    let paths = settings.paths();
    let values = |kept: &[KeptCookie]| kept.iter().map(|kept| kept.value.clone()).collect::<Vec<_>>();

    assert_eq!(client.receive(sessions.login("alice").await.expect("a session")), 2);
    let (now, week) = (client.now(), hours(7 * 24));
    let first = client.browser.kept_cookies();
    assert_eq!(first.len(), 2);
    settings.check(&first[0], paths[0], hours(1), now);
    settings.check(&first[1], paths[1], week, now);
    let session = client.sessions.verifier().verify(&client.headers(paths[0])).expect("a session");
    assert!(client.sessions.verifier().present(&client.headers(paths[1])).has_refresh_token());

    // The new cookies replace the old ones.
    client.clock.advance(seconds(30));
    let presented = client.sessions.verifier().present(&client.headers(paths[1]));
    assert_eq!(client.receive(sessions.refresh(&presented).await.expect("a refresh")), 2);
    let now = client.now();
    let second = client.browser.kept_cookies();
    assert_eq!(second.len(), 2);
    settings.check(&second[0], paths[0], hours(1), now);
    settings.check(&second[1], paths[1], week, now);
    assert!(values(&first).iter().zip(values(&second)).all(|(old, new)| *old != new));
    let presented = client.sessions.verifier().present(&client.headers(paths[1]));
    assert_eq!(
        client.receive(sessions.refresh(&presented).await.expect("a refresh")),
        1,
        "a current refresh token is kept"
    );
    assert_eq!(values(&client.browser.kept_cookies())[1], second[1].value);
    let same = client.sessions.verifier().verify(&client.headers(paths[0])).expect("a session");
    assert_eq!(same.id(), session.id());

    // Another login in the same browser replaces them too.
    assert_eq!(client.receive(sessions.login("bob").await.expect("a session")), 2);
    assert_eq!(client.browser.kept_cookies().len(), 2);

    let presented = client.sessions.verifier().present(&client.headers(paths[1]));
    assert_eq!(client.receive(sessions.logout(&presented).await.expect("a logout")), 2);
    assert_eq!(client.browser.kept_cookies(), []);
    assert_eq!(client.headers(paths[1])[header::COOKIE], "");
    true
}

#[test]
fn accepted_cookie_configs_work_in_browser() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut runner = TestRunner::new(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() });
    let [accepted, with_domain, insecure] = [const { Cell::new(0) }; 3];
    let count = |what: &Cell<usize>, is: bool| what.set(what.get() + usize::from(is));
    let outcome = runner.run(&any_settings(), |settings| {
        if runtime.block_on(live(&settings)) {
            count(&accepted, true);
            count(&with_domain, settings.domain.is_some());
            count(&insecure, settings.insecure);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    let seen = [accepted, with_domain, insecure].map(Cell::into_inner);
    assert!(seen.iter().zip([200, 20, 10]).all(|(seen, least)| *seen > least), "{seen:?}");
}
