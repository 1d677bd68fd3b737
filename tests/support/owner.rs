//! The owners of the population that the managers of the tests serve, and where Redis keeps their sessions.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tower_jwt_sessions::{
    UserId,
    store::{Owner, Population},
};

pub(crate) const ISSUER: &str = "https://app.test";

pub(crate) fn owner(user: impl ToString) -> Owner {
    Owner::new(Population::new(ISSUER, ISSUER), UserId::new(user).expect("a user id"))
}

/// The key of the hash with the owner's sessions.
pub(crate) fn sessions_key(prefix: &str, owner: &Owner) -> String {
    format!("{prefix}sessions:{}", tag(owner))
}

/// The key of the hash with what belongs to the owner's sessions.
pub(crate) fn data_key(prefix: &str, owner: &Owner) -> String {
    format!("{prefix}session-data:{}", tag(owner))
}

fn tag(owner: &Owner) -> String {
    format!("{{{}.{}}}", owner.population(), URL_SAFE_NO_PAD.encode(owner.user_id().as_str()))
}
