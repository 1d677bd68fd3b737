//! Public keys and secrets that anyone could sign with, and public keys without a private key.

use aws_lc_rs::signature::{self, KeyPair as _};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use tower_jwt_sessions::{
    ConfigError, KeyRing,
    error::ConfigErrorKind,
    keys::{SigningKey, VerificationKey, VerificationKeys},
};

use crate::keys::support::{ED25519_X, P256_X, P256_Y};

/// 2^255 - 19, little-endian.
const P: [u8; 32] = {
    let mut p = [0xff; 32];
    (p[0], p[31]) = (0xed, 0x7f);
    p
};
const SIGN: u8 = 0x80;

fn hex(text: &str) -> [u8; 32] {
    let bytes: Vec<_> = (0..64).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

/// A small number added to `base`, which does not carry.
fn plus(mut base: [u8; 32], small: i8) -> [u8; 32] {
    base[0] = base[0].checked_add_signed(small).unwrap();
    base
}

/// The y coordinates of the eight points of small order.
fn small_order_ys() -> [[u8; 32]; 5] {
    [
        [0; 32],
        plus([0; 32], 1),
        plus(P, -1),
        hex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    ]
}

fn with_sign(mut y: [u8; 32], sign: bool) -> [u8; 32] {
    y[31] |= if sign { SIGN } else { 0 };
    y
}

/// Every encoding of a point of small order that a lenient reader accepts.
fn small_order_keys() -> Vec<[u8; 32]> {
    let ys = small_order_ys().into_iter().chain([P, plus(P, 1)]);
    ys.flat_map(|y| [with_sign(y, false), with_sign(y, true)]).collect()
}

fn spki(key: &[u8]) -> Vec<u8> {
    [b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", key].concat()
}

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
}

fn ed25519_jwk(key: &[u8]) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "placeholder", "x": URL_SAFE_NO_PAD.encode(key) })
}

/// The results of all ways to configure an Ed25519 public key.
fn configured(key: &[u8; 32]) -> Vec<Result<(), ConfigError>> {
    let set = json!({ "keys": [ed25519_jwk(key)] }).to_string();
    vec![
        VerificationKey::eddsa_pem(pem(&spki(key))).map(drop),
        VerificationKey::eddsa_der(spki(key)).map(drop),
        VerificationKey::eddsa_der(key).map(drop),
        VerificationKey::from_jwk(ed25519_jwk(key).to_string()).map(drop),
        VerificationKeys::from_jwks(&set).map(drop),
    ]
}

/// Signatures made without a private key: S is zero, and R one of the multiples of such a key.
fn forgeries() -> impl Iterator<Item = [u8; 64]> {
    let points = small_order_ys().into_iter().flat_map(|y| [with_sign(y, false), with_sign(y, true)]);
    points.map(|r| {
        let mut forged = [0; 64];
        forged[..32].copy_from_slice(&r);
        forged
    })
}

fn forged_messages(key: &[u8]) -> usize {
    let key = signature::UnparsedPublicKey::new(&signature::ED25519, key);
    let is_forged = |message: &u32| forgeries().any(|forged| key.verify(&message.to_be_bytes(), &forged).is_ok());
    (0..64).filter(is_forged).count()
}

#[test]
fn ed25519_key_of_small_order_is_weak() {
    let keys = small_order_keys();
    assert_eq!(keys.len(), 14);
    for key in keys {
        for refused in configured(&key) {
            let error = refused.expect_err(&format!("{key:02x?}"));
            assert!(
                error.kind() == ConfigErrorKind::WeakKey && error.to_string().contains("weak key for EdDSA"),
                "{error}"
            );
            assert!(error.to_string().contains("small order (such as all zeros, a placeholder)"), "{error}");
        }
    }
}

/// Why they are rejected: there is no private key for them, and signatures verify.
#[test]
fn key_of_small_order_verifies_forged_signatures() {
    // With x = 0, of two encodings aws-lc reads only that without a sign.
    let forgeable = small_order_keys().into_iter().filter(|key| forged_messages(key) >= 32);
    assert_eq!(forgeable.count(), 8);
    assert!(forged_messages(&[0; 32]) >= 32);
    let real = URL_SAFE_NO_PAD.decode(ED25519_X).unwrap();
    assert_eq!(forged_messages(&real), 0);
}

#[test]
fn non_canonical_ed25519_key_is_rejected() {
    for more in 2..19 {
        for key in [false, true].map(|sign| with_sign(plus(P, more), sign)) {
            for refused in configured(&key) {
                let error = refused.expect_err(&format!("{key:02x?}"));
                assert!(error.to_string().contains("an Ed25519 public key, from `openssl pkey"), "{error}");
            }
        }
    }
    // The greatest valid y, and values close to the least invalid one.
    let mut greatest = plus(P, -2);
    assert!(configured(&greatest).iter().all(Result::is_ok));
    greatest[0] = 0xff;
    greatest[9] = 0xfe;
    assert!(configured(&greatest).iter().all(Result::is_ok));
}

proptest::proptest! {
    #[test]
    fn generated_ed25519_keys_are_accepted(seed: [u8; 32]) {
        let pair = signature::Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let public = pair.public_key().as_ref().try_into().unwrap();
        proptest::prop_assert!(configured(&public).iter().all(Result::is_ok));
    }
}

#[test]
fn p256_key_off_curve_is_rejected() {
    let bytes = |encoded: &str| -> [u8; 32] { URL_SAFE_NO_PAD.decode(encoded).unwrap().try_into().unwrap() };
    let (x, y) = (bytes(P256_X), bytes(P256_Y));
    // 2^256 - 2^224 + 2^192 + 2^96 - 1: equal to zero where coordinates are not checked.
    let p = hex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");
    let zero = [0; 32];
    for (x, y) in [(zero, zero), (x, x), (zero, y), (x, zero), (x, p), (p, y), (p, p), ([0xff; 32], [0xff; 32])] {
        let point = [&[4][..], &x, &y].concat();
        let spki = [&b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00"[..], &point];
        let spki = spki.concat();
        let jwk = json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        });
        for refused in [
            VerificationKey::es256_pem(pem(&spki)),
            VerificationKey::es256_der(&spki),
            VerificationKey::es256_der(&point),
            VerificationKey::from_jwk(jwk.to_string()),
        ] {
            let error = refused.expect_err(&format!("{point:02x?}"));
            assert!(
                error.kind() == ConfigErrorKind::InvalidKey && error.to_string().contains("invalid key for ES256"),
                "{error}"
            );
        }
    }
    // The neutral element is one byte.
    assert!(VerificationKey::es256_der([0]).is_err_and(
        |error| error.kind() == ConfigErrorKind::InvalidKey && error.to_string().contains("invalid key for")
    ));
}

#[test]
fn all_zero_secret_is_weak() {
    let jwk = |secret: &[u8]| json!({ "kty": "oct", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(secret) }).to_string();
    for refused in [
        SigningKey::hs256([0; 32]).map(drop),
        SigningKey::hs256([0; 200]).map(drop),
        SigningKey::hs384([0; 48]).map(drop),
        KeyRing::hs512([0; 64]).map(drop),
        VerificationKey::hs256([0; 33]).map(drop),
        SigningKey::from_jwk(jwk(&[0; 32])).map(drop),
        VerificationKey::from_jwk(jwk(&[0; 32])).map(drop),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::WeakKey, "{error}");
        assert!(error.to_string().contains("all zeros") && error.to_string().contains("openssl rand"), "{error}");
    }
    let mut nearly = [0; 32];
    nearly[31] = 1;
    assert!(SigningKey::hs256(nearly).is_ok() && SigningKey::from_jwk(jwk(&nearly)).is_ok());
}
