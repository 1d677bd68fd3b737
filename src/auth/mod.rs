//! From the headers of a request to a session, or the reason why there is none.
//!
//! The layer asks a [`Verifier`], which waits for nothing, and leaves an [`Outcome`] in the request for the extractors.

mod builder;
mod error;
mod extract;
mod inner;
mod layer;
mod options;
mod outcome;
mod session;
#[cfg(test)]
mod tests;
mod verifier;

pub use self::{
    builder::VerifierBuilder,
    error::VerifyError,
    extract::{SessionRejection, SessionRejectionKind, StoreChecked},
    layer::{ResponseFuture, SessionLayer, SessionService},
    session::{PresentedTokens, Session},
    verifier::Verifier,
};
pub(crate) use self::{
    inner::VerifierInner,
    options::{CommonOptions, ValidOptions, required},
};
