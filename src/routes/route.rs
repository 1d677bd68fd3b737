//! The routes of the companion routers, each once: the routers serve them from here, and the OpenAPI document describes
//! them from here.

use http::Method;

/// A route of the router for browsers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BrowserRoute {
    Refresh,
    Logout,
    LogoutAll,
    List,
    End,
    EndByForm,
    Jwks,
}

impl BrowserRoute {
    /// Those behind the cross-site guard, whose responses are not stored.
    pub(super) const GUARDED: [Self; 6] =
        [Self::Refresh, Self::Logout, Self::LogoutAll, Self::List, Self::End, Self::EndByForm];
    /// Public and cacheable, for other services: outside of the guard and of no-store.
    pub(super) const PUBLIC: [Self; 1] = [Self::Jwks];

    #[cfg(feature = "utoipa")]
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::GUARDED.into_iter().chain(Self::PUBLIC)
    }

    pub(crate) const fn method(self) -> Method {
        match self {
            Self::List | Self::Jwks => Method::GET,
            Self::End => Method::DELETE,
            Self::Refresh | Self::Logout | Self::LogoutAll | Self::EndByForm => Method::POST,
        }
    }

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Refresh => "/refresh",
            Self::Logout => "/logout",
            Self::LogoutAll => "/logout-all",
            Self::List => "/sessions",
            Self::End => "/sessions/{id}",
            Self::EndByForm => "/sessions/{id}/end",
            Self::Jwks => "/jwks.json",
        }
    }
}

/// A route of the router for browsers where sessions are bound to devices. All are `POST`, behind the cross-site guard, and
/// their responses are not stored.
#[cfg(feature = "dbsc")]
#[derive(Clone, Copy, Debug)]
pub(crate) enum DeviceRoute {
    Register,
    Refresh,
}

#[cfg(feature = "dbsc")]
impl DeviceRoute {
    pub(crate) const ALL: [Self; 2] = [Self::Register, Self::Refresh];

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Register => "/dbsc/register",
            Self::Refresh => "/dbsc/refresh",
        }
    }
}

/// A route of the router of the browser module. All are `GET`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ClientRoute {
    Session,
    Events,
    Script,
}

impl ClientRoute {
    /// Those whose responses are not stored.
    pub(super) const PRIVATE: [Self; 2] = [Self::Session, Self::Events];
    /// The same for everyone, and cacheable.
    pub(super) const PUBLIC: [Self; 1] = [Self::Script];

    #[cfg(feature = "utoipa")]
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::PRIVATE.into_iter().chain(Self::PUBLIC)
    }

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Session => "/session",
            Self::Events => "/events",
            Self::Script => "/client.js",
        }
    }
}

/// A route of the router for native clients. All are `POST`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TokenRoute {
    Token,
    Revoke,
}

impl TokenRoute {
    pub(crate) const ALL: [Self; 2] = [Self::Token, Self::Revoke];

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Token => "/token",
            Self::Revoke => "/revoke",
        }
    }
}
