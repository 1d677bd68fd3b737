// What the programs of the guides share, and hide: a request, and the cookies of a response.

/// A manager with keys, issuer and a store in memory, as `guides::first_session` sets them.
#[allow(dead_code)]
fn builder<C: tower_jwt_sessions::Claims>() -> tower_jwt_sessions::manager::SessionManagerBuilder<C> {
    use tower_jwt_sessions::{KeyRing, MemoryStore, SessionManager};
    SessionManager::builder()
        .access_keys(KeyRing::hs256("a secret for access tokens, 32 bytes or more").unwrap())
        .refresh_keys(KeyRing::hs256("a secret for refresh tokens, another one").unwrap())
        .issuer("https://app.example")
        .store(MemoryStore::new())
}

/// Sends `GET /path` with these cookies, or a `POST` with a body: JSON if it begins with a brace, else a form.
#[allow(dead_code)]
async fn call(app: &axum::Router, what: &str, cookies: &str, body: &str) -> axum::response::Response {
    call_with(app, what, &[("cookie", cookies)], body).await
}

#[allow(dead_code)]
async fn call_with(
    app: &axum::Router,
    what: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> axum::response::Response {
    use tower::ServiceExt as _;
    let (method, path) = what.split_once(' ').unwrap();
    let media_type = if body.starts_with('{') { "application/json" } else { "application/x-www-form-urlencoded" };
    let mut request = axum::http::Request::builder().method(method).uri(path).header("host", "app.example");
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        request = request.header(*name, *value);
    }
    let request = request.header("content-type", media_type).body(axum::body::Body::from(body.to_owned())).unwrap();
    app.clone().oneshot(request).await.unwrap()
}

/// The cookies that a response sets, as a browser sends them back.
#[allow(dead_code)]
fn cookies(response: &axum::response::Response) -> String {
    let lines = response.headers().get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
    let kept = lines.filter(|line| !line.contains("Max-Age=0"));
    kept.map(|line| line.split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
}

/// The body of a response.
#[allow(dead_code)]
async fn text(response: axum::response::Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Where a response leads to.
#[allow(dead_code)]
fn location(response: &axum::response::Response) -> &str {
    response.headers()["location"].to_str().unwrap()
}
