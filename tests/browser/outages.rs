//! Requests that fail, and those that are never answered: no tab freezes, and no user is taken for logged out.

use std::time::{Duration, Instant};

use crate::{
    demo::{IS_LOGGED_IN, IS_LOGGED_OUT, alice, demo},
    proxy::{Fault, Proxy},
};

/// Notes whether a page ever showed the login form.
const WATCH_FOR_LOGIN: &str = "const look = () => { if (document.querySelector('input[name=username]')?.checkVisibility()) \
                               window.hasShownLogin = true; }; \
                               new MutationObserver(look).observe(document, { attributes: true, childList: true, subtree: true });";

const IS_OUTAGE: &str = "document.querySelector('#outage')?.checkVisibility()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swallowed_response_delays_the_logout_of_another_tab_by_less_than_15_seconds() {
    let demo = demo();
    let proxy = Proxy::to(demo.url()).await;
    let (chromium, first) = alice(proxy.url()).await;
    let second = chromium.new_window().await;
    second.open(proxy.url()).await;
    second.until(IS_LOGGED_IN).await;

    proxy.break_next("/auth/refresh", Fault::Swallowed);
    first.click("[data-action=refresh]").await;
    proxy.until_open("/auth/refresh", 1).await;
    let begun = Instant::now();
    second.click("[data-action=logout]").await;
    second.until(IS_LOGGED_OUT).await;
    first.until(IS_LOGGED_OUT).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(proxy.answered("/auth/logout"), [200]);
    // The refresh arrived at the server, but its cookies never did: the browser has none.
    assert!(chromium.cookies().await.is_empty());
    // Both tabs can be used again.
    first.log_in(proxy.url()).await;
    second.until(IS_LOGGED_IN).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reload_shows_no_login_form_and_recovers_by_itself() {
    let demo = demo();
    let proxy = Proxy::to(demo.url()).await;
    let (_chromium, tab) = alice(proxy.url()).await;
    tab.run_in_each_page(WATCH_FOR_LOGIN).await;
    // Without an answer, this takes as long as the module waits for one.
    for fault in [Fault::Unavailable, Fault::Swallowed] {
        proxy.break_all(Some(fault));
        tab.open(proxy.url()).await;
        tab.until(IS_OUTAGE).await;
        proxy.break_all(None);
        tab.until(&format!("{IS_LOGGED_IN} && !{IS_OUTAGE}")).await;
        assert_eq!(tab.run("return Boolean(window.hasShownLogin);").await, false, "{fault:?}");
        tab.until("document.querySelector('#name').textContent == 'alice'").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn page_that_is_open_says_so_and_recovers() {
    let demo = demo();
    let proxy = Proxy::to(demo.url()).await;
    let (_chromium, tab) = alice(proxy.url()).await;
    tab.until("document.querySelector('#name').textContent == 'alice'").await;
    proxy.break_all(Some(Fault::Unavailable));
    tab.click("[data-action=refresh]").await;
    tab.until(IS_OUTAGE).await;
    // What was shown stays.
    tab.until(&format!("{IS_LOGGED_IN} && document.querySelector('#name').textContent == 'alice'")).await;
    proxy.break_all(None);
    tab.until(&format!("!{IS_OUTAGE} && document.querySelector('#message').textContent.includes('still logged in')"))
        .await;
    tab.is_still_logged_in(proxy.url()).await;
}
