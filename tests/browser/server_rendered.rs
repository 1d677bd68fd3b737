//! The example `server_rendered`, whose pages have no script: the server renews the tokens of a navigation.

use serde_json::json;

use crate::{
    chromium::{Chromium, Tab, VIOLATION},
    demo::ACCESS,
    program::Program,
};

/// Logs in as Alice with the form.
pub(crate) async fn log_in(tab: &Tab, site: &Program) {
    tab.open(&format!("{}/dashboard", site.url())).await;
    tab.type_into("username", "alice").await;
    tab.type_into("password", "wonderland").await;
    tab.click("form[action='/login'] button").await;
    tab.until(IS_WELCOME).await;
}

const IS_WELCOME: &str = "location.pathname == '/dashboard' && document.body.innerText.includes('Welcome, alice')";

/// Loads the page again in all windows at once. Each must show it after one navigation, without a redirect to the login
/// and back.
async fn reload_all(windows: &[&Tab]) {
    for window in windows {
        window.run("window.isFormer = true;").await;
    }
    for window in windows {
        window.begin("location.reload();").await;
    }
    for window in windows {
        window.until(&format!("!window.isFormer && document.readyState == 'complete' && {IS_WELCOME}")).await;
        let navigation = "const [one] = performance.getEntriesByType('navigation'); \
                          return [one.type, one.redirectCount, one.responseStatus];";
        assert_eq!(window.run(navigation).await, json!(["reload", 0, 200]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shows_no_login_when_the_access_token_has_expired() {
    let site = Program::start("server_rendered", &[]);
    let chromium = Chromium::start().await;
    let first = chromium.first_tab().await;
    log_in(&first, &site).await;
    let second = chromium.new_window().await;
    second.open(&format!("{}/dashboard", site.url())).await;

    // A browser removes the cookie when its token expires.
    for _ in 0..3 {
        let parameters = json!({ "name": ACCESS, "url": site.url() });
        first.command("Network.deleteCookies", parameters).await;
        assert_eq!(chromium.cookie(ACCESS).await, None);
        reload_all(&[&first, &second]).await;
        assert!(chromium.cookie(ACCESS).await.is_some());
    }

    // A token that is expired for the server only: an administrator's role was set.
    let before = chromium.cookie(ACCESS).await;
    first.open(&format!("{}/admin", site.url())).await;
    first.click("form[action='/admin/users/alice/role'] button").await;
    first.open(&format!("{}/dashboard", site.url())).await;
    reload_all(&[&first, &second]).await;
    assert_ne!(chromium.cookie(ACCESS).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_no_scripts() {
    let site = Program::start("server_rendered", &[]);
    let chromium = Chromium::start().await;
    let tab = chromium.first_tab().await;
    log_in(&tab, &site).await;
    let console = chromium.console().await;
    assert!(!console.iter().any(|line| line.contains(VIOLATION)), "{console:#?}");
    tab.runs_no_injected_script(&chromium).await;
}
