//! Browsers that speak the protocol while everything that can fail does: no user who did nothing wrong is logged out.
//!
//! `DBSC_RUNS` sets how many runs there are, `DBSC_SEED` the first of them.

use std::{collections::BTreeMap, env};

use futures_util::future::join;
use tower_jwt_sessions::{event::SessionEventKind as Event, policy::ReplayWindow};

use super::binding;
use crate::support::{device::*, *};

/// A sequence that looks random and is the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// One user with a browser, from the login on.
struct Run<'w> {
    world: &'w World,
    chance: Chance,
    user: String,
    browser: BoundBrowser,
    /// What the login offered, until the browser acts upon it.
    offer: Option<TestResponse>,
    /// In percent.
    lost: u64,
    /// Whether the browser signs at the moment: it pauses after some signatures.
    signs: bool,
    seen: &'w mut BTreeMap<&'static str, usize>,
}

impl Run<'_> {
    fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Does with a response what a browser does, unless it is lost.
    fn receive(&mut self, response: &TestResponse) -> bool {
        if self.chance.percent(self.lost) {
            self.saw("response lost");
            return false;
        }
        self.browser.browser.keep(response);
        true
    }

    async fn login(&mut self) {
        self.browser.bound = None;
        let path = format!("/login/{}", self.user);
        // Users repeat a login whose response is lost.
        loop {
            let response = self.browser.browser.send_only(&format!("POST {path}"), &[]).await;
            response.is(200);
            if self.receive(&response) {
                self.offer = Some(response);
                return;
            }
        }
    }

    async fn register(&mut self) {
        let Some(login) = self.offer.take() else { return };
        let (challenge, path) = offered(&login).expect("an offer");
        let key = DeviceKeyPair::generate();
        let proof = key.registration(&challenge);
        let response = self.browser.browser.send_only(&format!("POST {path}"), &[(PROOF, &proof)]).await;
        if !self.receive(&response) {
            return;
        }
        match response.status {
            // The head has arrived, and the body has not.
            200 if self.chance.percent(self.lost) => self.saw("registration without a body"),
            200 => {
                self.saw("registered");
                self.browser.keep(key, &response);
            }
            _ => self.saw("registration refused"),
        }
    }

    /// Sends a proof, again with the challenge that comes with a refusal, and perhaps the same one from a second tab.
    async fn refresh(&mut self) {
        for _ in 0..3 {
            let Some(bound) = self.browser.bound.as_ref().filter(|_| self.signs) else { return };
            let proof = bound.challenge.as_ref().map(|challenge| bound.key.proof(challenge));
            let (id, what) = (bound.id.clone(), format!("POST {}", bound.refresh_url));
            let mut headers = vec![(ID, id.as_str())];
            headers.extend(proof.as_deref().map(|proof| (PROOF, proof)));
            let client = self.browser.browser.clone();
            let mut responses = vec![client.send_only(&what, &headers).await];
            if self.chance.percent(20) {
                self.saw("proof repeated");
                let (one, two) = join(client.send_only(&what, &headers), client.send_only(&what, &headers)).await;
                responses.extend([one, two]);
                if self.chance.percent(50) {
                    responses.reverse();
                }
            }
            let mut is_challenged = false;
            for response in &responses {
                if self.receive(response) {
                    self.browser.heed(response);
                    is_challenged = response.status == 403;
                }
            }
            if !is_challenged {
                return;
            }
        }
    }

    /// Loads a page, as the browser and the module do. Returns whether it was shown.
    async fn load(&mut self) -> bool {
        for attempt in 0..2 {
            if self.browser.browser.cookie(ACCESS).is_none() {
                self.refresh().await;
            }
            let response = self.browser.browser.send_only("GET /me", &[]).await;
            match response.status {
                200 => return true,
                401 if attempt == 0 => {}
                _ => return false,
            }
            // The module; where the session is bound, the browser refreshes before the next request.
            let response = self.browser.browser.send_only("POST /auth/refresh", &[]).await;
            self.receive(&response);
            match response.status {
                403 => self.saw("plain refresh refused"),
                200 => self.saw("plain refresh"),
                _ => {}
            }
        }
        false
    }

    async fn step(&mut self) {
        match self.chance.below(12) {
            0 => self.world.clock.advance(seconds(self.chance.below(60))),
            1 | 2 => self.world.clock.advance(seconds(self.chance.below(900))),
            3 => self.world.clock.advance(hours(self.chance.below(5))),
            4 => self.signs = self.chance.percent(70),
            5 => {
                let down = self.chance.percent(30);
                self.world.store.set_down(down);
            }
            6 => self.world.users.set_down(self.chance.percent(20)),
            7 | 8 => self.register().await,
            // Before the cookie goes.
            9 => self.refresh().await,
            _ => drop(self.load().await),
        }
        // What notes first uses in the background may be early or late.
        for _ in 0..self.chance.below(3) {
            tokio::task::yield_now().await;
        }
    }

    /// When nothing fails any more, the page has to be there, or to be there after a login where the key was lost.
    async fn recover(&mut self, key_is_lost: bool) {
        self.world.store.set_down(false);
        self.world.users.set_down(false);
        (self.lost, self.signs) = (0, true);
        if key_is_lost {
            self.browser.bound = None;
        }
        let is_shown = self.load().await;
        if !is_shown && key_is_lost {
            self.saw("login after a lost key");
            self.login().await;
            assert!(self.load().await);
            self.register().await;
            self.refresh().await;
            let response = self.browser.browser.get("/auth/sessions").await;
            let listed = response.is(200).json();
            let current = listed["sessions"].as_array().and_then(|all| all.iter().find(|one| one["current"] == true));
            assert_eq!(current.map(|session| &session["bound"]), Some(&true.into()), "the new session is bound");
            return;
        }
        assert!(is_shown, "an honest user is locked out");
        if self.browser.bound.is_some() {
            self.saw("bound to the end");
        }
    }
}

async fn honest_users_are_never_locked_out(backend: Backend, runs: u64) {
    let first: u64 = env::var("DBSC_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_default();
    let mut seen = BTreeMap::new();
    let window = ReplayWindow::UntilConfirmed(seconds(10));
    let world = World::with(backend, |builder| binding(builder).replay_window(window)).await;
    for seed in first..first + runs {
        let chance = Chance(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let browser = world.bound_browser();
        let user = format!("user-{seed}");
        let mut run = Run { world: &world, chance, user, browser, offer: None, lost: 0, signs: true, seen: &mut seen };
        run.lost = run.chance.below(40);
        run.login().await;
        let steps = 20 + run.chance.below(30);
        for _ in 0..steps {
            run.step().await;
        }
        let key_is_lost = run.chance.percent(10);
        run.recover(key_is_lost).await;
        let events = world.events();
        assert!(!events.contains(&Event::RefreshTokenReused), "seed {seed}: taken for a thief: {events:?}");
        assert!(!events.contains(&Event::DeviceProofInvalid), "seed {seed}");
        for event in events {
            let name = match event {
                Event::DeviceBound => "bound",
                Event::DeviceProofMissing => "proof missing",
                _ => continue,
            };
            *seen.entry(name).or_default() += 1;
        }
    }
    let enough = usize::try_from(runs / 20).expect("a small number");
    for what in [
        "bound",
        "bound to the end",
        "plain refresh",
        "plain refresh refused",
        "proof missing",
        "proof repeated",
        "registered",
        "registration refused",
        "response lost",
    ] {
        assert!(seen.get(what).is_some_and(|times| *times >= enough), "{what}: {seen:?}");
    }
}

fn runs(default: u64) -> u64 {
    env::var("DBSC_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_users_are_never_locked_out_on_memory() {
    honest_users_are_never_locked_out(Backend::Memory, runs(100)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_users_are_never_locked_out_on_redis() {
    honest_users_are_never_locked_out(Backend::Redis, runs(40)).await;
}
