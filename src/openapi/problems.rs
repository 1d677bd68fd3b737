//! Error responses in the document: one for each status, which says by what code they differ.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::{
    IntoResponses,
    openapi::{
        ContentBuilder, RefOr, Response, ResponseBuilder,
        example::ExampleBuilder,
        header::HeaderBuilder,
        schema::{ObjectBuilder, Ref, Type},
    },
};

use super::components::PROBLEM;
use crate::problem::Problem;

/// The errors of the extractor [`Session`](crate::Session), for `responses(…)` of [`utoipa::path`]: 400, 401, 500 and
/// 503. Also those of [`StoreChecked`](crate::StoreChecked).
///
/// Their bodies are [`Problem`](crate::error::Problem) documents. An application that renders them itself
/// ([`render_errors`](crate::manager::SessionManagerBuilder::render_errors)) describes its own.
///
/// The document needs the schema of the problems, which [`SessionManager::openapi`](crate::SessionManager::openapi) adds.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SessionProblems;

/// The errors of a handler that logs in, for `responses(…)` of [`utoipa::path`]: 400, 401, 403, 409, 500 and 503.
///
/// 401 is `proof_outdated`, 403 an unknown user, a session that is already acting, or a request from another site. A
/// wrong password is the application's own. See [`SessionProblems`] for what the document needs.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LoginProblems;

/// The errors of a handler behind [`guard::require`](crate::guard::require) or
/// [`guard::require_recent_login`](crate::guard::require_recent_login), for `responses(…)` of [`utoipa::path`]: those of
/// [`SessionProblems`], 401 `insufficient_user_authentication` and 403 `insufficient_scope`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct GuardProblems;

/// What the extractor `Session` answers.
pub(super) const OF_SESSION: &[Problem] = &[
    Problem::INVALID_REQUEST,
    Problem::MISSING_CREDENTIALS,
    Problem::INVALID_TOKEN,
    Problem::PROOF_REQUIRED,
    Problem::INTERNAL_ERROR,
    Problem::REVOCATIONS_UNKNOWN,
    Problem::STORE_UNAVAILABLE,
];

const OF_GUARDS: &[Problem] = &[
    Problem::login_not_recent(std::time::Duration::from_secs(300)),
    Problem::INSUFFICIENT_SCOPE,
    Problem::DEVICE_BINDING_REQUIRED,
];

const OF_LOGIN: &[Problem] = &[
    Problem::INVALID_REQUEST,
    Problem::PROOF_OUTDATED,
    Problem::CROSS_SITE_REQUEST,
    Problem::USER_NOT_FOUND,
    Problem::ALREADY_ACTING,
    Problem::SESSION_LIMIT_REACHED,
    Problem::INTERNAL_ERROR,
    Problem::STORE_UNAVAILABLE,
    Problem::CLAIMS_UNAVAILABLE,
];

type Responses = BTreeMap<String, RefOr<Response>>;

impl IntoResponses for SessionProblems {
    fn responses() -> Responses {
        responses(OF_SESSION.iter(), true)
    }
}

impl IntoResponses for LoginProblems {
    fn responses() -> Responses {
        responses(OF_LOGIN.iter(), true)
    }
}

impl IntoResponses for GuardProblems {
    fn responses() -> Responses {
        responses(OF_SESSION.iter().chain(OF_GUARDS), true)
    }
}

/// The responses by status. Without documents the application renders the bodies, and nothing is said of them.
pub(super) fn responses<'p>(problems: impl Iterator<Item = &'p Problem>, with_documents: bool) -> Responses {
    let mut by_status = BTreeMap::<_, Vec<&Problem>>::new();
    for problem in problems {
        by_status.entry(problem.status()).or_default().push(problem);
    }
    by_status
        .into_iter()
        .map(|(status, problems)| (status.as_str().to_owned(), response(&problems, with_documents).into()))
        .collect()
}

fn response(problems: &[&Problem], with_documents: bool) -> Response {
    let description: Vec<_> =
        problems.iter().map(|problem| format!("`{}`: {}", problem.code(), problem.title())).collect();
    let mut response = ResponseBuilder::new().description(description.join(" "));
    if with_documents {
        let example = |problem: &Problem| {
            let value = serde_json::from_str(&problem.to_json()).unwrap_or(Value::Null);
            (problem.code(), ExampleBuilder::new().summary(problem.title()).value(Some(value)))
        };
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name(PROBLEM)))
            .examples_from_iter(problems.iter().map(|problem| example(problem)));
        response = response.content("application/problem+json", content.build());
    }
    let header = |what: &str, r#type| {
        let schema = ObjectBuilder::new().schema_type(r#type);
        HeaderBuilder::new().description(Some(what)).schema(Some(schema)).build()
    };
    if problems.iter().any(|problem| problem.has_challenge()) {
        response = response.header("WWW-Authenticate", header("What is missing (RFC 6750).", Type::String));
    }
    if problems.iter().any(|problem| problem.has_retry_after()) {
        response = response.header("Retry-After", header("Seconds until it is worth trying again.", Type::Integer));
    }
    response.build()
}
