//! Traits that the types of keys and tokens do not implement.

use std::fmt::Display;

use serde::Serialize;
use tower_jwt_sessions::{
    KeyRing,
    keys::{SigningKey, VerificationKey, VerificationKeys},
    manager::SessionTokens,
};

use crate::keys::support::{ED25519_D, eddsa, hs256};

/// Does not compile when the type has the trait: then two implementations fit, and none is chosen.
macro_rules! has_not {
    ($kind:ty, $trait:path) => {
        const _: fn() = || {
            trait Ambiguous<A> {
                fn choose() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            #[allow(dead_code)]
            struct HasIt;
            impl<T: ?Sized + $trait> Ambiguous<HasIt> for T {}
            let _ = <$kind as Ambiguous<_>>::choose;
        };
    };
}

has_not!(SigningKey, Display);
has_not!(SigningKey, Serialize);
has_not!(VerificationKey, Display);
has_not!(VerificationKey, Serialize);
has_not!(VerificationKeys, Display);
has_not!(VerificationKeys, Serialize);
has_not!(KeyRing, Display);
has_not!(KeyRing, Serialize);
// Tokens are available through accessors, or as a response with `no-store`.
has_not!(SessionTokens, Display);
has_not!(SessionTokens, Serialize);
// No conversion between kinds: there is no way from a public key to the bytes of a secret.
has_not!(VerificationKey, AsRef<[u8]>);
has_not!(SigningKey, AsRef<[u8]>);
has_not!(VerificationKey, Into<SigningKey>);
// Comparing keys would have to take constant time, and there is no need to.
has_not!(SigningKey, PartialEq);

#[test]
fn debug_output_redacts_keys() {
    let secret = SigningKey::hs256("a secret that must not be printed").unwrap();
    let jwk = format!(
        r#"{{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","d":"{ED25519_D}","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}"#
    );
    let private = SigningKey::from_jwk(&jwk).unwrap();
    let ring = KeyRing::new(secret.clone()).with_verification_key(private.verification_key().clone()).unwrap();
    let keys = VerificationKeys::new(secret.verification_key().clone());
    let printed = format!("{secret:?} {private:#?} {ring:?} {ring:#?} {keys:?}");
    assert!(printed.contains("[redacted]"));
    for hidden in ["must not", ED25519_D, "nWGx", "157, 97"] {
        assert!(!printed.contains(hidden), "{printed}");
    }
    // Key ids are shown, and differ.
    assert!(format!("{:?}", hs256(1)) != format!("{:?}", hs256(2)) && format!("{:?}", eddsa(1)).contains("EdDSA"));
}
