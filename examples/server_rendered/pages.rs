//! The pages in HTML. maud escapes what is put into them.

use std::time::SystemTime;

use maud::{DOCTYPE, Markup, html};
use tower_jwt_sessions::{SessionId, manager::SessionInfo};

use crate::{sessions::Session, users::Role};

const STYLE: &str = "body{font:16px/1.5 system-ui;max-width:44rem;margin:0 auto;padding:1rem}nav{display:flex;gap:1rem;\
                     flex-wrap:wrap;align-items:center}form{display:inline}label{display:block;margin:.5rem 0}\
                     .flash{background:#e6f4ea;padding:.5rem 1rem}.error{background:#fce8e6;padding:.5rem 1rem}\
                     li{margin:.5rem 0}";

/// A page with navigation, and with a message that is shown once.
pub(crate) fn page(title: &str, session: Option<&Session>, flash: Option<&str>, content: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (STYLE) }
            }
            body {
                @if let Some(session) = session {
                    nav {
                        a href="/dashboard" { "Dashboard" }
                        a href="/devices" { "Devices" }
                        a href="/password" { "Password" }
                        @if session.claims().role == Role::Admin { a href="/admin" { "Administration" } }
                        form method="post" action="/logout" { button { "Log out" } }
                        form method="post" action="/logout-all" { button { "Log out everywhere" } }
                    }
                }
                h1 { (title) }
                @if let Some(flash) = flash { p.flash role="status" { (flash) } }
                (content)
            }
        }
    }
}

pub(crate) fn login(next: &str, error: Option<&str>) -> Markup {
    page(
        "Log in",
        None,
        None,
        html! {
            @if let Some(error) = error { p.error role="alert" { (error) } }
            form method="post" action="/login" {
                input type="hidden" name="next" value=(next);
                label { "User name " input name="username" autocomplete="username" required autofocus; }
                label { "Password " input name="password" type="password" autocomplete="current-password" required; }
                label { input type="checkbox" name="remember" value="on"; " Remember me on this device" }
                button { "Log in" }
            }
        },
    )
}

pub(crate) fn dashboard(session: &Session, notes: &[String], flash: Option<&str>) -> Markup {
    let title = format!("Welcome, {}", session.user_id());
    page(
        &title,
        Some(session),
        flash,
        html! {
            h2 { "Notes" }
            @if notes.is_empty() { p { "None yet. They last as long as you are logged in." } }
            ul { @for note in notes { li { (note) } } }
            form method="post" action="/notes" {
                label { "New note " input name="text" required maxlength="500"; }
                button { "Add" }
            }
        },
    )
}

pub(crate) fn admin(session: &Session, users: &[(String, Role)], flash: Option<&str>) -> Markup {
    page(
        "Administration",
        Some(session),
        flash,
        html! {
            ul {
                @for (name, role) in users {
                    @let other = match role { Role::Admin => Role::User, Role::User => Role::Admin };
                    li {
                        (name) ": " (role.name()) " "
                        form method="post" action={ "/admin/users/" (name) "/role" } {
                            input type="hidden" name="role" value=(other.name());
                            button { "Make " (other.name()) }
                        }
                    }
                }
            }
        },
    )
}

pub(crate) fn devices(session: &Session, listed: &[SessionInfo], flash: Option<&str>) -> Markup {
    page(
        "Devices",
        Some(session),
        flash,
        html! {
            ul {
                @for info in listed {
                    li {
                        (info.user_agent.as_deref().unwrap_or("unknown browser")) ", logged in " (ago(info.created_at)) " "
                        @if info.id == session.id() { strong { "(this device)" } } @else { (end_button(info.id)) }
                    }
                }
            }
        },
    )
}

fn end_button(id: SessionId) -> Markup {
    html! { form method="post" action={ "/devices/" (id) "/end" } { button { "End" } } }
}

fn ago(time: SystemTime) -> String {
    let minutes = time.elapsed().unwrap_or_default().as_secs() / 60;
    match minutes {
        0 => "just now".to_owned(),
        1..120 => format!("{minutes} min ago"),
        _ => format!("{} h ago", minutes / 60),
    }
}

pub(crate) fn password(session: &Session, error: Option<&str>) -> Markup {
    page(
        "Change the password",
        Some(session),
        None,
        html! {
            @if let Some(error) = error { p.error role="alert" { (error) } }
            form method="post" action="/password" {
                label { "Current " input name="current" type="password" autocomplete="current-password" required; }
                label { "New " input name="new" type="password" autocomplete="new-password" required minlength="8"; }
                button { "Change" }
            }
        },
    )
}
