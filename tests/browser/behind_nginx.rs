//! Two nodes of the demo behind nginx, which ends TLS and speaks HTTP/2.

use axum::{
    Router,
    http::header,
    response::{AppendHeaders, Html},
    routing::get,
};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    chromium::{Chromium, Tab},
    demo::{IS_LOGGED_IN, IS_LOGGED_OUT, alice},
    nginx::Nginx,
    program::Program,
    redis_server::RedisServer,
};

/// Opens a stream and a WebSocket and waits until both have delivered something.
const CONNECT: &str = "window.socket = new WebSocket(location.origin.replace('http', 'ws') + '/ws'); \
                       await new Promise((open, failed) => { socket.onopen = open; socket.onclose = failed; }); \
                       socket.onclose = (event) => { window.code = event.code; }; socket.send('hello'); \
                       const echo = await new Promise((said) => { socket.onmessage = (event) => said(event.data); }); \
                       window.stream?.close(); window.stream = new EventSource('/live'); \
                       stream.addEventListener('ended', () => { window.hasEnded = true; stream.close(); }); \
                       await new Promise((open) => { stream.addEventListener('tick', open); }); return echo;";

/// Sends ten times three requests in turn, an odd number so that each reaches both nodes, and returns how many were not answered with 200.
async fn failures(tab: &Tab) -> u64 {
    let script = "let failed = 0; for (let n = 0; n < 10; n++) for (const [path, method] of \
                  [['/auth/refresh', 'POST'], ['/me', 'GET'], ['/auth/sessions', 'GET']]) failed += !(await fetch(path, { method })).ok; \
                  return failed;";
    tab.run(script).await.as_u64().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_logs_no_user_out() {
    let redis = RedisServer::start();
    let url = redis.url();
    let node = || Program::start("demo", &[("REDIS_URL", &url)]);
    let (one, two) = (node(), node());
    let nginx = Nginx::before(one.url(), two.url());
    let (chromium, tab) = alice(&nginx.url()).await;
    let other = chromium.new_window().await;
    other.open(&nginx.url()).await;
    other.until(IS_LOGGED_IN).await;
    let protocol = "const [page] = performance.getEntriesByType('navigation'); return page.nextHopProtocol;";
    assert_eq!(tab.run(protocol).await, "h2");
    assert_eq!(tab.run(CONNECT).await, "hello");
    assert_eq!(failures(&tab).await, 0);
    let before = nginx.answers();
    let refused = before.iter().filter(|[_, status, _]| status == "401").count();
    for node in [&one, &two] {
        let address = node.url().trim_start_matches("http://localhost");
        let asked = |path: &str| before.iter().any(|[node, _, asked]| node.ends_with(address) && asked == path);
        assert!(asked("/auth/refresh") && asked("/me"), "{address} was not asked: {before:?}");
    }

    one.stop("-KILL");
    assert_eq!(failures(&tab).await, 0);
    assert_eq!(tab.run(CONNECT).await, "hello");
    for tab in [&tab, &other] {
        tab.is_still_logged_in(&nginx.url()).await;
    }
    let after = nginx.answers();
    assert_eq!(after.iter().filter(|[_, status, _]| status == "401").count(), refused, "{after:?}");

    assert_eq!(other.run(CONNECT).await, "hello");
    tab.click("[data-action=logout]").await;
    tab.until(IS_LOGGED_OUT).await;
    other.until(IS_LOGGED_OUT).await;
    other.until("window.hasEnded && window.code == 4401").await;
}

/// With the default of nginx this is a 502.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cookies_with_many_claims_pass() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://localhost:{}", listener.local_addr().expect("an address").port());
    let cookies =
        ["one", "two"].map(|name| (header::SET_COOKIE, format!("__Host-{name}={}; Secure; Path=/", "x".repeat(3_800))));
    let answer = get(async || (AppendHeaders(cookies), Html("<p>Hello</p>")));
    let serving = tokio::spawn(async { axum::serve(listener, Router::new().route("/", answer)).await });
    let nginx = Nginx::before(&url, &url);
    let chromium = Chromium::start().await;
    let tab = chromium.first_tab().await;
    for _ in 0..2 {
        // The second request carries them.
        tab.open(&nginx.url()).await;
        let status = "const [page] = performance.getEntriesByType('navigation'); return [page.responseStatus];";
        assert_eq!(tab.run(status).await, json!([200]));
        assert_eq!(chromium.cookies().await.len(), 2);
    }
    serving.abort();
}
