//! What the layer leaves in the extensions of a request for the extractors.
//!
//! Each type of claims has entries of its own: the [`Session`], [`Rejected`], or [`Anonymous`], which has no size, so
//! that requests without credentials, the most frequent ones, need no allocation for it.

use std::{any::type_name, marker::PhantomData};

use http::{Extensions, HeaderMap, request::Parts};
use serde::de::DeserializeOwned;

use super::{PresentedTokens, RequestContext, Session, Verifier, VerifierInner, VerifyError};
use crate::problem::Renderer;

/// What the innermost layer for claims of type `C` found in a request.
pub(super) enum Outcome<'r, C> {
    /// A session.
    Authenticated(&'r Session<C>),
    /// Credentials that prove no session.
    Rejected(&'r Rejected<C>),
    /// No credentials.
    Anonymous,
}

/// Why the layer found no session, and who can look again.
pub(super) struct Rejected<C> {
    verifier: Verifier<C>,
    reason: VerifyError,
}

/// The request has no credentials.
struct Anonymous<C>(PhantomData<fn() -> C>);

/// Finds what a layer left, without its type of claims: for the error of an extractor that asks for other ones.
#[derive(Clone, Copy)]
struct AnyOutcome(fn(&Extensions) -> Option<OtherLayer>);

/// A layer for other claims than those that were asked for.
pub(super) struct OtherLayer {
    pub(super) claims: &'static str,
    pub(super) renderer: Renderer,
}

/// Inserts what a layer found, in place of what an outer layer for the same claims found.
pub(crate) fn insert<C: Send + Sync + 'static>(
    extensions: &mut Extensions,
    verifier: &Verifier<C>,
    found: Result<Session<C>, VerifyError>,
) {
    match found {
        // `find` looks for it first.
        Ok(session) => {
            let outer: Option<Session<C>> = extensions.insert(session);
            // Where the renewal layer is around this one.
            if outer.is_some_and(|outer| outer.is_renewed())
                && let Some(session) = extensions.get_mut::<Session<C>>()
            {
                session.mark_renewed();
            }
        }
        Err(reason) => {
            extensions.remove::<Session<C>>();
            // The renewal layer around this one found a failure. This layer sees only what that led to.
            let is_failure = |reason| {
                matches!(reason, VerifyError::NotRenewed | VerifyError::RenewalFailed | VerifyError::ProofRequired)
            };
            if extensions.get().is_some_and(|outer: &Rejected<C>| is_failure(outer.reason)) {
                return;
            }
            // Errors that the application renders need the verifier, and so does the address that it finds.
            if reason == VerifyError::NoCredentials && !verifier.inner().needs_request() {
                extensions.remove::<Rejected<C>>();
                extensions.insert(Anonymous::<C>(PhantomData));
                return;
            }
            extensions.insert(Rejected { verifier: verifier.clone(), reason });
        }
    }
    extensions.insert(AnyOutcome(|extensions| {
        let outcome = Outcome::<C>::find(extensions)?;
        Some(OtherLayer { claims: type_name::<C>(), renderer: outcome.renderer() })
    }));
}

/// Finds any layer that left a session or a rejection.
pub(super) fn find_any(extensions: &Extensions) -> Option<OtherLayer> {
    let AnyOutcome(find) = extensions.get()?;
    find(extensions)
}

impl<'r, C: Send + Sync + 'static> Outcome<'r, C> {
    /// Returns `None` when the request has passed no layer for these claims.
    pub(super) fn find(extensions: &'r Extensions) -> Option<Self> {
        let session = extensions.get().map(Self::Authenticated);
        let rejected = || extensions.get().map(Self::Rejected);
        session.or_else(rejected).or_else(|| extensions.get().map(|Anonymous::<C>(_)| Self::Anonymous))
    }

    /// Returns how errors are rendered.
    pub(super) fn renderer(&self) -> Renderer {
        self.verifier().map(|verifier| verifier.renderer.clone()).unwrap_or_default()
    }

    /// Whether the client authenticates explicitly, by a Bearer token.
    pub(super) fn is_explicit(&self, headers: &HeaderMap) -> bool {
        self.verifier().is_some_and(|verifier| verifier.sources.is_explicit(headers))
    }

    /// Returns why there is no session.
    pub(super) const fn reason(&self) -> VerifyError {
        match self {
            Self::Rejected(rejected) => rejected.reason,
            Self::Authenticated(_) | Self::Anonymous => VerifyError::NoCredentials,
        }
    }

    /// Returns what a request proves to the layer; `None` for a session of a test, which has no verifier.
    pub(super) fn present(&self, parts: &Parts) -> Option<PresentedTokens<C>>
    where
        C: DeserializeOwned,
    {
        match self {
            Self::Authenticated(session) => Some(Verifier::of(session)?.present_of(parts)),
            Self::Rejected(rejected) => Some(rejected.verifier.present_of(parts)),
            Self::Anonymous => {
                let context = RequestContext::new(Renderer::default().recipient(parts), &parts.headers, None);
                Some(PresentedTokens { context: Some(context), ..PresentedTokens::default() })
            }
        }
    }

    fn verifier(&self) -> Option<&VerifierInner> {
        match self {
            Self::Authenticated(session) => session.verifier().map(|verifier| &**verifier),
            Self::Rejected(rejected) => Some(rejected.verifier.inner()),
            Self::Anonymous => None,
        }
    }
}

impl<C> Clone for Rejected<C> {
    fn clone(&self) -> Self {
        Self { verifier: self.verifier.clone(), reason: self.reason }
    }
}

impl<C> Clone for Anonymous<C> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}
