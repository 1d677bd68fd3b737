//! The example `server_rendered` through HTTP, on every store, with a clock that the test moves.

#[path = "../../examples/server_rendered/error.rs"]
mod error;
mod forms;
mod navigation;
#[path = "../../examples/server_rendered/pages.rs"]
mod pages;
#[path = "../../examples/server_rendered/routes.rs"]
mod routes;
#[path = "../../examples/server_rendered/sessions.rs"]
mod sessions;
mod site;
#[path = "../support/mod.rs"]
mod support;
#[path = "../../examples/server_rendered/users.rs"]
mod users;
