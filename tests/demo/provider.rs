//! The login at an OpenID provider, with a small provider over a real socket.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{Form, State},
    http::StatusCode,
    routing::{get, post},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::examples::{Client, JWT, REFRESH, oauth_login, signed};

const SECRET: &str = "the secret of the client, known to the provider";

/// A provider with one user, and one login at a time.
#[derive(Clone, Default)]
struct Provider {
    address: String,
    /// What the browser brought with it.
    begun: Arc<Mutex<HashMap<String, String>>>,
}

impl Provider {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let provider = Self { address, ..Self::default() };
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(async || Json(json!({ "keys": [] }))))
            .route("/token", post(token))
            .with_state(provider.clone());
        tokio::spawn(axum::serve(listener, app).into_future());
        provider
    }

    /// The user logs in at the provider. Returns the path to which it sends the browser back.
    fn log_in(&self, location: &str) -> String {
        let url = Url::parse(location).expect("an address");
        assert!(location.starts_with(&format!("{}/authorize?", self.address)), "{location}");
        let begun: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!((&*begun["response_type"], &*begun["code_challenge_method"]), ("code", "S256"));
        assert!(begun["scope"].contains("openid"), "{location}");
        let callback = Url::parse(&begun["redirect_uri"]).expect("an address");
        let state = begun["state"].clone();
        *self.begun.lock().expect("no panic") = begun;
        format!("{}?code=the-code&state={state}", callback.path())
    }
}

async fn metadata(State(Provider { address, .. }): State<Provider>) -> Json<Value> {
    Json(json!({
        "issuer": address,
        "authorization_endpoint": format!("{address}/authorize"),
        "token_endpoint": format!("{address}/token"),
        "jwks_uri": format!("{address}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["HS256"],
    }))
}

async fn token(
    State(provider): State<Provider>,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Json<Value>, (StatusCode, Json<Value>)> {
    let begun = provider.begun.lock().expect("no panic").clone();
    let challenge = BASE64URL.encode(Sha256::digest(&form["code_verifier"]));
    if form["code"] != "the-code" || begun["code_challenge"] != challenge {
        return Err((StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" }))));
    }
    let claims = json!({
        "iss": provider.address, "aud": "app", "sub": "alice-7", "nonce": begun["nonce"],
        "iat": 1_700_000_000, "exp": 4_000_000_000_u64,
    });
    let id_token = signed(SECRET, r#"{"alg":"HS256"}"#, &claims.to_string());
    Ok(Json(json!({ "access_token": "x", "token_type": "Bearer", "expires_in": 60, "id_token": id_token })))
}

#[tokio::test]
async fn oauth_login_creates_session_in_callback() {
    let provider = Provider::start().await;
    let known = oauth_login::provider(provider.address.clone(), "app".to_owned(), SECRET.to_owned()).await;
    let sessions = oauth_login::sessions(JWT, REFRESH).expect("a manager");
    let mut client = Client::of(oauth_login::app(sessions, known.expect("its metadata")));
    assert_eq!(client.get("/").await.1, "Hello world\n");

    let begun = client.get_response("/login").await;
    assert_eq!(begun.status(), StatusCode::SEE_OTHER);
    let line = begun.headers()["set-cookie"].to_str().expect("text").to_owned();
    for attribute in ["SameSite=Lax", "HttpOnly", "Secure", "Max-Age=600"] {
        assert!(line.contains(attribute), "{line}");
    }
    let callback = provider.log_in(begun.headers()["location"].to_str().expect("text"));

    // In another browser, where an attacker sent the victim there, and with another state.
    let mut victim = Client::of(client.app.clone());
    assert_eq!(victim.get(&callback).await.0, StatusCode::BAD_REQUEST);
    let other_state = callback.replace("state=", "state=x");
    assert_eq!(client.get(&other_state).await.0, StatusCode::BAD_REQUEST);
    // With a code of another login, whose verifier this browser does not have.
    let verifier = client.cookies["__Host-oauth-login"].clone();
    let (rest, _) = verifier.rsplit_once('.').expect("three parts");
    client.cookies.insert("__Host-oauth-login".to_owned(), format!("{rest}.{}", "v".repeat(43)));
    assert_eq!(client.get(&callback).await.0, StatusCode::BAD_GATEWAY);
    // With the nonce of another login.
    let parts: Vec<&str> = verifier.split('.').collect();
    client.cookies.insert("__Host-oauth-login".to_owned(), format!("{}.x.{}", parts[0], parts[2]));
    assert_eq!(client.get(&callback).await.0, StatusCode::BAD_GATEWAY);
    assert_eq!(client.get("/").await.1, "Hello world\n", "none of them is logged in");

    client.cookies.insert("__Host-oauth-login".to_owned(), verifier);
    let response = client.get_response(&callback).await;
    assert_eq!(
        (response.status(), &response.headers()["location"]),
        (StatusCode::SEE_OTHER, &"/".parse().expect("text"))
    );
    let lines = response.headers().get_all("set-cookie");
    assert!(lines.iter().all(|line| line.to_str().is_ok_and(|line| line.contains("SameSite=Lax"))), "{lines:?}");
    assert_eq!(client.get("/").await.1, "Hello alice-7\n");
    assert!(!client.cookies.contains_key("__Host-oauth-login"), "used up");
    assert_eq!(client.get(&callback).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(client.post("/auth/logout").await.0, StatusCode::OK);
    assert_eq!(client.get("/").await.1, "Hello world\n");
}
