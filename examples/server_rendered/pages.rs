//! The pages in HTML. maud escapes what is put into them.

use maud::{DOCTYPE, Markup, html};
use tower_jwt_sessions::manager::SessionInfo;

use crate::{
    devices::{date, describe},
    sessions::Session,
    users::Role,
};

/// A page with navigation for users, and with a message that is shown once.
pub(crate) fn page(title: &str, session: Option<&Session>, flash: Option<&str>, content: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – Notes" }
                link rel="stylesheet" href="/style.css";
            }
            body {
                @if let Some(session) = session { (header(title, session)) }
                main.narrow[session.is_none()] {
                    h1 { (title) }
                    @if let Some(flash) = flash { p.flash role="status" { (flash) } }
                    (content)
                }
            }
        }
    }
}

fn header(title: &str, session: &Session) -> Markup {
    let link =
        |href: &str, text: &str| html! { a href=(href) aria-current=[(text == title).then_some("page")] { (text) } };
    let acting = session.actor();
    html! {
        @if let Some(actor) = acting {
            aside aria-label="Acting as another user" {
                p { strong { (actor) } " is acting as " strong { (session.user_id()) } "." }
                (button("/act/end", &format!("End and log in as {actor}")))
            }
        }
        header {
            nav aria-label="Pages" {
                (link("/dashboard", "Dashboard"))
                (link("/devices", "Devices"))
                @if acting.is_none() { (link("/password", "Password")) }
                @if acting.is_none() && session.claims().role == Role::Admin { (link("/admin", "Admin")) }
            }
            @if acting.is_none() { (button("/logout", "Log out")) }
        }
    }
}

/// A form that is nothing but a button: what changes something is never a link.
fn button(action: &str, text: &str) -> Markup {
    html! { form method="post" action=(action) { button { (text) } } }
}

fn alert(error: Option<&str>) -> Markup {
    html! { @if let Some(error) = error { p.error role="alert" { (error) } } }
}

pub(crate) fn login(next: &str, username: &str, error: Option<&str>) -> Markup {
    let known = !username.is_empty();
    let content = html! {
        (alert(error))
        @if known && error.is_none() { p { "Please confirm your password to continue." } }
        form.card method="post" action="/login" {
            input type="hidden" name="next" value=(next);
            label {
                "User name"
                input name="username" value=(username) autocomplete="username" autocapitalize="none" required autofocus[!known];
            }
            label {
                "Password"
                input name="password" type="password" autocomplete="current-password" required autofocus[known];
            }
            label.check { input type="checkbox" name="remember" value="on"; "Remember me on this device" }
            button.main { "Log in" }
        }
    };
    page("Log in", None, None, content)
}

pub(crate) fn dashboard(session: &Session, notes: &[String], flash: Option<&str>) -> Markup {
    let content = html! {
        p { "Welcome, " (session.user_id()) "." }
        h2 { "Notes" }
        @if notes.is_empty() {
            p.quiet { "None yet. They last as long as you are logged in." }
        } @else {
            ul.card { @for note in notes { li { (note) } } }
        }
        h2 { "New note" }
        form.card method="post" action="/notes" {
            label { "Text" input name="text" required maxlength="500"; }
            button.main { "Add" }
        }
    };
    page("Dashboard", Some(session), flash, content)
}

pub(crate) fn admin(session: &Session, users: &[(String, Role)], flash: Option<&str>) -> Markup {
    let content = html! {
        ul.card {
            @for (name, role) in users {
                @let other = match role { Role::Admin => Role::User, Role::User => Role::Admin };
                li {
                    div { strong { (name) } div.quiet { (role.name()) } }
                    div.actions {
                        form method="post" action={ "/admin/users/" (name) "/role" } {
                            button name="role" value=(other.name()) { "Make " (name) " " (other.name()) }
                        }
                        @if name != session.user_id().as_str() {
                            (button(&format!("/admin/users/{name}/act"), &format!("Act as {name}")))
                        }
                    }
                }
            }
        }
    };
    page("Admin", Some(session), flash, content)
}

pub(crate) fn devices(session: &Session, listed: &[SessionInfo], flash: Option<&str>) -> Markup {
    let content = html! {
        ul.card {
            @for info in listed {
                @let name = describe(info.user_agent.as_deref().unwrap_or_default());
                li {
                    div {
                        strong { (name) }
                        @if info.id == session.id() { " (this device)" }
                        @if let Some(actor) = &info.actor { div { (actor) " acting as you" } }
                        div.quiet {
                            "Logged in " (date(info.created_at))
                            @if let Some(ip) = info.ip { " from " (ip) }
                        }
                        // The last renewal, at most an access token's lifetime before the last page.
                        div.quiet { "Last seen " (date(info.refreshed_at)) }
                    }
                    @if info.id != session.id() && session.actor().is_none() {
                        form method="post" action={ "/devices/" (info.id) "/end" } {
                            button aria-label={ "End " (name) ", logged in " (date(info.created_at)) } { "End" }
                        }
                    }
                }
            }
        }
        @if session.actor().is_none() {
            p { (button("/logout-all", "Log out everywhere")) }
        }
    };
    page("Devices", Some(session), flash, content)
}

pub(crate) fn password(session: &Session, error: Option<&str>) -> Markup {
    let content = html! {
        (alert(error))
        form.card method="post" action="/password" {
            // For password managers.
            label hidden { "User name" input autocomplete="username" value=(session.user_id()) readonly; }
            label { "Current password" input name="current" type="password" autocomplete="current-password" required; }
            label {
                "New password, at least 8 characters"
                input name="new" type="password" autocomplete="new-password" required minlength="8";
            }
            button.main { "Change" }
        }
        p.quiet { "Your other devices are logged out." }
    };
    page("Password", Some(session), None, content)
}
