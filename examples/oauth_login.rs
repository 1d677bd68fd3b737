//! Login at an OpenID provider, such as Google, Entra or Keycloak: its callback creates the session.
//!
//! ```sh
//! ISSUER=http://localhost:8080/realms/dev CLIENT_ID=app CLIENT_SECRET=… \
//!     JWT_SECRET=$(openssl rand -base64 32) REFRESH_SECRET=$(openssl rand -base64 32) cargo run --example oauth_login
//! ```
//!
//! Register `http://localhost:3000/login/callback` as redirect URI with the provider, and open `localhost:3000/login`.
//!
//! # Why `SameSite=Lax`
//!
//! The browser comes back from the site of the provider, so the request to `/login/callback` is a navigation from another
//! site. With it browsers send `Lax` cookies, and no `Strict` ones:
//!
//! - the cookie that remembers this login would be missing in the callback, and every login would fail;
//! - the session cookies are set there, but the redirect that follows still counts as coming from the provider. As
//!   `Strict` cookies, the default of this crate, they would be missing there: a page that says "not logged in", until
//!   the user reloads it.

use std::{env, error::Error, io, time::Duration};

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Redirect, Result},
    routing::get,
};
use openidconnect::{
    AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, TokenResponse as _,
    core::{CoreAuthenticationFlow, CoreClient, CoreProviderMetadata},
};
use serde::Deserialize;
use tower_jwt_sessions::{
    ConfigError, KeyRing, MemoryStore, PresentedTokens, Session, SessionManager, cookie::CookieConfig,
};

/// The provider, with the endpoints that it has announced.
type Provider =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

#[derive(Clone)]
pub(crate) struct App {
    sessions: SessionManager,
    provider: Provider,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let set = |name| env::var(name).map_err(|_| format!("set {name}"));
    let sessions = sessions(&set("JWT_SECRET")?, &set("REFRESH_SECRET")?)?;
    let provider = provider(set("ISSUER")?, set("CLIENT_ID")?, set("CLIENT_SECRET")?).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app(sessions, provider)).await?)
}

pub(crate) fn sessions(jwt_secret: &str, refresh_secret: &str) -> Result<SessionManager, ConfigError> {
    SessionManager::builder()
        .access_keys(KeyRing::hs256(jwt_secret)?)
        .refresh_keys(KeyRing::hs256(refresh_secret)?)
        .issuer("http://localhost:3000")
        .store(MemoryStore::new())
        .cookies(CookieConfig::for_pages()) // SameSite=Lax: see above
        .build()
}

/// Asks the provider for its endpoints and keys. Google and others replace their keys: an application asks again when an
/// unknown one signs.
pub(crate) async fn provider(issuer: String, id: String, secret: String) -> Result<Provider, Box<dyn Error>> {
    let metadata = CoreProviderMetadata::discover_async(IssuerUrl::new(issuer)?, &http).await?;
    let client = CoreClient::from_provider_metadata(metadata, ClientId::new(id), Some(ClientSecret::new(secret)));
    Ok(client.set_redirect_uri(RedirectUrl::new("http://localhost:3000/login/callback".to_owned())?))
}

pub(crate) fn app(sessions: SessionManager, provider: Provider) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/login", get(login))
        .route("/login/callback", get(callback)) // needs no cross-site guard: `state` is for that
        .nest("/auth", sessions.router())
        .layer(sessions.layer())
        .with_state(App { sessions, provider })
}

async fn home(session: Option<Session>) -> String {
    format!("Hello {}\n", session.as_ref().map_or("world", |session| session.user_id().as_str()))
}

/// Remembers the login that this browser has begun, for ten minutes. `Lax`: see above.
const LOGIN_COOKIE: &str = "__Host-oauth-login";
const ATTRIBUTES: &str = "Secure; HttpOnly; SameSite=Lax; Path=/";

/// Sends the browser to the provider. Three secrets go into a cookie:
///
/// - `state` comes back in the callback: otherwise an attacker could log a victim in to the attacker's account;
/// - `nonce` comes back in the ID token: a stolen one is of no use in another login;
/// - the verifier of PKCE goes to the provider with the code: a stolen code is of no use to another client.
async fn login(State(app): State<App>) -> impl IntoResponse {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let flow = CoreAuthenticationFlow::AuthorizationCode;
    let request = app.provider.authorize_url(flow, CsrfToken::new_random, Nonce::new_random);
    let (url, state, nonce) = request.set_pkce_challenge(challenge).url();
    // All three are base64url, which has no full stop.
    let value = format!("{}.{}.{}", state.secret(), nonce.secret(), verifier.secret());
    let cookie = format!("{LOGIN_COOKIE}={value}; Max-Age=600; {ATTRIBUTES}");
    (AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to(url.as_str()))
}

#[derive(Deserialize)]
struct Callback {
    code: String,
    state: String,
}

async fn callback(
    State(app): State<App>,
    presented: PresentedTokens,
    headers: HeaderMap,
    // Without a code the user has declined, or the provider has failed: a 400.
    Query(callback): Query<Callback>,
) -> Result<impl IntoResponse> {
    let proof = app.sessions.start_proof();
    let begun = begun_login(&headers).filter(|(state, ..)| *state == callback.state);
    let (_, nonce, verifier) = begun.ok_or((StatusCode::BAD_REQUEST, "This login was not begun here.\n"))?;
    let request = app.provider.exchange_code(AuthorizationCode::new(callback.code)).map_err(failed)?;
    let tokens =
        request.set_pkce_verifier(PkceCodeVerifier::new(verifier)).request_async(&http).await.map_err(failed)?;
    let id_token = tokens.id_token().ok_or_else(|| failed(io::Error::other("no ID token")))?;
    // Checks signature, issuer, audience, expiry and nonce.
    let claims = id_token.claims(&app.provider.id_token_verifier(), &Nonce::new(nonce)).map_err(failed)?;
    // The subject never changes and is never given to another user, unlike the address of an e-mail.
    let cookies = app.sessions.login(claims.subject().as_str()).proven_since(proof).replacing(presented).await?;
    let used_up = format!("{LOGIN_COOKIE}=; Max-Age=0; {ATTRIBUTES}");
    Ok((AppendHeaders([(header::SET_COOKIE, used_up)]), cookies, Redirect::to("/")))
}

fn begun_login(headers: &HeaderMap) -> Option<(String, String, String)> {
    let pairs =
        headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok()).flat_map(|l| l.split("; "));
    let value = pairs.filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == LOGIN_COOKIE)?.1;
    let mut parts = value.split('.').map(str::to_owned);
    Some((parts.next()?, parts.next()?, parts.next()?))
}

/// The provider has failed, or sent what is invalid. The details are for the log.
fn failed(error: impl Error + 'static) -> (StatusCode, &'static str) {
    tracing::warn!(error = &error as &dyn Error, "login at the provider failed");
    (StatusCode::BAD_GATEWAY, "The login failed. Please try again.\n")
}

/// An HTTP client without TLS, for a provider on this machine. An application takes `openidconnect::reqwest::Client`.
async fn http(request: HttpRequest) -> Result<HttpResponse, ureq::Error> {
    let send = move || {
        // No redirects: the provider could send the request to a server of this network.
        let config = ureq::Agent::config_builder().max_redirects(0).http_status_as_error(false);
        let agent = config.timeout_global(Some(Duration::from_secs(10))).build().new_agent();
        let response = match request.body().is_empty() {
            true => agent.run(request.map(|_| ()))?,
            false => agent.run(request)?,
        };
        let (parts, mut body) = response.into_parts();
        Ok(HttpResponse::from_parts(parts, body.read_to_vec()?))
    };
    tokio::task::spawn_blocking(send).await.unwrap_or_else(|error| Err(io::Error::other(error).into()))
}
