//! A codec whose keys are replaced while it serves.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{AppClaims, Buffer, Codec, IssueError, Opened, RegisteredClaims, TokenError, TokenKind};
use crate::{
    clock::Timestamp,
    id::UserId,
    keys::{KeyRing, VerificationKeys},
};

/// A [`Codec`] for one kind, issuer and audience, under the keys of the moment. Readers neither lock nor wait.
#[derive(Debug)]
pub(crate) struct LiveCodec {
    kind: TokenKind,
    issuer: String,
    audience: String,
    /// How many tokens with the signature of a public key are remembered.
    cached: usize,
    current: ArcSwap<Codec>,
}

impl LiveCodec {
    pub(crate) fn new(kind: TokenKind, ring: &KeyRing, issuer: String, audience: String, cached: usize) -> Self {
        let codec = Codec::new(kind, ring, &issuer, &audience, cached);
        Self { kind, issuer, audience, cached, current: ArcSwap::from_pointee(codec) }
    }

    /// A codec that seals nothing; without keys it opens nothing either.
    pub(crate) fn verifying(
        kind: TokenKind,
        keys: Option<&VerificationKeys>,
        issuer: String,
        audience: String,
        cached: usize,
    ) -> Self {
        let codec = Codec::verifying(kind, keys, &issuer, &audience, cached);
        Self { kind, issuer, audience, cached, current: ArcSwap::from_pointee(codec) }
    }

    /// Goes on with other keys. Whether that is safe is for the caller to judge.
    pub(crate) fn replace(&self, ring: &KeyRing) {
        self.current.store(Arc::new(Codec::new(self.kind, ring, &self.issuer, &self.audience, self.cached)));
    }

    /// The same for a codec that seals nothing.
    pub(crate) fn replace_verifying(&self, keys: &VerificationKeys) {
        self.current.store(Arc::new(Codec::verifying(
            self.kind,
            Some(keys),
            &self.issuer,
            &self.audience,
            self.cached,
        )));
    }

    /// See [`Codec::longest`].
    pub(crate) fn longest(&self, user: &UserId, app: &AppClaims) -> usize {
        self.current.load().longest(user, app)
    }

    /// See [`Codec::seal`].
    pub(crate) fn seal(&self, claims: &RegisteredClaims, app: &AppClaims) -> Result<String, IssueError> {
        self.current.load().seal(claims, app)
    }

    /// See [`Codec::open`].
    pub(crate) fn open<'b>(
        &self,
        token: &[u8],
        now: Timestamp,
        buffer: &'b mut Buffer,
    ) -> Result<Opened<'b>, TokenError> {
        self.current.load().open(token, now, buffer)
    }
}
