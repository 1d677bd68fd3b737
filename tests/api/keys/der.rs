//! Keys in DER and PEM, and keys of other kinds.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tower_jwt_sessions::{
    error::ConfigErrorKind,
    keys::{SigningKey, VerificationKey},
};

use crate::keys::support::{ED25519_D, ED25519_THUMBPRINT, ED25519_X, P256_PRIVATE, P256_X, P256_Y, RSA_PUBLIC, der};

fn bytes(encoded: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(encoded).unwrap()
}

fn ed25519_pkcs8() -> Vec<u8> {
    [b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec(), bytes(ED25519_D)].concat()
}

fn ed25519_spki() -> Vec<u8> {
    [b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00".to_vec(), bytes(ED25519_X)].concat()
}

fn p256_point() -> Vec<u8> {
    [vec![4], bytes(P256_X), bytes(P256_Y)].concat()
}

fn p256_spki() -> Vec<u8> {
    let head = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
    let head = (0..head.len()).step_by(2).map(|at| u8::from_str_radix(&head[at..at + 2], 16).unwrap());
    head.chain(p256_point()).collect()
}

#[test]
fn all_encodings_of_key_have_same_kid() {
    let private = SigningKey::eddsa_der(ed25519_pkcs8()).unwrap();
    assert_eq!(private.verification_key().key_id(), ED25519_THUMBPRINT);
    for public in [ed25519_spki(), bytes(ED25519_X)] {
        assert_eq!(VerificationKey::eddsa_der(public).unwrap().key_id(), ED25519_THUMBPRINT);
    }
    let private = SigningKey::es256_pem(P256_PRIVATE).unwrap();
    let same = SigningKey::es256_der(der(P256_PRIVATE)).unwrap();
    assert_eq!(private.verification_key().key_id(), same.verification_key().key_id());
    for public in [p256_spki(), p256_point()] {
        assert_eq!(VerificationKey::es256_der(public).unwrap().key_id(), same.verification_key().key_id());
    }
}

#[test]
fn pem_with_other_line_breaks_or_surroundings_is_accepted() {
    let kid = SigningKey::es256_pem(P256_PRIVATE).unwrap().verification_key().key_id().to_owned();
    let one_line = P256_PRIVATE.replace('\n', "").replace("KEY-----", "KEY-----\n").replace("-----END", "\n-----END");
    for text in [
        P256_PRIVATE.replace('\n', "\r\n"),
        P256_PRIVATE.replace('\n', "\n  "),
        P256_PRIVATE.trim_end().to_owned(),
        format!("Bag Attributes: none\n{P256_PRIVATE}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        one_line,
    ] {
        assert_eq!(SigningKey::es256_pem(&text).unwrap().verification_key().key_id(), kid, "{text}");
    }
    for text in [
        P256_PRIVATE.replace("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE"),
        P256_PRIVATE.replace("PRIVATE KEY", "EC PRIVATE KEY"),
        P256_PRIVATE.replace("-----END PRIVATE KEY-----", ""),
        P256_PRIVATE.replace("MIGH", "M!GH"),
        P256_PRIVATE.replace("MIGH", "MIGI"),
        P256_PRIVATE.replace('\n', "\u{2028}"),
    ] {
        let error = SigningKey::es256_pem(&text).unwrap_err();
        assert!(error.to_string().contains("PKCS #8, from `openssl genpkey"), "{error}");
    }
    assert!(SigningKey::es256_pem([0xff; 64]).is_err());
}

#[test]
fn der_of_wrong_type_or_length_is_rejected() {
    let compressed = [vec![2], bytes(P256_X)].concat();
    let off_curve = [vec![4], bytes(P256_X), bytes(P256_X)].concat();
    for public in [&b""[..], b"\x30", &[7; 3], &[7; 31], &[7; 33], &p256_point(), &p256_spki(), &ed25519_pkcs8()] {
        let refused = VerificationKey::eddsa_der(public);
        assert!(
            refused.is_err_and(|error| error.kind() == ConfigErrorKind::InvalidKey
                && error.to_string().contains("invalid key for EdDSA")),
            "{public:?}"
        );
    }
    for public in [&b""[..], &[4; 3], &compressed, &off_curve, &[4; 65], &[4; 97], &ed25519_spki(), &der(P256_PRIVATE)]
    {
        let refused = VerificationKey::es256_der(public);
        assert!(
            refused.is_err_and(|error| error.kind() == ConfigErrorKind::InvalidKey
                && error.to_string().contains("invalid key for ES256")),
            "{public:?}"
        );
    }
    let truncated = &ed25519_pkcs8()[..40];
    for private in [&b""[..], truncated, &ed25519_spki(), &der(P256_PRIVATE), &[7; 32]] {
        assert!(
            SigningKey::eddsa_der(private)
                .is_err_and(|error| error.kind() == ConfigErrorKind::InvalidKey
                    && error.to_string().contains("invalid key for")),
            "{private:?}"
        );
    }
    for private in [&b""[..], &ed25519_pkcs8(), &p256_spki(), &der(P256_PRIVATE)[..80]] {
        assert!(
            SigningKey::es256_der(private)
                .is_err_and(|error| error.kind() == ConfigErrorKind::InvalidKey
                    && error.to_string().contains("invalid key for")),
            "{private:?}"
        );
    }
}

#[test]
fn compressed_point_in_pem_is_rejected() {
    let compressed = "-----BEGIN PUBLIC KEY-----\n\
        MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgACw6tbPHoE/Bn6ErtEpF8Cfu7xdqyk\n\
        XynOm8ijiv9XRkM=\n\
        -----END PUBLIC KEY-----\n";
    let error = VerificationKey::es256_pem(compressed).unwrap_err();
    assert!(error.to_string().contains("uncompressed"), "{error}");
}

#[test]
fn rsa_key_is_unsupported() {
    let legacy = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    // Enough of a PKCS #8 document to recognise its algorithm.
    let pkcs8 = b"\x30\x82\x02\x76\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    for error in [
        SigningKey::eddsa_pem(legacy).unwrap_err(),
        SigningKey::es256_pem(legacy).unwrap_err(),
        SigningKey::eddsa_der(pkcs8).unwrap_err(),
        SigningKey::es256_der(pkcs8).unwrap_err(),
        VerificationKey::eddsa_pem(RSA_PUBLIC).unwrap_err(),
        VerificationKey::es256_pem(RSA_PUBLIC).unwrap_err(),
        VerificationKey::eddsa_der(der(RSA_PUBLIC)).unwrap_err(),
        VerificationKey::es256_der(der(RSA_PUBLIC)).unwrap_err(),
    ] {
        assert!(
            error.kind() == ConfigErrorKind::UnsupportedAlgorithm
                && error.to_string().contains("unsupported algorithm RSA"),
            "{error:?}"
        );
        assert!(error.to_string().contains("openssl genpkey -algorithm ed25519"), "{error}");
    }
}
