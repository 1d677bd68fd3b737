//! The cookies as they are written.

use std::collections::BTreeSet;

use tower_jwt_sessions::cookie::{CookieConfig, CookiePrefix, SameSite};

use crate::support::*;

const WEEK: u64 = 7 * 24 * 3600;

async fn world(backend: Backend, cookies: CookieConfig) -> World {
    World::with(backend, |builder| builder.cookies(cookies)).await
}

/// Names and attributes of the lines, without the values.
fn attributes(response: &TestResponse) -> Vec<(String, BTreeSet<String>)> {
    let line = |line: &str| {
        let mut parts = line.split("; ").map(str::to_owned);
        let name = parts.next().unwrap_or_default();
        let attributes: Vec<String> = parts.collect();
        let set: BTreeSet<String> = attributes.iter().cloned().collect();
        assert_eq!(set.len(), attributes.len(), "duplicate attribute: {line}");
        (name.split('=').next().unwrap_or_default().to_owned(), set)
    };
    response.set_cookies().into_iter().map(line).collect()
}

fn lines(expected: [(&str, &str); 2]) -> Vec<(String, BTreeSet<String>)> {
    let line = |(name, attributes): (&str, &str)| {
        (name.to_owned(), attributes.split("; ").map(str::to_owned).collect::<BTreeSet<_>>())
    };
    expected.into_iter().map(line).collect()
}

const GONE: &str = "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";

/// Login, refresh and logout write the same attributes, apart from how long the cookies live.
async fn write(world: &World, access: (&str, &str), refresh: (&str, &str)) {
    let mut browser = world.browser();
    let lives = |attributes: &str, age: u64| format!("{attributes}; Max-Age={age}");
    let set = lines([(access.0, &lives(access.1, 3600)), (refresh.0, &lives(refresh.1, WEEK))]);
    assert_eq!(attributes(&browser.login("alice").await), set);
    assert_eq!(browser.cookies().split("; ").count(), 2, "the browser keeps both cookies");
    assert_eq!(attributes(&browser.refresh().await), set);
    let only_access = attributes(&browser.refresh().await);
    assert_eq!(only_access, set[..1], "a current refresh token stays");
    browser.get("/me").await.is(200);
    let gone = |attributes: &str| format!("{attributes}; {GONE}");
    let removal = lines([(access.0, &gone(access.1)), (refresh.0, &gone(refresh.1))]);
    let response = browser.post("/auth/logout").await;
    assert_eq!(attributes(&response), removal);
    assert_eq!((response.cookie(access.0).as_deref(), response.cookie(refresh.0).as_deref()), (Some(""), Some("")));
    assert_eq!(browser.cookies(), "", "the browser deletes both cookies");
}

#[tokio::test]
async fn cookies_are_host_prefixed_secure_and_strict_by_default() {
    let world = World::new(Backend::Memory).await;
    let attributes = "HttpOnly; SameSite=Strict; Secure; Path=/";
    write(&world, (ACCESS, attributes), (REFRESH, attributes)).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    assert!(browser.cookies().len() < 1024, "{} bytes in every request", browser.cookies().len());
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    assert!(browser.access().bytes().all(allowed) && browser.refresh_token().bytes().all(allowed));
}

#[tokio::test]
async fn max_age_follows_the_token() {
    let world = World::new(Backend::Memory).await;
    world.clock.advance(millis(700));
    let mut browser = world.browser();
    let ages = |response: &TestResponse| -> Vec<u64> {
        let age = |line: &str| line.split("Max-Age=").nth(1).and_then(|rest| rest.split(';').next()?.parse().ok());
        response.set_cookies().into_iter().filter_map(age).collect()
    };
    let login = browser.login("alice").await;
    assert_eq!(ages(&login), [3600, WEEK]);
    let old = browser.clone();
    browser.refresh().await.is(200);
    world.clock.advance(seconds(9));
    let repeated = old.send_only("POST /auth/refresh", &[]).await;
    assert_eq!(ages(&repeated), [3600, WEEK - 9], "the same token, nine seconds older");
    let exp = |token: String| claims_of(&token)["exp"].as_u64().expect("a time");
    assert_eq!(exp(browser.refresh_token()) - exp(browser.access()), WEEK - 3600);
}

#[tokio::test]
async fn cookies_for_domain_have_domain_attribute() {
    let world = world(Backend::Memory, CookieConfig::new().domain(".App.Test").same_site(SameSite::Lax)).await;
    let attributes = "HttpOnly; SameSite=Lax; Secure; Path=/; Domain=app.test";
    write(&world, ("__Secure-access", attributes), ("__Secure-refresh", attributes)).await;
}

#[tokio::test]
async fn browser_session_cookies_have_no_max_age() {
    let world = world(Backend::Memory, CookieConfig::new().browser_session()).await;
    let mut browser = world.browser();
    let kept = "HttpOnly; SameSite=Strict; Secure; Path=/";
    assert_eq!(attributes(&browser.login("alice").await), lines([(ACCESS, kept), (REFRESH, kept)]));
    // The server does not rely on the browser to forget them.
    world.clock.advance(hours(1));
    browser.get("/me").await.is_problem(401, "invalid_token");
    browser.refresh().await.is(200);
    world.clock.advance(hours(7 * 24));
    browser.refresh().await.is_problem(401, "invalid_refresh_token");
    let gone = format!("{kept}; {GONE}");
    assert_eq!(attributes(&browser.post("/auth/logout").await), lines([(ACCESS, &gone), (REFRESH, &gone)]));
}

#[tokio::test]
async fn development_cookies_are_not_secure() {
    let world = world(Backend::Memory, CookieConfig::new().insecure_http_for_development()).await;
    let attributes = "HttpOnly; SameSite=Strict; Path=/";
    write(&world, ("access", attributes), ("refresh", attributes)).await;
}

#[tokio::test]
async fn refresh_cookie_is_limited_to_path() {
    let world = world(Backend::Memory, CookieConfig::new().refresh_path("/auth")).await;
    let access = "HttpOnly; SameSite=Strict; Secure; Path=/";
    let refresh = "HttpOnly; SameSite=Strict; Secure; Path=/auth";
    write(&world, ("__Secure-access", access), ("__Secure-refresh", refresh)).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    world.clock.advance(hours(1));
    browser.get("/me").await.is_problem(401, "missing_credentials");
    browser.refresh().await.is(200);
    browser.get("/me").await.is(200);
}

#[tokio::test]
async fn cookies_for_other_sites_have_same_site_none() {
    let world = world(Backend::Memory, CookieConfig::new().same_site(SameSite::None)).await;
    let attributes = "HttpOnly; SameSite=None; Secure; Path=/";
    write(&world, (ACCESS, attributes), (REFRESH, attributes)).await;
}

#[tokio::test]
async fn cookies_have_configured_names() {
    let cookies = CookieConfig::new().names("a!#$", "r~").prefix(CookiePrefix::None);
    let world = world(Backend::Memory, cookies).await;
    let attributes = "HttpOnly; SameSite=Strict; Secure; Path=/";
    write(&world, ("a!#$", attributes), ("r~", attributes)).await;
}
