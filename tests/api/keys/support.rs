//! Published test keys, and managers that share a store and a clock.

use std::time::Duration;

use axum_core::response::IntoResponse as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, header};
use tower_jwt_sessions::{
    KeyRing, MemoryStore, SessionCookies, SessionManager, keys::SigningKey, manager::SessionManagerBuilder,
    policy::ReplayWindow, testing::TestClock,
};

/// RFC 8037, appendix A.1 and A.2.
pub(crate) const ED25519_D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
pub(crate) const ED25519_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
/// RFC 8037, appendix A.3.
pub(crate) const ED25519_THUMBPRINT: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
pub(crate) const P256_D: &str = "Ptym_bEfpfrRAQoH4fg2AL20Pcs8uYEyYXR8lXpz31A";
pub(crate) const P256_X: &str = "w6tbPHoE_Bn6ErtEpF8Cfu7xdqykXynOm8ijiv9XRkM";
pub(crate) const P256_Y: &str = "Naa9tZ_EEMsrugdfQfIsPt6BtGLK4ygTJ-SzqpYXR9Y";
pub(crate) const P256_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPtym/bEfpfrRAQoH\n\
    4fg2AL20Pcs8uYEyYXR8lXpz31ChRANCAATDq1s8egT8GfoSu0SkXwJ+7vF2rKRf\n\
    Kc6byKOK/1dGQzWmvbWfxBDLK7oHX0HyLD7egbRiyuMoEyfks6qWF0fW\n\
    -----END PRIVATE KEY-----\n";
/// 1024 bits, whose private key was discarded.
pub(crate) const RSA_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC8zoWsmChosrGF6dskSt11bwAr\n\
    SoJ+w/3yg9c0uz96fetkJFQVfRTjEMCQ9eZOhq7/G4x+mufTn1GuEzg8IcuLwfiL\n\
    V//hIK2KnmKIwP2+MynKTALImMU9j7fl+Eb+usNaBf3k9VNcHGTUf6kwOagAQBDe\n\
    DGjOlKPe+8zRo1fa5wIDAQAB\n\
    -----END PUBLIC KEY-----\n";

/// The DER document in a PEM text.
pub(crate) fn der(pem: &str) -> Vec<u8> {
    STANDARD.decode(pem.lines().filter(|line| !line.starts_with("---")).collect::<String>()).unwrap()
}

/// An Ed25519 key made of this byte.
pub(crate) fn eddsa(seed: u8) -> SigningKey {
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend([seed; 32]);
    SigningKey::eddsa_der(der).unwrap()
}

pub(crate) fn hs256(byte: u8) -> SigningKey {
    SigningKey::hs256([byte; 32]).unwrap()
}

pub(crate) fn builder(store: &MemoryStore, clock: &TestClock) -> SessionManagerBuilder<()> {
    SessionManager::builder()
        // By the clock alone: these tests are about keys.
        .replay_window(ReplayWindow::Fixed(Duration::from_secs(10)))
        .access_keys(KeyRing::new(hs256(1)))
        .refresh_keys(KeyRing::new(hs256(2)))
        .issuer("https://app.test")
        .clock(clock.clone())
        .store(store.clone())
}

pub(crate) fn world() -> (MemoryStore, TestClock) {
    let clock = TestClock::new();
    (MemoryStore::with_clock(clock.clone()), clock)
}

pub(crate) fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// The headers of a browser that has these cookies, and keeps older ones that were not replaced.
pub(crate) fn browser(cookies: SessionCookies, before: Option<&HeaderMap>) -> HeaderMap {
    let response = cookies.into_response();
    let mut pairs: Vec<String> = response
        .headers()
        .get_all(header::SET_COOKIE)
        .iter()
        .map(|line| line.to_str().unwrap().split(';').next().unwrap().to_owned())
        .collect();
    let old = before.and_then(|headers| headers.get(header::COOKIE)).map_or("", |value| value.to_str().unwrap());
    for pair in old.split("; ").filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap();
        if !pairs.iter().any(|fresh| fresh.split('=').next() == Some(name)) {
            pairs.push(pair.to_owned());
        }
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::COOKIE, HeaderValue::from_str(&pairs.join("; ")).unwrap());
    headers
}

/// One cookie of a browser.
pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> String {
    let all = headers[header::COOKIE].to_str().unwrap();
    let pair = all.split("; ").find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    pair.unwrap_or_else(|| panic!("{name} is not among {all}")).to_owned()
}

pub(crate) fn accepts(node: &SessionManager, headers: &HeaderMap) -> bool {
    node.verifier().verify(headers).is_ok()
}

pub(crate) async fn refresh(node: &SessionManager, headers: &HeaderMap) -> HeaderMap {
    let cookies = node.refresh(&node.verifier().present(headers)).await.unwrap();
    browser(cookies, Some(headers))
}
