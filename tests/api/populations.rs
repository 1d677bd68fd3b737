//! Two populations, customers and administrators, on one store: with the same user ids, keys, cookie names and prefix.

use tower_jwt_sessions::{
    ConfigError, cookie::CookieConfig, error::ConfigErrorKind, event::SessionEventKind as Event, policy::SessionLimit,
};

use crate::support::*;

on_every_store!(
    users_of_two_populations_are_separate,
    refresh_token_of_another_population_is_refused,
    log_retention_follows_longest_access_lifetime,
);

/// Customers and administrators, apart by their audience alone.
async fn populations(backend: Backend) -> (World, World) {
    let customers = World::with(backend, |builder| builder.audience("https://shop.test")).await;
    let staff = customers.node(|builder| builder.audience("https://admin.test")).await;
    (customers, staff)
}

async fn users_of_two_populations_are_separate(backend: Backend) {
    let (customers, staff) = populations(backend).await;
    let (mut customer, mut admin) = (customers.browser(), staff.browser());
    customer.login("42").await;
    admin.login("42").await;

    assert_eq!((customers.count("42").await, staff.count("42").await), (1, 1));
    let id = claims_of(&admin.access())["sid"].as_str().expect("an id").to_owned();
    customer.send(&format!("DELETE /auth/sessions/{id}"), &[]).await.is_problem(404, "session_not_found");
    assert_eq!(customers.sessions.end_all("42").await.expect("the store succeeds"), 1);
    assert_eq!(customers.sessions.expire_access("42").await.expect("the store succeeds"), 0);
    admin.get("/me").await.is(200);
    admin.refresh().await.is(200);
    assert_eq!(staff.count("42").await, 1);

    // A limit of one population does not evict from the other.
    let strict = customers
        .node(|builder| {
            builder.audience("https://shop.test").session_limit(SessionLimit::evict(std::num::NonZeroU32::MIN))
        })
        .await;
    strict.browser().login("42").await;
    assert_eq!(staff.count("42").await, 1);
}

async fn refresh_token_of_another_population_is_refused(backend: Backend) {
    let (customers, staff) = populations(backend).await;
    let mut customer = customers.browser();
    customer.login("7").await;
    let mut intruder = staff.browser();
    intruder.plant(REFRESH, &customer.refresh_token());
    intruder.refresh().await.is_problem(401, "invalid_refresh_token");
    intruder.plant(ACCESS, &customer.access());
    intruder.get("/me").await.is_problem(401, "invalid_token");
    assert_eq!(staff.events(), []);
    // What cannot be used there does not end the session that it belongs to either.
    intruder.post("/auth/logout").await.is(200);
    customer.get("/me").await.is(200);
    customer.refresh().await.is(200);
    assert!(!customers.events().contains(&Event::RefreshTokenReused));
}

/// A manager with short access lifetimes does not trim what another one still needs.
async fn log_retention_follows_longest_access_lifetime(backend: Backend) {
    /// More than Redis keeps in one node of a stream, which it trims as a whole.
    const LOGOUTS: usize = 120;
    let day = hours(24);
    let customers = World::with(backend, |builder| builder.audience("https://shop.test").access_lifetime(day)).await;
    let mut customer = customers.browser();
    customer.login("7").await;
    let stolen = customer.cookies();
    for _ in 0..LOGOUTS {
        customers.sessions.login("7").await.expect("a login").expires_in().expect("cookies");
    }
    assert_eq!(customers.sessions.end_all("7").await.expect("the store succeeds"), 100, "the limit per user");

    customers.clock.advance(hours(12));
    let staff = customers.node(|builder| builder.audience("https://admin.test")).await;
    for _ in 0..LOGOUTS * 2 {
        staff.sessions.login("7").await.expect("a login").expires_in().expect("cookies");
        staff.sessions.end_all("7").await.expect("the store succeeds");
    }
    // A node that reads the log only now knows of the end.
    let late = customers.node(|builder| builder.audience("https://shop.test").access_lifetime(day)).await;
    let mut thief = late.browser();
    thief
        .plant(ACCESS, stolen.split("__Host-access=").nth(1).and_then(|rest| rest.split(';').next()).expect("a token"));
    thief.get("/me").await.is_problem(401, "invalid_token");
}

/// Builds a manager for administrators on the origin of one for customers, which has the default cookies.
async fn beside_customers(cookies: CookieConfig, audience: &str) -> Result<(), ConfigError> {
    let customers = World::new(Backend::Memory).await;
    let builder = builder::<()>(&customers.store, &customers.clock).audience(audience).cookies(cookies);
    builder.shares_origin_with(&customers.sessions).build().map(drop)
}

#[tokio::test]
async fn cookies_of_one_origin_that_collide_are_refused() {
    let staff = "https://admin.test";
    let refused = async |cookies, name: &str| {
        let error = beside_customers(cookies, staff).await.expect_err("a collision");
        assert_eq!(error.kind(), ConfigErrorKind::InvalidCookie);
        let text = format!("both managers of this origin have a cookie {name}, so that a login with one is a logout");
        assert!(error.to_string().starts_with(&text) && error.to_string().contains("names("), "{error}");
    };
    refused(CookieConfig::new(), "__Host-access").await;
    refused(CookieConfig::new().names("staff", "refresh"), "__Host-refresh").await;
    refused(CookieConfig::new().names("refresh", "access"), "__Host-refresh").await;
    beside_customers(CookieConfig::new().names("staff-access", "staff-refresh"), staff).await.expect("other names");
    beside_customers(CookieConfig::new().path("/admin"), staff).await.expect("another prefix");
}

#[tokio::test]
async fn one_population_twice_on_an_origin_is_refused() {
    let names = CookieConfig::new().names("staff-access", "staff-refresh");
    let error = beside_customers(names, "https://app.test").await.expect_err("the same audience");
    assert_eq!(error.kind(), ConfigErrorKind::InvalidOption);
    assert!(error.to_string().contains("give this one an audience(..) of its own"), "{error}");
}
