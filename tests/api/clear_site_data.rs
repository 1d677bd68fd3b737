//! `Clear-Site-Data`: sent with a logout, where the application enables it, and with no other response.

use axum::{
    Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::post,
};
use tower_jwt_sessions::{
    Error, PresentedTokens, SessionManager,
    cookie::{CookieConfig, SiteData},
};

use crate::support::*;

const BOTH: &[SiteData] = &[SiteData::Cache, SiteData::Storage];

async fn world(backend: Backend, cookies: CookieConfig) -> World {
    World::with(backend, |builder| builder.cookies(cookies)).await
}

/// Returns the header of the responses to both kinds of logout.
async fn at_logout(world: &World) -> Vec<String> {
    let mut seen = Vec::new();
    for path in ["/auth/logout", "/auth/logout-all"] {
        let mut browser = world.browser();
        browser.login("alice").await;
        let response = browser.post(path).await;
        let lines = response.is(200).headers.get_all("clear-site-data").iter();
        seen.extend(lines.map(|line| line.to_str().expect("text").to_owned()));
        assert_eq!(browser.cookies(), "", "the response removes the cookies");
    }
    seen
}

#[tokio::test]
async fn clear_site_data_is_absent_by_default() {
    assert_eq!(at_logout(&World::new(Backend::Memory).await).await, [""; 0]);
    assert_eq!(at_logout(&world(Backend::Memory, CookieConfig::new().clear_at_logout(&[])).await).await, [""; 0]);
}

#[tokio::test]
async fn clear_site_data_header_has_documented_value() {
    for (data, expected) in [
        (BOTH, r#""cache", "storage""#),
        (&[SiteData::Storage, SiteData::Cache, SiteData::Storage], r#""cache", "storage""#),
        (&[SiteData::Cache], r#""cache""#),
        (&[SiteData::Storage], r#""storage""#),
    ] {
        let world = world(Backend::Memory, CookieConfig::new().clear_at_logout(data)).await;
        assert_eq!(at_logout(&world).await, [expected; 2]);
    }
}

#[tokio::test]
async fn clear_site_data_is_sent_only_with_logout() {
    let world = world(Backend::Memory, CookieConfig::new().clear_at_logout(BOTH)).await;
    let mut browser = world.browser();
    let mut responses = vec![browser.login("alice").await, browser.refresh().await, browser.get("/me").await];
    responses.push(browser.get("/auth/sessions").await);
    // A refused or failed logout ends no session, so the browser keeps its data.
    responses.push(browser.send("POST /auth/logout", &[("sec-fetch-site", "cross-site")]).await);
    world.store.set_down(true);
    responses.push(browser.post("/auth/logout").await);
    world.store.set_down(false);
    assert_eq!(responses.iter().map(|response| response.status).collect::<Vec<_>>(), [200, 200, 200, 200, 403, 503]);
    assert!(responses.iter().all(|response| response.header("clear-site-data").is_empty()));
    assert_eq!(browser.post("/auth/logout").await.is(200).header("clear-site-data"), r#""cache", "storage""#);
}

#[tokio::test]
async fn clear_site_data_is_absent_over_plain_http() {
    let cookies = CookieConfig::new().clear_at_logout(BOTH).insecure_http_for_development();
    assert_eq!(at_logout(&world(Backend::Memory, cookies).await).await, [""; 0]);
}

/// Browsers clear after they have set cookies.
#[tokio::test]
async fn clear_site_data_is_absent_when_session_begins() {
    type HandlerResult = Result<Response, Error>;
    type Sessions = State<SessionManager<Claims>>;
    async fn switch(State(sessions): Sessions, presented: PresentedTokens<Claims>) -> HandlerResult {
        Ok((sessions.logout(&presented).await?, sessions.login("bob").await?, "hello, bob").into_response())
    }
    async fn bye(State(sessions): Sessions, presented: PresentedTokens<Claims>) -> HandlerResult {
        Ok((sessions.login("bob").await?, sessions.logout(&presented).await?, "bye").into_response())
    }
    async fn own(State(sessions): Sessions) -> HandlerResult {
        Ok(([("clear-site-data", r#""cache""#)], sessions.login("bob").await?, "hello").into_response())
    }
    async fn undone(State(sessions): Sessions, presented: PresentedTokens<Claims>) -> HandlerResult {
        Ok((sessions.logout(&presented).await?, [("clear-site-data", "")], "bye").into_response())
    }
    async fn own_at_switch(State(sessions): Sessions, presented: PresentedTokens<Claims>) -> HandlerResult {
        let (gone, new) = (sessions.logout(&presented).await?, sessions.login("bob").await?);
        Ok((gone, [("clear-site-data", r#""cache""#)], new, "hello, bob").into_response())
    }
    let world = world(Backend::Memory, CookieConfig::new().clear_at_logout(BOTH)).await;
    let app = Router::new()
        .route("/switch", post(switch))
        .route("/bye", post(bye))
        .route("/own", post(own))
        .route("/own-at-switch", post(own_at_switch))
        .route("/undone", post(undone))
        .layer(world.sessions.layer())
        .with_state(world.sessions.clone());
    for (path, expected) in [
        ("/switch", ""),
        ("/bye", r#""cache", "storage""#),
        // The application's own value is kept.
        ("/own", r#""cache""#),
        ("/own-at-switch", r#""cache""#),
        ("/undone", r#""cache", "storage""#),
    ] {
        let mut browser = world.browser();
        browser.login("alice").await;
        let response = send(&app, &format!("POST {path}"), &[("cookie", browser.cookies())]).await;
        assert_eq!(response.is(200).header("clear-site-data"), expected, "{path}");
    }
}
