//! The example `server_rendered` through HTTP, on every store, with a clock that the test moves.

#[path = "../../examples/server_rendered/account.rs"]
mod account;
#[path = "../../examples/server_rendered/admin.rs"]
mod admin;
mod administration;
mod appearance;
#[path = "../../examples/server_rendered/devices.rs"]
mod devices;
#[path = "../../examples/server_rendered/error.rs"]
mod error;
mod forms;
mod navigation;
#[path = "../../examples/server_rendered/notes.rs"]
mod notes;
#[path = "../../examples/server_rendered/pages.rs"]
mod pages;
#[path = "../../examples/server_rendered/routes.rs"]
mod routes;
#[path = "../../examples/server_rendered/sessions.rs"]
mod sessions;
mod site;
#[path = "../support/mod.rs"]
mod support;
#[path = "../../examples/server_rendered/tests.rs"]
mod tests;
#[path = "../../examples/server_rendered/users.rs"]
mod users;
