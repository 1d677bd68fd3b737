//! The tower middleware: verifies every request, never waits, never rejects.

mod context;
mod future;
mod layer;
mod service;

pub(crate) use self::context::{Passed, any};
pub use self::{future::ResponseFuture, layer::SessionLayer, service::SessionService};
