//! The cookies as the browser stores them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::{
    chromium::VIOLATION,
    demo::{ACCESS, REFRESH, alice, demo},
};

/// How long a cookie is kept from now on, in seconds.
fn kept_for(cookie: &Value) -> f64 {
    #[expect(clippy::disallowed_methods, reason = "the browser has the clock of the system")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    cookie["expires"].as_f64().expect("a time") - now.as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn are_stored_with_their_attributes_and_hidden_from_scripts() {
    let demo = demo();
    let (chromium, tab) = alice(demo.url()).await;
    let cookies = chromium.cookies().await;
    let names: Vec<&str> = cookies.iter().filter_map(|cookie| cookie["name"].as_str()).collect();
    assert_eq!(names, [ACCESS, REFRESH]);
    for (cookie, seconds) in cookies.iter().zip([3600.0, 604_800.0]) {
        // A domain without a dot at its start is that of a cookie without the attribute.
        assert_eq!((&cookie["domain"], &cookie["path"]), (&"localhost".into(), &"/".into()), "{cookie}");
        assert_eq!((&cookie["secure"], &cookie["httpOnly"]), (&true.into(), &true.into()), "{cookie}");
        assert_eq!((&cookie["sameSite"], &cookie["session"]), (&"Strict".into(), &false.into()), "{cookie}");
        assert!((seconds - 120.0..seconds + 1.0).contains(&kept_for(cookie)), "{cookie}");
    }
    assert_eq!(tab.run("return document.cookie;").await, "");
    let token = chromium.cookie(ACCESS).await.expect("a cookie");
    let found = tab.run(&format!("return document.documentElement.outerHTML.includes('{token}');")).await;
    assert_eq!(found, false, "the page contains the token");

    tab.click("[data-action=logout]").await;
    tab.until(crate::demo::IS_LOGGED_OUT).await;
    assert!(chromium.cookies().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn page_keeps_to_its_content_security_policy() {
    let demo = demo();
    let (chromium, tab) = alice(demo.url()).await;
    tab.click("[data-action=refresh]").await;
    tab.is_still_logged_in(demo.url()).await;
    tab.click("[data-action=logout]").await;
    tab.until(crate::demo::IS_LOGGED_OUT).await;
    let console = chromium.console().await;
    assert!(!console.iter().any(|line| line.contains(VIOLATION)), "{console:#?}");

    // The console would have shown it.
    tab.runs_no_injected_script(&chromium).await;
}
