//! The browser module by itself, in pages that use nothing else.

use serde_json::{Value, json};

use crate::{
    chromium::{Chromium, Tab},
    demo::{ACCESS, IS_LOGGED_IN, IS_LOGGED_OUT, REFRESH, alice, demo},
    proxy::{Fault, Proxy},
};

/// A page without scripts, in which the module is started.
async fn start(tab: &Tab, url: &str) {
    tab.open(&format!("{url}/hello")).await;
    tab.run(
        "const { createSession } = await import('/auth/client.js'); \
         window.session = createSession({ onChanged: () => { window.changes = (window.changes ?? 0) + 1; } }); \
         await session.ready;",
    )
    .await;
    assert_eq!(tab.run("return session.state;").await, "signedIn");
}

/// A browser that has logged in, behind a proxy, and its tab, in which the module runs.
async fn module(proxy: &Proxy) -> (Chromium, Tab) {
    let (chromium, tab) = alice(proxy.url()).await;
    start(&tab, proxy.url()).await;
    (chromium, tab)
}

/// Ten calls at once, of which two change something.
const TEN: &str = "window.answers = null; Promise.all([...Array(10).keys()].map(async (n) => { \
                   const note = { method: 'PUT', headers: { 'content-type': 'application/json' }, body: '{\"text\":\"a note\"}' }; \
                   return (await (n % 5 ? session.fetch('/me') : session.fetch('/notes', note))).status; \
                   })).then((all) => { answers = all; }, (error) => { answers = String(error); });";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_calls_in_each_of_two_tabs_share_their_refreshes() {
    let demo = demo();
    let proxy = Proxy::to(demo.url()).await;
    let (chromium, first) = module(&proxy).await;
    let second = chromium.new_window().await;
    start(&second, proxy.url()).await;
    let cookie = json!({ "name": ACCESS, "url": proxy.url(), "secure": true, "path": "/", "httpOnly": true });
    // A browser removes the cookie of an expired token; if its clock is slow, the server refuses the token.
    for is_removed in [true, false] {
        let before = proxy.answered("/auth/refresh").len();
        if is_removed {
            first.command("Network.deleteCookies", json!({ "name": ACCESS, "url": proxy.url() })).await;
        } else {
            let mut outdated = cookie.clone();
            outdated["value"] = "outdated".into();
            first.command("Network.setCookie", outdated).await;
        }
        for tab in [&first, &second] {
            tab.begin(TEN).await;
        }
        for tab in [&first, &second] {
            tab.until("answers").await;
            assert_eq!(tab.run("return answers;").await, json!(vec![200; 10]), "removed: {is_removed}");
        }
        let refreshes = proxy.answered("/auth/refresh").len() - before;
        assert!((1..=2).contains(&refreshes), "{refreshes} refreshes, removed: {is_removed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeats_what_may_be_repeated_and_waits_no_longer_than_it_says() {
    const NOTE: &str = "{ method: 'PUT', headers: { 'content-type': 'application/json' }, body: '{\"text\":\"1\"}' }";
    let demo = demo();
    let proxy = Proxy::to(demo.url()).await;
    let (chromium, tab) = module(&proxy).await;
    let outcome = async |call: String| -> Value {
        tab.run(&format!(
            "return {call}.then((answer) => answer?.status ?? 'done', (error) => \
             error.name == 'SessionError' ? error.code : error.name);"
        ))
        .await
    };
    proxy.break_next("/me", Fault::Unavailable);
    assert_eq!(outcome("session.fetch('/me')".into()).await, 200);
    assert_eq!(proxy.answered("/me").iter().filter(|status| **status == 503).count(), 1);
    // It may have been carried out.
    proxy.break_next("/notes", Fault::Unavailable);
    assert_eq!(outcome(format!("session.fetch('/notes', {NOTE})")).await, 503);
    proxy.break_next("/auth/refresh", Fault::Unavailable);
    assert_eq!(outcome("session.refresh()".into()).await, "done");

    proxy.break_next("/me", Fault::Swallowed);
    assert_eq!(outcome("session.fetch('/me', { timeout: 200 })".into()).await, "TimeoutError");
    for call in ["fetch('/me', CANCELLED)", "refresh(CANCELLED)", "logout(CANCELLED)", "list(CANCELLED)"] {
        let call = call.replace("CANCELLED", "{ signal: AbortSignal.abort() }");
        assert_eq!(outcome(format!("session.{call}")).await, "AbortError", "{call}");
    }
    let stream = "{ method: 'PUT', body: new Blob(['{}']).stream(), duplex: 'half' }";
    assert_eq!(outcome(format!("session.fetch('/notes', {stream})")).await, "stream_body");
    assert_eq!(tab.run("return session.state;").await, "signedIn");

    // Without a session the response is that of the server, and no refresh is asked for.
    chromium.forget_cookies().await;
    assert_eq!(outcome("session.refresh()".into()).await, "missing_credentials");
    let before = proxy.answered("/auth/refresh").len();
    assert_eq!(outcome("session.fetch('/me')".into()).await, 401);
    assert_eq!(proxy.answered("/auth/refresh").len(), before);
    assert_eq!(tab.run("return session.state;").await, "signedOut");
}

/// Holds back the timer for the end of the access token, so that a test can run it.
const HOLD_TIMER: &str = "const wait = setTimeout; window.setTimeout = (run, ms) => { if (ms < 1_000_000) return wait(run, ms); \
                          window.ahead = { run, ms }; return 0; };";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refreshes_before_the_token_expires_but_only_if_it_is_used() {
    let demo = demo();
    let proxy = Proxy::to(demo.url()).await;
    let (_chromium, tab) = alice(proxy.url()).await;
    tab.run_in_each_page(HOLD_TIMER).await;
    start(&tab, proxy.url()).await;
    // One to two minutes earlier.
    let early = tab.run("return session.expiresIn - ahead.ms / 1000;").await.as_f64().expect("a number");
    assert!((50.0..121.0).contains(&early), "{early} seconds");

    let refreshes = || proxy.answered("/auth/refresh").len();
    let before = refreshes();
    tab.run("await ahead.run();").await;
    assert_eq!(refreshes(), before, "the page was not used");
    tab.run("await session.fetch('/me'); await ahead.run();").await;
    assert_eq!(refreshes(), before + 1);
    tab.run("await ahead.run();").await;
    assert_eq!(refreshes(), before + 1, "the page was not used since then");

    // After a pause of the computer, before the first request. The clock on the wall does not matter.
    tab.run("Date.now = () => 0; const hour = performance.now() + 3_600_000; performance.now = () => hour;").await;
    assert_eq!(tab.run("return [session.expiresIn, (await session.fetch('/me')).status];").await, json!([0, 200]));
    assert_eq!(refreshes(), before + 2);
    // That request was use.
    tab.run("await ahead.run();").await;
    assert_eq!(refreshes(), before + 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hidden_tab_closes_its_stream_and_asks_when_it_is_shown() {
    let demo = demo();
    let proxy = Proxy::to(demo.url()).await;
    let (_chromium, tab) = module(&proxy).await;
    proxy.until_open("/auth/events", 1).await;
    tab.hide().await;
    proxy.until_open("/auth/events", 0).await;
    let before = proxy.answered("/auth/session").len();
    tab.show().await;
    proxy.until_open("/auth/events", 1).await;
    assert!(proxy.answered("/auth/session").len() > before, "it did not ask");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn does_without_web_locks() {
    let demo = demo();
    let proxy = Proxy::to(demo.url()).await;
    let chromium = Chromium::start().await;
    let (first, second) = (chromium.first_tab().await, chromium.new_window().await);
    for tab in [&first, &second] {
        tab.run_in_each_page("delete Navigator.prototype.locks;").await;
    }
    first.log_in(proxy.url()).await;
    assert_eq!(first.run("return typeof navigator.locks;").await, "undefined");
    second.open(proxy.url()).await;
    second.until(IS_LOGGED_IN).await;
    // One for each tab.
    proxy.until_open("/auth/events", 2).await;
    let before = chromium.cookie(REFRESH).await;
    for tab in [&first, &second] {
        tab.click("[data-action=refresh]").await;
        tab.until("document.querySelector('#message').textContent == 'The session was renewed.'").await;
    }
    assert_ne!(chromium.cookie(REFRESH).await, before);
    first.click("[data-action=logout]").await;
    for tab in [&first, &second] {
        tab.until(IS_LOGGED_OUT).await;
    }
    assert!(chromium.cookies().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asks_now_and_then_where_there_is_no_stream() {
    let demo = demo();
    let (chromium, tab) = alice(demo.url()).await;
    tab.open(&format!("{}/hello", demo.url())).await;
    tab.run(
        "const { createSession } = await import('/auth/client.js'); window.session = createSession({ events: false, \
         pollInterval: 100, onSignedOut: (reason) => { window.reason = reason; } }); await session.ready;",
    )
    .await;
    // Elsewhere: no tab of this browser tells of it.
    let (other, elsewhere) = alice(demo.url()).await;
    elsewhere.run("await fetch('/auth/logout-all', { method: 'POST' });").await;
    tab.until("window.reason == 'ended' && session.state == 'signedOut'").await;
    drop((chromium, other));
}
