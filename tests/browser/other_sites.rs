//! What pages of other origins can do to a session: nothing. Both a page of another site, and one of the same site whose
//! requests carry `SameSite=Strict` cookies, since sites do not depend on the port.

use axum::{Router, response::Html, routing::get};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    chromium::{Chromium, Tab},
    demo::{ACCESS, IS_LOGGED_IN, REFRESH, alice, demo},
    program::Program,
};

/// Serves an empty page at `localhost` and at 127.0.0.1, which is another site.
struct Attacker {
    port: u16,
    serving: JoinHandle<()>,
}

impl Attacker {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let page =
            Router::new().route("/", get(async || Html("<!doctype html><title>Another origin</title><p>Hello</p>")));
        let serving = tokio::spawn(async { axum::serve(listener, page).await.expect("a server") });
        Self { port, serving }
    }

    fn origins(&self) -> [String; 2] {
        ["localhost", "127.0.0.1"].map(|host| format!("http://{host}:{}/", self.port))
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Sends a form from the page and returns the status of the page that it leads to.
async fn send_form(tab: &Tab, action: &str, fields: &str) -> u64 {
    let script = format!(
        "const form = document.createElement('form'); form.method = 'post'; form.action = '{action}'; \
         form.enctype = 'text/plain'; form.innerHTML = `{fields}`; document.body.append(form); form.submit();"
    );
    tab.begin(&script).await;
    tab.until(&format!("location.href == '{action}' && document.readyState == 'complete'")).await;
    let status = tab.run("return performance.getEntriesByType('navigation')[0].responseStatus;").await;
    status.as_u64().expect("a status")
}

async fn tokens(chromium: &Chromium) -> [Option<String>; 2] {
    [chromium.cookie(ACCESS).await, chromium.cookie(REFRESH).await]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cannot_log_out_or_refresh_or_log_in_with_forms() {
    let (demo, attacker) = (demo(), Attacker::start().await);
    let (chromium, own) = alice(demo.url()).await;
    let before = tokens(&chromium).await;
    let tab = chromium.new_window().await;
    for origin in attacker.origins() {
        // The name and value of the input are JSON, with the "=" of the form in between.
        let login = r#"<input name='{"username":"bob","password":"builder","x":"' value='"}'>"#;
        for (path, fields) in [("/auth/logout", ""), ("/auth/logout-all", ""), ("/auth/refresh", ""), ("/login", login)]
        {
            tab.open(&origin).await;
            assert_eq!(send_form(&tab, &format!("{}{path}", demo.url()), fields).await, 403, "{origin} {path}");
        }
    }
    assert_eq!(tokens(&chromium).await, before);
    own.is_still_logged_in(demo.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cannot_read_or_change_anything_with_fetch() {
    let (demo, attacker) = (demo(), Attacker::start().await);
    let (chromium, own) = alice(demo.url()).await;
    let before = tokens(&chromium).await;
    let tab = chromium.new_window().await;
    for origin in attacker.origins() {
        tab.open(&origin).await;
        for (path, method) in [("/me", "GET"), ("/auth/logout", "POST"), ("/auth/refresh", "POST"), ("/notes", "PUT")] {
            let options = format!("method: '{method}', credentials: 'include'");
            let read =
                format!("return fetch('{}{path}', {{ {options} }}).then(() => 'read', () => 'refused');", demo.url());
            assert_eq!(tab.run(&read).await, "refused", "{origin} {path}");
            if method != "PUT" {
                // The request is sent; its response is hidden from the page, but the browser would store its cookies.
                let send =
                    format!("return (await fetch('{}{path}', {{ {options}, mode: 'no-cors' }})).type;", demo.url());
                assert_eq!(tab.run(&send).await, "opaque", "{origin} {path}");
            }
        }
    }
    assert_eq!(tokens(&chromium).await, before);
    own.is_still_logged_in(demo.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cannot_open_a_websocket() {
    let (demo, attacker) = (demo(), Attacker::start().await);
    let (chromium, own) = alice(demo.url()).await;
    let connect = format!(
        "return new Promise((done) => {{ const socket = new WebSocket('{}/ws'); socket.onopen = () => done('open'); \
         socket.onclose = (event) => done(event.code); }});",
        demo.url().replace("http", "ws")
    );
    let tab = chromium.new_window().await;
    for origin in attacker.origins() {
        tab.open(&origin).await;
        // The code of a connection that was never open.
        assert_eq!(tab.run(&connect).await, 1006, "{origin}");
    }
    assert_eq!(own.run(&connect).await, "open");
    own.is_still_logged_in(demo.url()).await;
}

/// Follows a link of another site to this address, and waits until the page has loaded.
async fn follow_link(tab: &Tab, attacker: &Attacker, address: &str) {
    tab.open(&attacker.origins()[1]).await;
    let link = "const link = document.createElement('a'); link.textContent = 'Go'; link.id = 'link';";
    tab.run(&format!("{link} link.href = '{address}'; document.body.append(link);")).await;
    tab.click("#link").await;
    tab.until("!document.querySelector('#link') && document.readyState == 'complete'").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lead_to_a_page_that_is_logged_in_with_strict_cookies_only_by_its_script() {
    let (demo, attacker) = (demo(), Attacker::start().await);
    let (chromium, tab) = alice(demo.url()).await;
    // The request of the link itself carries no cookie.
    follow_link(&tab, &attacker, &format!("{}/hello", demo.url())).await;
    tab.until("document.body.innerText.includes('stranger')").await;
    // The page that it leads to is of the own origin, and so are the requests of its script.
    follow_link(&tab, &attacker, &format!("{}/", demo.url())).await;
    tab.until(IS_LOGGED_IN).await;
    assert_eq!(chromium.cookies().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lead_to_a_page_that_is_logged_in_with_lax_cookies() {
    let (site, attacker) = (Program::start("server_rendered", &[]), Attacker::start().await);
    let chromium = Chromium::start().await;
    let tab = chromium.first_tab().await;
    crate::server_rendered::log_in(&tab, &site).await;
    assert!(chromium.cookies().await.iter().all(|cookie| cookie["sameSite"] == "Lax"));
    follow_link(&tab, &attacker, &format!("{}/dashboard", site.url())).await;
    assert_eq!(tab.url().await, format!("{}/dashboard", site.url()));
    tab.until("document.body.innerText.includes('Welcome, alice')").await;
    // Lax cookies are not sent with forms of other sites, and the guard refuses those of the same site.
    for origin in attacker.origins() {
        tab.open(&origin).await;
        assert_eq!(send_form(&tab, &format!("{}/logout", site.url()), "").await, 403, "{origin}");
    }
    tab.open(&format!("{}/dashboard", site.url())).await;
    tab.until("document.body.innerText.includes('Welcome, alice')").await;
}
