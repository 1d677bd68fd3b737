//! The trait of fuzz targets, and the service that they attack.

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use tower_jwt_sessions::{
    KeyRing, MemoryStore, SessionManager, Verifier, keys::VerificationKey, policy::ReplayWindow, testing::TestClock,
};

pub(crate) const ISSUER: &str = "https://app.test";
pub(crate) const ACCESS: &str = "__Host-access";
pub(crate) const REFRESH: &str = "__Host-refresh";
/// The constant time of the clock.
pub(crate) const NOW: u64 = 1_767_225_600;

pub(crate) struct Target {
    /// Panics when the property does not hold for this input, and otherwise returns the outcome.
    pub(crate) check: fn(&[u8]) -> &'static str,
    /// Initial inputs: every known attack, and accepted inputs.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Text to insert into inputs.
    pub(crate) words: fn() -> Vec<Vec<u8>>,
}

/// A kind of token and its signature, by a key that is public here.
pub(crate) struct Kind {
    pub(crate) secret: &'static [u8],
    /// The one header segment that is accepted, without its dot.
    pub(crate) header: String,
}

impl Kind {
    fn new(typ: &str, secret: &'static [u8]) -> Self {
        let key = VerificationKey::hs256(secret).unwrap();
        let header = format!(r#"{{"typ":"{typ}","alg":"HS256","kid":"{}"}}"#, key.key_id());
        Self { secret, header: encode(header) }
    }

    /// The third segment of a token with these two.
    pub(crate) fn signature(&self, header: &str, payload: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret);
        encode(hmac::sign(&key, format!("{header}.{payload}").as_bytes()))
    }

    /// A token of this header and payload, in bytes.
    pub(crate) fn sign(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        let (header, payload) = (encode(header), encode(payload));
        let signature = self.signature(&header, &payload);
        format!("{header}.{payload}.{signature}")
    }

    /// A token with the right header.
    pub(crate) fn sign_payload(&self, payload: impl AsRef<[u8]>) -> String {
        let payload = encode(payload);
        let signature = self.signature(&self.header, &payload);
        format!("{}.{payload}.{signature}", self.header)
    }
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) struct Service {
    pub(crate) verifier: Verifier<Value>,
    pub(crate) access: Kind,
    pub(crate) refresh: Kind,
    // What the verifier was made by, for as long as it is used.
    _sessions: SessionManager<Value>,
    _runtime: tokio::runtime::Runtime,
}

const ACCESS_SECRET: &[u8] = b"the access secret of the targets";
const REFRESH_SECRET: &[u8] = b"the refresh secret of the targets";

pub(crate) static SERVICE: LazyLock<Service> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let clock = TestClock::new();
    let sessions = SessionManager::<Value>::builder()
        .access_keys(KeyRing::hs256(ACCESS_SECRET).unwrap())
        .refresh_keys(KeyRing::hs256(REFRESH_SECRET).unwrap())
        .issuer(ISSUER)
        .audience(ISSUER)
        // Nothing is cached, so that no input affects the next.
        .replay_window(ReplayWindow::Fixed(std::time::Duration::from_secs(10)))
        .claims_with((), async |(), _| Ok::<_, std::convert::Infallible>(Some(Value::Null)))
        .store(MemoryStore::with_clock(clock.clone()))
        .clock(clock)
        .build()
        .unwrap();
    runtime.block_on(sessions.revocation_feed().caught_up());
    Service {
        verifier: sessions.verifier().clone(),
        access: Kind::new("at+jwt", ACCESS_SECRET),
        refresh: Kind::new("rt+jwt", REFRESH_SECRET),
        _sessions: sessions,
        _runtime: runtime,
    }
});

pub(crate) fn access_payload(user: &str) -> String {
    format!(
        r#"{{"iss":"{ISSUER}","aud":"{ISSUER}","sub":"{user}","sid":"ABEiM0RVZneImaq7zN3u_w","gen":3,"epoch":2,"auth_time":{},"iat":{NOW},"exp":{},"role":"member"}}"#,
        NOW - 600,
        NOW + 1800,
    )
}

pub(crate) fn refresh_payload(user: &str) -> String {
    format!(
        r#"{{"iss":"{ISSUER}","aud":"{ISSUER}#refresh","sub":"{user}","sid":"ABEiM0RVZneImaq7zN3u_w","gen":3,"auth_time":{},"iat":{NOW},"exp":{}}}"#,
        NOW - 600,
        NOW + 604_800,
    )
}
