//! The algorithms, and the signatures that they make.

/// The algorithms of RFC 7518 and RFC 8037 that the crate signs with.
///
/// Not jsonwebtoken's type of this name, which also has algorithms that are rejected here: every `match` would need
/// unreachable arms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
    EdDsa,
    Es256,
}

impl Algorithm {
    /// Parses the `alg` of a JWK, which RFC 9864 calls `Ed25519` where RFC 8037 says `EdDSA`.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "HS256" => Some(Self::Hs256),
            "HS384" => Some(Self::Hs384),
            "HS512" => Some(Self::Hs512),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            "ES256" => Some(Self::Es256),
            _ => None,
        }
    }

    /// The `alg` header parameter.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
        }
    }

    /// The length of a signature in bytes.
    pub(crate) const fn signature_len(self) -> usize {
        match self {
            Self::Hs256 => 32,
            Self::Hs384 => 48,
            Self::Hs512 | Self::EdDsa | Self::Es256 => 64,
        }
    }

    /// The length of a raw public key (for P-256 that of an uncompressed point), or `None` for a secret.
    pub(crate) const fn public_len(self) -> Option<usize> {
        match self {
            Self::Hs256 | Self::Hs384 | Self::Hs512 => None,
            Self::EdDsa => Some(32),
            Self::Es256 => Some(65),
        }
    }

    /// Whether the same input always gives the same signature, so that a refresh token can be issued again.
    pub(super) const fn is_deterministic(self) -> bool {
        !matches!(self, Self::Es256)
    }
}

/// The longest signature in bytes.
pub(crate) const MAX_SIGNATURE_LEN: usize = 64;

/// A signature on the stack.
pub(crate) struct Signature {
    bytes: [u8; MAX_SIGNATURE_LEN],
    len: usize,
}

impl Signature {
    /// Copies a signature; `None` when it is longer than any algorithm makes.
    pub(super) fn new(signature: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_SIGNATURE_LEN];
        bytes.get_mut(..signature.len())?.copy_from_slice(signature);
        Some(Self { bytes, len: signature.len() })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub(super) fn as_mut_bytes(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }
}
