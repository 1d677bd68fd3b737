//! The source of the application's claims.

use std::{fmt, future::Future, marker::PhantomData, pin::Pin, sync::Arc};

use crate::{
    error::BoxError,
    health::Health,
    id::UserId,
    jwt::{SessionTerms, unit_claims},
};

/// Loads the claims of a user: called at every login and refresh, so that changed roles and deleted users are noticed.
///
/// Implemented for async functions of a [`UserId`] that return `Result<Option<C>, E>`. A function that needs a connection
/// pool or other state is for [`claims_with`](super::SessionManagerBuilder::claims_with), since an async closure that
/// captures it is none of these functions. A struct with the pool implements this trait with an `async fn`.
///
/// ```
/// use tower_jwt_sessions::{UserId, manager::ClaimsSource};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Claims {
///     role: String,
/// }
///
/// struct Users;
///
/// impl ClaimsSource<Claims> for Users {
///     async fn load(
///         &self,
///         user: &UserId,
///     ) -> Result<Option<Claims>, Box<dyn std::error::Error + Send + Sync>> {
///         Ok((*user == "alice").then(|| Claims { role: "admin".to_owned() }))
///     }
/// }
/// ```
///
/// Claims must be a struct or a map, since they are at the top level of the token, and serde must be able to read what
/// it has written: a field that is skipped when it is empty needs `#[serde(default)]`, a float must not be NaN, and
/// within `#[serde(flatten)]` serde does not support `u128`. Other claims are refused before anything is changed, with
/// a `500` that is explained in the log. An enum that has a variant without fields needs `#[serde(tag = "type")]`, or
/// `build()` returns an error.
///
/// # ⚠️ Warning
///
/// `None` means that the user does not exist, and **ends the session**. Never return it because a replica lags behind
/// or a query failed: return `Err`, which changes nothing and is answered with `503`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no source of the claims `{C}`",
    note = "expected `async fn(UserId) -> Result<Option<{C}>, E>`, or a type that implements `ClaimsSource<{C}>`",
    note = "a function that needs a connection pool or other state goes into `claims_with(state, function)`"
)]
pub trait ClaimsSource<C>: Send + Sync + 'static {
    /// Loads the claims of this user; `None` if the user does not exist.
    fn load(&self, user: &UserId) -> impl Future<Output = Result<Option<C>, BoxError>> + Send;

    /// Loads the claims of this user for a session with these terms. Called in place of [`load`](Self::load), which is
    /// the default: implement it if the claims depend on what the login said about its session, such as the tenant.
    ///
    /// ```
    /// use tower_jwt_sessions::{Error, UserId, manager::{ClaimsSource, SessionTerms}};
    ///
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Claims {
    ///     role: String,
    /// }
    ///
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Tenant {
    ///     tenant: u32,
    /// }
    ///
    /// struct Users;
    /// type BoxError = Box<dyn std::error::Error + Send + Sync>;
    ///
    /// impl Users {
    ///     async fn role(&self, user: &UserId, tenant: Option<u32>) -> Result<Option<Claims>, BoxError> {
    ///         // … look it up
    /// #       let _ = (user, tenant);
    /// #       Ok(None)
    ///     }
    /// }
    ///
    /// impl ClaimsSource<Claims> for Users {
    ///     async fn load(&self, user: &UserId) -> Result<Option<Claims>, BoxError> {
    ///         self.role(user, None).await
    ///     }
    ///     async fn load_for_session(&self, user: &UserId, terms: &SessionTerms) -> Result<Option<Claims>, BoxError> {
    ///         let tenant = terms.session_claims::<Tenant>()?.map(|claims| claims.tenant);
    ///         self.role(user, tenant).await
    ///     }
    /// }
    /// ```
    fn load_for_session(
        &self,
        user: &UserId,
        terms: &SessionTerms,
    ) -> impl Future<Output = Result<Option<C>, BoxError>> + Send {
        let _ = terms;
        self.load(user)
    }
}

impl<C, F, Answer, E> ClaimsSource<C> for F
where
    F: Fn(UserId) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<Option<C>, E>> + Send,
    E: ClaimsSourceError,
{
    async fn load(&self, user: &UserId) -> Result<Option<C>, BoxError> {
        self(user.clone()).await.map_err(E::boxed)
    }
}

/// An error that a function which loads claims may return: everything that `?` turns into a
/// `Box<dyn std::error::Error + Send + Sync>`, such as `sqlx::Error`, `std::io::Error` or `anyhow::Error`.
///
/// A trait of its own, so that the compiler can say what is missing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a function that loads claims",
    label = "its error is not an `Error + Send + Sync + 'static`",
    note = "return an error type such as `sqlx::Error`, or `Box<dyn std::error::Error + Send + Sync>`"
)]
pub trait ClaimsSourceError: Sized {
    #[doc(hidden)]
    fn boxed(self) -> BoxError;
}

#[diagnostic::do_not_recommend]
impl<E: Into<BoxError>> ClaimsSourceError for E {
    fn boxed(self) -> BoxError {
        self.into()
    }
}

/// A function over state of the application.
pub(super) struct WithState<St, F, Answer> {
    pub(super) state: St,
    pub(super) load: F,
    pub(super) answer: PhantomData<fn() -> Answer>,
}

impl<C, St, F, Answer, E> ClaimsSource<C> for WithState<St, F, Answer>
where
    St: Clone + Send + Sync + 'static,
    F: Fn(St, UserId) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<Option<C>, E>> + Send + 'static,
    E: ClaimsSourceError,
{
    async fn load(&self, user: &UserId) -> Result<Option<C>, BoxError> {
        (self.load)(self.state.clone(), user.clone()).await.map_err(E::boxed)
    }
}

type Loading<'a, C> = Pin<Box<dyn Future<Output = Result<Option<C>, BoxError>> + Send + 'a>>;

trait DynClaimsSource<C>: Send + Sync {
    fn load<'a>(&'a self, user: &'a UserId, terms: &'a SessionTerms) -> Loading<'a, C>;
}

impl<C: 'static, S: ClaimsSource<C>> DynClaimsSource<C> for S {
    fn load<'a>(&'a self, user: &'a UserId, terms: &'a SessionTerms) -> Loading<'a, C> {
        Box::pin(self.load_for_session(user, terms))
    }
}

/// A [`ClaimsSource`] without its type.
pub(super) struct ClaimsLoader<C> {
    source: Arc<dyn DynClaimsSource<C>>,
    health: Health,
}

impl<C: 'static> ClaimsLoader<C> {
    pub(super) fn new(source: impl ClaimsSource<C>) -> Self {
        Self { source: Arc::new(source), health: Health::of_claims_source() }
    }

    /// Returns the source of applications without claims, which loads `()` for every user.
    pub(super) fn for_unit() -> Option<Self> {
        struct Nothing;
        impl<C: 'static> ClaimsSource<C> for Nothing {
            async fn load(&self, _: &UserId) -> Result<Option<C>, BoxError> {
                Ok(unit_claims())
            }
        }
        unit_claims::<C>().map(|_| Self::new(Nothing))
    }

    pub(super) async fn load(&self, user: &UserId, terms: &SessionTerms) -> Result<Option<C>, BoxError> {
        let loaded = self.source.load(user, terms).await;
        self.health.observe(loaded.as_ref().err().map(|failure| &**failure as _));
        loaded
    }
}

impl<C> fmt::Debug for ClaimsLoader<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimsLoader")
    }
}
