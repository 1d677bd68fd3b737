//! Invalid configuration fails the build, and the message names the remedy.

use std::time::Duration;

use tower_jwt_sessions::{
    ConfigError, KeyRing, MemoryStore, SessionManager,
    cookie::{CookieConfig, CookiePrefix, SameSite},
    error::ConfigErrorKind,
    keys::{SigningKey, VerificationKey},
    manager::SessionManagerBuilder,
    policy::ReplayWindow,
};

const ED25519_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";
const ED25519_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
    -----END PUBLIC KEY-----\n";
const P256_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPtym/bEfpfrRAQoH\n\
    4fg2AL20Pcs8uYEyYXR8lXpz31ChRANCAATDq1s8egT8GfoSu0SkXwJ+7vF2rKRf\n\
    Kc6byKOK/1dGQzWmvbWfxBDLK7oHX0HyLD7egbRiyuMoEyfks6qWF0fW\n\
    -----END PRIVATE KEY-----\n";

fn builder() -> SessionManagerBuilder<()> {
    SessionManager::<()>::builder()
        .access_keys(KeyRing::hs256([1; 32]).unwrap())
        .refresh_keys(KeyRing::hs256([2; 32]).unwrap())
        .issuer("https://app.test")
        .store(MemoryStore::new())
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Returns the error of a refused build, whose message must contain the remedy.
fn refusal(builder: SessionManagerBuilder<()>, help: &str) -> ConfigError {
    let error = builder.build().expect_err("invalid configuration");
    assert!(error.to_string().contains(help), "{error} does not contain the help: {help}");
    error
}

#[tokio::test]
async fn default_configuration_builds() {
    builder().build().unwrap();
}

#[test]
fn build_without_runtime_is_refused() {
    assert!(refusal(builder(), "call build() within one").kind() == ConfigErrorKind::NoRuntime);
}

#[tokio::test]
async fn missing_required_settings_are_refused() {
    let missing = |result: Result<SessionManager<()>, ConfigError>, expected: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::MissingOption);
        assert_eq!(error.to_string(), format!("{expected} was not called: it has no default"));
    };
    let keys = || KeyRing::hs256([1; 32]).unwrap();
    let other_keys = || KeyRing::hs256([2; 32]).unwrap();
    missing(SessionManager::builder().build(), "access_keys");
    missing(SessionManager::builder().access_keys(keys()).build(), "refresh_keys");
    let both = || SessionManager::<()>::builder().access_keys(keys()).refresh_keys(other_keys());
    missing(both().build(), "issuer");
    missing(both().issuer("https://app.test").build(), "store");

    let with_claims = SessionManager::<String>::builder()
        .access_keys(keys())
        .refresh_keys(other_keys())
        .issuer("https://app.test")
        .store(MemoryStore::new());
    assert!(with_claims.build().is_err_and(|error| error.kind() == ConfigErrorKind::MissingOption
        && error.to_string().contains("claims_source was not called")));
}

#[tokio::test]
async fn key_shared_by_both_rings_is_refused() {
    let shared = "the very same secret for both of the rings, long enough for all three";
    let error = refusal(
        builder().access_keys(KeyRing::hs256(shared).unwrap()).refresh_keys(KeyRing::hs256(shared).unwrap()),
        "secrets of its own",
    );
    assert_eq!(error.kind(), ConfigErrorKind::SharedKey);
    assert!(!error.to_string().contains(shared));
    // Also under another algorithm, and as an older key.
    refusal(
        builder().access_keys(KeyRing::hs512(shared).unwrap()).refresh_keys(KeyRing::hs256(shared).unwrap()),
        "secrets of its own",
    );
    let older = KeyRing::hs256([3; 32]).unwrap().with_verification_key(VerificationKey::hs384(shared).unwrap());
    refusal(builder().access_keys(KeyRing::hs256(shared).unwrap()).refresh_keys(older.unwrap()), "secrets of its own");
    let renamed = SigningKey::hs256(shared).unwrap().with_key_id("another-name").unwrap();
    refusal(
        builder().access_keys(KeyRing::new(renamed)).refresh_keys(KeyRing::hs256(shared).unwrap()),
        "secrets of its own",
    );
}

#[tokio::test]
async fn refresh_keys_of_random_signatures_are_refused() {
    let es256 = KeyRing::es256_pem(P256_PRIVATE).unwrap();
    let error = refusal(builder().refresh_keys(es256.clone()), "use HS256 or EdDSA");
    assert!(
        error.kind() == ConfigErrorKind::UnsupportedAlgorithm
            && error.to_string().contains("unsupported algorithm ES256")
    );
    builder().access_keys(es256).refresh_keys(KeyRing::eddsa_pem(ED25519_PRIVATE).unwrap()).build().unwrap();
}

#[tokio::test]
async fn secrets_shorter_than_their_hash_are_refused() {
    for (min, ring) in [
        (32, KeyRing::hs256 as fn(Vec<u8>) -> Result<KeyRing, ConfigError>),
        (48, KeyRing::hs384),
        (64, KeyRing::hs512),
    ] {
        for len in [0, 1, min - 1] {
            let error = ring(vec![7; len]).unwrap_err();
            assert_eq!(error.kind(), ConfigErrorKind::WeakKey);
            let expected = format!("secret too short: {len} bytes, need at least {min} for HS{}", 8 * min);
            assert!(error.to_string().contains(&expected), "{error}");
            assert!(error.to_string().contains("openssl rand"), "{error}");
        }
        ring(vec![7; min]).unwrap();
        ring(vec![7; min + 1]).unwrap();
    }
}

#[tokio::test]
async fn pem_keys_are_read_and_invalid_ones_refused() {
    let private = SigningKey::eddsa_pem(ED25519_PRIVATE).unwrap();
    let public = VerificationKey::eddsa_pem(ED25519_PUBLIC).unwrap();
    assert_eq!(private.verification_key().key_id(), public.key_id());

    for invalid in
        ["", "garbage", ED25519_PUBLIC, P256_PRIVATE, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
    {
        let error = SigningKey::eddsa_pem(invalid).unwrap_err();
        assert!(error.to_string().contains("openssl genpkey"), "{error}");
    }
    for invalid in ["", ED25519_PUBLIC, ED25519_PRIVATE] {
        assert!(
            SigningKey::es256_pem(invalid).is_err_and(|error| error.kind() == ConfigErrorKind::InvalidKey
                && error.to_string().contains("invalid key for ES256"))
        );
    }
    for invalid in ["", ED25519_PRIVATE, P256_PRIVATE] {
        assert!(VerificationKey::eddsa_pem(invalid).is_err(), "{invalid}");
        assert!(VerificationKey::es256_pem(invalid).is_err(), "{invalid}");
    }
    assert!(VerificationKey::es256_pem(ED25519_PUBLIC).is_err());
}

#[tokio::test]
async fn duplicate_and_long_key_ids_are_refused() {
    let ring = KeyRing::hs256([1; 32]).unwrap();
    let again = VerificationKey::hs256([1; 32]).unwrap();
    assert!(ring.clone().with_verification_key(again).is_err_and(
        |error| error.kind() == ConfigErrorKind::InvalidKey && error.to_string().contains("duplicate key id")
    ));
    ring.with_verification_key(VerificationKey::hs256([2; 32]).unwrap()).unwrap();
    for bad in ["", "a b", "a\nb", "ä", "a\"b", "a/../b", &"x".repeat(65)] {
        let named = VerificationKey::hs256([1; 32]).unwrap().with_key_id(bad);
        assert!(
            named.is_err_and(
                |error| error.kind() == ConfigErrorKind::InvalidKey && error.to_string().contains("invalid key id")
            ),
            "{bad:?}"
        );
    }
    assert_eq!(VerificationKey::hs256([1; 32]).unwrap().with_key_id("2026-11").unwrap().key_id(), "2026-11");
}

#[tokio::test]
async fn debug_of_builder_contains_no_key() {
    let secret = "a secret that must not be printed";
    let ring = KeyRing::hs256(secret).unwrap();
    let printed =
        format!("{ring:?} {:?} {:?}", builder().access_keys(ring.clone()), builder().access_keys(ring.clone()).build());
    assert!(printed.contains("[redacted]"));
    assert!(!printed.contains("must not"), "{printed}");
}

#[tokio::test]
async fn conflicting_lifetimes_are_refused() {
    let error = refusal(builder().access_lifetime(secs(59)), "lengthen it");
    assert!(
        error.kind() == ConfigErrorKind::InvalidLifetime
            && error.to_string().contains("must not be shorter than the clocks")
    );
    builder().access_lifetime(secs(60)).build().unwrap();

    let hour = secs(3600);
    let error = refusal(builder().access_lifetime(hour).refresh_lifetime(hour), "lengthen the second");
    assert!(
        error.kind() == ConfigErrorKind::InvalidLifetime
            && error.to_string().contains("must be shorter than refresh_lifetime")
    );
    builder().access_lifetime(hour).refresh_lifetime(hour + secs(1)).build().unwrap();

    let error = refusal(builder().refresh_lifetime(2 * hour).absolute_lifetime(hour), "shorten the first");
    assert!(
        error.kind() == ConfigErrorKind::InvalidLifetime && error.to_string().contains("exceeds absolute_lifetime")
    );
    builder().refresh_lifetime(2 * hour).absolute_lifetime(2 * hour).build().unwrap();

    let error = refusal(builder().access_lifetime(hour).max_access_lifetime(secs(3599)), "raise max_access_lifetime");
    assert!(
        error.kind() == ConfigErrorKind::InvalidLifetime && error.to_string().contains("exceeds max_access_lifetime")
    );
    builder().access_lifetime(2 * hour).build().unwrap();

    let day = 24 * hour;
    for (name, wrong) in [
        ("access_lifetime", builder().access_lifetime(Duration::ZERO)),
        ("refresh_lifetime", builder().refresh_lifetime(Duration::ZERO)),
        ("absolute_lifetime", builder().absolute_lifetime(400 * day + secs(1))),
        ("max_access_lifetime", builder().max_access_lifetime(Duration::MAX)),
        ("acting_lifetime", builder().acting_lifetime(Duration::ZERO)),
    ] {
        let error = refusal(wrong, "at most 400 days");
        assert_eq!(error.kind(), ConfigErrorKind::InvalidLifetime);
        assert!(error.to_string().starts_with(name), "{error}");
    }
    builder().absolute_lifetime(400 * day).build().unwrap();

    let error = refusal(builder().acting_lifetime(secs(59)), "lengthen it");
    assert!(error.kind() == ConfigErrorKind::InvalidLifetime && error.to_string().contains("acting_lifetime"));
    builder().acting_lifetime(secs(60)).build().unwrap();
}

#[tokio::test]
async fn replay_window_over_one_minute_is_refused() {
    for window in [ReplayWindow::Fixed(secs(61)), ReplayWindow::UntilConfirmed(secs(61))] {
        let error = refusal(builder().replay_window(window), "shorten it");
        assert!(error.kind() == ConfigErrorKind::InvalidLifetime && error.to_string().contains("replay window"));
    }
    for window in [ReplayWindow::Fixed(Duration::ZERO), ReplayWindow::UntilConfirmed(secs(60))] {
        builder().replay_window(window).build().unwrap();
    }
}

#[tokio::test]
async fn empty_and_oversized_identifiers_are_refused() {
    for name in ["", &"x".repeat(256)] {
        assert!(builder().issuer(name).build().is_err_and(
            |error| error.kind() == ConfigErrorKind::InvalidOption && error.to_string().contains("invalid issuer")
        ));
        assert!(
            builder().audience(name).build().is_err_and(|error| error.kind() == ConfigErrorKind::InvalidOption
                && error.to_string().contains("invalid audience"))
        );
    }
}

#[tokio::test]
async fn cookie_configs_that_browsers_reject_are_refused() {
    let cookies = CookieConfig::new;
    for (wrong, help) in [
        (cookies().prefix(CookiePrefix::Host).domain("example.com"), "use CookiePrefix::Secure"),
        (cookies().prefix(CookiePrefix::Host).path("/app"), "use CookiePrefix::Secure"),
        (cookies().prefix(CookiePrefix::Host).refresh_path("/auth"), "use CookiePrefix::Secure"),
        (cookies().prefix(CookiePrefix::Host).insecure_http_for_development(), "leave out either"),
        (cookies().prefix(CookiePrefix::Secure).insecure_http_for_development(), "leave out either"),
        (cookies().same_site(SameSite::None).insecure_http_for_development(), "use SameSite::Lax"),
        (cookies().prefix(CookiePrefix::HostHttp).domain("example.com"), "use CookiePrefix::Secure"),
        (cookies().prefix(CookiePrefix::HostHttp).insecure_http_for_development(), "leave out either"),
        (cookies().partitioned(), "use SameSite::None"),
        (cookies().partitioned().same_site(SameSite::Lax), "use SameSite::None"),
        (cookies().names("same", "same"), "give each its own"),
        (cookies().names("", "refresh"), "1 to 64 letters"),
        (cookies().names("a b", "refresh"), "1 to 64 letters"),
        (cookies().names("a=b", "refresh"), "1 to 64 letters"),
        (cookies().names("a;b", "refresh"), "1 to 64 letters"),
        (cookies().names("access", "ä"), "1 to 64 letters"),
        (cookies().names("__Host-access", "refresh"), "leave the prefix out"),
        (cookies().names("access", "__secure-refresh"), "leave the prefix out"),
        (cookies().path("app"), "begin with a slash"),
        (cookies().path("/a;b"), "begin with a slash"),
        (cookies().path("/a b"), "begin with a slash"),
        (cookies().refresh_path(""), "begin with a slash"),
        (cookies().path(format!("/{}", "x".repeat(1024))), "at most 1024"),
        (cookies().domain(format!("{}.com", "x".repeat(64))), "registrable domain"),
        (cookies().domain(format!("{}com", "x.".repeat(126))), "registrable domain"),
        (cookies().domain(""), "registrable domain"),
        (cookies().domain("localhost"), "registrable domain"),
        (cookies().domain("192.168.0.1"), "registrable domain"),
        // Other spellings that browsers read as an address.
        (cookies().domain("127.1"), "registrable domain"),
        (cookies().domain("999.999.999.999"), "registrable domain"),
        (cookies().domain("127.0.0.0x1"), "registrable domain"),
        (cookies().domain("exa mple.com"), "registrable domain"),
        (cookies().domain("example.com; Path=/"), "registrable domain"),
        (cookies().domain("example..com"), "registrable domain"),
        (cookies().domain("exämple.com"), "registrable domain"),
        (cookies().replaces(cookies()), "the previous deployment"),
        (cookies().domain("example.com").replaces(cookies().domain(".Example.com")), "the previous deployment"),
        (cookies().replaces(cookies().same_site(SameSite::Lax).browser_session()), "the previous deployment"),
        (cookies().replaces(cookies().path("/app")).replaces(cookies()), "the previous deployment"),
        (cookies().replaces(cookies().prefix(CookiePrefix::Host).domain("example.com")), "use CookiePrefix::Secure"),
        (cookies().replaces(cookies().prefix(CookiePrefix::Host).refresh_path("/auth")), "use CookiePrefix::Secure"),
        (cookies().replaces(cookies().path("/app").replaces(cookies().path("app"))), "begin with a slash"),
    ] {
        let error = refusal(builder().cookies(wrong), help);
        assert_eq!(error.kind(), ConfigErrorKind::InvalidCookie);
    }
    for fine in [
        cookies().domain(".example.com"),
        cookies().domain("Example.com").same_site(SameSite::None),
        cookies().partitioned().same_site(SameSite::None).prefix(CookiePrefix::HostHttp),
        cookies().path("/app").refresh_path("/app/auth"),
        cookies().path(format!("/{}", "x".repeat(1023))),
        cookies().domain(format!("{}.com", "x".repeat(63))),
        cookies().insecure_http_for_development(),
        cookies().insecure_http_for_development().prefix(CookiePrefix::None),
        cookies().prefix(CookiePrefix::Secure),
        cookies().names("accessToken", "refreshToken").browser_session(),
        cookies().replaces(cookies().domain("example.com")).replaces(cookies().path("/app")),
        cookies().domain("example.com").replaces(cookies()),
        // One of the two is unchanged; so is the one that the former configuration replaced.
        cookies().prefix(CookiePrefix::Secure).replaces(cookies().refresh_path("/auth")),
        cookies().replaces(cookies().domain("example.com").replaces(cookies())),
        cookies().insecure_http_for_development().replaces(cookies()),
    ] {
        builder().cookies(fine).build().unwrap();
    }
}

#[cfg(feature = "router")]
#[tokio::test]
async fn origins_not_in_browser_form_are_refused() {
    for wrong in [
        // The nine that Go refuses.
        "example.com",
        "https://",
        "https://example.com/",
        "https://example.com/path",
        "https://example.com?query=value",
        "https://example.com#fragment",
        "https://ex ample.com",
        "",
        "null",
        // Values that never match.
        "ftp://example.com",
        "file://",
        "//example.com",
        "https://alice@example.com",
        "https://alice:secret@example.com",
        "https://@example.com",
        "https://Example.com",
        "HTTPS://example.com",
        "https://example.com:443",
        "http://example.com:80",
        "https://example.com:",
        "https://example.com:08443",
        "https://example.com:99999",
        "https://example.com:port",
        "https://exämple.com",
        "https://example.com, https://example.net",
        "https://*.example.com",
        "https://example..com",
        "https://.",
        "https://a,b",
        // Other spellings of addresses: browsers send 127.0.0.1 and [::1].
        "http://127.1",
        "http://2130706433",
        "http://0x7f.0.0.1",
        "http://127.0.0.0x1",
        "http://192.168.000.001",
        "http://1.2.3.256",
        "http://127.0.0.1.",
        "http://[0:0:0:0:0:0:0:1]",
        "http://[2001:DB8::7]",
        "http://[::ffff:192.0.2.1]",
        "http://[fe80::1%25eth0]",
        "http://[v1.x]",
    ] {
        for builder in [builder().trusted_origin(wrong), builder().own_origin(wrong)] {
            let error = refusal(builder, "without a path");
            assert_eq!(error.kind(), ConfigErrorKind::InvalidOrigin, "{wrong}");
        }
    }
    for fine in [
        "https://example.com",
        "https://example.com:8080",
        "http://example.com",
        "http://localhost:8080",
        "https://example.com:80",
        "http://192.0.2.1",
        "http://[2001:db8::7]",
        "http://[2001:db8::]:8080",
        "https://[2001:db8::]",
        "http://[::1]",
        "http://[::ffff:c000:201]",
        "https://my_app.example.com",
        "https://example.com.",
        "https://0x7f.example",
        "https://xn--exmple-cua.com",
    ] {
        builder().trusted_origin(fine).build().unwrap();
        builder().own_origin(fine).build().unwrap();
    }
}

#[cfg(feature = "router")]
#[tokio::test]
async fn application_origins_may_be_trusted_but_not_own() {
    for fine in [
        "capacitor://localhost",
        "ionic://localhost",
        "tauri://localhost",
        "app://-",
        "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb",
        "moz-extension://3c78ab9e-3d41-4a0e-8c3c-0a6c7c1f3d52",
        // Some schemes have hosts with upper case.
        "safari-web-extension://E4F1B1D2-9C1B-4E0F-8A57-2F3B6F0C9D11",
        "web+x.1-y://my_app.example.:8080",
        "x://127.0.0.1:80",
        "x://[::1]:1",
    ] {
        builder().trusted_origin(fine).build().unwrap();
        let error = refusal(builder().own_origin(fine), "http or https as the scheme of own_origin");
        assert_eq!(error.kind(), ConfigErrorKind::InvalidOrigin, "{fine}");
    }
    for wrong in [
        "capacitor:localhost",
        "capacitor:/localhost",
        "capacitor://",
        "capacitor:///",
        "capacitor://localhost/",
        "capacitor://localhost/index.html",
        "capacitor://localhost?a",
        "capacitor://localhost#a",
        "capacitor://:80",
        "capacitor://localhost:",
        "capacitor://localhost:080",
        "capacitor://localhost:65536",
        "capacitor://localhost:port",
        "capacitor://alice@localhost",
        "capacitor://alice:secret@localhost",
        "capacitor://*",
        "capacitor://local host",
        "capacitor://localhost, tauri://localhost",
        "capacitor://lokalhöst",
        "capacitor://[::1",
        "Capacitor://localhost",
        "1capacitor://localhost",
        "capaci_tor://localhost",
        "://localhost",
        "null",
        // Values that are not the origin of any page.
        "ws://example.com",
        "wss://example.com",
        "file://localhost",
    ] {
        for builder in [builder().trusted_origin(wrong), builder().own_origin(wrong)] {
            let error = refusal(builder, "without a path");
            assert_eq!(error.kind(), ConfigErrorKind::InvalidOrigin, "{wrong}");
        }
    }
}

/// A program that ends with `?` in `main` prints `Debug`.
#[test]
fn config_error_debug_names_help() {
    let error: Box<dyn std::error::Error> = KeyRing::hs256("short").unwrap_err().into();
    assert!(format!("{error:?}").contains("openssl rand"), "{error:?}");
}
