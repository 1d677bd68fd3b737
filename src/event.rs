//! Events of sessions, for audit logs, `tracing` and metrics.
//!
//! ```
//! use tower_jwt_sessions::{
//!     SessionManager,
//!     event::{EndReason, SessionEventKind},
//! };
//!
//! let builder = SessionManager::<()>::builder().on_event(|event| match event.kind {
//!     SessionEventKind::RefreshTokenReused => eprintln!("stolen token? user {}", event.user_id),
//!     SessionEventKind::Ended(EndReason::LoggedOut) => eprintln!("logout of {}", event.user_id),
//!     _ => {}
//! });
//! # let _ = builder;
//! ```

use std::{fmt, sync::Arc};

pub(crate) use crate::error::LOG_TARGET;
use crate::id::{SessionId, UserId};

/// An event in the life of a session (OWASP ASVS 5.0, 16.3; OWASP logging vocabulary).
///
/// Every event is also written to `tracing` under the target `tower_jwt_sessions`, with a digest in place of the
/// session id and without the user id.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionEvent {
    /// The user of the session.
    pub user_id: UserId,
    /// The session.
    pub session_id: SessionId,
    /// The kind of event.
    pub kind: SessionEventKind,
    /// Who acted as the user in this session ([`Login::acting`](crate::manager::Login::acting)), where the operation
    /// knows: from the login, and from each token that is presented, as at a refresh or logout. Otherwise `None`, as
    /// when the session is ended by another, by [`SessionManager::end_all`](crate::SessionManager::end_all) for example:
    /// the [`Created`](SessionEventKind::Created) of the session has it.
    pub actor: Option<UserId>,
}

/// The kinds of [`SessionEvent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEventKind {
    /// A login created the session.
    Created,
    /// The session was refreshed.
    Refreshed(RefreshKind),
    /// The session ended.
    Ended(EndReason),
    /// A superseded refresh token was presented after its window, or after too many unused responses in a row
    /// ([`MAX_LOST_ANSWERS`](crate::store::SessionRecord::MAX_LOST_ANSWERS)): the token or its successor was stolen. An
    /// [`EndReason::RefreshTokenReused`] follows.
    RefreshTokenReused,
    /// A refresh token that had expired, or whose session had ended, was presented.
    UsedAfterEnd,
    /// Its access was expired, so that the next refresh loads new claims.
    AccessExpired,
    /// The store had an older generation than the token, or an older epoch than the node: it lost writes, for example
    /// in a failover.
    StoreRolledBack,
}

/// What a refresh issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefreshKind {
    /// An access token only: the refresh token stays, since it was issued a moment ago, or since the response
    /// that superseded it may still arrive.
    AccessOnly,
    /// Tokens of a new generation.
    Rotated,
    /// The current tokens again, for a token that was superseded a moment ago.
    Repeated,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// The user logged out.
    LoggedOut,
    /// The application ended it, or the user from another session.
    Requested,
    /// A new login took its place.
    Replaced,
    /// A login exceeded the limit of sessions.
    Evicted,
    /// Its refresh token was used twice.
    RefreshTokenReused,
    /// The claims source no longer finds the user.
    UserGone,
}

/// The hook of the application.
#[derive(Clone, Default)]
pub(crate) struct EventHook(Option<Arc<Hook>>);

type Hook = dyn Fn(&SessionEvent) + Send + Sync;

impl EventHook {
    pub(crate) fn new(hook: impl Fn(&SessionEvent) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    /// Calls the hook, writes to the log and counts.
    pub(crate) fn emit(&self, user_id: &UserId, session_id: SessionId, actor: Option<&UserId>, kind: SessionEventKind) {
        log(session_id, kind);
        #[cfg(feature = "metrics")]
        metrics::counter!("tower_jwt_sessions_events_total", "event" => name(kind)).increment(1);
        if let Some(hook) = &self.0 {
            hook(&SessionEvent { user_id: user_id.clone(), session_id, kind, actor: actor.cloned() });
        }
    }
}

impl fmt::Debug for EventHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "EventHook(set)" } else { "EventHook(none)" })
    }
}

fn log(session_id: SessionId, kind: SessionEventKind) {
    // Computed within the lines, and so only if they are enabled.
    let (session, event) = (|| session_id.log_digest(), name(kind));
    match kind {
        SessionEventKind::RefreshTokenReused => {
            tracing::warn!(
                target: LOG_TARGET,
                session = %session(),
                event,
                "session ended: a superseded refresh token was presented again"
            );
        }
        SessionEventKind::StoreRolledBack => {
            tracing::warn!(
                target: LOG_TARGET,
                session = %session(),
                event,
                "session store lost writes: the newer generation or epoch was adopted"
            );
        }
        SessionEventKind::Ended(reason) => tracing::info!(target: LOG_TARGET, session = %session(), event, ?reason),
        SessionEventKind::Refreshed(rotation) => {
            tracing::debug!(target: LOG_TARGET, session = %session(), event, ?rotation);
        }
        _ => tracing::info!(target: LOG_TARGET, session = %session(), event),
    }
}

/// The names of the OWASP logging vocabulary where it has one.
const fn name(kind: SessionEventKind) -> &'static str {
    match kind {
        SessionEventKind::Created => "session_created",
        SessionEventKind::Refreshed(_) => "session_renewed",
        SessionEventKind::Ended(EndReason::LoggedOut) => "session_logout",
        SessionEventKind::Ended(_) => "authn_token_revoked",
        SessionEventKind::RefreshTokenReused => "authn_token_reuse",
        SessionEventKind::UsedAfterEnd => "session_use_after_expire",
        SessionEventKind::AccessExpired => "session_access_expired",
        SessionEventKind::StoreRolledBack => "session_store_rolled_back",
    }
}
