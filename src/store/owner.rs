//! The owner of sessions.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::id::{UserId, short_digest};

/// Identifies the users who log in with the same issuer and audience.
///
/// Managers with different issuers or audiences can share a store: customer 42 and administrator 42 are two owners,
/// whatever the store's key prefix. A population is a digest of issuer and audience, the same on every node.
///
/// ```
/// use tower_jwt_sessions::store::Population;
///
/// let customers = Population::new("https://app.example", "https://shop.example");
/// let staff = Population::new("https://app.example", "https://admin.example");
/// assert_ne!(customers, staff);
/// assert_eq!(customers.to_string().len(), Population::TEXT_LEN);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Population([u8; Self::LEN]);

impl Population {
    /// The length of the bytes.
    pub const LEN: usize = 12;
    /// The length of the text form in characters.
    pub const TEXT_LEN: usize = 16;

    /// Returns the population of this issuer and audience.
    pub fn new(issuer: &str, audience: &str) -> Self {
        Self(short_digest("tower-jwt-sessions population v1", [issuer, audience].map(str::as_bytes)))
    }

    /// Returns the bytes, for a store with compact keys.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

/// Writes 16 characters of base64url.
impl fmt::Display for Population {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Population {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Population({self})")
    }
}

/// The owner of sessions: a user of one population.
///
/// A store keys everything by both parts of it, which keeps populations separate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    population: Population,
    user_id: UserId,
}

impl Owner {
    /// Returns the owner that is this user of this population.
    pub const fn new(population: Population, user_id: UserId) -> Self {
        Self { population, user_id }
    }

    /// Returns the population.
    pub const fn population(&self) -> Population {
        self.population
    }

    /// Returns the user within the population.
    pub const fn user_id(&self) -> &UserId {
        &self.user_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn populations_differ_by_issuer_and_audience() {
        let pairs = [("a", "b"), ("b", "a"), ("a", "a"), ("ab", ""), ("", "ab"), ("a", "bb")];
        for (index, (issuer, audience)) in pairs.into_iter().enumerate() {
            let population = Population::new(issuer, audience);
            assert_eq!(population, Population::new(issuer, audience));
            for (other_issuer, other_audience) in &pairs[index + 1..] {
                assert_ne!(population, Population::new(other_issuer, other_audience));
            }
        }
    }
}
