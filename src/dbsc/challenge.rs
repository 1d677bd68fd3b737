//! Challenges, which devices sign. They are not stored: a challenge is its time and a MAC.
//!
//! A proof is judged by the age of its challenge, never by its first use: browsers send the same proof again when a
//! response was lost, or brought no next challenge.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{clock::Timestamp, id::SessionId, jwt::Codec, policy::MAX_CLOCK_SKEW};

/// What a signature of a challenge is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Only within minutes of the login.
    Register,
    Refresh,
}

/// What a challenge is for: a purpose, and the refresh token that comes with its signature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Challenge {
    pub(crate) purpose: Purpose,
    pub(crate) session: SessionId,
    /// A proof that was seen elsewhere is of no use beside another refresh token.
    pub(crate) generation: u32,
}

/// The text before what is authenticated, which no other use of the key begins with.
const LABEL: &[u8] = b"tower-jwt-sessions dbsc challenge v1";

impl Challenge {
    /// Returns the challenge in base64url; `None` when the cryptographic library fails.
    pub(crate) fn issue(&self, codec: &Codec, now: Timestamp) -> Option<String> {
        let time = now.as_secs().to_be_bytes();
        let tag = codec.authenticate(&self.message(time))?;
        Some(URL_SAFE_NO_PAD.encode([&time, tag.as_bytes()].concat()))
    }

    /// Whether this is such a challenge, issued less than `lifetime` ago by a node of the same keys.
    pub(crate) fn is_answered_by(&self, text: &str, codec: &Codec, lifetime: Duration, now: Timestamp) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(text) else { return false };
        let Some((time, tag)) = bytes.split_first_chunk() else { return false };
        let issued_at = Timestamp::from_secs(u64::from_be_bytes(*time));
        let is_ahead = issued_at > now.saturating_add(MAX_CLOCK_SKEW);
        !is_ahead && now.since(issued_at) < lifetime && codec.is_authentic(&self.message(*time), tag, now)
    }

    fn message(&self, time: [u8; 8]) -> Vec<u8> {
        let purpose: &[u8] = match self.purpose {
            Purpose::Register => b"\0register\0",
            Purpose::Refresh => b"\0refresh\0",
        };
        [LABEL, purpose, self.session.as_bytes(), &self.generation.to_be_bytes(), &time].concat()
    }
}
