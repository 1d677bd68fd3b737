//! A session that ends elsewhere: every tab hides what it shows within a second, also one that was frozen, or left and
//! entered again by the back button.

use serde_json::json;

use crate::{
    chromium::{Chromium, Tab},
    demo::{IS_LOGGED_IN, IS_LOGGED_OUT, alice, demo},
};

/// In milliseconds.
const WITHIN: f64 = 1_000.0;

/// Notes in the page when it stops to show the user, when it was frozen and went on, and when it was entered again.
async fn watch(tab: &Tab) {
    tab.until(IS_LOGGED_IN).await;
    tab.run(&format!(
        "window.seen = {{}}; const look = () => {{ if (!({IS_LOGGED_IN})) seen.hidden ??= Date.now(); }}; \
         new MutationObserver(look).observe(document, {{ attributes: true, childList: true, subtree: true }}); \
         addEventListener('pageshow', (event) => {{ seen.shown = Date.now(); seen.persisted = event.persisted; }}); \
         document.addEventListener('resume', () => {{ seen.resumed = Date.now(); }});"
    ))
    .await;
}

/// When `watch` noted this, in milliseconds since 1970.
async fn noted(tab: &Tab, what: &str) -> f64 {
    tab.run(&format!("return seen.{what};")).await.as_f64().unwrap_or_else(|| panic!("{what} was not noted"))
}

/// Logs out on the page and returns when the response had arrived, in milliseconds since 1970.
async fn log_out(tab: &Tab) -> f64 {
    tab.click("[data-action=logout]").await;
    tab.until(IS_LOGGED_OUT).await;
    let time = "const [entry] = performance.getEntriesByType('resource').filter((entry) => \
                entry.name.endsWith('/auth/logout')); return performance.timeOrigin + entry.responseEnd;";
    tab.run(time).await.as_f64().expect("a time")
}

fn is_at_once(what: &str, from: f64, to: f64) {
    assert!(to - from < WITHIN, "{what} after {} ms", to - from);
}

/// A second tab in a window beside the first one.
async fn second_tab(chromium: &Chromium, url: &str) -> Tab {
    let tab = chromium.new_window().await;
    tab.open(url).await;
    watch(&tab).await;
    tab
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hides_another_tab_and_closes_its_connections() {
    let demo = demo();
    let (chromium, first) = alice(demo.url()).await;
    let second = second_tab(&chromium, demo.url()).await;
    second
        .run(
            "window.socket = new WebSocket(location.origin.replace('http', 'ws') + '/ws'); \
             socket.onclose = (event) => { seen.code = event.code; seen.closed = Date.now(); }; \
             window.events = new EventSource('/live'); \
             events.addEventListener('ended', () => { seen.ended = Date.now(); events.close(); }); \
             await new Promise((open) => { socket.onopen = open; }); \
             await new Promise((open) => { events.addEventListener('tick', open); });",
        )
        .await;
    let ended = log_out(&first).await;
    second.until("seen.hidden && seen.closed && seen.ended").await;
    second.until(IS_LOGGED_OUT).await;
    assert_eq!(second.run("return seen.code;").await, 4401);
    for what in ["hidden", "closed", "ended"] {
        is_at_once(what, ended, noted(&second, what).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hides_the_tab_of_another_browser() {
    let demo = demo();
    let (_one, here) = alice(demo.url()).await;
    let (other, there) = alice(demo.url()).await;
    watch(&there).await;
    let ended = "const answer = await fetch('/auth/logout-all', { method: 'POST' }); return answer.ok && Date.now();";
    let ended = here.run(ended).await.as_f64().expect("a time");
    there.until("seen.hidden").await;
    is_at_once("hidden", ended, noted(&there, "hidden").await);
    there.until(IS_LOGGED_OUT).await;
    // Its cookies are useless, though only a response of the server can remove them.
    assert_eq!(there.status_of("GET", "/me").await, 401);
    drop(other);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hides_a_frozen_tab_when_it_goes_on() {
    let demo = demo();
    let (chromium, first) = alice(demo.url()).await;
    let second = second_tab(&chromium, demo.url()).await;
    second.command("Page.setWebLifecycleState", json!({ "state": "frozen" })).await;
    log_out(&first).await;
    second.command("Page.setWebLifecycleState", json!({ "state": "active" })).await;
    second.until("seen.resumed && seen.hidden").await;
    is_at_once("hidden", noted(&second, "resumed").await, noted(&second, "hidden").await);
    second.until(IS_LOGGED_OUT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hides_a_page_that_the_back_button_shows_again() {
    let demo = demo();
    let (chromium, first) = alice(demo.url()).await;
    let second = second_tab(&chromium, demo.url()).await;
    second.open("about:blank").await;
    log_out(&first).await;
    second.back().await;
    second.until(IS_LOGGED_OUT).await;
    // A page from the back/forward cache continues with what it showed; otherwise it was loaded again.
    if second.run("return window.seen?.persisted;").await == true {
        is_at_once("hidden", noted(&second, "shown").await, noted(&second, "hidden").await);
    }
}
