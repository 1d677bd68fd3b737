//! Support of the tests: a small application, browsers and native clients that use it, nodes, servers, stores that fail
//! on request, and the log. Each test binary includes all of it.
#![allow(dead_code, unused_imports, unused_macros, reason = "each test binary uses a part")]

pub(crate) mod admin;
mod browser;
pub(crate) mod cookies;
#[cfg(feature = "dbsc")]
pub(crate) mod device;
pub(crate) mod folder;
pub(crate) mod gate;
pub(crate) mod hostile;
pub(crate) mod log;
mod native;
pub(crate) mod nodes;
pub(crate) mod owner;
pub(crate) mod patient;
pub(crate) mod proxy;
pub(crate) mod redis_server;
mod response;
pub(crate) mod sentinel;
mod store;
mod token;
mod world;

pub(crate) use self::{
    browser::Browser,
    native::{Native, native_routes, send_form, tokens},
    redis_server::RedisServer,
    response::{TestResponse, send, send_body},
    store::{Backend, TestStore},
    token::{Forgery, claims_of, of_lost_session, respelled},
    world::{ACCESS_SECRET, Claims, ISSUER, REFRESH_SECRET, World, app, build, builder},
};

pub(crate) const ACCESS: &str = "__Host-access";
pub(crate) const REFRESH: &str = "__Host-refresh";

/// Makes every case a test on every store.
macro_rules! on_every_store {
    ($($case:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case($crate::support::Backend::Memory).await;
            })+
        }

        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case($crate::support::Backend::Redis).await;
            })+
        }
    };
}
pub(crate) use on_every_store;

pub(crate) const fn seconds(seconds: u64) -> std::time::Duration {
    std::time::Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> std::time::Duration {
    std::time::Duration::from_millis(millis)
}

pub(crate) const fn hours(hours: u64) -> std::time::Duration {
    seconds(hours * 3600)
}
