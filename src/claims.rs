//! What the application's claims have to be.

use serde::{Serialize, de::DeserializeOwned};

/// The application's own claims, which travel in the access token. Implemented by every type that serde can write and
/// read, and that can be shared between threads: derive `Serialize` and `Deserialize`, and nothing else is needed.
///
/// A [`Verifier`](crate::Verifier) and its layer only read claims, so that a service which only verifies may have a
/// type that cannot be written.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use tower_jwt_sessions::SessionManager;
///
/// #[derive(Serialize, Deserialize)]
/// struct Claims {
///     role: String,
/// }
///
/// let builder = SessionManager::<Claims>::builder();
/// # let _ = builder;
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the claims of a session",
    label = "not readable and writable by serde, or not `Send + Sync + 'static`",
    note = "derive both directions: `#[derive(serde::Serialize, serde::Deserialize)]`, without borrowed fields"
)]
pub trait Claims: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<C: Serialize + DeserializeOwned + Send + Sync + 'static> Claims for C {}
