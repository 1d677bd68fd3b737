//! Describes the routers of a manager as it is configured.

use utoipa::openapi::{Components, Info, OpenApi, Paths, path::HttpMethod};

use super::components::schemas;
use crate::{
    claims::Claims,
    manager::SessionManager,
    routes::{BrowserRoute, ClientRoute, TokenRoute},
};

/// Describes the routers of a [`SessionManager`] in OpenAPI 3.1: from [`SessionManager::openapi`].
#[must_use = "a description does nothing unless it is added to a document"]
#[derive(Clone, Debug)]
pub struct SessionsApi {
    pub(super) name: String,
    pub(super) access_cookie: String,
    pub(super) refresh_cookie: String,
    pub(super) accepts_bearer: bool,
    /// Whether the bodies of errors are problem documents, and not what the application makes of them.
    pub(super) has_problem_documents: bool,
    pub(super) has_login: bool,
    /// Whether sessions are bound to devices.
    #[cfg(feature = "dbsc")]
    pub(super) binds_devices: bool,
}

impl<C: Claims> SessionManager<C> {
    /// Returns the description of the companion routers, for the OpenAPI document of the application. See
    /// [`openapi`](crate::openapi).
    pub fn openapi(&self) -> SessionsApi {
        let inner = self.verifier().inner();
        let cookies = &inner.sources.cookies;
        SessionsApi {
            name: "session".to_owned(),
            access_cookie: cookies.access_name.clone(),
            refresh_cookie: cookies.refresh_name.clone(),
            accepts_bearer: inner.sources.accepts_bearer,
            has_problem_documents: !inner.renderer.is_custom(),
            has_login: inner.renderer.has_login(),
            #[cfg(feature = "dbsc")]
            binds_devices: self.device_binding().is_some(),
        }
    }
}

impl SessionsApi {
    /// Sets the name that begins operation ids and security schemes, and is the tag: `session` by default.
    ///
    /// Operation ids are unique in a document, so a second manager needs another name: letters, digits, `.`, `_` and
    /// `-`, as in `admin`, whose cookie is then the scheme `admin_cookie`.
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Returns the routes of [`SessionManager::router`], with all [`components`](Self::components). Nest it under the
    /// path of the router.
    pub fn router(&self) -> OpenApi {
        let mut paths = Paths::new();
        for route in BrowserRoute::all() {
            let method = match route.method() {
                http::Method::GET => HttpMethod::Get,
                http::Method::DELETE => HttpMethod::Delete,
                _ => HttpMethod::Post,
            };
            paths.add_path_operation(route.path(), vec![method], self.browser_operation(route));
        }
        #[cfg(feature = "dbsc")]
        for route in crate::routes::DeviceRoute::ALL.into_iter().filter(|_| self.binds_devices) {
            paths.add_path_operation(route.path(), vec![HttpMethod::Post], self.device_operation(route));
        }
        self.document(paths)
    }

    /// Returns the routes of [`SessionManager::client_router`], with all [`components`](Self::components). Nest it under
    /// the path of the router.
    pub fn client_router(&self) -> OpenApi {
        let mut paths = Paths::new();
        for route in ClientRoute::all() {
            paths.add_path_operation(route.path(), vec![HttpMethod::Get], self.client_operation(route));
        }
        self.document(paths)
    }

    /// Returns the routes of [`SessionManager::token_router`], with all [`components`](Self::components). Nest it under
    /// the path of the router.
    pub fn token_router(&self) -> OpenApi {
        let mut paths = Paths::new();
        for route in TokenRoute::ALL {
            paths.add_path_operation(route.path(), vec![HttpMethod::Post], self.token_operation(route));
        }
        self.document(paths)
    }

    /// Returns the security schemes, the schemas and the tag without routes, to
    /// [`merge`](utoipa::openapi::OpenApi::merge) into the document of an application that has none of the routers.
    pub fn components(&self) -> OpenApi {
        self.document(Paths::new())
    }

    fn document(&self, paths: Paths) -> OpenApi {
        let mut components = Components::new();
        components.schemas.extend(schemas());
        components.add_security_schemes_from_iter(self.security_schemes());
        let mut document = OpenApi::new(Info::new("Sessions", env!("CARGO_PKG_VERSION")), paths);
        document.components = Some(components);
        document.tags = Some(vec![self.tag()]);
        document
    }
}
