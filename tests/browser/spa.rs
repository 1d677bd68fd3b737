//! The example `spa` in two tabs, in the window of a phone.

use serde_json::json;

use crate::{
    chromium::{Chromium, Tab},
    demo::{ACCESS, REFRESH},
};

#[allow(dead_code, reason = "main is not called")]
#[path = "../../examples/spa.rs"]
mod example;

const IS_LOGIN: &str = "document.getElementById('login').checkVisibility() && \
     !document.getElementById('account').checkVisibility()";
const IS_ACCOUNT: &str = "document.getElementById('account').checkVisibility() && \
     !document.getElementById('login').checkVisibility() && document.querySelectorAll('#sessions li').length == 1";

/// Serves the example and returns its address.
async fn serve() -> String {
    let sessions =
        example::sessions("the secret of access tokens in this test", "the secret of refresh tokens in this test");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://localhost:{}", listener.local_addr().expect("an address").port());
    tokio::spawn(axum::serve(listener, example::app(sessions.expect("a manager"))).into_future());
    url
}

async fn log_in(tab: &Tab, password: &str) {
    tab.type_into("username", "alice").await;
    tab.type_into("password", password).await;
    tab.click("#login button").await;
}

/// Opens the page in a window of 390 by 800 pixels, and asserts that nothing is beside it.
async fn open(tab: &Tab, url: &str) {
    let phone = json!({ "width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": true });
    tab.command("Emulation.setDeviceMetricsOverride", phone).await;
    tab.open(url).await;
    tab.until("!document.getElementById('login').hidden || !document.getElementById('account').hidden").await;
    assert_eq!(tab.run("return document.documentElement.scrollWidth;").await, 390);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shows_login_account_and_a_logout_in_another_tab() {
    let url = serve().await;
    let chromium = Chromium::start().await;
    let first = chromium.first_tab().await;
    open(&first, &url).await;
    first.until(IS_LOGIN).await;
    log_in(&first, "looking-glass").await;
    first.until("document.getElementById('message').innerText == 'Wrong user or password.'").await;
    log_in(&first, "wonderland").await;
    first.until(IS_ACCOUNT).await;
    first.until("document.getElementById('user').innerText == 'alice'").await;
    assert_eq!(first.run("return document.getElementById('message').innerText;").await, "");
    assert_eq!(first.run("return document.cookie;").await, "", "scripts see no token");

    // Without its access token, as after an hour: the page shows the account and no login.
    let cookie = json!({ "name": ACCESS, "url": url });
    first.command("Network.deleteCookies", cookie).await;
    let second = chromium.new_window().await;
    open(&second, &url).await;
    second.until(IS_ACCOUNT).await;
    assert!(chromium.cookie(ACCESS).await.is_some());

    second.click("#logout").await;
    second.until(IS_LOGIN).await;
    first.until(IS_LOGIN).await;
    assert_eq!((chromium.cookie(ACCESS).await, chromium.cookie(REFRESH).await), (None, None));
    let refused: Vec<_> = chromium.console().await;
    assert!(!refused.iter().any(|line| line.contains("Content Security Policy")), "{refused:?}");
}
