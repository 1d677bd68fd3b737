//! What a guard requires of a session.

use std::{fmt, time::Duration};

use crate::auth::{Session, SessionRejection};

/// What a [`RequireLayer`](super::RequireLayer) requires of a session: a [`Condition`], a [`RecentLogin`] or a
/// [`BoundDevice`]. It is sealed.
pub trait Requirement<C>: sealed::Sealed {
    /// Checks a session.
    ///
    /// # Errors
    ///
    /// A [`SessionRejection`] if it does not meet the requirement.
    fn check(&self, session: &Session<C>) -> Result<(), SessionRejection>;
}

mod sealed {
    pub trait Sealed {}
}

/// A condition for the session: what [`require`](super::require) requires.
#[derive(Clone, Copy)]
pub struct Condition<F>(F);

/// The greatest age of the login: what [`require_recent_login`](super::require_recent_login) requires.
#[derive(Clone, Copy, Debug)]
pub struct RecentLogin {
    max_age: Duration,
}

/// The binding to a device: what [`require_device_binding`](super::require_device_binding) requires.
#[derive(Clone, Copy, Debug)]
pub struct BoundDevice(());

impl BoundDevice {
    pub(super) const fn new() -> Self {
        Self(())
    }
}

impl<F> Condition<F> {
    pub(super) const fn new(condition: F) -> Self {
        Self(condition)
    }
}

impl RecentLogin {
    pub(super) const fn new(max_age: Duration) -> Self {
        Self { max_age }
    }
}

impl<F> sealed::Sealed for Condition<F> {}
impl sealed::Sealed for RecentLogin {}
impl sealed::Sealed for BoundDevice {}

impl<C, F: Fn(&Session<C>) -> bool> Requirement<C> for Condition<F> {
    fn check(&self, session: &Session<C>) -> Result<(), SessionRejection> {
        session.require(&self.0)
    }
}

impl<C> Requirement<C> for RecentLogin {
    fn check(&self, session: &Session<C>) -> Result<(), SessionRejection> {
        session.require_recent_login(self.max_age)
    }
}

impl<C> Requirement<C> for BoundDevice {
    fn check(&self, session: &Session<C>) -> Result<(), SessionRejection> {
        session.require_device_binding()
    }
}

impl<F> fmt::Debug for Condition<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition").finish_non_exhaustive()
    }
}
