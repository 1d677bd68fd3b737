//! Many refreshes by several tabs of one browser, which share their cookies.

use std::env;

use serde_json::json;

use crate::{
    demo::{IS_LOGGED_IN, REFRESH, alice, demo},
    proxy::{Fault, Proxy},
};

/// Refreshes 20 times at once.
const TWENTY: &str = "window.answers = []; for (let n = 0; n < 20; n++) fetch('/auth/refresh', { method: 'POST' })\
                      .then((answer) => answers.push(answer.status));";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_tabs_at_once_with_reloads_are_all_answered() {
    let demo = demo();
    let proxy = Proxy::to(demo.url()).await;
    let (chromium, first) = alice(proxy.url()).await;
    // Those of the page before the login.
    let refused = proxy.paths_with(401);
    let second = chromium.new_window().await;
    second.open(proxy.url()).await;
    for round in 1..=3 {
        for tab in [&first, &second] {
            tab.until(IS_LOGGED_IN).await;
            tab.begin(TWENTY).await;
        }
        // Both are loaded again while the browser still waits for responses, which are lost then.
        for tab in [&first, &second] {
            tab.until("answers.length >= 3").await;
            tab.begin("location.reload();").await;
        }
        for tab in [&first, &second] {
            tab.until(&format!("!window.answers && {IS_LOGGED_IN}")).await;
        }
        assert!(proxy.answered("/auth/refresh").len() >= 6 * round);
    }
    for tab in [&first, &second] {
        tab.begin(TWENTY).await;
    }
    for tab in [&first, &second] {
        tab.until("answers.length == 20 && answers.every((status) => status == 200)").await;
        tab.is_still_logged_in(proxy.url()).await;
    }
    assert_eq!(proxy.paths_with(401), refused);
    let failed = proxy.answered("/auth/refresh").into_iter().filter(|status| *status != 200).count();
    // The page itself asks for one before the login, unless it knows better.
    assert!(failed <= refused.len(), "{failed} refreshes failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_tabs_in_turn_log_neither_out() {
    let refreshes: u32 = match env::var("BROWSER_REFRESHES") {
        Ok(number) => number.parse().expect("BROWSER_REFRESHES is a number"),
        Err(_) => 50,
    };
    let demo = demo();
    let (chromium, first) = alice(demo.url()).await;
    let before = chromium.cookie(REFRESH).await;
    let second = chromium.new_window().await;
    second.open(demo.url()).await;
    let script = format!(
        "window.refused = []; window.done = 0; for (; done < {refreshes}; done++) {{ const answer = await \
         fetch('/auth/refresh', {{ method: 'POST' }}); if (answer.status != 200) refused.push(answer.status); }}"
    );
    for tab in [&first, &second] {
        tab.until(IS_LOGGED_IN).await;
        tab.begin(&script).await;
    }
    for tab in [&first, &second] {
        tab.until(&format!("window.done == {refreshes}")).await;
        assert_eq!(tab.run("return refused;").await.as_array().map(Vec::len), Some(0));
        tab.is_still_logged_in(demo.url()).await;
    }
    assert_ne!(chromium.cookie(REFRESH).await, before, "the cookies are those of the login");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn survive_a_lost_response_and_a_503() {
    let demo = demo();
    let proxy = Proxy::to(demo.url()).await;
    let (chromium, tab) = alice(proxy.url()).await;
    for fault in [Fault::Lost, Fault::Unavailable] {
        let before = chromium.cookie(REFRESH).await;
        proxy.break_next("/auth/refresh", fault);
        let outcome =
            "return fetch('/auth/refresh', { method: 'POST' }).then((answer) => answer.status, () => 'failed');";
        let expected = if fault == Fault::Lost { json!("failed") } else { json!(503) };
        assert_eq!(tab.run(outcome).await, expected, "{fault:?}");
        assert_eq!(chromium.cookie(REFRESH).await, before, "{fault:?}");
        assert_eq!(tab.status_of("POST", "/auth/refresh").await, 200, "{fault:?}");
        tab.is_still_logged_in(proxy.url()).await;
    }
}
