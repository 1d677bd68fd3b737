//! Public keys as others see them: JWKs and their thumbprints.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{Algorithm, VerificationKey};

/// The JWK thumbprint (RFC 7638) of a public key: its default `kid`.
pub(super) fn thumbprint(algorithm: Algorithm, public: &[u8]) -> String {
    // Members in lexicographic order and no white space, as RFC 7638, section 3.3, demands.
    let jwk = match algorithm {
        Algorithm::EdDsa => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode(public)),
        _ => {
            let (x, y) = coordinates(public);
            format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)
        }
    };
    encode(digest::digest(&digest::SHA256, jwk.as_bytes()).as_ref())
}

/// The JWK of a public key (RFC 7517, RFC 8037); `None` for a secret, which is never published.
pub(super) fn jwk(key: &VerificationKey) -> Option<Value> {
    let public = key.public_key()?;
    let (alg, kid) = (key.algorithm().name(), key.key_id());
    Some(match key.algorithm() {
        Algorithm::EdDsa => {
            json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(public), "alg": alg, "use": "sig", "kid": kid })
        }
        _ => {
            let (x, y) = coordinates(public);
            json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "alg": alg, "use": "sig", "kid": kid })
        }
    })
}

/// Both coordinates of an uncompressed point: 0x04, then as many bytes for each.
fn coordinates(point: &[u8]) -> (String, String) {
    let coordinates = point.get(1..).unwrap_or_default();
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    (encode(x), encode(y))
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
