//! The page of the demo: what it shows of events elsewhere.

use crate::{
    chromium::{Chromium, Tab},
    demo::{IS_LOGGED_IN, IS_LOGGED_OUT, alice, demo},
    program::Program,
    proxy::Proxy,
};

/// An expression: whether the page says this.
fn says(text: &str) -> String {
    format!("document.querySelector('#message').textContent.includes(`{text}`)")
}

async fn save_note(tab: &Tab) {
    tab.click("#note-form button").await;
    tab.until(&says("The note was saved.")).await;
}

/// Browsers open six connections to a server of HTTP/1.1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seven_tabs_load_and_act_and_share_one_stream() {
    let demo = demo();
    let proxy = Proxy::to(demo.url()).await;
    let (chromium, first) = alice(proxy.url()).await;
    let mut tabs = vec![first];
    while tabs.len() < 7 {
        let tab = chromium.new_window().await;
        tab.open(proxy.url()).await;
        tab.until(IS_LOGGED_IN).await;
        tabs.push(tab);
    }
    for tab in &tabs {
        save_note(tab).await;
    }
    proxy.until_open("/auth/events", 1).await;
    tabs[0].click("[data-action=refresh]").await;
    tabs[0].until(&says("The session was renewed.")).await;
    tabs[6].click("[data-action=logout]").await;
    for tab in &tabs {
        tab.until(IS_LOGGED_OUT).await;
    }
    proxy.until_open("/auth/events", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shows_a_new_role_at_once() {
    let demo = demo();
    let (_one, administrator) = alice(demo.url()).await;
    let other = Chromium::start().await;
    let bob = other.first_tab().await;
    bob.log_in_as(demo.url(), "bob", "builder").await;
    bob.until("document.querySelector('#role').textContent == 'user' && document.querySelector('#admin').hidden").await;
    administrator.until("document.querySelector('#admin').checkVisibility()").await;
    administrator.type_into("role-user", "bob").await;
    administrator.run("document.querySelector('#new-role').value = 'admin';").await;
    administrator.click("#role-form button").await;
    bob.until(&format!("{} && document.querySelector('#admin').checkVisibility()", says("Your role is now: admin.")))
        .await;
    bob.is_still_logged_in(demo.url()).await;

    // Deleting asks first, and "Cancel" has the focus.
    administrator.type_into("delete-user", "bob").await;
    administrator.click("#delete-form button").await;
    administrator.until("document.activeElement.id == 'confirm-no'").await;
    administrator.click("#confirm-no").await;
    administrator.until(&says("Nothing was deleted.")).await;
    administrator.click("#delete-form button").await;
    administrator.click("#confirm-yes").await;
    administrator.until(&says("bob was deleted; 1 session ended.")).await;
    bob.until(IS_LOGGED_OUT).await;
    bob.until("document.querySelector('#alert').textContent.includes('was ended')").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shows_an_alarm_when_an_old_refresh_token_is_replayed() {
    let demo = Program::start("demo", &[("REPLAY_WINDOW", "0")]);
    let (chromium, tab) = alice(demo.url()).await;
    let second = chromium.new_window().await;
    second.open(demo.url()).await;
    second.until(IS_LOGGED_IN).await;
    tab.click("[data-action=replay]").await;
    tab.until("document.querySelector('#alarm').checkVisibility()").await;
    for tab in [&tab, &second] {
        tab.until(IS_LOGGED_OUT).await;
    }
    tab.type_into("username", "alice").await;
    tab.type_into("password", "wonderland").await;
    tab.click("[data-action=login]").await;
    tab.until(&format!("{IS_LOGGED_IN} && !document.querySelector('#alarm').checkVisibility()")).await;
    tab.is_still_logged_in(demo.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_in_once_at_a_double_click() {
    let demo = demo();
    let proxy = Proxy::to(demo.url()).await;
    let chromium = Chromium::start().await;
    let tab = chromium.first_tab().await;
    tab.open(proxy.url()).await;
    tab.until(IS_LOGGED_OUT).await;
    tab.type_into("username", "alice").await;
    tab.type_into("password", "wonderland").await;
    tab.run("const button = document.querySelector('[data-action=login]'); button.click(); button.click();").await;
    tab.until(IS_LOGGED_IN).await;
    // It waits for a second login, if there is one.
    tab.click("[data-action=refresh]").await;
    tab.until(&says("The session was renewed.")).await;
    assert_eq!(proxy.answered("/login"), [200]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn says_why_there_is_no_session_after_a_login_over_plain_http() {
    let demo = demo();
    let chromium = Chromium::start().await;
    let tab = chromium.first_tab().await;
    let url = demo.url().replace("localhost", "intranet.test");
    tab.open(&url).await;
    tab.until(IS_LOGGED_OUT).await;
    tab.type_into("username", "alice").await;
    tab.type_into("password", "wonderland").await;
    tab.click("[data-action=login]").await;
    tab.until("document.querySelector('#alert').textContent.includes('plain http: use https')").await;
    tab.until(IS_LOGGED_OUT).await;
    assert!(chromium.cookies().await.is_empty());
}
