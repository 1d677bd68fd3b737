//! What the layer leaves in a request for the extractors: one extension, of a type for each type of claims.
//!
//! It is the [`Session`], or [`Refused`], or [`Stranger`]. Extensions have a box for each value and a table that grows,
//! which together take longer than reading the cookies does; so there is one, and for the many requests without any
//! cookie it is one that needs no memory.

use std::{
    any::{TypeId, type_name},
    marker::PhantomData,
    sync::{PoisonError, RwLock},
};

use http::{Extensions, HeaderMap};
use serde::de::DeserializeOwned;

use crate::{
    problem::Renderer,
    session::{Origin as _, Presented, Session},
    verifier::{Unauthenticated, Verifier},
};

/// The layer found no session.
pub(crate) struct Refused<C> {
    verifier: Verifier<C>,
    reason: Unauthenticated,
}

/// The layer found no cookie of ours, and errors are rendered as problem documents: there is nothing more to know.
struct Stranger<C>(PhantomData<fn() -> C>);

/// What a layer for claims of type `C` found in this request, the innermost one if there are several.
pub(crate) enum Passed<'r, C> {
    Session(&'r Session<C>),
    Refused(&'r Refused<C>),
    Stranger,
}

/// Puts what a layer found in place of whatever another one for the same claims, or somebody else, put there.
pub(super) fn leave<C: Send + Sync + 'static>(
    extensions: &mut Extensions,
    verifier: &Verifier<C>,
    found: Result<Session<C>, Unauthenticated>,
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
    if reason == Unauthenticated::NoCredentials && verifier.inner().renderer.is_default() {
        extensions.remove::<Refused<C>>();
        extensions.insert(Stranger::<C>(PhantomData));
    } else {
        extensions.insert(Refused { verifier: verifier.clone(), reason });
    }
}

impl<'r, C: Send + Sync + 'static> Passed<'r, C> {
    /// `None` when no layer for these claims was passed.
    pub(crate) fn of(extensions: &'r Extensions) -> Option<Self> {
        if let Some(session) = extensions.get() {
            return Some(Self::Session(session));
        }
        if let Some(refused) = extensions.get() {
            return Some(Self::Refused(refused));
        }
        extensions.get::<Stranger<C>>().map(|_| Self::Stranger)
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
    pub(crate) fn reason(&self) -> Unauthenticated {
        match self {
            Self::Refused(refused) => refused.reason,
            Self::Session(_) | Self::Stranger => Unauthenticated::NoCredentials,
        }
    }

    /// What these headers prove to the layer; `None` if it was not a layer that left a session here.
    pub(crate) fn present(&self, headers: &HeaderMap) -> Option<Presented<C>>
    where
        C: DeserializeOwned,
    {
        match self {
            Self::Session(session) => Some(Verifier::of(session)?.present(headers)),
            Self::Refused(refused) => Some(refused.verifier.present(headers)),
            Self::Stranger => Some(Presented::default()),
        }
    }
}

/// Says of which claims a layer was passed, and how it renders errors.
type Find = fn(&Extensions) -> Option<(&'static str, Renderer)>;

/// One for each type of claims that this process has layers for: who asks for the wrong one shall hear of the right one.
static LAYERS: RwLock<Vec<(TypeId, Find)>> = RwLock::new(Vec::new());

/// Makes claims of this type known to [`any`].
pub(super) fn announce<C: Send + Sync + 'static>() {
    let id = TypeId::of::<C>();
    let is_known = |layers: &Vec<(TypeId, Find)>| layers.iter().any(|(known, _)| *known == id);
    if is_known(&LAYERS.read().unwrap_or_else(PoisonError::into_inner)) {
        return;
    }
    let mut layers = LAYERS.write().unwrap_or_else(PoisonError::into_inner);
    if !is_known(&layers) {
        layers.push((id, |extensions| Some((type_name::<C>(), Passed::<C>::of(extensions)?.renderer()))));
    }
}

/// The claims of a layer that the request has passed, whichever they are. Slow: for errors.
pub(crate) fn any(extensions: &Extensions) -> Option<(&'static str, Renderer)> {
    let layers = LAYERS.read().unwrap_or_else(PoisonError::into_inner).clone();
    layers.iter().find_map(|(_, find)| find(extensions))
}

impl<C> Clone for Refused<C> {
    fn clone(&self) -> Self {
        Self { verifier: self.verifier.clone(), reason: self.reason }
    }
}

impl<C> Clone for Stranger<C> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}
