//! Servers that refuse commands: errors contain their message, but not the arguments of the command.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::{ClusterHash, CustomCommand, config::Config},
};
use tower_jwt_sessions::{
    SessionId,
    redis::RedisStore,
    store::{EndSessions, LogPosition, NewSession, Owner, PutData, SessionStore as _, StoreError, WhichSessions},
};

use super::redis::chain;
use crate::support::{owner::owner, redis_server::RedisServer};

const HOUR: Duration = Duration::from_secs(3600);
const AGENT: &str = "a-browser-that-is-named";
const DATA: &str = "data-of-the-application";

/// Ids whose bytes are text, and ids whose bytes are not.
fn ids() -> [SessionId; 3] {
    [*b"sixteen letters!", [200; 16], [0; 16]].map(SessionId::from_bytes)
}

fn users() -> [Owner; 3] {
    ["u", "user@name.example", &"x".repeat(250)].map(owner)
}

/// Runs one step of each kind, and returns the errors.
async fn failures(store: &RedisStore, user: &Owner, id: SessionId) -> Vec<StoreError> {
    let mut new = NewSession::new(user.clone(), id, HOUR, HOUR, HOUR);
    new.device.user_agent = Some(AGENT.to_owned());
    new.data = Some(DATA.into());
    let put = PutData::new(user.clone(), id, 0, DATA.into());
    let failures = [
        store.create(&new).await.err(),
        store.find(user, id).await.err(),
        store.list(user).await.err(),
        store.get_data(user, id).await.err(),
        store.put_data(&put).await.err(),
        store.confirm(user, id, 1).await.err(),
        store.end(&EndSessions::new(user.clone(), WhichSessions::One(id), HOUR)).await.err(),
        store.expire_access(user, HOUR).await.err(),
    ];
    failures.into_iter().map(|failure| failure.expect("an error")).collect()
}

fn is_reported_without_arguments(error: &StoreError, said: &str, user: &Owner, id: SessionId) {
    // Redis 6.2 quotes the name of a command in another way.
    let text = chain(error).replace('`', "'");
    assert!(text.contains(said), "{text}");
    let raw = String::from_utf8_lossy(id.as_bytes()).into_owned();
    let encoded = URL_SAFE_NO_PAD.encode(user.user_id().as_str());
    for sent in [&raw, &id.to_string(), &encoded, "sessions:", AGENT, DATA, "KEYS", "args"] {
        assert!(!text.contains(sent), "{sent:?} is in {text}");
    }
    assert!(user.user_id().as_str().len() == 1 || !text.contains(user.user_id().as_str()), "{text}");
}

#[tokio::test]
async fn unknown_command_is_reported_without_arguments() {
    for command in ["EVALSHA", "EVAL"] {
        let server = RedisServer::start_with(&["--rename-command", command, ""]);
        let store = RedisStore::connect(&server.url()).await.unwrap();
        for user in users() {
            for id in ids() {
                for error in failures(&store, &user, id).await {
                    is_reported_without_arguments(&error, &format!("ERR unknown command '{command}'"), &user, id);
                }
            }
        }
        // The connection works all the time.
        assert!(store.read_log(LogPosition::START, Duration::ZERO).await.is_ok());
    }
    for command in ["XREAD", "XINFO"] {
        let server = RedisServer::start_with(&["--rename-command", command, ""]);
        let store = RedisStore::connect(&server.url()).await.unwrap().key_prefix("shop:").unwrap();
        let [_, user, _] = users();
        store.create(&NewSession::new(user.clone(), ids()[0], HOUR, HOUR, HOUR)).await.unwrap();
        store.end(&EndSessions::new(user.clone(), WhichSessions::All, HOUR)).await.unwrap();
        for wait in [Duration::ZERO, Duration::from_secs(1)] {
            let error = store.read_log(LogPosition::START, wait).await.unwrap_err();
            is_reported_without_arguments(&error, &format!("ERR unknown command '{command}'"), &user, ids()[0]);
        }
    }
}

#[tokio::test]
async fn revoked_permission_is_reported_and_restored_works() {
    let server = RedisServer::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let admin = Client::new(Config::from_url(&server.url()).unwrap(), None, None, None);
    admin.init().await.unwrap();
    let allow = async |rule: &str| {
        let command = CustomCommand::new_static("ACL", ClusterHash::FirstKey, false);
        let () = admin.custom(command, vec!["SETUSER", "default", rule]).await.unwrap();
    };
    let [_, user, _] = users();
    let [_, id, other] = ids();
    store.create(&NewSession::new(user.clone(), id, HOUR, HOUR, HOUR)).await.unwrap();
    for (taken, given, said) in [("-evalsha", "+evalsha", "evalsha"), ("resetkeys", "~*", "NOPERM")] {
        allow(taken).await;
        for error in failures(&store, &user, other).await {
            is_reported_without_arguments(&error, said, &user, other);
            assert!(chain(&error).contains("NOPERM"), "{}", chain(&error));
        }
        allow(given).await;
        assert!(store.find(&user, id).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn server_returning_without_command_is_quoted() {
    let mut server = RedisServer::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let [_, user, _] = users();
    let [_, id, _] = ids();
    store.create(&NewSession::new(user.clone(), id, HOUR, HOUR, HOUR)).await.unwrap();
    server.restart_with(&["--rename-command", "EVALSHA", ""]);
    let error = loop {
        let error = store.find(&user, id).await.unwrap_err();
        // Until it has reconnected.
        if chain(&error).contains("ERR ") {
            break error;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    is_reported_without_arguments(&error, "ERR unknown command 'EVALSHA'", &user, id);
}
