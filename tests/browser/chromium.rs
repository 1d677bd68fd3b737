//! Browsers with a new profile, and their tabs.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thirtyfour::{
    By, ChromiumLikeCapabilities as _, DesiredCapabilities, LoggingPrefsLogLevel, WebDriver, WindowHandle,
    common::capabilities::desiredcapabilities::CapabilitiesHelper as _,
};
use tokio::time::sleep;

use crate::driver;

/// Far more than needed, even on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// How often a condition is asked for.
pub(crate) const AGAIN: Duration = Duration::from_millis(20);

/// What a line of the console contains if a policy has refused a script or a request.
pub(crate) const VIOLATION: &str = "Content Security Policy";

/// For containers, in which Chromium has no sandbox; without requests of its own.
const FLAGS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // Hosts whose origins are not trusted with plain http, as `localhost` is, and that are sites of their own.
    "--host-resolver-rules=MAP *.test 127.0.0.1",
];

/// A browser with an empty profile; it quits when it is dropped.
pub(crate) struct Chromium {
    driver: WebDriver,
}

impl Chromium {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a browser with more flags.
    pub(crate) async fn start_with(flags: &[&str]) -> Self {
        let mut wanted = DesiredCapabilities::chrome();
        for flag in FLAGS.iter().chain(flags) {
            wanted.add_arg(flag).expect("a flag");
        }
        if let Some(path) = driver::chromium() {
            wanted.set_binary(&path).expect("a path");
        }
        wanted.set_browser_log_level(LoggingPrefsLogLevel::All).expect("a level");
        // The certificates of the tests are not signed by an authority that it knows.
        wanted.accept_insecure_certs(true).expect("a capability");
        let driver = WebDriver::new(driver::url(), wanted).await.expect("Chromium starts");
        driver.set_script_timeout(SOON).await.expect("a limit");
        Self { driver }
    }

    /// The tab with which the browser started.
    pub(crate) async fn first_tab(&self) -> Tab {
        self.tab(self.driver.window().await.expect("a tab"))
    }

    /// A window beside the others: its tab is visible.
    pub(crate) async fn new_window(&self) -> Tab {
        self.tab(self.driver.new_window().await.expect("a window"))
    }

    fn tab(&self, handle: WindowHandle) -> Tab {
        Tab { driver: self.driver.clone(), handle }
    }

    /// All cookies as they are stored, in the order of their names.
    pub(crate) async fn cookies(&self) -> Vec<Value> {
        let stored = self.driver.cdp().send_raw("Storage.getCookies", json!({})).await.expect("the cookies");
        let mut cookies = stored["cookies"].as_array().expect("a list").clone();
        cookies.sort_by_key(|cookie| cookie["name"].to_string());
        cookies
    }

    /// The value of a stored cookie.
    pub(crate) async fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.cookies().await;
        let cookie = cookies.iter().find(|cookie| cookie["name"] == name)?;
        cookie["value"].as_str().map(str::to_owned)
    }

    /// Adds stored cookies, as one who has a copy of them can.
    pub(crate) async fn add_cookies(&self, cookies: &[Value]) {
        self.driver.cdp().send_raw("Storage.setCookies", json!({ "cookies": cookies })).await.expect("more cookies");
    }

    /// Removes all cookies, as a user can.
    pub(crate) async fn forget_cookies(&self) {
        self.driver.cdp().send_raw("Storage.clearCookies", json!({})).await.expect("no cookies");
    }

    /// What the current tab reported on its console since this was last asked, also about refused scripts and requests.
    pub(crate) async fn console(&self) -> Vec<String> {
        let log = self.driver.browser_log().await.expect("the log");
        log.into_iter().map(|entry| entry.message).collect()
    }
}

/// A tab, or the only one of a window.
pub(crate) struct Tab {
    driver: WebDriver,
    handle: WindowHandle,
}

impl Tab {
    /// Makes this the tab that commands are for. That does not bring it to the front.
    async fn select(&self) {
        self.driver.switch_to_window(self.handle.clone()).await.expect("an open tab");
    }

    /// Navigates as if the address was typed, and waits until the page has loaded.
    pub(crate) async fn open(&self, url: &str) {
        self.select().await;
        self.driver.goto(url).await.expect("a page");
    }

    /// Goes back in the history of the tab.
    pub(crate) async fn back(&self) {
        self.select().await;
        self.driver.back().await.expect("a former page");
    }

    pub(crate) async fn url(&self) -> String {
        self.select().await;
        self.driver.current_url().await.expect("an address").to_string()
    }

    /// Runs the body of an asynchronous function in the page and returns what it returns.
    pub(crate) async fn run(&self, body: &str) -> Value {
        self.select().await;
        let script = format!(
            "const done = arguments[0]; (async () => {{ {body} }})().then((value) => done({{ value }}), (error) => done({{ \
             error: String(error) }}));"
        );
        let result = self.driver.execute_async(script, vec![]).await.expect("a result");
        let result = result.json();
        assert!(result.get("error").is_none(), "{result}: {body}");
        result.get("value").cloned().unwrap_or_default()
    }

    /// Starts the body of an asynchronous function in the page and does not wait for it.
    pub(crate) async fn begin(&self, body: &str) {
        self.select().await;
        let script = format!("(async () => {{ {body} }})();");
        self.driver.execute(script, vec![]).await.expect("a script that starts");
    }

    /// Waits until an expression is true in the page, which may be loading.
    pub(crate) async fn until(&self, expression: &str) {
        self.select().await;
        let begun = Instant::now();
        let script = format!("return Boolean({expression});");
        loop {
            let result = self.driver.execute(&*script, vec![]).await.map(|result| result.json().clone());
            if result.as_ref().is_ok_and(|value| *value == true) {
                return;
            }
            if begun.elapsed() > SOON {
                let page = self.driver.execute("return location + document.body.innerText", vec![]).await;
                panic!("{expression} is not true: {result:?} {:?}", page.map(|page| page.json().clone()));
            }
            sleep(AGAIN).await;
        }
    }

    /// Types into an input of the page, which has this name or id.
    pub(crate) async fn type_into(&self, name: &str, text: &str) {
        self.select().await;
        let selector = format!("input[name={name}], input#{name}");
        let input = self.driver.find(By::Css(selector)).await.expect("an input");
        input.clear().await.expect("an input that can be changed");
        input.send_keys(text).await.expect("an input with the focus");
    }

    /// Clicks with the mouse, so the element must be visible.
    pub(crate) async fn click(&self, selector: &str) {
        self.select().await;
        let element = self.driver.find(By::Css(selector)).await.unwrap_or_else(|error| panic!("{selector}: {error}"));
        // Not below a header that stays at the top of the window.
        let scroll = "arguments[0].scrollIntoView({ block: 'center' });";
        let argument = element.to_json().expect("an element");
        self.driver.execute(scroll, vec![argument]).await.unwrap_or_else(|error| panic!("{selector}: {error}"));
        element.click().await.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Minimizes the window, so that its page is hidden.
    pub(crate) async fn hide(&self) {
        self.select().await;
        self.driver.minimize_window().await.expect("a window");
        self.until("document.hidden").await;
    }

    /// Restores the window.
    pub(crate) async fn show(&self) {
        self.select().await;
        self.driver.set_window_rect(0, 0, 1_280, 800).await.expect("a window");
        self.until("!document.hidden").await;
    }

    /// Runs a script in every page that is loaded from now on, before the scripts of the page.
    pub(crate) async fn run_in_each_page(&self, script: &str) {
        self.command("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await;
    }

    /// Asserts that the policy of the page refuses scripts that are injected into it as elements and as attributes.
    pub(crate) async fn runs_no_injected_script(&self, chromium: &Chromium) {
        let inject = "const script = document.createElement('script'); script.textContent = 'window.injected = true'; \
                      const button = document.createElement('button'); button.setAttribute('onclick', 'window.injected = \
                      true'); document.body.append(script, button); button.click(); return Boolean(window.injected);";
        assert_eq!(self.run(inject).await, false);
        let console = chromium.console().await;
        assert!(console.iter().filter(|line| line.contains(VIOLATION)).count() >= 2, "{console:#?}");
    }

    /// Sends a command of the DevTools protocol.
    pub(crate) async fn command(&self, method: &str, parameters: Value) -> Value {
        self.select().await;
        self.driver.cdp().send_raw(method, parameters).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }
}
