//! What pages look like, as far as a test can see.

use std::time::{Duration, SystemTime};

use crate::{
    devices::{date, describe},
    site::Site,
    support::Backend,
};

#[tokio::test]
async fn every_page_has_the_style_and_a_strict_policy() {
    let site = Site::new(Backend::Memory).await;
    let style = site.browser().navigate("/style.css").await;
    assert_eq!(style.is(200).header("content-type"), "text/css");
    let mut alice = site.logged_in("alice", true).await;
    for (path, status) in
        [("/dashboard", 200), ("/devices", 200), ("/password", 200), ("/admin", 200), ("/nothing", 404)]
    {
        let page = alice.navigate(path).await;
        page.is(status).is_page("<h1>");
        assert_eq!(page.header("cache-control"), "no-store");
        let policy = page.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(!page.body.contains("<style") && !page.body.contains("style="), "{}", page.body);
    }
}

#[tokio::test]
async fn text_of_users_is_escaped() {
    let site = Site::new(Backend::Memory).await;
    let mut alice = site.logged_in("alice", true).await;
    alice.submit("/notes", &[("text", "<b>1 & 2</b>")]).await.leads_to("/dashboard");
    alice.navigate("/dashboard").await.shows("&lt;b&gt;1 &amp; 2&lt;/b&gt;");
    let refused = site.browser().submit("/login", &[("username", "\"><b>"), ("password", "x")]).await;
    assert!(refused.is(401).body.contains("value=\"&quot;&gt;&lt;b&gt;\""), "{}", refused.body);
}

#[test]
fn browsers_are_named_in_words() {
    const GECKO: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    const WEBKIT: &str = "AppleWebKit/537.36 (KHTML, like Gecko)";
    for (user_agent, name) in [
        (GECKO.to_owned(), "Firefox on Linux"),
        (
            format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/140.0.0.0 Safari/537.36"),
            "Chrome on Windows",
        ),
        (
            format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0"),
            "Edge on Windows",
        ),
        (
            format!("Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/140.0.0.0 Mobile Safari/537.36"),
            "Chrome on Android",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1".to_owned(),
            "Safari on iPhone",
        ),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.0 Safari/605.1.15".to_owned(), "Safari on macOS"),
        ("curl/8.5.0".to_owned(), "curl"),
        ("something on Linux".to_owned(), "Unknown browser on Linux"),
        (String::new(), "Unknown browser"),
    ] {
        assert_eq!(describe(&user_agent), name, "{user_agent}");
    }
    assert_eq!(date(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_768_620)), "27 Nov 2026 08:37 UTC");
}
