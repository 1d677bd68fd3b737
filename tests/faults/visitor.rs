//! One user's browser: reads pages, refreshes when told, logs in and out, by a seeded schedule.

use std::time::{Duration, Instant};

use tower_jwt_sessions::clock::SystemClock;

use crate::{
    ledger::{Broken, Ended},
    scene::Shared,
    support::{ACCESS, Browser},
};

/// Old enough that the access token of a refresh may have expired in between.
const FRESH: Duration = Duration::from_secs(60);

/// A sequence of numbers that a seed determines.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a number below the bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ (x >> 31)) % bound
    }
}

pub(crate) struct Visitor {
    shared: Shared,
    dice: Dice,
    user: String,
    browser: Browser,
    /// Since when it has a session.
    since: Option<Instant>,
    /// A logout that failed.
    leaving: bool,
    /// Never logs out: without such users no session would be left at the end of a long outage.
    stays: bool,
}

impl Visitor {
    pub(crate) fn new(shared: Shared, seed: u64, user: String, stays: bool) -> Self {
        let browser = Browser::new(&shared.apps[0], &SystemClock);
        Self { shared, dice: Dice::new(seed), user, browser, since: None, leaving: false, stays }
    }

    pub(crate) async fn surf(mut self) -> Self {
        while !self.shared.is_over() {
            tokio::time::sleep(Duration::from_millis(5 + self.dice.below(40))).await;
            self.step().await;
        }
        self
    }

    /// Whether the browser has a session that no one has ended.
    pub(crate) fn is_logged_in(&self) -> bool {
        self.since.is_some() && !self.leaving
    }

    async fn step(&mut self) {
        let node = self.node();
        match (self.since, self.leaving, self.dice.below(100)) {
            (None, ..) => self.log_in(node).await,
            (_, true, 0..20) => self.leave_for_good(node),
            (_, true, 20..70) => self.log_out(node).await,
            (_, _, 0..6) if !self.stays => self.log_out(node).await,
            (_, _, 6..14) => self.haunt().await,
            (_, _, 14..30) => drop(self.refresh(node).await),
            (_, _, 30..45) => {
                // As when it has expired: browsers drop such a cookie.
                self.browser.forget(ACCESS);
                self.read_page(node).await;
            }
            _ => self.read_page(node).await,
        }
    }

    fn node(&mut self) -> usize {
        usize::from(self.dice.below(2) == 1)
    }

    async fn ask(&mut self, node: usize, what: &str) -> Option<u16> {
        let response = self.shared.ask(&mut self.browser, node, what).await?;
        if what == "GET /me" && response.status == 200 && response.json()["user"] != *self.user {
            self.shared.never(format!("the session of another user: {}", response.body));
        }
        Some(response.status)
    }

    async fn log_in(&mut self, node: usize) {
        let begun = Instant::now();
        let what = format!("POST /login/{}", self.user);
        match self.ask(node, &what).await {
            Some(200) => {
                self.since = Some(begun);
                self.shared.ledger.state().logins += 1;
            }
            Some(503) | None => {}
            Some(other) => self.shared.never(format!("a login was answered with {other}")),
        }
    }

    /// Reads a page, and refreshes when told so.
    pub(crate) async fn read_page(&mut self, node: usize) {
        match self.ask(node, "GET /me").await {
            Some(401) => {
                let begun = Instant::now();
                if !self.refresh(node).await {
                    return;
                }
                let there = self.node();
                let page = self.shared.ask(&mut self.browser, there, "GET /me").await;
                let is_honest = !self.leaving && !self.shared.is_refused && begun.elapsed() < FRESH;
                if let Some(page) = page.filter(|page| page.status == 401 && is_honest) {
                    let is_same = there == node;
                    self.shared.never(format!("a new access token is refused, same node: {is_same}: {}", page.body));
                }
            }
            Some(200 | 503) | None => {}
            Some(other) => self.shared.never(format!("a page was answered with {other}")),
        }
    }

    /// Returns whether that was successful.
    pub(crate) async fn refresh(&mut self, node: usize) -> bool {
        let before = self.browser.clone();
        match self.ask(node, "POST /auth/refresh").await {
            Some(200) => {
                self.shared.ledger.state().refreshes += 1;
                return true;
            }
            // The node has completed the end.
            Some(401) if self.leaving => self.has_left(before, node),
            Some(401) => {
                if let Some(since) = self.since {
                    self.shared.ledger.breaks(Broken::LoggedOut { since });
                }
                self.forget();
            }
            Some(503) | None => {}
            Some(other) => self.shared.never(format!("a refresh was answered with {other}")),
        }
        false
    }

    async fn log_out(&mut self, node: usize) {
        let before = self.browser.clone();
        match self.ask(node, "POST /auth/logout").await {
            Some(200 | 204) => self.has_left(before, node),
            Some(401) if self.leaving => self.has_left(before, node),
            Some(503) | None => self.leaving = true,
            Some(other) => self.shared.never(format!("a logout was answered with {other}")),
        }
    }

    fn has_left(&mut self, browser: Browser, node: usize) {
        let mut ledger = self.shared.ledger.state();
        ledger.logouts += 1;
        ledger.ended.push(Ended { browser, node, at: Instant::now() });
        drop(ledger);
        self.forget();
    }

    /// Closes the browser although the logout has failed.
    fn leave_for_good(&mut self, node: usize) {
        let ending = Ended { browser: self.browser.clone(), node, at: Instant::now() };
        self.shared.ledger.state().ending.push(ending);
        self.forget();
    }

    fn forget(&mut self) {
        self.browser = Browser::new(&self.shared.apps[0], &SystemClock);
        (self.since, self.leaving) = (None, false);
    }

    /// Uses a session that has ended, as a thief would.
    async fn haunt(&mut self) {
        let (node, page) = (self.node(), self.dice.below(3) > 0);
        let ended = {
            let ledger = self.shared.ledger.state();
            let Ok(count @ 1..) = u64::try_from(ledger.ended.len()) else { return };
            // One of the latest, most often.
            let back = self.dice.below(count).min(self.dice.below(count));
            let Some(ended) = ledger.ended.iter().rev().nth(usize::try_from(back).unwrap_or_default()) else { return };
            Ended { browser: ended.browser.clone(), node: ended.node, at: ended.at }
        };
        self.shared.haunt(ended, node, if page { "GET /me" } else { "POST /auth/refresh" }).await;
    }
}
