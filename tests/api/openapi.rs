//! The OpenAPI document: complete, valid, and true of every response.

use std::{collections::BTreeSet, fs, path::Path};

use axum::{Router, response::IntoResponse as _};
use http::request::Parts;
use serde_json::Value;
use tower_jwt_sessions::{
    SessionId, UserId,
    cookie::CookieConfig,
    error::Problem,
    openapi::{GuardProblems, LoginProblems, SessionProblems},
};
use utoipa::{
    IntoResponses, PartialSchema as _, ToSchema as _,
    openapi::{OpenApi, OpenApiBuilder, PathItem, path::HttpMethod, path::OperationBuilder},
};

use crate::support::{device::BoundBrowser, *};

on_every_store!(responses_are_those_of_the_document,);

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The document of the application of the tests, as far as its routes are those of the crate.
fn document(world: &World) -> Value {
    let api = OpenApi::default()
        .nest("/auth", world.sessions.openapi().router())
        .nest("/module", world.sessions.openapi().client_router())
        .nest("/oauth", world.sessions.openapi().token_router());
    serde_json::to_value(api).expect("JSON")
}

/// The application of the tests, with the routes of the browser module and those that bind sessions.
async fn world_with_all(backend: Backend) -> World {
    let mut world = World::for_natives_with(backend, super::dbsc::binding).await;
    // Streams end after their first event.
    let module = world.sessions.client_router(|| std::future::ready(()));
    world.app = world.app.merge(Router::new().nest("/module", module).layer(world.sessions.layer()));
    world
}

/// Each operation with its name, such as `DELETE /auth/sessions/{id}`.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().expect("methods").iter();
        methods.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    });
    operations.collect()
}

fn names(document: &Value) -> BTreeSet<String> {
    operations(document).into_iter().map(|(name, _)| name).collect()
}

fn source(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a file of text")
}

/// The routes in the tables above `router`, `client_router` and `token_router`.
fn routes_in_docs() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let files = [("browser.rs", "/auth"), ("client.rs", "/module"), ("oauth.rs", "/oauth")];
    for (file, base) in files.map(|(file, base)| (format!("src/routes/{file}"), base)) {
        let text = source(&file);
        for row in text.lines().filter_map(|line| line.trim_start().strip_prefix("/// | `")) {
            // Other tables have no routes.
            let Some((method, path)) = row.split('`').next().and_then(|route| route.split_once(' ')) else { continue };
            found.insert(format!("{method} {base}{path}"));
        }
    }
    found
}

#[tokio::test]
async fn document_has_every_route_and_no_other() {
    let world = world_with_all(Backend::Memory).await;
    let document = document(&world);
    let described = names(&document);
    assert_eq!(described, routes_in_docs());
    // And what the router answers: a method that it does not have is a 405, a path a 404 without a body.
    for path in document["paths"].as_object().expect("paths").keys() {
        for method in METHODS.map(str::to_uppercase) {
            let there = path.replace("{id}", "AAECAwQFBgcICQoLDA0ODw");
            let response = send::<&str>(&world.app, &format!("{method} {there}"), &[]).await;
            let is_served = response.status != 405 && (response.status != 404 || path.ends_with("jwks.json"));
            assert_eq!(is_served, described.contains(&format!("{method} {path}")), "{method} {path}");
        }
    }
    send::<&str>(&world.app, "GET /auth/other", &[]).await.is(404);
}

/// The headings above `Problem`, with their statuses.
fn problems_in_docs() -> Vec<(String, String)> {
    let source = source("src/problem/mod.rs");
    let headings = source.split("/// # `").skip(1).map(|rest| {
        let (code, rest) = rest.split_once("`\n/// ").expect("a heading");
        (code.to_owned(), rest.split('.').next().unwrap_or_default().to_owned())
    });
    headings.collect()
}

#[tokio::test]
async fn every_problem_is_described() {
    let world = world_with_all(Backend::Memory).await;
    let document = document(&world);
    let code = &document["components"]["schemas"]["SessionProblem"]["properties"]["code"];
    let described: Vec<&str> = code["enum"].as_array().expect("codes").iter().filter_map(Value::as_str).collect();
    let headings = problems_in_docs();
    assert_eq!(described, headings.iter().map(|(code, _)| &**code).collect::<Vec<_>>());
    for (heading, status) in &headings {
        let line = format!("- `{heading}` ({status} ");
        assert!(code["description"].as_str().expect("text").contains(&line), "{line}");
    }
    // Each belongs to a route of the crate, or to the errors of handlers of the application.
    let mut documents: Vec<Value> = operations(&document).into_iter().map(|(_, operation)| operation.clone()).collect();
    for responses in [SessionProblems::responses(), LoginProblems::responses(), GuardProblems::responses()] {
        documents.push(serde_json::json!({ "responses": responses }));
    }
    let all = serde_json::to_string(&documents).expect("JSON");
    // Only a handler that writes session data has this one.
    for (heading, _) in headings.iter().filter(|(code, _)| code != "data_conflict") {
        assert!(
            all.contains(&format!("{{\"{heading}\":{{")) || all.contains(&format!(",\"{heading}\":{{")),
            "{heading}"
        );
    }
}

/// Asserts that the document has this response: its status, media type, problem, members and headers.
#[track_caller]
fn assert_described(document: &Value, operation: &str, response: &TestResponse) {
    let all = operations(document);
    let operation_of = |name: &str| all.iter().find(|(found, _)| found == name).map(|(_, operation)| *operation);
    let described = &operation_of(operation).expect("an operation")["responses"][response.status.to_string()];
    assert!(described.is_object(), "{operation} has no {}: {}", response.status, response.body);
    for header in ["www-authenticate", "retry-after", "set-cookie", "location", "etag"] {
        let headers = described["headers"].as_object();
        let is_described = headers.is_some_and(|all| all.keys().any(|name| name.eq_ignore_ascii_case(header)));
        assert!(is_described || response.header(header).is_empty(), "{operation}: {header}");
    }
    if response.body.is_empty() {
        assert!(described["content"].is_null(), "{operation}: no body");
        return;
    }
    let media_type = response.header("content-type").split(';').next().unwrap_or_default();
    let content = &described["content"][media_type];
    assert!(content.is_object(), "{operation} has no {:?}", response.header("content-type"));
    let mut schema = resolve(document, &content["schema"]);
    if schema["type"] == "string" {
        assert!(media_type.starts_with("text/"), "{operation}: {media_type}");
        return;
    }
    let body = response.json();
    assert_members(&body, schema, operation);
    if let Some(entry) = body.get("sessions").and_then(|list| list.get(0)) {
        schema = resolve(document, &schema["properties"]["sessions"]["items"]);
        assert_members(entry, schema, operation);
    }
    if let Some(code) = body.get("code").and_then(Value::as_str) {
        assert_eq!(content["examples"][code]["value"], body, "{operation}: {code}");
    }
}

/// Asserts that the object has each required member, and no other than those described.
#[track_caller]
fn assert_members(object: &Value, schema: &Value, operation: &str) {
    let members = object.as_object().expect("an object");
    for name in schema["required"].as_array().expect("required members") {
        assert!(members.contains_key(name.as_str().expect("a name")), "{operation}: {name} is missing");
    }
    for (name, value) in members {
        let types = &schema["properties"][name]["type"];
        let actual = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let is_described = types == actual || types.as_array().is_some_and(|types| types.iter().any(|t| t == actual));
        assert!(is_described, "{operation}: {name} is {actual}, not {types}");
    }
}

fn resolve<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    match schema["$ref"].as_str().and_then(|target| target.strip_prefix('#')) {
        Some(pointer) => document.pointer(pointer).unwrap_or_else(|| panic!("nothing at {pointer}")),
        None => schema,
    }
}

async fn responses_are_those_of_the_document(backend: Backend) {
    let world = world_with_all(backend).await;
    let document = document(&world);
    let native = world.native("alice").await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let anonymous = world.browser();
    let evil = [("sec-fetch-site", "cross-site")];
    let twice = [("authorization", "Bearer x")];
    let id = claims_of(&native.access)["sid"].as_str().expect("an id").to_owned();
    let forms = [("content-type", "application/x-www-form-urlencoded")];
    let token = format!("grant_type=refresh_token&refresh_token={}", native.refresh);
    let mut seen: BTreeSet<(String, u16)> = BTreeSet::new();
    let mut check = |operation: &str, response: &TestResponse| {
        assert_described(&document, operation, response);
        seen.insert((operation.to_owned(), response.status));
    };

    for name in ["POST /auth/refresh", "POST /auth/logout-all", "GET /auth/sessions", "POST /auth/logout"] {
        check(name, &anonymous.send_only(name, &[]).await);
        check(name, &browser.send_only(name, &twice).await);
        if name.starts_with("POST") {
            check(name, &browser.send_only(name, &evil).await);
        }
    }
    for (name, sent) in [
        ("DELETE /auth/sessions/{id}", format!("DELETE /auth/sessions/{id}")),
        ("POST /auth/sessions/{id}/end", format!("POST /auth/sessions/{id}/end")),
    ] {
        check(name, &anonymous.send_only(&sent, &[]).await);
        check(name, &browser.send_only(&sent, &evil).await);
        check(name, &browser.send_only(&sent.replace(&id, "unknown"), &[]).await);
    }
    for name in ["GET /module/session", "GET /module/events", "GET /module/client.js"] {
        check(name, &anonymous.send_only(name, &[]).await);
    }
    check("GET /module/session", browser.send_only("GET /module/session", &[]).await.is(200));
    check("GET /module/events", browser.send_only("GET /module/events", &[]).await.is(200));
    let script = anonymous.send_only("GET /module/client.js", &[]).await;
    let known = [("if-none-match", script.header("etag"))];
    check("GET /module/client.js", anonymous.send_only("GET /module/client.js", &known).await.is(304));
    let mut bound = BoundBrowser::new(&world.app, &world.clock);
    let login = bound.browser.login("carol").await;
    check("POST /auth/dbsc/register", bound.browser.post("/auth/dbsc/register").await.is(400));
    check("POST /auth/dbsc/register", &anonymous.send_only("POST /auth/dbsc/register", &[]).await);
    check("POST /auth/dbsc/register", &bound.browser.send_only("POST /auth/dbsc/register", &evil).await);
    check("POST /auth/dbsc/register", bound.register(&login).await.is(200));
    check("POST /auth/dbsc/refresh", bound.browser.post("/auth/dbsc/refresh").await.is(400));
    bound.bound.as_mut().expect("a session").challenge = None;
    check("POST /auth/dbsc/refresh", bound.try_refresh().await.is(403));
    bound.try_refresh().await.is(200);
    check("POST /auth/refresh", bound.browser.refresh().await.is(403));
    bound.browser.post("/auth/logout").await.is(200);
    check("POST /auth/dbsc/refresh", bound.try_refresh().await.is(200));

    check("GET /auth/jwks.json", &anonymous.send_only("GET /auth/jwks.json", &[]).await);
    check("POST /oauth/token", &send_body(&world, "POST /oauth/token", "grant_type=password").await);
    check("POST /oauth/token", &send_body(&world, "POST /oauth/token", &token).await);
    check("POST /oauth/revoke", &send_body(&world, "POST /oauth/revoke", "nothing=1").await);

    world.users.set_down(true);
    check("POST /auth/refresh", browser.refresh().await.is(503));
    world.users.set_down(false);
    world.store.set_down(true);
    check("POST /auth/refresh", browser.refresh().await.is(503));
    check("GET /auth/sessions", browser.send_only("GET /auth/sessions", &[]).await.is(503));
    check("POST /oauth/token", send_body(&world, "POST /oauth/token", &token).await.is(503));
    world.store.set_down(false);

    check("GET /auth/sessions", browser.send_only("GET /auth/sessions", &[]).await.is(200));
    check("POST /auth/refresh", browser.refresh().await.is(200));
    check("DELETE /auth/sessions/{id}", browser.send(&format!("DELETE /auth/sessions/{id}"), &[]).await.is(200));
    let form = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("accept", "text/html"), forms[0]];
    check("POST /auth/logout", &anonymous.send_only("POST /auth/logout?next=/bye", &form).await);
    check("POST /auth/logout-all", browser.post("/auth/logout-all").await.is(200));
    check("POST /oauth/token", send_body(&world, "POST /oauth/token", &token).await.is(400));
    check("POST /oauth/revoke", send_body(&world, "POST /oauth/revoke", "token=x").await.is(200));
    assert!(seen.contains(&("POST /auth/logout".to_owned(), 303)), "{seen:?}");
    assert!(seen.len() > 30, "{seen:?}");
}

async fn send_body(world: &World, what: &str, form: &str) -> TestResponse {
    send_form(&world.app, what, form).await
}

/// What the specification demands of every document: its references lead somewhere, its ids are unique.
#[track_caller]
fn assert_valid(document: &Value) {
    let read: OpenApi = serde_json::from_value(document.clone()).expect("an OpenAPI document");
    assert_eq!(&serde_json::to_value(read).expect("JSON"), document);
    assert_eq!(document["openapi"], "3.1.0");
    let schemes = document["components"]["securitySchemes"].as_object().expect("security schemes");
    let tags: Vec<&Value> = document["tags"].as_array().expect("tags").iter().map(|tag| &tag["name"]).collect();
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(document) {
        assert!(ids.insert(operation["operationId"].as_str().expect("an id").to_owned()), "{name}: not unique");
        assert!(operation["summary"].is_string() && operation["description"].is_string(), "{name}");
        for requirement in operation["security"].as_array().expect("security") {
            for scheme in requirement.as_object().expect("schemes").keys() {
                assert!(schemes.contains_key(scheme), "{name}: {scheme}");
            }
        }
        assert!(operation["tags"].as_array().expect("tags").iter().all(|tag| tags.contains(&tag)), "{name}");
        let no_parameters = Vec::new();
        let parameters = operation["parameters"].as_array().unwrap_or(&no_parameters).iter();
        let in_path: Vec<String> = parameters
            .filter(|parameter| parameter["in"] == "path" && parameter["required"] == true)
            .map(|parameter| format!("{{{}}}", parameter["name"].as_str().expect("a name")))
            .collect();
        assert_eq!(in_path.len(), name.matches('{').count(), "{name}");
        assert!(in_path.iter().all(|parameter| name.contains(parameter)), "{name}");
        let responses = operation["responses"].as_object().expect("responses");
        assert!(responses.contains_key("200"), "{name}");
        for (status, response) in responses {
            assert!(status.parse::<u16>().is_ok_and(|status| (200..600).contains(&status)), "{name}: {status}");
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}: {status}");
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        for required in schema["required"].as_array().expect("required members") {
            assert!(schema["properties"][required.as_str().expect("a name")].is_object(), "{name}: {required}");
        }
    }
    let mut open = vec![document];
    while let Some(value) = open.pop() {
        resolve(document, value);
        match value {
            Value::Array(values) => open.extend(values),
            Value::Object(members) => open.extend(members.values()),
            _ => {}
        }
    }
}

#[tokio::test]
async fn document_is_valid() {
    let world = world_with_all(Backend::Memory).await;
    assert_valid(&document(&world));
    let components = serde_json::to_value(world.sessions.openapi().components()).expect("JSON");
    assert!(components["paths"].as_object().is_some_and(serde_json::Map::is_empty), "{components}");
    assert!(components["components"]["schemas"]["SessionProblem"].is_object());
}

#[tokio::test]
async fn two_managers_fit_into_one_document() {
    let customers = World::new(Backend::Memory).await;
    let cookies = CookieConfig::new().names("admin", "admin-refresh");
    let admins = World::with(Backend::Memory, |builder| builder.cookies(cookies)).await;
    let api = OpenApi::default()
        .nest("/auth", customers.sessions.openapi().router())
        .nest("/admin/auth", admins.sessions.openapi().named("admin").router());
    let document = serde_json::to_value(api).expect("JSON");
    assert_valid(&document);
    let schemes = &document["components"]["securitySchemes"];
    assert_eq!(schemes["session_cookie"]["name"], ACCESS);
    assert_eq!(schemes["admin_cookie"]["name"], "__Host-admin");
    assert_eq!(schemes["admin_refresh_cookie"]["name"], "__Host-admin-refresh");
    let list = &document["paths"]["/admin/auth/sessions"]["get"];
    assert_eq!(list["security"], serde_json::json!([{ "admin_cookie": [] }]));
}

#[tokio::test]
async fn document_follows_the_configuration() {
    let world = World::new(Backend::Memory).await;
    let plain = document(&world);
    let scheme = &plain["components"]["securitySchemes"];
    assert_eq!(
        scheme["session_cookie"],
        serde_json::json!({
            "type": "apiKey", "in": "cookie", "name": ACCESS,
            "description": scheme["session_cookie"]["description"],
        })
    );
    assert!(scheme["session_bearer"].is_null(), "Bearer tokens are not accepted");
    let list = |document: &Value| document["paths"]["/auth/sessions"]["get"].clone();
    assert_eq!(list(&plain)["security"], serde_json::json!([{ "session_cookie": [] }]));
    // No credentials, also where the document demands some of every route.
    assert_eq!(plain["paths"]["/auth/jwks.json"]["get"]["security"], serde_json::json!([]));
    assert_eq!(plain["paths"]["/auth/logout"]["post"]["security"][0], serde_json::json!({}));

    let render = |problem: &Problem, _: Option<&Parts>| problem.title().into_response();
    let world = World::with(Backend::Memory, |builder| builder.accept_bearer_tokens().render_errors(render)).await;
    let document = document(&world);
    assert_valid(&document);
    let bearer = &document["components"]["securitySchemes"]["session_bearer"];
    assert_eq!((&bearer["type"], &bearer["scheme"]), (&Value::from("http"), &Value::from("bearer")));
    let alternatives = serde_json::json!([{ "session_cookie": [] }, { "session_bearer": [] }]);
    assert_eq!(list(&document)["security"], alternatives);
    assert!(list(&plain)["responses"]["401"]["content"].is_object());
    assert!(list(&document)["responses"]["401"]["content"].is_null(), "the application renders errors itself");
}

/// Routes of the application: its own responses, those of the extractor, and ids in its bodies.
#[tokio::test]
async fn routes_of_the_application_take_responses_and_schemas() {
    let world = World::new(Backend::Memory).await;
    let responses = utoipa::openapi::ResponsesBuilder::new()
        .responses_from_into_responses::<SessionProblems>()
        .response("200", utoipa::openapi::Response::new("The user."));
    let me = OperationBuilder::new().operation_id(Some("me")).responses(responses.build());
    let mut api = OpenApiBuilder::new().build();
    api.paths.paths.insert("/me".to_owned(), PathItem::new(HttpMethod::Get, me));
    api.merge(world.sessions.openapi().components());
    let document = serde_json::to_value(api).expect("JSON");

    let mut browser = world.browser();
    assert_described(&document, "GET /me", &browser.get("/me").await);
    browser.login("alice").await;
    browser.plant(ACCESS, "x");
    assert_described(&document, "GET /me", &browser.get("/me").await);
    let session_id = serde_json::to_value(SessionId::schema()).expect("JSON");
    let length = SessionId::from_bytes([7; 16]).to_string().len();
    assert_eq!((&session_id["minLength"], &session_id["maxLength"]), (&Value::from(length), &Value::from(length)));
    assert_eq!((SessionId::name(), UserId::name()), ("SessionId".into(), "UserId".into()));
}
