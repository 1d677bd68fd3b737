//! Sessions that Chromium binds to its device, over https, with keys in software.
//!
//! Nothing waits for a lifetime: the clock is that of the node, and where a browser drops an access cookie at its end, a
//! command of the DevTools protocol removes it. Chromium signs six times for a site, a registration and five refreshes,
//! and then pauses for minutes: so there are several sites, and a session of one test has no more than five refreshes.

mod node;

use std::time::Duration;

use serde_json::{Value, json};

use self::node::{Node, Thief};
use crate::{
    chromium::{Chromium, Tab},
    demo::{ACCESS, REFRESH},
    program::Program,
    tls::Certificate,
};

/// Of access tokens of bound sessions.
const BOUND_LIFETIME: Duration = Duration::from_secs(600);
const REGISTER: &str = "/auth/dbsc/register";
const SIGNED: &str = "/auth/dbsc/refresh";
const PLAIN: &str = "/auth/refresh";

/// Starts a Chromium that binds sessions of sites with this certificate.
async fn chromium(spki: &str) -> Chromium {
    let trusted = format!("--ignore-certificate-errors-spki-list={spki}");
    let features = "--enable-features=DeviceBoundSessions,EnableBoundSessionCredentialsSoftwareKeysForManualTesting";
    Chromium::start_with(&[features, &trusted]).await
}

/// A node, and a browser with a bound session.
async fn bound(host: &str) -> (Node, Chromium, Tab) {
    let certificate = Certificate::generate(host).expect("a certificate");
    let node = Node::serve(host, &certificate).await;
    let chromium = chromium(certificate.spki()).await;
    let tab = chromium.first_tab().await;
    log_in_and_bind(&node, &tab).await;
    (node, chromium, tab)
}

/// Logs in, waits for the registration, and refreshes once.
async fn log_in_and_bind(node: &Node, tab: &Tab) {
    tab.open(&node.url).await;
    assert_eq!(tab.status_of("POST", "/login").await, 200);
    node.until(REGISTER, 200).await;
    node.let_access_expire(tab, Duration::ZERO).await;
    assert_eq!(me(tab).await, json!([200, true]));
    assert_eq!((node.count(REGISTER, 200), node.count(SIGNED, 200)), (1, 1));
}

/// The status of `GET /me`, and whether the session is bound.
async fn me(tab: &Tab) -> Value {
    tab.run("const answer = await fetch('/me'); return [answer.status, (await answer.json()).bound ?? null];").await
}

impl Node {
    /// Lets time pass, after which the browser drops the access cookie.
    async fn let_access_expire(&self, tab: &Tab, after: Duration) {
        self.clock.advance(after);
        tab.command("Network.deleteCookies", json!({ "name": ACCESS, "url": self.url })).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_binds_after_the_login_and_shows_that_a_copy_is_refused() {
    let demo = Program::start("demo", &[("DEMO_TLS", "1")]);
    let chromium = chromium(demo.spki()).await;
    let tab = chromium.first_tab().await;
    tab.log_in(demo.url()).await;
    tab.until("document.querySelector('#bound').checkVisibility()").await;
    assert_eq!(tab.run("return (await (await fetch('/me')).json()).bound;").await, true);
    tab.click("[data-action=elsewhere]").await;
    tab.until("document.querySelector('#message').textContent.includes('refused: 403 proof_required – The device')")
        .await;
    // The page knows that the browser refreshes.
    tab.click("[data-action=refresh]").await;
    tab.until("document.querySelector('#message').textContent.includes('with a signature')").await;

    let thief = Thief::with(demo.url(), &chromium.cookies().await);
    for _ in 0..100 {
        let (status, body) = thief.send("POST", PLAIN, &[]);
        assert!(status == 403 && body.contains("proof_required"), "{status} {body}");
    }
    tab.is_still_logged_in(demo.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_refreshes_take_one_signature_each() {
    const SITES: usize = 10;
    const REFRESHES: usize = 5;
    let certificate = Certificate::generate("localhost").expect("a certificate");
    let chromium = chromium(certificate.spki()).await;
    let tab = chromium.first_tab().await;
    for site in 0..SITES {
        let node = Node::serve(&format!("site{site}.test"), &certificate).await;
        log_in_and_bind(&node, &tab).await;
        let mut token = chromium.cookie(REFRESH).await;
        for _ in 1..REFRESHES {
            node.let_access_expire(&tab, BOUND_LIFETIME).await;
            assert_eq!(me(&tab).await, json!([200, true]));
            let next = chromium.cookie(REFRESH).await;
            assert_ne!(next, token, "rotated");
            token = next;
        }
        // Each answer brings the challenge for the next refresh.
        let refreshes = node.seen(SIGNED);
        assert!(refreshes.iter().all(|seen| seen.is_signed && seen.status == 200), "{refreshes:#?}");
        assert_eq!(refreshes.len(), REFRESHES);
        assert!(node.seen(PLAIN).is_empty());
        if site + 1 == SITES {
            // One more than the browser is willing to sign.
            node.let_access_expire(&tab, BOUND_LIFETIME).await;
            assert_eq!(me(&tab).await, json!([401, null]));
            assert_eq!(node.seen("/me").last().map(|seen| seen.skipped.starts_with("quota_exceeded")), Some(true));
        }
        chromium.forget_cookies().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copy_of_all_cookies_is_refused() {
    let (node, owner, tab) = bound("localhost").await;
    let jar = owner.cookies().await;
    assert!(jar.iter().any(|cookie| cookie["name"] == ACCESS) && jar.iter().any(|cookie| cookie["name"] == REFRESH));
    let program = Thief::with(&node.url, &jar);
    let other = chromium_of_a_thief(&node, &jar).await;
    let id = "sec-secure-session-id";

    // The access token in the copy is good for as long as it lives, but no refresh is, from the first one on.
    for attempts in [1, 100] {
        let is_expired = attempts > 1;
        if is_expired {
            node.clock.advance(BOUND_LIFETIME);
        }
        for _ in 0..attempts {
            let (status, body) = program.send("POST", PLAIN, &[]);
            assert!(status == 403 && body.contains("proof_required"), "{status} {body}");
            let (status, _) = program.send("POST", SIGNED, &[]);
            assert_eq!(status, 400, "no page can send the header that is missing");
            let (status, body) = program.send("POST", SIGNED, &[(id, "another")]);
            assert_eq!((status, body.as_str()), (200, r#"{"continue":false}"#));
            assert_eq!(program.send("GET", "/me", &[]).0, if is_expired { 401 } else { 200 });
        }
        let both = format!(
            "const all = new Set(); for (let n = 0; n < {attempts}; n++) {{ \
             const me = await fetch('/me'); const answer = await fetch('{PLAIN}', {{ method: 'POST' }}); \
             all.add([me.status, answer.status, (await answer.json()).code].join(' ')); }} return [...all];"
        );
        let expected = if is_expired { "401 403 proof_required" } else { "200 403 proof_required" };
        assert_eq!(other.tab.run(&both).await, json!([expected]));
    }
    // Neither was offered to bind the session to a key of its own.
    assert_eq!(node.seen(REGISTER).len(), 1);
    assert_eq!(node.seen(SIGNED).iter().filter(|seen| seen.is_signed).count(), 1);

    // The owner notices nothing.
    node.let_access_expire(&tab, Duration::ZERO).await;
    assert_eq!(me(&tab).await, json!([200, true]));
    assert_eq!(node.sessions.list("alice").await.expect("a list").len(), 1);
}

struct OtherBrowser {
    tab: Tab,
    _chromium: Chromium,
}

/// Another browser, which speaks the protocol as well, with a copy of the cookies.
async fn chromium_of_a_thief(node: &Node, jar: &[Value]) -> OtherBrowser {
    let chromium = chromium(&node.spki).await;
    let tab = chromium.first_tab().await;
    tab.open(&node.url).await;
    chromium.add_cookies(jar).await;
    OtherBrowser { tab, _chromium: chromium }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logout_elsewhere_ends_the_session_at_the_next_refresh() {
    let (node, _chromium, tab) = bound("localhost").await;
    assert_eq!(node.sessions.end_all("alice").await.expect("an end"), 1);
    assert_eq!(me(&tab).await, json!([401, null]), "also before the access token has expired");
    node.let_access_expire(&tab, BOUND_LIFETIME).await;
    assert_eq!(me(&tab).await, json!([401, null]));
    let refreshes = node.seen(SIGNED).len();
    assert_eq!(refreshes, 2, "one bound the session, and one was answered with its end");
    // The browser has forgotten its key.
    assert_eq!(me(&tab).await, json!([401, null]));
    assert_eq!(node.seen(SIGNED).len(), refreshes);
    assert_eq!(tab.status_of("POST", PLAIN).await, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_survives_an_outage_of_the_store() {
    let (node, _chromium, tab) = bound("localhost").await;
    // As a machine that hangs: its connections stay open.
    node.redis.freeze();
    node.let_access_expire(&tab, BOUND_LIFETIME).await;
    assert_eq!(me(&tab).await, json!([401, null]), "sent without waiting any longer");
    assert_eq!(node.count(SIGNED, 503), 1);
    node.redis.thaw();
    node.sessions.revocation_feed().caught_up().await;
    assert_eq!(me(&tab).await, json!([200, true]));
    assert_eq!(node.seen(SIGNED).last().map(|seen| (seen.is_signed, seen.status)), Some((true, 200)));
}

/// Starts the browser module in a page.
const MODULE: &str = "window.states = []; const { createSession } = await import('/auth/client.js'); \
                      window.session = createSession({ onState: (state) => states.push(state) }); await session.ready;";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn module_leaves_refreshes_to_the_browser() {
    let (node, owner, tab) = bound("localhost").await;
    tab.run(MODULE).await;
    node.let_access_expire(&tab, BOUND_LIFETIME).await;
    let renewed =
        tab.run("await session.refresh(); return [states, session.info.bound, Math.round(session.expiresIn)];");
    assert_eq!(renewed.await, json!([["signedIn"], true, 600]));
    // The module leaves it to the browser, so that no refresh without proof is reported.
    assert_eq!((node.count(PLAIN, 403), node.count(SIGNED, 200)), (0, 2));
    node.let_access_expire(&tab, BOUND_LIFETIME).await;
    assert_eq!(tab.run("return (await session.fetch('/me')).status;").await, 200);
    assert_eq!((node.count(PLAIN, 403), node.count(SIGNED, 200)), (0, 3));

    // The browser would keep the cookie of a token that is refused, and would not refresh for as long as it is there.
    assert_eq!(node.sessions.expire_access("alice").await.expect("the store works"), 1);
    assert_eq!(tab.run("return (await session.fetch('/me')).status;").await, 200);
    assert_eq!((node.count(PLAIN, 403), node.count(SIGNED, 200)), (1, 4));

    tab.run("session.close();").await;

    // A browser that has lost its key asks a few times, since it could have put the refresh off, and then for a login.
    let other = chromium_of_a_thief(&node, &owner.cookies().await).await;
    node.clock.advance(BOUND_LIFETIME);
    // Its pauses take a fiftieth of the time.
    other.tab.run("const wait = setTimeout; window.setTimeout = (run, ms) => wait(run, ms / 50);").await;
    let before = node.count(PLAIN, 403);
    other.tab.run(MODULE).await;
    other.tab.until("session.state == 'signedOut'").await;
    assert_eq!(other.tab.run("return states;").await, json!(["unavailable", "signedOut"]));
    assert_eq!(node.count(PLAIN, 403), before + 4);
    assert_eq!(other.tab.status_of("POST", "/login").await, 200);
}

/// As the demo is configured, and in real time: browsers drop the cookie two seconds before its token expires.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_takes_the_lifetime_from_its_settings() {
    let demo = Program::start("demo", &[("DEMO_TLS", "1"), ("BOUND_TTL", "300")]);
    let chromium = chromium(demo.spki()).await;
    let tab = chromium.first_tab().await;
    tab.log_in(demo.url()).await;
    tab.until("document.querySelector('#bound').checkVisibility()").await;
    let left = tab.run("return (await (await fetch('/me')).json()).expires_in;").await.as_u64().expect("seconds");
    assert!((240..=300).contains(&left), "{left}");
    tab.click("[data-action=logout]").await;
    tab.until(crate::demo::IS_LOGGED_OUT).await;
    assert!(chromium.cookies().await.is_empty());
}
