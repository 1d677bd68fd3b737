//! Claims that serde does not round-trip: refused when building, or logged with help.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;
use tower_jwt_sessions::{ConfigError, UserId, error::ConfigErrorKind};
use tracing::level_filters::LevelFilter;

use crate::support::{log::Log, *};

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Untagged {
    Guest,
    Member { role: String },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Tagged {
    Guest,
    Member { role: String },
}

/// An application whose users have these claims.
async fn with_claims<C>(claims: fn(&str) -> C) -> Result<(World, axum::Router), ConfigError>
where
    C: Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let world = World::new(Backend::Memory).await;
    let load = move |(), user: UserId| {
        let claims = claims(user.as_str());
        async move { Ok::<_, String>(Some(claims)) }
    };
    let sessions = builder::<C>(&world.store, &world.clock).claims_with((), load).build()?;
    let app = app(&sessions);
    Ok((world, app))
}

#[tokio::test]
async fn untagged_enum_with_unit_variant_is_refused_and_tagged_one_accepted() {
    let untagged = |user: &str| match user {
        "guest" => Untagged::Guest,
        _ => Untagged::Member { role: "admin".to_owned() },
    };
    let error = with_claims(untagged).await.err().expect("an error of the build");
    assert_eq!(error.kind(), ConfigErrorKind::InvalidClaimsType, "{error}");
    assert!(error.to_string().contains("give the enum #[serde(tag = \"type\")]"), "{error}");

    let tagged = |user: &str| match user {
        "guest" => Tagged::Guest,
        _ => Tagged::Member { role: "admin".to_owned() },
    };
    let (world, app) = with_claims(tagged).await.expect("a valid configuration");
    for (user, claims) in
        [("guest", json!({ "type": "Guest" })), ("alice", json!({ "type": "Member", "role": "admin" }))]
    {
        let mut browser = Browser::new(&app, &world.clock);
        browser.login(user).await;
        assert_eq!(browser.get("/me").await.is(200).json()["claims"], claims);
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Flat {
    #[serde(flatten)]
    within: Wide,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Wide {
    balance: u128,
}

/// A type of its own, of which only some values fail.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Any {
    Text(String),
    Roles { roles: Vec<String> },
}

#[tokio::test]
async fn claims_that_cannot_be_read_back_are_logged_with_help() {
    async fn logged_line(app: &axum::Router, world: &World) -> String {
        Log::capture(LevelFilter::TRACE);
        Browser::new(app, &world.clock).send("POST /login/alice", &[]).await.is_problem(500, "internal_error");
        let log = Log::captured();
        let line = log.lines().find(|line| line.contains("session operation failed")).expect("a line").to_owned();
        assert!(!line.contains("alice"), "{line}");
        line
    }
    let (world, app) =
        with_claims(|_| Flat { within: Wide { balance: 7 } }).await.expect("a type that the build accepts");
    let line = logged_line(&app, &world).await;
    assert!(line.contains("serde reads no u128 or i128 within #[serde(flatten)]") && line.contains("u64"), "{line}");
    let (world, app) = with_claims(|_| Any::Text("admin".to_owned())).await.expect("a type that the build accepts");
    let line = logged_line(&app, &world).await;
    assert!(line.contains("must be a struct or map") && line.contains("#[serde(tag = \"type\")]"), "{line}");
}
