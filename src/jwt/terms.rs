//! What a login said about its session. Both tokens carry it through every refresh.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::cursor::{Cursor, json_string};
use crate::{
    error::{Error, ErrorKind, expectation},
    id::{SessionId, UserId},
    policy::MAX_CLOCK_SKEW,
    problem::Renderer,
};

/// What a login said about its session, and no refresh changes:
/// [`persistent`](crate::manager::Login::persistent), [`refresh_lifetime`](crate::manager::Login::refresh_lifetime),
/// [`session_claims`](crate::manager::Login::session_claims) and [`acting`](crate::manager::Login::acting).
///
/// It is in both tokens, so a refresh reads it from the token that it verifies, and a request without I/O. A
/// [`ClaimsSource`](crate::manager::ClaimsSource) is given it. The default is that of a login which said nothing. `Debug`
/// omits the session claims.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SessionTerms {
    /// In whole seconds.
    idle: Option<u64>,
    ends_with_browser: bool,
    /// A JSON object, as it was written at the login.
    claims: Option<Arc<str>>,
    actor: Option<Actor>,
    /// Only in access tokens: the one thing that the login did not say.
    is_bound: bool,
}

/// Who acts as the user of a session, and the session of their own from which they do.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Actor {
    pub(crate) user_id: UserId,
    pub(crate) session_id: SessionId,
}

/// Why session claims cannot be put into a token.
#[derive(Debug)]
pub(crate) enum InvalidSessionClaims {
    Unserializable(serde_json::Error),
    NotAnObject,
}

/// Why session claims cannot be read: with what was expected, if known.
#[derive(Debug)]
struct UnreadableSessionClaims(Option<String>);

impl SessionTerms {
    /// Returns whether the cookies outlast the browser; `true` unless the login said otherwise.
    pub const fn is_persistent(&self) -> bool {
        !self.ends_with_browser
    }

    /// Returns how long the session lasts without a refresh, in whole seconds, if the login limited that. The limit of
    /// the manager applies as well.
    pub const fn refresh_lifetime(&self) -> Option<Duration> {
        match self.idle {
            Some(idle) => Some(Duration::from_secs(idle)),
            None => None,
        }
    }

    /// Returns who acts as the user of the session: the `act` claim (RFC 8693, section 4.1); `None` if it is the user.
    pub fn actor(&self) -> Option<&UserId> {
        self.actor.as_ref().map(|actor| &actor.user_id)
    }

    /// Returns the same, with the session of their own from which they act.
    pub(crate) const fn actor_session(&self) -> Option<&Actor> {
        self.actor.as_ref()
    }

    /// Reads the session claims; `None` if the login gave none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DataFormat`] if they are no `T`: a `500`; the log says what was expected, but not what was found.
    pub fn session_claims<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        self.claims_as(&Renderer::default())
    }

    pub(crate) fn claims_as<T: DeserializeOwned>(&self, renderer: &Renderer) -> Result<Option<T>, Error> {
        // As bytes, since serde_json may cut a str within a character, and panics, where a name should be a `bool`.
        let read = self.claims.as_deref().map(|json| serde_json::from_slice(json.as_bytes())).transpose();
        read.map_err(|error| {
            Error::new(ErrorKind::DataFormat, renderer).caused_by(UnreadableSessionClaims(expectation(&error)))
        })
    }

    /// Whether the access token was issued for a proof of the session's device.
    pub(crate) const fn is_bound(&self) -> bool {
        self.is_bound
    }

    /// Returns the terms of access tokens of a bound session.
    pub(crate) fn bound(terms: Option<&Self>) -> Self {
        Self { is_bound: true, ..terms.cloned().unwrap_or_default() }
    }

    pub(crate) fn set_persistent(&mut self, persistent: bool) {
        self.ends_with_browser = !persistent;
    }

    /// Whole seconds, as the tokens count them. Not below what clocks may differ by, which no node could enforce, and not
    /// above what any manager allows, since tokens with more than 19 digits are refused.
    pub(crate) fn set_refresh_lifetime(&mut self, lifetime: Duration) {
        self.idle = Some(lifetime.clamp(MAX_CLOCK_SKEW, Duration::from_secs(u32::MAX.into())).as_secs());
    }

    pub(crate) fn set_actor(&mut self, user_id: UserId, session_id: SessionId) {
        self.actor = Some(Actor { user_id, session_id });
    }

    /// Sets the session claims; an empty object is none.
    pub(crate) fn set_claims(&mut self, claims: &impl Serialize) -> Result<(), InvalidSessionClaims> {
        let json = serde_json::to_string(claims).map_err(InvalidSessionClaims::Unserializable)?;
        let json = json.trim_ascii();
        if !json.starts_with('{') {
            return Err(InvalidSessionClaims::NotAnObject);
        }
        // What is nested too deeply could be written, but never read.
        serde_json::from_slice::<Value>(json.as_bytes()).map_err(InvalidSessionClaims::Unserializable)?;
        self.claims = (json != "{}").then(|| json.into());
        Ok(())
    }

    /// Returns the terms for the tokens; `None` if the login said nothing.
    pub(crate) fn into_shared(self) -> Option<Arc<Self>> {
        (self != Self::default()).then(|| Arc::new(self))
    }

    /// Returns the members of a payload: empty, or `,"name":value…`.
    pub(super) fn members(&self) -> String {
        let idle = self.idle.map(|idle| format!(r#""idle":{idle}"#));
        let persistent = self.ends_with_browser.then(|| r#""persistent":false"#.to_owned());
        let claims = self.claims.as_deref().map(|claims| format!(r#""claims":{claims}"#));
        let bound = self.is_bound.then(|| r#""bound":true"#.to_owned());
        let session: Vec<String> = [idle, persistent, claims, bound].into_iter().flatten().collect();
        let actor = self.actor.as_ref().map(|Actor { user_id, session_id }| {
            format!(r#","act":{{"sub":{},"sid":"{session_id}"}}"#, json_string(user_id.as_str()))
        });
        let session = (!session.is_empty()).then(|| format!(r#","sess":{{{}}}"#, session.join(",")));
        actor.unwrap_or_default() + &session.unwrap_or_default()
    }

    /// Reads the terms of a payload, `Some(None)` if there are none.
    #[inline]
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Option<Option<Arc<Self>>> {
        match cursor.is_at(r#","act":"#) || cursor.is_at(r#","sess":"#) {
            true => Self::read_members(cursor).map(Some),
            false => Some(None),
        }
    }

    fn read_members(cursor: &mut Cursor<'_>) -> Option<Arc<Self>> {
        let before = cursor.rest();
        let mut terms = Self::default();
        if cursor.text(r#","act":{"sub":"#).is_some() {
            let user_id = UserId::from_text(&cursor.string(json_string)?).ok()?;
            cursor.text(r#","sid":""#)?;
            let session_id = SessionId::from_text(cursor.take(SessionId::TEXT_LEN)?)?;
            cursor.text(r#""}"#)?;
            terms.actor = Some(Actor { user_id, session_id });
        }
        let mut has_more = cursor.text(r#","sess":{"#).is_some();
        while has_more {
            if cursor.text(r#""idle":"#).is_some() {
                terms.idle = Some(cursor.number()?);
            } else if cursor.text(r#""persistent":false"#).is_some() {
                terms.ends_with_browser = true;
            } else if cursor.text(r#""bound":true"#).is_some() {
                terms.is_bound = true;
            } else {
                cursor.text(r#""claims":"#)?;
                terms.claims = Some(cursor.object()?.into());
            }
            has_more = cursor.text(",").is_some();
            if !has_more {
                cursor.text("}")?;
            }
        }
        // One spelling and one order of each token.
        let read = before.get(..before.len().checked_sub(cursor.remaining())?)?;
        (terms.members().as_bytes() == read).then(|| Arc::new(terms))
    }
}

impl fmt::Debug for SessionTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionTerms")
            .field("refresh_lifetime", &self.refresh_lifetime())
            .field("is_persistent", &self.is_persistent())
            .field("actor", &self.actor())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for InvalidSessionClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unserializable(error) => write!(f, "the session claims cannot be written as JSON: {error}"),
            Self::NotAnObject => f.write_str("session claims must be a struct or map"),
        }
    }
}

impl std::error::Error for InvalidSessionClaims {}

impl fmt::Display for UnreadableSessionClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the session claims are of another type")?;
        self.0.as_ref().map_or(Ok(()), |expected| write!(f, " ({expected})"))
    }
}

impl std::error::Error for UnreadableSessionClaims {}
