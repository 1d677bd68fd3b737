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

use std::{
    fmt::{self, Write as _},
    net::IpAddr,
    sync::Arc,
};

use serde_json::{Map, Value};

pub(crate) use crate::error::LOG_TARGET;
use crate::{
    id::{SessionId, UserId},
    measure,
};

/// An event in the life of a session (OWASP ASVS 5.0, 16.3; OWASP logging vocabulary).
///
/// Every event is also written to `tracing` under the target `tower_jwt_sessions`, with a digest in place of the
/// session id and without the user id. [`to_json`](Self::to_json) is a form for audit logs. `Debug` omits user agent and
/// address, which are personal.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionEvent {
    /// The user of the session.
    pub user_id: UserId,
    /// The session.
    pub session_id: SessionId,
    /// The kind of event.
    pub kind: SessionEventKind,
    /// The operation that caused the event.
    pub operation: Operation,
    /// Who acted as the user in this session ([`Login::acting`](crate::manager::Login::acting)), where the operation
    /// knows: from the login, and from each token that is presented, as at a refresh or logout. Otherwise `None`, as
    /// when the session is ended by its id, by the limit of sessions or by
    /// [`SessionManager::end_all`](crate::SessionManager::end_all), or its access is expired, since only another read of
    /// the store could tell: the [`Created`](SessionEventKind::Created) of the session has it.
    pub actor: Option<UserId>,
    /// The `User-Agent` of the request that caused the event, truncated to 255 bytes, where the manager knows the request
    /// ([within a request](crate::SessionManager#within-a-request)): always in companion routes and in renewed requests.
    /// In [`Created`](SessionEventKind::Created) what the login stated
    /// ([`Login::user_agent`](crate::manager::Login::user_agent)) comes first.
    pub user_agent: Option<String>,
    /// The address of the client that sent the request, where the manager knows the request and
    /// [`client_ip`](crate::manager::SessionManagerBuilder::client_ip) finds it. In
    /// [`Created`](SessionEventKind::Created) what the login stated ([`Login::ip`](crate::manager::Login::ip)) comes
    /// first.
    pub ip: Option<IpAddr>,
}

/// The operation that caused a [`SessionEvent`]: a method of the [`SessionManager`](crate::SessionManager), whether the
/// application, a companion route or the renewal layer called it.
///
/// How the user was authenticated is not known here: an application that audits it can write it to its
/// [session claims](crate::manager::Login::session_claims), and to its own log at the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// [`login`](crate::SessionManager::login): also of the ends of the sessions that it replaces or evicts.
    Login,
    /// [`refresh`](crate::SessionManager::refresh) or
    /// [`refresh_with_token`](crate::SessionManager::refresh_with_token).
    Refresh,
    /// The registration of the key of a device, by a browser.
    DeviceRegistration,
    /// A refresh by the renewal layer, before the handler of a request.
    Renewal,
    /// No operation: a request, as it arrived.
    Request,
    /// [`logout`](crate::SessionManager::logout) or [`end_with_token`](crate::SessionManager::end_with_token).
    Logout,
    /// [`logout_all`](crate::SessionManager::logout_all).
    LogoutAll,
    /// [`end`](crate::SessionManager::end), as by the list of sessions.
    End,
    /// [`end_all`](crate::SessionManager::end_all).
    EndAll,
    /// [`end_others`](crate::SessionManager::end_others).
    EndOthers,
    /// [`expire_access`](crate::SessionManager::expire_access).
    ExpireAccess,
}

impl Operation {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Refresh => "refresh",
            Self::DeviceRegistration => "device_registration",
            Self::Renewal => "renewal",
            Self::Request => "request",
            Self::Logout => "logout",
            Self::LogoutAll => "logout_all",
            Self::End => "end",
            Self::EndAll => "end_all",
            Self::EndOthers => "end_others",
            Self::ExpireAccess => "expire_access",
        }
    }
}

/// What caused an event: the operation, and who sent its request, where that is known.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    pub(crate) operation: Operation,
    pub(crate) client: Option<Arc<Client>>,
}

/// Why a session ends, and what caused that.
#[derive(Clone, Debug)]
pub(crate) struct EndCause {
    pub(crate) reason: EndReason,
    pub(crate) cause: Cause,
}

/// Who sent a request. `Debug` omits all of it, which is personal.
pub(crate) struct Client {
    pub(crate) user_agent: Option<String>,
    pub(crate) ip: Option<IpAddr>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// The longest `User-Agent` that is kept, in bytes.
const MAX_USER_AGENT_LEN: usize = 255;

/// Truncates a `User-Agent`, between two characters.
pub(crate) fn truncated_user_agent(mut user_agent: String) -> String {
    let mut end = user_agent.len().min(MAX_USER_AGENT_LEN);
    while !user_agent.is_char_boundary(end) {
        end -= 1;
    }
    user_agent.truncate(end);
    user_agent
}

impl SessionEvent {
    pub(crate) fn new(
        user_id: &UserId,
        session_id: SessionId,
        actor: Option<&UserId>,
        kind: SessionEventKind,
        cause: &Cause,
    ) -> Self {
        let client = cause.client.as_deref();
        Self {
            user_id: user_id.clone(),
            session_id,
            kind,
            operation: cause.operation,
            actor: actor.cloned(),
            user_agent: client.and_then(|client| client.user_agent.clone()),
            ip: client.and_then(|client| client.ip),
        }
    }

    /// Returns the event as one line of JSON, for an audit log. It has no time: your log adds its own. What a program
    /// might take for the end of the line or a terminal for a command is escaped, since clients choose their user agent.
    ///
    /// The members are `event`, `user_id`, `session_id`, `operation` (the name of the [`Operation`] in snake case), and
    /// where they apply `reason` (of an end or a skip), `tokens` (of a refresh), `actor`, `user_agent` and `ip`. Later versions may
    /// add members and values, but change none.
    ///
    /// | `event` | |
    /// |---|---|
    /// | `session_created` | [`Created`](SessionEventKind::Created) |
    /// | `session_renewed` | [`Refreshed`](SessionEventKind::Refreshed), with `tokens`: `access_only`, `rotated` or `repeated` |
    /// | `session_logout` | [`Ended`](SessionEventKind::Ended) by a logout, with `reason`: `logged_out` |
    /// | `authn_token_revoked` | `Ended` otherwise, with `reason`: `requested`, `replaced`, `evicted`, `refresh_token_reused`, `user_gone` or `actor_ended` |
    /// | `authn_token_reuse` | [`RefreshTokenReused`](SessionEventKind::RefreshTokenReused) |
    /// | `session_use_after_expire` | [`UsedAfterEnd`](SessionEventKind::UsedAfterEnd) |
    /// | `session_access_expired` | [`AccessExpired`](SessionEventKind::AccessExpired) |
    /// | `session_device_registered` | [`DeviceRegistered`](SessionEventKind::DeviceRegistered) |
    /// | `session_device_bound` | [`DeviceBound`](SessionEventKind::DeviceBound) |
    /// | `session_device_registration_refused` | [`DeviceRegistrationRefused`](SessionEventKind::DeviceRegistrationRefused) |
    /// | `session_device_proof_missing` | [`DeviceProofMissing`](SessionEventKind::DeviceProofMissing) |
    /// | `session_device_proof_invalid` | [`DeviceProofInvalid`](SessionEventKind::DeviceProofInvalid) |
    /// | `session_device_proof_skipped` | [`DeviceProofSkipped`](SessionEventKind::DeviceProofSkipped), with `reason`: `quota_exceeded`, `unreachable`, `server_error` or `other` |
    /// | `session_store_rolled_back` | [`StoreRolledBack`](SessionEventKind::StoreRolledBack) |
    ///
    /// ```
    /// use tower_jwt_sessions::SessionManager;
    ///
    /// let builder = SessionManager::<()>::builder().on_event(|event| println!("{}", event.to_json()));
    /// # let _ = builder;
    /// ```
    pub fn to_json(&self) -> String {
        let mut members = Map::new();
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                members.insert(name.to_owned(), value.into());
            }
        };
        add("event", Some(name(self.kind).to_owned()));
        add("user_id", Some(self.user_id.to_string()));
        add("session_id", Some(self.session_id.to_string()));
        add("operation", Some(self.operation.as_str().to_owned()));
        match self.kind {
            SessionEventKind::Ended(reason) => add("reason", Some(reason.as_str().to_owned())),
            SessionEventKind::DeviceProofSkipped(reason) => add("reason", Some(reason.as_str().to_owned())),
            SessionEventKind::Refreshed(kind) => add("tokens", Some(kind.as_str().to_owned())),
            _ => {}
        }
        add("actor", self.actor.as_ref().map(ToString::to_string));
        add("user_agent", self.user_agent.clone());
        add("ip", self.ip.map(|ip| ip.to_string()));
        one_line(&Value::Object(members).to_string())
    }
}

/// Escapes in JSON what serde_json does not: control characters beyond ASCII, line separators, and the characters that
/// reverse the direction of text. All of them can only be within strings.
fn one_line(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {
                // They need four digits at most. A string cannot fail.
                let _ = write!(line, "\\u{:04x}", u32::from(c));
            }
            _ => line.push(c),
        }
    }
    line
}

impl fmt::Debug for SessionEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionEvent")
            .field("user_id", &self.user_id)
            .field("session_id", &self.session_id)
            .field("kind", &self.kind)
            .field("operation", &self.operation)
            .field("actor", &self.actor)
            .finish_non_exhaustive()
    }
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
    /// A browser has registered a key of its device for the session. It is demanded from the first proof on.
    DeviceRegistered,
    /// The device has proven a refresh for the first time: the session is bound to it, and refreshes without proof are
    /// refused.
    DeviceBound,
    /// A key was refused, since the session has one already: a browser has registered again, or a copy of the cookies was
    /// used for a registration, this one or the former.
    DeviceRegistrationRefused,
    /// A refresh of a bound session without proof was refused: by a copy of the cookies, or by a browser that has lost the
    /// key or stopped to prove. Nothing was changed.
    DeviceProofMissing,
    /// A proof was not signed by the key of the session: by a copy of the cookies, or by a browser that has lost the key.
    /// Nothing was changed.
    DeviceProofInvalid,
    /// A browser says that it has sent a request without refreshing first, although the access token had expired. It was
    /// served as any request with an expired access token.
    DeviceProofSkipped(SkipReason),
    /// The store had an older generation than the token, or an older epoch than the node: it lost writes, for example
    /// in a failover.
    StoreRolledBack,
}

/// Why a browser has sent a request without refreshing first. It is what the browser says, of which nothing is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// It signs no more for a while.
    QuotaExceeded,
    /// The server could not be reached.
    Unreachable,
    /// The server answered with an error.
    ServerError,
    /// Something else.
    Other,
}

impl SkipReason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::QuotaExceeded => "quota_exceeded",
            Self::Unreachable => "unreachable",
            Self::ServerError => "server_error",
            Self::Other => "other",
        }
    }
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

impl RefreshKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::AccessOnly => "access_only",
            Self::Rotated => "rotated",
            Self::Repeated => "repeated",
        }
    }
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
    /// Someone acted as the user, and their own session had ended when this one was refreshed.
    ActorEnded,
}

impl EndReason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::LoggedOut => "logged_out",
            Self::Requested => "requested",
            Self::Replaced => "replaced",
            Self::Evicted => "evicted",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::UserGone => "user_gone",
            Self::ActorEnded => "actor_ended",
        }
    }
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
    pub(crate) fn emit(&self, event: &SessionEvent) {
        log(event.session_id, event.kind);
        measure::event(name(event.kind));
        if let Some(hook) = &self.0 {
            hook(event);
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
        SessionEventKind::DeviceProofSkipped(reason) => {
            tracing::info!(target: LOG_TARGET, session = %session(), event, ?reason);
        }
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
        SessionEventKind::DeviceRegistered => "session_device_registered",
        SessionEventKind::DeviceBound => "session_device_bound",
        SessionEventKind::DeviceRegistrationRefused => "session_device_registration_refused",
        SessionEventKind::DeviceProofMissing => "session_device_proof_missing",
        SessionEventKind::DeviceProofInvalid => "session_device_proof_invalid",
        SessionEventKind::DeviceProofSkipped(_) => "session_device_proof_skipped",
        SessionEventKind::StoreRolledBack => "session_store_rolled_back",
    }
}
