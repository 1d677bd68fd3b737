//! What the layer leaves in a request for the extractors: one extension, of a type for each type of claims.
//!
//! It is the [`Session`], or [`Refused`], and nothing for the many requests without any credentials: extensions have a box
//! for each value and a table that grows, which together take longer than reading the cookies does. Extractors tell such
//! a request from one that has passed no layer by looking for credentials themselves: a layer that sees some leaves
//! something.

use std::{
    any::{TypeId, type_name},
    sync::Arc,
};

use arc_swap::ArcSwapOption;
use http::{Extensions, HeaderMap};
use serde::de::DeserializeOwned;

use crate::{
    problem::Renderer,
    session::{Origin as _, PresentedTokens, Session},
    verifier::{CredentialPlaces, Verifier, VerifyError},
};

/// The layer found no session.
pub(crate) struct Refused<C> {
    verifier: Verifier<C>,
    reason: VerifyError,
}

/// What a layer for claims of type `C` found in this request, the innermost one if there are several.
pub(crate) enum Passed<'r, C> {
    Session(&'r Session<C>),
    Refused(&'r Refused<C>),
    /// No credentials.
    Stranger,
}

/// Puts what a layer found in place of whatever another one for the same claims, or somebody else, put there.
pub(super) fn leave<C: Send + Sync + 'static>(
    extensions: &mut Extensions,
    verifier: &Verifier<C>,
    found: Result<Session<C>, VerifyError>,
) {
    let reason = match found {
        // `Passed` looks for it first.
        Ok(session) => {
            extensions.insert(session);
            return;
        }
        Err(reason) => reason,
    };
    // Nothing that was put there before may pass for verified.
    extensions.remove::<Session<C>>();
    if reason == VerifyError::NoCredentials && empty_places(verifier).is_some() {
        extensions.remove::<Refused<C>>();
    } else {
        extensions.insert(Refused { verifier: verifier.clone(), reason });
    }
}

/// Where a request has no credentials if these layers leave nothing in it. `None` if they always leave something, since
/// the application renders its errors itself.
fn empty_places<C>(verifier: &Verifier<C>) -> Option<&CredentialPlaces> {
    let inner = verifier.inner();
    inner.renderer.is_default().then_some(&inner.places)
}

impl<'r, C: Send + Sync + 'static> Passed<'r, C> {
    /// `None` when no layer for these claims was passed. Of a request without credentials that is not known: any layer
    /// for these claims in this process will do.
    pub(crate) fn of(extensions: &'r Extensions, headers: &HeaderMap) -> Option<Self> {
        if let Some(session) = extensions.get() {
            return Some(Self::Session(session));
        }
        if let Some(refused) = extensions.get() {
            return Some(Self::Refused(refused));
        }
        let leaves_nothing = |layer: &Known| layer.claims == TypeId::of::<C>() && layer.leaves_nothing(headers);
        find(|layer| leaves_nothing(layer).then_some(Self::Stranger))
    }

    /// How to render errors.
    pub(crate) fn renderer(&self) -> Renderer {
        match self {
            Self::Session(session) => session.origin().map(|origin| origin.renderer().clone()).unwrap_or_default(),
            Self::Refused(refused) => refused.verifier.inner().renderer.clone(),
            Self::Stranger => Renderer::default(),
        }
    }

    /// Whether whoever sent these headers meant to authenticate: see `Origin::is_meant`.
    pub(crate) fn is_meant(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Session(session) => session.origin().is_some_and(|origin| origin.is_meant(headers)),
            Self::Refused(refused) => refused.verifier.inner().is_meant(headers),
            Self::Stranger => false,
        }
    }

    /// Why there is no session.
    pub(crate) fn reason(&self) -> VerifyError {
        match self {
            Self::Refused(refused) => refused.reason,
            Self::Session(_) | Self::Stranger => VerifyError::NoCredentials,
        }
    }

    /// What these headers prove to the layer; `None` if it was not a layer that left a session here.
    pub(crate) fn present(&self, headers: &HeaderMap) -> Option<PresentedTokens<C>>
    where
        C: DeserializeOwned,
    {
        match self {
            Self::Session(session) => Some(Verifier::of(session)?.present(headers)),
            Self::Refused(refused) => Some(refused.verifier.present(headers)),
            Self::Stranger => Some(PresentedTokens::default()),
        }
    }
}

/// A kind of layer that this process has.
#[derive(Clone)]
struct Known {
    claims: TypeId,
    /// See [`empty_places`].
    places: Option<CredentialPlaces>,
    /// Says that such a layer left something, of which claims, and how it renders errors.
    find: fn(&Extensions) -> Option<(&'static str, Renderer)>,
}

/// Few, however many layers are made: axum makes them anew for every request until a router has its state.
static LAYERS: ArcSwapOption<Vec<Known>> = ArcSwapOption::const_empty();

impl Known {
    fn new<C: Send + Sync + 'static>(verifier: &Verifier<C>) -> Self {
        Self {
            claims: TypeId::of::<C>(),
            places: empty_places(verifier).cloned(),
            find: |extensions| {
                let renderer = match (extensions.get::<Session<C>>(), extensions.get::<Refused<C>>()) {
                    (Some(session), _) => Passed::Session(session).renderer(),
                    (None, Some(refused)) => Passed::Refused(refused).renderer(),
                    (None, None) => return None,
                };
                Some((type_name::<C>(), renderer))
            },
        }
    }

    fn is_of<C: 'static>(&self, verifier: &Verifier<C>) -> bool {
        self.claims == TypeId::of::<C>() && self.places.as_ref() == empty_places(verifier)
    }

    /// Whether it would have left nothing in this request.
    fn leaves_nothing(&self, headers: &HeaderMap) -> bool {
        self.places.as_ref().is_some_and(|places| places.are_empty(headers))
    }
}

/// What a layer of this process answers, the first that does.
fn find<T>(ask: impl FnMut(&Known) -> Option<T>) -> Option<T> {
    LAYERS.load().as_ref()?.iter().find_map(ask)
}

/// Makes the layers of this verifier known to extractors.
pub(super) fn announce<C: Send + Sync + 'static>(verifier: &Verifier<C>) {
    if find(|known| known.is_of(verifier).then_some(())).is_some() {
        return;
    }
    LAYERS.rcu(|layers| {
        let mut layers = layers.as_deref().cloned().unwrap_or_default();
        // Somebody else may have been here meanwhile.
        if !layers.iter().any(|known| known.is_of(verifier)) {
            layers.push(Known::new(verifier));
        }
        Some(Arc::new(layers))
    });
}

/// The claims of a layer that left something in the request, whichever they are. Who asks for the wrong ones shall hear
/// of the right ones.
pub(crate) fn any(extensions: &Extensions) -> Option<(&'static str, Renderer)> {
    find(|layer| (layer.find)(extensions))
}

impl<C> Clone for Refused<C> {
    fn clone(&self) -> Self {
        Self { verifier: self.verifier.clone(), reason: self.reason }
    }
}
