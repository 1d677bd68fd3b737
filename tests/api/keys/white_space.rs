//! The warning for secrets that begin or end with white space.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tower_jwt_sessions::{
    ConfigError, KeyRing,
    keys::{SigningKey, VerificationKey},
};
use tracing::level_filters::LevelFilter;

use crate::support::log::Log;

const TEXT: &str = "c2VjcmV0IG9mIHRoaXJ0eS10d28gYnl0ZXMgb3IgbW9yZSwgaW4gYmFzZTY0LCBhcyBpdCBpcyBtYWRlIGZvciBhbnk";

/// The warnings that are logged meanwhile.
fn warnings(make: impl FnOnce() -> Result<(), ConfigError>) -> Vec<String> {
    Log::capture(LevelFilter::TRACE);
    make().unwrap();
    let logged = Log::captured();
    assert!(!logged.contains("c2VjcmV0"), "the secret is never shown: {logged}");
    logged.lines().filter(|line| line.contains("WARN")).map(str::to_owned).collect()
}

#[test]
fn text_secret_with_surrounding_white_space_logs_warning() {
    let secrets = ["\n", "\r\n", " ", "\t\n"].map(|blanks| format!("{TEXT}{blanks}"));
    for secret in secrets.into_iter().chain([format!(" {TEXT}"), format!("\u{feff}{TEXT}")]) {
        let kid = VerificationKey::hs256(&secret).unwrap().key_id().to_owned();
        let jwk = format!(r#"{{"kty":"oct","alg":"HS256","kid":"x","k":"{}"}}"#, URL_SAFE_NO_PAD.encode(&secret));
        for logged in [
            warnings(|| KeyRing::hs256(&secret).map(drop)),
            warnings(|| VerificationKey::hs256(&secret).map(drop)),
            warnings(|| SigningKey::from_jwk(&jwk).map(drop)),
        ] {
            assert_eq!(logged.len(), 1, "{secret:?}: {logged:?}");
            assert!(logged[0].contains("remove it on every node, for example with str::trim"), "{logged:?}");
            assert!(logged[0].contains(&kid), "{logged:?}");
        }
    }
    // The kid depends on the white space, so it shows that two nodes have different keys.
    assert_ne!(
        VerificationKey::hs256(TEXT).unwrap().key_id(),
        VerificationKey::hs256(format!("{TEXT}\n")).unwrap().key_id()
    );
    assert_eq!(warnings(|| SigningKey::hs512(format!("{TEXT}\n")).map(drop)).len(), 1);
}

#[test]
fn other_secrets_log_no_warning() {
    let mut bytes = [0x80; 32];
    bytes[31] = b'\n';
    for secret in
        [TEXT.as_bytes(), format!("{TEXT}\n{TEXT}").as_bytes(), &[7; 32], &bytes, b"a secret of thirty-two bytes ok!"]
    {
        assert_eq!(warnings(|| KeyRing::hs256(secret).map(drop)), [""; 0]);
    }
}
