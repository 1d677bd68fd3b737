//! The security schemes, and the tag.

use utoipa::openapi::{
    security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, HttpBuilder, SecurityScheme},
    tag::{Tag, TagBuilder},
};

use super::api::SessionsApi;

impl SessionsApi {
    pub(super) fn cookie_scheme(&self) -> String {
        format!("{}_cookie", self.name)
    }

    pub(super) fn refresh_scheme(&self) -> String {
        format!("{}_refresh_cookie", self.name)
    }

    /// `None` if Bearer tokens are not accepted.
    pub(super) fn bearer_scheme(&self) -> Option<String> {
        self.accepts_bearer.then(|| format!("{}_bearer", self.name))
    }

    pub(super) fn security_schemes(&self) -> Vec<(String, SecurityScheme)> {
        let cookie =
            |name: &str, what| SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(name, what)));
        let mut schemes = vec![
            (
                self.cookie_scheme(),
                cookie(&self.access_cookie, "The access token. A login sets it; browsers send it by themselves."),
            ),
            (
                self.refresh_scheme(),
                cookie(&self.refresh_cookie, "The refresh token. A login sets it, a refresh replaces it."),
            ),
        ];
        if let Some(name) = self.bearer_scheme() {
            let bearer: Http = HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .bearer_format("JWT")
                .description(Some("The access token, for clients without a cookie store. Not together with cookies."))
                .build();
            schemes.push((name, SecurityScheme::Http(bearer)));
        }
        schemes
    }

    pub(super) fn tag(&self) -> Tag {
        let description = "Refresh, logout and the list of sessions.";
        TagBuilder::new().name(&self.name).description(Some(description)).build()
    }
}
