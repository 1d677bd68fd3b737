//! A service that issues access tokens and publishes its keys, over HTTP.

use std::{net::Ipv4Addr, time::Duration};

use axum::Router;
use tower_jwt_sessions::{KeyRing, MemoryStore, SessionManager, keys::SigningKey, manager::SessionManagerBuilder};

/// The issuer of the page.
pub(crate) const ISSUER: &str = "https://app.example";
/// Of the key that signs with EdDSA.
pub(crate) const SEED: [u8; 32] = [7; 32];

/// A key of tests alone.
const P256_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPtym/bEfpfrRAQoH\n\
    4fg2AL20Pcs8uYEyYXR8lXpz31ChRANCAATDq1s8egT8GfoSu0SkXwJ+7vF2rKRf\n\
    Kc6byKOK/1dGQzWmvbWfxBDLK7oHX0HyLD7egbRiyuMoEyfks6qWF0fW\n\
    -----END PRIVATE KEY-----\n";

pub(crate) struct Service {
    url: String,
    pub(crate) tokens: Tokens,
}

/// Tokens that the service has issued to alice.
pub(crate) struct Tokens {
    pub(crate) eddsa: String,
    pub(crate) es256: String,
    pub(crate) with_client: String,
    pub(crate) refresh: String,
    pub(crate) logged_out: String,
}

fn eddsa() -> SigningKey {
    SigningKey::eddsa_der([b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20", &SEED[..]].concat())
        .expect("a key")
}

fn manager(
    access: KeyRing,
    configure: impl FnOnce(SessionManagerBuilder<()>) -> SessionManagerBuilder<()>,
) -> SessionManager {
    let builder = SessionManager::builder()
        .access_keys(access)
        .refresh_keys(KeyRing::hs256([2; 32]).expect("long enough"))
        .issuer(ISSUER)
        .access_lifetime(Duration::from_secs(600))
        .store(MemoryStore::new());
    configure(builder).build().expect("a valid configuration")
}

/// Logs alice in and returns both tokens.
async fn log_in(sessions: &SessionManager) -> [String; 2] {
    sessions.revocation_feed().caught_up().await;
    let tokens = sessions.login("alice").tokens().await.expect("a login");
    [tokens.access_token().to_owned(), tokens.refresh_token().expect("a refresh token").to_owned()]
}

impl Service {
    pub(crate) async fn start() -> Self {
        let es256 = SigningKey::es256_pem(P256_PRIVATE).expect("a key");
        let ring = KeyRing::new(eddsa()).with_verification_key(es256.verification_key().clone()).expect("two keys");
        let sessions = manager(ring.clone(), |builder| builder);
        let [eddsa, refresh] = log_in(&sessions).await;
        let [es256, _] = log_in(&manager(KeyRing::new(es256), |builder| builder)).await;
        let [with_client, _] = log_in(&manager(ring, |builder| builder.rfc9068_claims("web"))).await;
        let [logged_out, ended] = log_in(&sessions).await;
        sessions.end_with_token(&ended).await.expect("an end");
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let app: Router = Router::new().nest("/auth", sessions.router());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, tokens: Tokens { eddsa, es256, with_client, refresh, logged_out } }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}
