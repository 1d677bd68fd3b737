//! What the layer leaves in a request beside the session, for the extractors.

use std::{any::Any, sync::Arc};

use http::{Extensions, HeaderMap};
use serde::de::DeserializeOwned;

use crate::{
    feed::StalePolicy,
    session::Presented,
    verifier::{AnyVerifier, Unauthenticated, Verifier, VerifierInner},
};

/// The verifier that looked at the request and, if it found no session, why.
///
/// It does not name the type of the claims, so that an extractor of another type can tell what went wrong. Layers of
/// several managers form a chain.
#[derive(Clone)]
pub(crate) struct SessionContext {
    verifier: Arc<dyn AnyVerifier>,
    /// The layer's.
    stale_policy: StalePolicy,
    pub(crate) reason: Option<Unauthenticated>,
    outer: Option<Arc<Self>>,
}

impl SessionContext {
    /// Puts the context into a request, in place of one of the same claims and in front of all others.
    pub(crate) fn insert<C: Send + Sync + 'static>(
        extensions: &mut Extensions,
        verifier: &Verifier<C>,
        reason: Option<Unauthenticated>,
    ) {
        let outer = extensions.remove::<Self>().and_then(|outer| match outer.is_for::<C>() {
            true => outer.outer,
            false => Some(Arc::new(outer)),
        });
        let (verifier, stale_policy) = (Arc::clone(verifier.inner()), verifier.stale_policy());
        extensions.insert(Self { verifier, stale_policy, reason, outer });
    }

    fn is_for<C: 'static>(&self) -> bool {
        (&*self.verifier as &dyn Any).is::<VerifierInner<C>>()
    }

    /// The context of the layer for claims of type `C`.
    pub(crate) fn of<C: 'static>(extensions: &Extensions) -> Option<&Self> {
        let mut context = extensions.get::<Self>()?;
        while !context.is_for::<C>() {
            context = context.outer.as_deref()?;
        }
        Some(context)
    }

    /// What these headers prove to the layer, if it is for claims of type `C`.
    pub(crate) fn present<C>(&self, headers: &HeaderMap) -> Option<Presented<C>>
    where
        C: DeserializeOwned + Send + Sync + 'static,
    {
        let verifier: &VerifierInner<C> = (&*self.verifier as &dyn Any).downcast_ref()?;
        Some(verifier.present(headers, self.stale_policy))
    }

    /// How to render errors, and the type of the claims.
    pub(crate) fn any_verifier(&self) -> &dyn AnyVerifier {
        &*self.verifier
    }
}
