//! The tests of this site, with the test kit of the library (feature `test-util`):
//! `cargo test --all-features --example server_rendered`.

use std::{net::SocketAddr, time::Duration};

use axum::extract::connect_info::MockConnectInfo;
use tower_jwt_sessions::{
    KeyRing, MemoryStore,
    testing::{FaultyStore, TestClient, TestClock},
};

use crate::{routes, sessions, users::Users};

const TWO_HOURS: Duration = Duration::from_secs(2 * 60 * 60);

#[tokio::test]
async fn user_is_logged_in_until_the_logout() {
    let clock = TestClock::new();
    let store = FaultyStore::new(MemoryStore::with_clock(clock.clone()));
    let users = Users::open().await.expect("a database in memory");
    let sessions = sessions::builder(users.clone())
        .access_keys(KeyRing::hs256("only for tests, and long enough for it").expect("a long secret"))
        .refresh_keys(KeyRing::hs256("another one, which is long enough too").expect("a long secret"))
        .store(store.clone())
        .clock(clock.clone())
        .build()
        .expect("a configuration that works");
    let address = MockConnectInfo(SocketAddr::from(([192, 0, 2, 1], 50_000)));
    let app = routes::router(sessions.clone(), users).layer(address);

    let laptop = TestClient::new(app.clone()).clock(clock.clone()).follow_redirects();
    assert_eq!(laptop.navigate("/dashboard").await.target(), "/login?next=%2Fdashboard");
    let form = [("username", "alice"), ("password", "wonderland"), ("next", "/dashboard"), ("remember", "on")];
    assert!(laptop.post_form("/login", form).await.text().contains("Welcome, alice"));
    let phone = TestClient::new(app).follow_redirects().log_in(&sessions, "alice").await;
    phone.navigate("/devices").await.assert_status(200);

    clock.advance(TWO_HOURS); // The page is made with a renewed session.
    assert_eq!(laptop.navigate("/dashboard").await.assert_status(200).set_cookies().len(), 2);

    clock.advance(TWO_HOURS);
    store.fail(); // An outage is no logout.
    laptop.navigate("/dashboard").await.assert_status(503);
    store.recover();
    assert_eq!(laptop.navigate("/dashboard").await.assert_status(200).target(), "/dashboard");

    laptop.post_form("/logout-all", [("", ""); 0]).await.assert_status(200);
    assert_eq!(phone.navigate("/devices").await.target(), "/login?next=%2Fdevices");
}
