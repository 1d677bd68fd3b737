//! Every page in each state, narrow and wide, light and dark: no violation that axe-core finds, nothing wider than the
//! window, and buttons inside it.

use std::{fs, path::Path, sync::LazyLock};

use serde_json::{Value, json};

use crate::{
    chromium::{Chromium, Tab},
    demo::{IS_LOGGED_OUT, demo},
    program::Program,
    proxy::{Fault, Proxy},
};

/// The script of axe-core, in the version of `package.json`.
static AXE: LazyLock<String> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
    let path = folder.join("npm/node_modules/axe-core/axe.min.js");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}: scripts/test installs it", path.display()))
});

/// In pixels: a small phone, a phone, a desktop.
const WIDTHS: [u32; 3] = [320, 390, 1_280];

/// What is wrong on the page, as axe-core sees it, with the elements.
async fn violations(tab: &Tab) -> Value {
    // Not `run`: a policy of the page forbids scripts that it does not name.
    tab.command("Runtime.evaluate", json!({ "expression": *AXE })).await;
    tab.run(
        "const { violations, passes } = await axe.run(document, { resultTypes: ['violations'] }); \
         return { checked: passes.length > 0, violations: violations.map(({ id, nodes }) => [id, nodes.map((node) => [node.html, \
         node.failureSummary])]) };",
    )
    .await
}

/// Asserts that a page can be used at every width and in both colour schemes.
async fn assert_usable(tab: &Tab, what: &str) {
    for scheme in ["light", "dark"] {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        tab.command("Emulation.setEmulatedMedia", features).await;
        for width in WIDTHS {
            let size = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
            tab.command("Emulation.setDeviceMetricsOverride", size).await;
            tab.until(&format!("innerWidth == {width}")).await;
            let what = format!("{what}, {scheme}, {width} px");
            let outside = "const width = document.documentElement.clientWidth; const parts = [...document.querySelectorAll('button, \
                           input, textarea, select, a')].filter((part) => part.checkVisibility()).filter((part) => { const { left, \
                           right } = part.getBoundingClientRect(); return left < 0 || right > width; }).map((part) => \
                           part.outerHTML); return [document.documentElement.scrollWidth > width, parts];";
            assert_eq!(tab.run(outside).await, json!([false, []]), "{what}");
            // Colours and structure do not change below 390 px.
            if width >= 390 {
                assert_eq!(violations(tab).await, json!({ "checked": true, "violations": [] }), "{what}");
            }
        }
    }
    tab.command("Emulation.clearDeviceMetricsOverride", json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn page_of_the_demo_is_usable_in_every_state() {
    let demo = demo();
    let proxy = Proxy::to(demo.url()).await;
    let chromium = Chromium::start().await;
    let tab = chromium.first_tab().await;
    tab.open(proxy.url()).await;
    tab.until(IS_LOGGED_OUT).await;
    assert_usable(&tab, "login").await;
    let refused = "document.querySelector('#alert').textContent.includes('is wrong')";
    tab.type_into("username", "alice").await;
    tab.type_into("password", "wrong").await;
    tab.click("[data-action=login]").await;
    tab.until(refused).await;
    assert_usable(&tab, "refused login").await;

    tab.log_in(proxy.url()).await;
    tab.until("document.querySelector('#admin').checkVisibility() && document.querySelector('[data-action=end]')")
        .await;
    // A device with a long name, and one of a client that names itself.
    tab.run(
        "const [list, card] = [document.querySelector('#sessions'), document.querySelector('.device')]; \
         const other = card.cloneNode(true); other.querySelector('h3').textContent = 'Samsung Internet on Android'; \
         other.querySelector('p').textContent += ' · from 2001:db8:1234:5678:9abc:def0:1234:5678 · used by administrator'; \
         list.append(other); for (const id of ['bound', 'elsewhere-bound']) document.getElementById(id).hidden = false;",
    )
    .await;
    assert_usable(&tab, "logged in").await;
    tab.type_into("delete-user", "bob").await;
    tab.click("#delete-form button").await;
    tab.until("document.querySelector('#confirm').open").await;
    assert_usable(&tab, "question").await;
    tab.click("#confirm-no").await;

    proxy.break_all(Some(Fault::Unavailable));
    tab.click("[data-action=refresh]").await;
    tab.until("document.querySelector('#outage').checkVisibility()").await;
    assert_usable(&tab, "outage").await;
    proxy.break_all(None);
    tab.until("!document.querySelector('#outage').checkVisibility()").await;
    tab.run("document.querySelector('#alarm').hidden = false;").await;
    assert_usable(&tab, "alarm").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_server_rendered_are_usable() {
    let site = Program::start("server_rendered", &[]);
    let chromium = Chromium::start().await;
    let tab = chromium.first_tab().await;
    tab.open(&format!("{}/dashboard", site.url())).await;
    assert_usable(&tab, "/login").await;
    crate::server_rendered::log_in(&tab, &site).await;
    for path in ["/dashboard", "/devices", "/password", "/admin", "/nothing"] {
        tab.open(&format!("{}{path}", site.url())).await;
        assert_usable(&tab, path).await;
    }
}
