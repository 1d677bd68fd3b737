//! The schemas of the bodies.

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        KnownFormat, RefOr, Schema, SchemaFormat,
        schema::{ArrayBuilder, ObjectBuilder, Ref, SchemaType, Type},
    },
};

use crate::{
    id::{SessionId, UserId},
    problem::Problem,
};

pub(super) const PROBLEM: &str = "SessionProblem";
pub(super) const DONE: &str = "SessionCommandDone";
pub(super) const REFRESHED: &str = "SessionRefreshed";
pub(super) const LIST: &str = "SessionList";
pub(super) const INFO: &str = "SessionInfo";
const LISTED: &str = "SessionListed";
pub(super) const KEYS: &str = "SessionKeySet";
pub(super) const TOKENS: &str = "SessionTokens";
pub(super) const TOKEN_ERROR: &str = "SessionTokenError";
pub(super) const TOKEN_FORM: &str = "SessionTokenForm";
pub(super) const REVOKE_FORM: &str = "SessionRevokeForm";
pub(super) const DEVICE_SESSION: &str = "SessionDevice";
pub(super) const DEVICE_REFRESHED: &str = "SessionDeviceRefreshed";

/// All of them, whichever routers an application has: few, and a document may name them itself.
pub(super) fn schemas() -> [(String, RefOr<Schema>); 13] {
    [
        (PROBLEM, problem()),
        (DONE, object([("success", boolean("Always true."), Present::Always)])),
        (REFRESHED, refreshed()),
        (LIST, list()),
        (LISTED, listed()),
        (INFO, info()),
        (KEYS, keys()),
        (TOKENS, tokens()),
        (TOKEN_ERROR, token_error()),
        (TOKEN_FORM, token_form()),
        (REVOKE_FORM, revoke_form()),
        (DEVICE_SESSION, device_session()),
        (DEVICE_REFRESHED, object([("continue", boolean("Always false: the session has ended."), Present::Always)])),
    ]
    .map(|(name, schema)| (name.to_owned(), schema.into()))
}

/// Whether a member is in every object.
#[derive(Clone, Copy)]
enum Present {
    Always,
    Sometimes,
}
use Present::{Always, Sometimes};

fn object<const N: usize>(members: [(&str, RefOr<Schema>, Present); N]) -> ObjectBuilder {
    members.into_iter().fold(ObjectBuilder::new().schema_type(Type::Object), |object, (name, schema, present)| {
        let object = object.property(name, schema);
        match present {
            Always => object.required(name),
            Sometimes => object,
        }
    })
}

fn text(description: &str) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description)).into()
}

/// A string, or null where the login did not say.
fn optional_text(description: &str) -> RefOr<Schema> {
    let string_or_null = SchemaType::from_iter([Type::String, Type::Null]);
    ObjectBuilder::new().schema_type(string_or_null).description(Some(description)).into()
}

fn number(description: &str) -> RefOr<Schema> {
    let format = Some(SchemaFormat::KnownFormat(KnownFormat::Int64));
    ObjectBuilder::new().schema_type(Type::Integer).format(format).description(Some(description)).into()
}

fn boolean(description: &str) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Boolean).description(Some(description)).into()
}

fn one_of(values: impl IntoIterator<Item = &'static str>, description: impl Into<String>) -> RefOr<Schema> {
    let schema = ObjectBuilder::new().schema_type(Type::String).description(Some(description));
    schema.enum_values(Some(values)).into()
}

fn problem() -> ObjectBuilder {
    let url = Some(SchemaFormat::Custom("uri".to_owned()));
    let url = ObjectBuilder::new().schema_type(Type::String).format(url).description(Some("Its documentation."));
    let codes = Problem::ALL.iter().map(Problem::code);
    let kinds = Problem::ALL.iter().map(|kind| format!("\n- `{}` ({}): {}", kind.code(), kind.status(), kind.title()));
    let members = [
        ("type", url.into(), Always),
        ("title", text("A sentence for humans."), Always),
        ("status", number("The status of the response."), Always),
        ("code", one_of(codes, format!("What happened:\n{}", kinds.collect::<String>())), Always),
    ];
    object(members).description(Some("A problem document (RFC 9457)."))
}

fn refreshed() -> ObjectBuilder {
    let members = [
        ("success", boolean("Always true."), Always),
        ("expires_in", number("Seconds until the access token expires: refresh before."), Always),
    ];
    object(members)
}

fn list() -> ObjectBuilder {
    let sessions = ArrayBuilder::new().items(Ref::from_schema_name(LISTED));
    object([("sessions", sessions.into(), Always)])
}

fn listed() -> ObjectBuilder {
    let members = [
        ("id", SessionId::schema(), Always),
        ("current", boolean("Whether it is the session of this request."), Always),
        ("created_at", number("The login, in seconds since 1970."), Always),
        ("refreshed_at", number("The last refresh, in seconds since 1970, to the minute."), Always),
        ("expires_at", number("When it ends without another refresh, in seconds since 1970."), Always),
        ("user_agent", optional_text("The `User-Agent` of the login."), Always),
        ("ip", optional_text("The address of the login."), Always),
        ("actor", optional_text("Who acts as the user in this session."), Always),
        ("bound", boolean("Whether it is bound to its device."), Always),
    ];
    object(members)
}

fn info() -> ObjectBuilder {
    let members = [
        ("user_id", UserId::schema(), Always),
        ("session_id", SessionId::schema(), Always),
        ("auth_time", number("The login, in seconds since 1970."), Always),
        ("actor", optional_text("Who acts as the user in this session."), Always),
        ("bound", boolean("Whether it is bound to its device."), Always),
        ("expires_in", number("Seconds until the access token expires: refresh before."), Always),
    ];
    object(members)
}

fn keys() -> ObjectBuilder {
    let key = ObjectBuilder::new().schema_type(Type::Object).description(Some("A public key (RFC 7517, section 4)."));
    object([("keys", ArrayBuilder::new().items(key).into(), Always)]).description(Some("A JWK set (RFC 7517)."))
}

fn tokens() -> ObjectBuilder {
    let members = [
        ("access_token", text("For the header `Authorization: Bearer`."), Always),
        ("token_type", one_of(["Bearer"], "Always `Bearer`."), Always),
        ("expires_in", number("Seconds until the access token expires."), Always),
        ("refresh_token", text("The next refresh token. If it is missing, keep the one that you have."), Sometimes),
    ];
    object(members).description(Some("The tokens of a session (RFC 6749, section 5.1)."))
}

fn token_error() -> ObjectBuilder {
    let errors = ["invalid_request", "unsupported_grant_type", "invalid_grant"];
    let members = [
        ("error", one_of(errors, "`invalid_grant` means that a new login is required."), Always),
        ("error_description", text("A sentence for developers."), Always),
    ];
    object(members).description(Some("An error of OAuth 2.0 (RFC 6749, section 5.2)."))
}

fn token_form() -> ObjectBuilder {
    let members = [
        ("grant_type", one_of(["refresh_token"], "Always `refresh_token`."), Always),
        ("refresh_token", text("The newest refresh token of the session."), Always),
    ];
    object(members)
}

fn revoke_form() -> ObjectBuilder {
    object([("token", text("A refresh or access token of the session to end."), Always)])
}

/// As the draft of Device Bound Session Credentials has it.
fn device_session() -> ObjectBuilder {
    let list = || ArrayBuilder::new().items(ObjectBuilder::new().schema_type(Type::Object));
    let scope = [
        ("origin", text("The origin whose requests are bound."), Always),
        ("include_site", boolean("Always false."), Always),
        ("scope_specification", list().into(), Always),
    ];
    let members = [
        ("session_identifier", text("The session in this protocol."), Always),
        ("refresh_url", text("Where to refresh."), Always),
        ("scope", object(scope).into(), Always),
        ("credentials", list().into(), Always),
    ];
    object(members).description(Some("A session for browsers to bind (Device Bound Session Credentials)."))
}

impl PartialSchema for SessionId {
    fn schema() -> RefOr<Schema> {
        let length = Some(22);
        let schema = ObjectBuilder::new().schema_type(Type::String).min_length(length).max_length(length);
        schema.description(Some("The id of a session: 16 bytes in base64url.")).into()
    }
}

impl ToSchema for SessionId {
    fn name() -> Cow<'static, str> {
        "SessionId".into()
    }
}

impl PartialSchema for UserId {
    fn schema() -> RefOr<Schema> {
        let schema = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1));
        schema.description(Some("The id of a user, of 1 to 255 bytes.")).into()
    }
}

impl ToSchema for UserId {
    fn name() -> Cow<'static, str> {
        "UserId".into()
    }
}
