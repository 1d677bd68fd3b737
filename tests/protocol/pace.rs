//! A thief who keeps pace with the victim, against real managers: 120 hours, a request every five seconds.
//!
//! The thief presents the victim's token and drops the response, presents it again ten seconds later for an access
//! token whose use confirms nothing, and polls the list of sessions with that. When the list shows the victim's
//! refresh, the thief presents the token once more, and gets the victim's own successor. Since the list has minutes
//! only, it presents the token at the end of one, or its own rotation would hide the victim's.
//! `tests/protocol/model/simulation` simulates thousands of such thieves.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tower_jwt_sessions::{
    SessionManager,
    clock::{Clock as _, Timestamp},
    event::SessionEventKind,
    manager::SessionInfo,
    testing::TestClock,
};

use crate::{
    support::TestStore,
    world::{HOUR, Jar, MINUTE, node},
};

const STEP: Duration = Duration::from_secs(5);
const W: Duration = Duration::from_secs(10);

/// Where the thief reads the times of refreshes.
#[derive(Clone, Copy, Debug)]
enum List {
    /// `GET /auth/sessions`, of the session that asks.
    Own,
    /// A public page of the application that shows every refresh.
    OfTheUser,
}

struct Scene {
    clock: TestClock,
    node: SessionManager,
    alarms: Arc<AtomicUsize>,
    victim: Jar,
    thief: Jar,
    list: List,
    seen: Option<SessionInfo>,
    presents_at: Timestamp,
    served: usize,
    is_out: bool,
}

/// Returns the last step of this minute or, if that is over, of the next one.
fn end_of_minute(now: Timestamp) -> Timestamp {
    Timestamp::from_secs(now.as_secs() / 60 * 60 + 55).max(now)
}

impl Scene {
    async fn new(list: List) -> Self {
        let clock = TestClock::new();
        let alarms = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&alarms);
        let lives = Duration::from_secs(30 * 24 * 60 * 60);
        let node = node(TestStore::memory(&clock), &clock)
            .refresh_lifetime(lives)
            .on_event(move |event| {
                if event.kind == SessionEventKind::RefreshTokenReused {
                    counted.fetch_add(1, SeqCst);
                }
            })
            .build()
            .unwrap();
        let victim = Jar::of(node.login("alice").await.unwrap());
        let presents_at = end_of_minute(clock.now().saturating_add(HOUR - MINUTE - 2 * W));
        let thief = victim.clone();
        Self { clock, node, alarms, thief, victim, list, seen: None, presents_at, served: 0, is_out: false }
    }

    async fn step(&self) {
        self.clock.advance(STEP);
        tokio::time::advance(STEP).await;
        // For the notes.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }

    async fn victim_visits(&mut self) -> bool {
        if self.victim.visit(&self.node).is_none() && self.victim.refresh(&self.node).await.is_err() {
            return false;
        }
        self.victim.visit(&self.node).is_some()
    }

    async fn thief_presents(&mut self) {
        let mut after = self.thief.clone();
        let now = self.clock.now();
        if after.refresh(&self.node).await.is_err() {
            self.is_out = true;
        } else if after.generations().1 == self.thief.generations().1 {
            // Valid for one minute, and confirms nothing.
            self.presents_at = end_of_minute(now);
            self.thief = after;
        } else if after.generations().1 == self.victim.generations().1 {
            self.presents_at = end_of_minute(now.saturating_add(HOUR - MINUTE - 2 * W));
            self.thief = after;
        } else {
            self.presents_at = now.saturating_add(W);
        }
    }

    async fn thief_acts(&mut self) {
        let Some(session) = self.thief.visit(&self.node) else {
            if self.clock.now() >= self.presents_at {
                self.thief_presents().await;
            }
            return;
        };
        self.served += 1;
        let listed = match self.list {
            List::Own => self.node.list_for(&session).await,
            List::OfTheUser => self.node.list("alice").await,
        };
        let listed = listed.unwrap().pop();
        let moved = self.seen.is_some() && self.seen != listed;
        self.seen = listed;
        if moved || self.clock.now() >= self.presents_at {
            self.thief_presents().await;
            // The thief's own refreshes show, too, in the list of the user or with its new access token.
            self.seen = match (self.list, self.thief.visit(&self.node)) {
                (List::Own, Some(session)) => self.node.list_for(&session).await.unwrap().pop(),
                _ => self.node.list("alice").await.unwrap().pop(),
            };
        }
    }

    /// Runs until the theft is detected, for 120 hours at most. The victim visits every minute while it is present.
    async fn run(mut self, is_there: impl Fn(u64) -> bool) -> (Duration, usize, usize) {
        let begin = self.clock.now();
        let mut steps = 0;
        while self.clock.now().since(begin) < 120 * HOUR && self.alarms.load(SeqCst) == 0 {
            self.step().await;
            steps += 1;
            let hour = self.clock.now().since(begin).as_secs() / 3600;
            if steps % 12 == 7 && is_there(hour) && !self.victim_visits().await {
                break;
            }
            self.thief_acts().await;
        }
        let lasted = self.clock.now().since(begin);
        let line = format!(
            "a thief who keeps pace, {:?}: {} alarms after {:.2} hours, {} requests served\n",
            self.list,
            self.alarms.load(SeqCst),
            lasted.as_secs_f64() / 3600.0,
            self.served
        );
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        (lasted, self.alarms.load(SeqCst), self.served)
    }
}

#[tokio::test(start_paused = true)]
async fn polling_thief_is_detected_when_victim_is_away_ten_hours() {
    for list in [List::Own, List::OfTheUser] {
        let (lasted, alarms, _) = Scene::new(list).await.run(|hour| hour % 24 < 14).await;
        assert_eq!(alarms, 1, "{list:?}");
        assert!(lasted < 16 * HOUR, "{list:?}: {lasted:?}");
    }
}

/// The bound alone: how long the thief is served undetected once the victim's access token has expired.
#[tokio::test(start_paused = true)]
async fn thief_of_absent_victim_is_detected_within_minutes() {
    let (lasted, alarms, served) = Scene::new(List::OfTheUser).await.run(|_| false).await;
    assert_eq!(alarms, 1);
    assert!(lasted < HOUR + 15 * MINUTE, "{lasted:?}");
    assert!(served < (HOUR + 15 * MINUTE).as_secs() as usize / 5);
}
