//! What the layer leaves in a request beside the session, for the extractors.

use std::{any::Any, sync::Arc};

use http::Extensions;

use crate::verifier::{AnyVerifier, Unauthenticated, VerifierInner};

/// The verifier that looked at the request and, if it found no session, why.
///
/// It does not name the type of the claims, so that an extractor of another type can tell what went wrong. Layers of
/// several managers form a chain.
#[derive(Clone)]
pub(crate) struct SessionContext {
    verifier: Arc<dyn AnyVerifier>,
    pub(crate) reason: Option<Unauthenticated>,
    outer: Option<Arc<Self>>,
}

impl SessionContext {
    /// Puts the context into a request, in place of one of the same claims and in front of all others.
    pub(crate) fn insert<C: Send + Sync + 'static>(
        extensions: &mut Extensions,
        verifier: Arc<VerifierInner<C>>,
        reason: Option<Unauthenticated>,
    ) {
        let outer = extensions.remove::<Self>().and_then(|outer| match outer.is_for::<C>() {
            true => outer.outer,
            false => Some(Arc::new(outer)),
        });
        extensions.insert(Self { verifier, reason, outer });
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

    /// The verifier, if it is for claims of type `C`.
    pub(crate) fn verifier<C: 'static>(&self) -> Option<&VerifierInner<C>> {
        (&*self.verifier as &dyn Any).downcast_ref()
    }

    /// How to render errors, and the type of the claims.
    pub(crate) fn any_verifier(&self) -> &dyn AnyVerifier {
        &*self.verifier
    }
}
