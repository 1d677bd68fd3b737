//! What a handler or a guard requires of a session.

use std::time::Duration;

use super::{Session, SessionRejection, SessionRejectionKind};

impl<C> Session<C> {
    /// Checks a condition for this session inside a handler: `session.require(|session| …)?`. For all routes of a
    /// router, use [`guard::require`](crate::guard::require).
    ///
    /// ```
    /// use axum::extract::Path;
    /// use tower_jwt_sessions::{Session, auth::SessionRejection};
    ///
    /// async fn edit(session: Session<Vec<u64>>, Path(project): Path<u64>) -> Result<String, SessionRejection> {
    ///     session.require(|session| session.claims().contains(&project))?;
    ///     Ok(format!("project {project}"))
    /// }
    /// # let _ = edit;
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionRejectionKind::NotPermitted`] if the condition does not hold: 403 `insufficient_scope`.
    pub fn require(&self, condition: impl FnOnce(&Self) -> bool) -> Result<(), SessionRejection> {
        if condition(self) { Ok(()) } else { Err(self.reject(SessionRejectionKind::NotPermitted)) }
    }

    /// Checks inside a handler that the session is bound to a device ([`is_bound`](Self::is_bound)), before what a copy of
    /// the cookies must not do. For routes, use
    /// [`guard::require_device_binding`](crate::guard::require_device_binding).
    ///
    /// # Errors
    ///
    /// [`SessionRejectionKind::DeviceNotBound`] if it is not: 403 `device_binding_required`.
    pub fn require_device_binding(&self) -> Result<(), SessionRejection> {
        if self.is_bound() { Ok(()) } else { Err(self.reject(SessionRejectionKind::DeviceNotBound)) }
    }

    /// Checks inside a handler that the user logged in at most `max_age` ago, before what is sensitive. For routes, use
    /// [`guard::require_recent_login`](crate::guard::require_recent_login), which says how the age is measured.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_jwt_sessions::{Session, auth::SessionRejection};
    ///
    /// async fn transfer(session: Session, amount: u64) -> Result<(), SessionRejection> {
    ///     if amount > 1_000 {
    ///         session.require_recent_login(Duration::from_secs(5 * 60))?;
    ///     }
    ///     Ok(())
    /// }
    /// # let _ = transfer;
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionRejectionKind::LoginNotRecent`] if it was longer ago: 401 `insufficient_user_authentication`.
    /// [`SessionRejectionKind::NotPermitted`] if another acts as the user ([`Session::actor`]), who has not logged in
    /// here at all: 403 `insufficient_scope`.
    pub fn require_recent_login(&self, max_age: Duration) -> Result<(), SessionRejection> {
        if self.actor().is_some() {
            return Err(self.reject(SessionRejectionKind::NotPermitted));
        }
        let now = self.verifier().map_or(self.verified_at(), |verifier| verifier.clock.now());
        if now.since(self.registered().auth_time) <= max_age {
            return Ok(());
        }
        Err(self.reject(SessionRejectionKind::LoginNotRecent { max_age }))
    }
}
