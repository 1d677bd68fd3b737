//! How many signatures one request can have checked.

#![cfg(feature = "router")]

use axum::{Router, body::Body, extract::State, routing::post};
use http::{Request, header};
use tower::ServiceExt as _;

use crate::{
    Error, KeyRing, MemoryStore, PresentedTokens, Session, SessionCookies, SessionManager, jwt::SIGNATURES_CHECKED,
    manager::SessionTokens,
};

async fn login(State(sessions): State<SessionManager>, presented: PresentedTokens) -> Result<SessionCookies, Error> {
    sessions.login("alice").replacing(presented).await
}

async fn me(_: Session) {}

fn app(sessions: &SessionManager) -> Router {
    Router::new()
        .route("/login", post(login))
        .route("/me", post(me))
        .nest("/auth", sessions.router())
        .layer(sessions.layer())
        .with_state(sessions.clone())
}

fn manager() -> SessionManager {
    SessionManager::builder()
        .access_keys(KeyRing::hs256([1; 32]).unwrap())
        .refresh_keys(KeyRing::hs256([2; 32]).unwrap())
        .issuer("https://app.test")
        .store(MemoryStore::new())
        .accept_bearer_tokens()
        .build()
        .unwrap()
}

/// Sends a request with so many of these tokens, and says how many signatures were checked.
async fn checked(app: &Router, path: &str, tokens: &[SessionTokens], counts: [usize; 2], bearer: bool) -> usize {
    let access = tokens.iter().cycle().take(counts[0]).map(|tokens| format!("__Host-access={}", tokens.access_token()));
    let refresh = |tokens: &SessionTokens| format!("__Host-refresh={}", tokens.refresh_token().unwrap());
    let refresh = tokens.iter().rev().cycle().take(counts[1]).map(refresh);
    let cookies: Vec<String> = access.chain(refresh).collect();
    let mut request = Request::post(path).header(header::HOST, "app.test").header(header::COOKIE, cookies.join("; "));
    if bearer {
        let token = tokens[tokens.len() / 2].access_token();
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    SIGNATURES_CHECKED.set(0);
    let answer = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert!(answer.status().as_u16() < 500, "{path}: {}", answer.status());
    SIGNATURES_CHECKED.get()
}

/// The bounds that `docs/security.md` gives.
#[tokio::test]
async fn one_request_has_few_signatures_checked() {
    let mut worst = Vec::new();
    for path in ["/me", "/auth/refresh", "/auth/logout", "/auth/logout-all", "/login"] {
        let mut most = 0;
        for counts in [0, 1, 2, 4, 5, 900].into_iter().flat_map(|a| [0, 1, 2, 4, 5, 900].map(|b| [a, b])) {
            for (bearer, revoked) in [(false, false), (false, true), (true, false), (true, true)] {
                let sessions = manager();
                let mut tokens = Vec::new();
                for _ in 0..9 {
                    tokens.push(sessions.login("alice").tokens().await.unwrap());
                }
                if revoked {
                    sessions.expire_access("alice").await.unwrap();
                }
                let count = checked(&app(&sessions), path, &tokens, counts, bearer).await;
                if counts.iter().any(|count| *count > 4) {
                    // What the layer itself looks at, on any route: the one access token.
                    assert!(count <= 1, "{path}, {counts:?}: {count}");
                }
                most = most.max(count);
            }
        }
        worst.push((path, most));
    }
    assert_eq!(
        worst,
        [("/me", 1), ("/auth/refresh", 3), ("/auth/logout", 8), ("/auth/logout-all", 8), ("/login", 9)],
        "the documents name these numbers"
    );
}
