//! What each route does, needs and answers.

use utoipa::{
    PartialSchema as _,
    openapi::{
        Content, ContentBuilder, Required, ResponseBuilder,
        header::HeaderBuilder,
        path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
        request_body::{RequestBody, RequestBodyBuilder},
        schema::{ObjectBuilder, Ref, Type},
        security::SecurityRequirement,
    },
};

#[cfg(feature = "dbsc")]
use super::components::{DEVICE_REFRESHED, DEVICE_SESSION};
use super::{
    api::SessionsApi,
    components::{DONE, INFO, KEYS, LIST, REFRESHED, REVOKE_FORM, TOKEN_ERROR, TOKEN_FORM, TOKENS},
    problems::{OF_SESSION, responses},
};
use crate::{
    id::SessionId,
    problem::Problem,
    routes::{BrowserRoute, ClientRoute, TokenRoute},
};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// What a request has to carry.
#[derive(Clone, Copy)]
enum Credentials {
    /// Nothing is read.
    Ignored,
    /// Any is used, none is needed.
    Optional,
    Access,
    Refresh,
    AccessOrRefresh,
}

/// What is said of a route. The rest follows from its problems and credentials.
struct Said {
    id: &'static str,
    summary: &'static str,
    description: &'static str,
    credentials: Credentials,
    /// Besides those of the extractor `Session` where an access token is needed.
    problems: &'static [Problem],
}

impl SessionsApi {
    pub(super) fn browser_operation(&self, route: BrowserRoute) -> Operation {
        let said = of_browsers(route);
        let mut operation = self.operation(&said);
        let ok = match route {
            BrowserRoute::Refresh => json(REFRESHED).header("Set-Cookie", cookies("The new tokens.")),
            BrowserRoute::Logout | BrowserRoute::LogoutAll => {
                json(DONE).header("Set-Cookie", cookies("Removes both cookies."))
            }
            BrowserRoute::End | BrowserRoute::EndByForm => json(DONE),
            BrowserRoute::List => json(LIST),
            BrowserRoute::Jwks => ResponseBuilder::new()
                .description("The keys.")
                .content("application/jwk-set+json", Content::new(Some(Ref::from_schema_name(KEYS)))),
        };
        operation = operation.response("200", ok);
        if let BrowserRoute::End | BrowserRoute::EndByForm = route {
            operation = operation.parameter(session_id());
        }
        let login = if self.has_login { " Without a session it leads to the login." } else { "" };
        if let BrowserRoute::Logout | BrowserRoute::LogoutAll | BrowserRoute::EndByForm = route {
            let mut response = ResponseBuilder::new()
                .description(format!("For a form that a browser submits: the way to the next page.{login}"))
                .header("Location", text_header("A path of this site."));
            if !matches!(route, BrowserRoute::EndByForm) {
                response = response.header("Set-Cookie", cookies("Removes both cookies."));
            }
            operation = operation.parameter(next()).response("303", response);
        }
        operation.build()
    }

    #[cfg(feature = "dbsc")]
    pub(super) fn device_operation(&self, route: crate::routes::DeviceRoute) -> Operation {
        use crate::routes::DeviceRoute;

        let (said, ok) = match route {
            DeviceRoute::Register => (
                Said {
                    id: "register_device",
                    summary: "Register the key of a device",
                    description: "For browsers that know Device Bound Session Credentials. The header \
                                  `Secure-Session-Response` has a signature of the challenge that came with the login, \
                                  with the key that made it.",
                    credentials: Credentials::Refresh,
                    problems: &[
                        Problem::INVALID_REQUEST,
                        Problem::INVALID_DEVICE_PROOF,
                        Problem::MISSING_CREDENTIALS,
                        Problem::INVALID_REFRESH_TOKEN,
                        Problem::ALREADY_BOUND,
                        Problem::CROSS_SITE_REQUEST,
                        Problem::INTERNAL_ERROR,
                        Problem::STORE_UNAVAILABLE,
                        Problem::CLAIMS_UNAVAILABLE,
                    ],
                },
                json(DEVICE_SESSION),
            ),
            DeviceRoute::Refresh => (
                Said {
                    id: "refresh_by_device",
                    summary: "Refresh the session by the proof of its device",
                    description: "For browsers that know Device Bound Session Credentials. Without a signature of a recent \
                                  challenge in `Secure-Session-Response`, 403 brings one in `Secure-Session-Challenge`.",
                    credentials: Credentials::Refresh,
                    problems: &[
                        Problem::INVALID_REQUEST,
                        Problem::INVALID_DEVICE_PROOF,
                        Problem::PROOF_REQUIRED,
                        Problem::CROSS_SITE_REQUEST,
                        Problem::INTERNAL_ERROR,
                        Problem::STORE_UNAVAILABLE,
                        Problem::REFRESH_TOKEN_UNVERIFIED,
                        Problem::CLAIMS_UNAVAILABLE,
                    ],
                },
                json(DEVICE_REFRESHED).description("Without a body, it is refreshed; with one, it has ended."),
            ),
        };
        let ok = ok
            .header("Set-Cookie", cookies("The new tokens."))
            .header("Secure-Session-Challenge", text_header("What to sign at the next refresh."));
        self.operation(&said).response("200", ok).build()
    }

    pub(super) fn client_operation(&self, route: ClientRoute) -> Operation {
        let (id, summary, description, credentials) = match route {
            ClientRoute::Session => (
                "info",
                "Get the session of this request",
                "What the access token says, without asking the store.",
                Credentials::Access,
            ),
            ClientRoute::Events => (
                "events",
                "Follow the session",
                "Server-sent events: `session` as the first one, `changed` when claims are out of date, `ended` as the \
                 last one, and `alive` every 15 seconds.",
                Credentials::Access,
            ),
            ClientRoute::Script => (
                "script",
                "Get the browser module",
                "An ES module that refreshes the tokens, logs out and follows the session.",
                Credentials::Ignored,
            ),
        };
        let operation = self.operation(&Said { id, summary, description, credentials, problems: &[] });
        let operation = match route {
            ClientRoute::Session => operation.response("200", json(INFO)),
            ClientRoute::Events => operation.response("200", text("text/event-stream")),
            ClientRoute::Script => {
                let etag = || text_header("For `If-None-Match`.");
                let unchanged = ResponseBuilder::new().description("It has not changed.").header("ETag", etag());
                operation.response("200", text("text/javascript").header("ETag", etag())).response("304", unchanged)
            }
        };
        operation.build()
    }

    pub(super) fn token_operation(&self, route: TokenRoute) -> Operation {
        let (said, ok, form) = match route {
            TokenRoute::Token => (
                Said {
                    id: "token",
                    summary: "Refresh the tokens of a native client",
                    description: "RFC 6749, section 6. Only the form is read. After a 503, or if no response arrives, \
                                  repeat the request with the same token.",
                    credentials: Credentials::Ignored,
                    problems: &[
                        Problem::PROOF_REQUIRED,
                        Problem::INTERNAL_ERROR,
                        Problem::STORE_UNAVAILABLE,
                        Problem::CLAIMS_UNAVAILABLE,
                    ],
                },
                json(TOKENS),
                TOKEN_FORM,
            ),
            TokenRoute::Revoke => (
                Said {
                    id: "revoke",
                    summary: "End the session of a native client",
                    description: "RFC 7009. Only the form is read. 200 also when there was nothing to end.",
                    credentials: Credentials::Ignored,
                    problems: &[Problem::INTERNAL_ERROR, Problem::STORE_UNAVAILABLE],
                },
                ResponseBuilder::new().description("The session has ended."),
                REVOKE_FORM,
            ),
        };
        let form = Content::new(Some(Ref::from_schema_name(form)));
        let body: RequestBody = RequestBodyBuilder::new().content(FORM, form).required(Some(Required::True)).build();
        self.operation(&said)
            .request_body(Some(body))
            .response("200", ok)
            .response("400", json(TOKEN_ERROR).description("The form or the token is not accepted."))
            .build()
    }

    fn operation(&self, said: &Said) -> OperationBuilder {
        let of_session: &[Problem] = match said.credentials {
            Credentials::Access | Credentials::AccessOrRefresh => OF_SESSION,
            _ => &[],
        };
        let errors = responses(of_session.iter().chain(said.problems), self.has_problem_documents);
        OperationBuilder::new()
            .tag(&self.name)
            .operation_id(Some(format!("{}_{}", self.name, said.id)))
            .summary(Some(said.summary))
            .description(Some(said.description))
            .securities(Some(self.requirements(said.credentials)))
            .responses(errors.into_iter().collect::<utoipa::openapi::Responses>())
    }

    /// The alternatives. An empty list says that nothing is needed, also where the document demands something.
    fn requirements(&self, credentials: Credentials) -> Vec<SecurityRequirement> {
        let none: [&str; 0] = [];
        let access = [Some(self.cookie_scheme()), self.bearer_scheme()].into_iter().flatten();
        let refresh = [self.refresh_scheme()];
        let schemes: Vec<String> = match credentials {
            Credentials::Ignored => vec![],
            Credentials::Access => access.collect(),
            Credentials::Refresh => refresh.into(),
            Credentials::AccessOrRefresh | Credentials::Optional => access.chain(refresh).collect(),
        };
        let optional = matches!(credentials, Credentials::Optional).then(SecurityRequirement::default);
        let required = schemes.into_iter().map(|scheme| SecurityRequirement::new(scheme, none));
        optional.into_iter().chain(required).collect()
    }
}

fn of_browsers(route: BrowserRoute) -> Said {
    match route {
        BrowserRoute::Refresh => Said {
            id: "refresh",
            summary: "Refresh the session",
            description: "Replaces both tokens. 401 means that a new login is required; after a 503, or if no response \
                          arrives, the session may still be valid: repeat the request.",
            credentials: Credentials::Refresh,
            problems: &[
                Problem::INVALID_REQUEST,
                Problem::MISSING_CREDENTIALS,
                Problem::INVALID_REFRESH_TOKEN,
                Problem::PROOF_REQUIRED,
                Problem::CROSS_SITE_REQUEST,
                Problem::INTERNAL_ERROR,
                Problem::STORE_UNAVAILABLE,
                Problem::CLAIMS_UNAVAILABLE,
            ],
        },
        BrowserRoute::Logout => Said {
            id: "logout",
            summary: "Log out",
            description: "Ends the session and removes the cookies. Succeeds without a session, too.",
            credentials: Credentials::Optional,
            problems: &[
                Problem::INVALID_REQUEST,
                Problem::CROSS_SITE_REQUEST,
                Problem::INTERNAL_ERROR,
                Problem::STORE_UNAVAILABLE,
            ],
        },
        BrowserRoute::LogoutAll => Said {
            id: "logout_all",
            summary: "Log out everywhere",
            description: "Ends every session of the user and removes the cookies.",
            credentials: Credentials::AccessOrRefresh,
            problems: &[Problem::CROSS_SITE_REQUEST, Problem::INSUFFICIENT_SCOPE],
        },
        BrowserRoute::List => Said {
            id: "list",
            summary: "List the sessions of the user",
            description: "All that have not ended, in no order that clients should rely on.",
            credentials: Credentials::Access,
            problems: &[],
        },
        BrowserRoute::End => Said {
            id: "end",
            summary: "End a session of the user",
            description: "On another device, or this one.",
            credentials: Credentials::Access,
            problems: &[Problem::CROSS_SITE_REQUEST, Problem::INSUFFICIENT_SCOPE, Problem::SESSION_NOT_FOUND],
        },
        BrowserRoute::EndByForm => Said {
            id: "end_by_form",
            summary: "End a session of the user, for forms",
            description: "The same as `DELETE`, which forms do not have.",
            credentials: Credentials::Access,
            problems: &[Problem::CROSS_SITE_REQUEST, Problem::INSUFFICIENT_SCOPE, Problem::SESSION_NOT_FOUND],
        },
        BrowserRoute::Jwks => Said {
            id: "jwks",
            summary: "Get the public keys",
            description: "For services that verify access tokens themselves (RFC 7517).",
            credentials: Credentials::Ignored,
            problems: &[Problem::NO_PUBLIC_KEYS],
        },
    }
}

fn json(schema: &str) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
    ResponseBuilder::new().description("Done.").content(JSON, content)
}

fn text(media_type: &str) -> ResponseBuilder {
    let content = Content::new(Some(ObjectBuilder::new().schema_type(Type::String)));
    ResponseBuilder::new().description("Done.").content(media_type, content)
}

fn text_header(description: &str) -> utoipa::openapi::Header {
    let schema = ObjectBuilder::new().schema_type(Type::String);
    HeaderBuilder::new().description(Some(description)).schema(Some(schema)).build()
}

fn cookies(what: &str) -> utoipa::openapi::Header {
    text_header(&format!("{what} One line for each cookie."))
}

fn session_id() -> Parameter {
    ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("The `id` of the session in the list."))
        .schema(Some(SessionId::schema()))
        .build()
}

fn next() -> Parameter {
    ParameterBuilder::new()
        .name("next")
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some("The path to go to after a form. Scripts leave it out."))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}
