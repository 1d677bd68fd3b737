//! Two nodes on one store, under load.

use std::{
    collections::BTreeSet,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::Router;
use tokio::task::JoinHandle;
use tower_jwt_sessions::{
    KeyRing, SessionManager, UserId,
    clock::{Clock, SystemClock, Timestamp},
    event::{SessionEvent, SessionEventKind},
    redis::RedisStore,
    revocation::FeedStatus,
};
use tracing::level_filters::LevelFilter;

use crate::{
    ledger::{Broken, Ended, Ledger, Loss},
    report::{Expected, Responses, Row, is_long},
    support::{
        ACCESS_SECRET, Browser, Claims, ISSUER, REFRESH_SECRET, TestResponse, app, claims_of,
        log::Log,
        nodes::{PATIENCE, soon_works},
    },
    visitor::Visitor,
};

const VISITORS: u64 = 8;
/// How many more lines the log may have where steps exceed their limit although they should not.
const LINES_OF_A_BUSY_MACHINE: usize = 4;

/// No request takes longer. A step of the store takes half a second at most, and a request takes several; the rest is
/// for machines that are busy with something else.
fn bound() -> Duration {
    Duration::from_secs(if is_long() { 3 } else { 20 })
}

/// How soon all is as before after the fault has ended.
fn recovery_bound() -> Duration {
    Duration::from_secs(30)
}

/// How long a fault lasts.
pub(crate) fn length(short: Duration) -> Duration {
    if is_long() { Duration::from_secs(10) } else { short }
}

/// What visitors share. Clones are the same.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) apps: [Router; 2],
    pub(crate) ledger: Ledger,
    /// Whether the row says that valid access tokens are refused during the fault.
    pub(crate) is_refused: bool,
    is_over: Arc<AtomicBool>,
}

impl Shared {
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub(crate) fn never(&self, what: String) {
        self.ledger.breaks(Broken::Never(what));
    }

    /// Sends a request to one of the nodes. Returns `None` if it hangs.
    pub(crate) async fn ask(&self, browser: &mut Browser, node: usize, what: &str) -> Option<TestResponse> {
        browser.visit(&self.apps[node]);
        let begun = Instant::now();
        let response = tokio::time::timeout(bound(), browser.send(what, &[])).await;
        let took = begun.elapsed();
        let mut ledger = self.ledger.state();
        ledger.requests += 1;
        ledger.longest = ledger.longest.max(took);
        let Ok(response) = response else {
            ledger.broken.push(Broken::Never(format!("{what} hangs")));
            return None;
        };
        ledger.unavailable += usize::from(response.status == 503);
        if response.status >= 500 && response.status != 503 {
            ledger.broken.push(Broken::Never(format!("{what} was answered with {}", response.status)));
        }
        Some(response)
    }

    /// Sends a request of a session that has ended.
    pub(crate) async fn haunt(&self, mut ended: Ended, node: usize, what: &str) -> Option<u16> {
        let begun = Instant::now();
        let status = self.ask(&mut ended.browser, node, what).await?.status;
        self.ledger.after_end(&ended, node, begun, what, status);
        Some(status)
    }
}

/// The system's clock, set wrong by some milliseconds. Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct SetClock(Arc<AtomicI64>);

impl SetClock {
    pub(crate) fn set(&self, by_millis: i64) {
        self.0.store(by_millis, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(SystemClock.now().as_millis().saturating_add_signed(self.0.load(Ordering::Relaxed)))
    }
}

pub(crate) struct Scene {
    pub(crate) shared: Shared,
    pub(crate) nodes: [SessionManager<Claims>; 2],
    pub(crate) clocks: [SetClock; 2],
    visitors: Vec<JoinHandle<Visitor>>,
    expected: Expected,
    /// Texts of lines that the log must have.
    logs: Vec<&'static str>,
    row: Row,
}

impl Scene {
    /// Starts two nodes on the store at this address, and the load. Returns when all browsers have logged in.
    pub(crate) async fn begin(url: &str) -> Self {
        let connect = async || RedisStore::connect(url).await.expect("the server runs");
        Self::on([connect().await, connect().await]).await
    }

    pub(crate) async fn on(stores: [RedisStore; 2]) -> Self {
        let expected = Expected::of_this_test();
        Log::capture(LevelFilter::WARN);
        let ledger = Ledger::default();
        let clocks = [SetClock::default(), SetClock::default()];
        let [one, other] = stores;
        let nodes = [node(one, &clocks[0], &ledger), node(other, &clocks[1], &ledger)];
        for node in &nodes {
            node.revocation_feed().caught_up().await;
        }
        let apps = [app(&nodes[0]), app(&nodes[1])];
        let is_refused = expected.responses == Responses::Refused;
        let shared = Shared { apps, ledger, is_refused, is_over: Arc::default() };
        shared.ledger.is_calm(true);
        let visitors = (0..VISITORS).map(|n| {
            // Two browsers of each user, one of which stays logged in.
            let visitor = Visitor::new(shared.clone(), n + 1, format!("user{}", n / 2), n % 2 == 1);
            tokio::spawn(visitor.surf())
        });
        let scene = Self {
            visitors: visitors.collect(),
            shared,
            nodes,
            clocks,
            expected,
            logs: Vec::new(),
            row: Row::default(),
        };
        scene.goes_on(40).await;
        scene
    }

    /// Waits until this many further requests have been answered.
    pub(crate) async fn goes_on(&self, requests: usize) {
        let until = self.shared.ledger.state().requests + requests;
        let begun = Instant::now();
        while self.shared.ledger.state().requests < until {
            assert!(begun.elapsed() < bound(), "browsers hang: {:?}", self.shared.ledger.judged(Loss::Nothing));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Expects a line in the log.
    pub(crate) fn logs(mut self, text: &'static str) -> Self {
        self.logs.push(text);
        self
    }

    /// Waits until the log has the lines that are expected.
    pub(crate) async fn has_logged(&self) {
        let begun = Instant::now();
        while !self.logs.iter().all(|text| Log::so_far().contains(text)) {
            assert!(begun.elapsed() < PATIENCE, "not logged, of {:?}: {}", self.logs, Log::so_far());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Runs a fault under load.
    pub(crate) async fn during<T>(&self, fault: impl Future<Output = T>) -> T {
        self.shared.ledger.fault_begins();
        let outcome = fault.await;
        self.shared.ledger.fault_ends();
        outcome
    }

    /// Waits for recovery, and checks every promise.
    pub(crate) async fn ends(mut self) {
        let lifted = self.shared.ledger.fault_ends();
        while !self.has_recovered().await {
            let waited = lifted.elapsed();
            if waited > recovery_bound() {
                let statuses = [0, 1].map(|node| self.nodes[node].revocation_feed().status());
                panic!("no recovery after {waited:?}: {statuses:?}\n{}", Log::captured());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.row.recovered_after = Some(lifted.elapsed().as_secs_f64());
        self.goes_on(40).await;
        self.shared.ledger.is_calm(true);
        self.shared.is_over.store(true, Ordering::Relaxed);
        let mut visitors = Vec::new();
        for visitor in std::mem::take(&mut self.visitors) {
            visitors.push(visitor.await.expect("no panic in a browser"));
        }
        for mut visitor in visitors.into_iter().filter(Visitor::is_logged_in) {
            for node in [0, 1] {
                visitor.read_page(node).await;
                if visitor.is_logged_in() {
                    visitor.refresh(node).await;
                }
            }
        }
        self.all_ended_sessions_are_refused().await;
        self.verdict();
    }

    /// Whether a login, a refresh and a logout succeed on both nodes, and each node learns of the end at the other.
    async fn has_recovered(&self) -> bool {
        for n in 0..6 {
            let (here, there) = (n % 2, 1 - n % 2);
            let mut browser = Browser::new(&self.shared.apps[here], &SystemClock);
            for (node, what) in [
                (here, &*format!("POST /login/probe{n}")),
                (there, "POST /auth/refresh"),
                (here, "GET /me"),
                (there, "GET /me"),
                (there, "POST /auth/logout"),
            ] {
                let before = browser.clone();
                match self.shared.ask(&mut browser, node, what).await {
                    Some(response) if response.status < 300 => {}
                    _ => return false,
                }
                if what.ends_with("logout") {
                    // With the cookies that the logout removed.
                    browser = before;
                }
            }
            let begun = Instant::now();
            while self.shared.ask(&mut browser, here, "GET /me").await.is_none_or(|response| response.status == 200) {
                if begun.elapsed() > Duration::from_secs(1) {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        self.nodes.iter().all(|node| node.revocation_feed().status() == FeedStatus::UpToDate)
    }

    /// Returns the ids of the sessions that the store has.
    async fn listed(&self) -> BTreeSet<String> {
        let mut listed = BTreeSet::new();
        for n in 0..VISITORS / 2 {
            // Fails if the machine is so busy that a step takes longer than its limit.
            soon_works(async || {
                let Ok(sessions) = self.nodes[0].list(format!("user{n}")).await else { return false };
                listed.extend(sessions.iter().map(|session| session.id.to_string()));
                true
            })
            .await;
        }
        listed
    }

    async fn all_ended_sessions_are_refused(&self) {
        let (ended, ending) = {
            let mut ledger = self.shared.ledger.state();
            (std::mem::take(&mut ledger.ended), std::mem::take(&mut ledger.ending))
        };
        let deadline = Instant::now() + recovery_bound();
        for mut ending in ending {
            // The node that was asked completes the end without another request.
            let mut refused = [false; 2];
            while refused != [true; 2] {
                for node in [0, 1] {
                    let response = self.shared.ask(&mut ending.browser, node, "GET /me").await;
                    refused[node] |= response.is_some_and(|response| response.status == 401);
                }
                if Instant::now() > deadline {
                    self.shared
                        .never(format!("an end is not completed, which was asked for {:?} ago", ending.at.elapsed()));
                    break;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        let listed = self.listed().await;
        for ended in ended {
            let id = claims_of(&ended.browser.refresh_token())["sid"].as_str().map(str::to_owned);
            if id.is_some_and(|id| listed.contains(&id)) {
                self.shared.ledger.breaks(Broken::Listed { ended: ended.at });
            }
            for what in ["GET /me", "POST /auth/refresh"] {
                for node in [0, 1] {
                    let Ended { browser, node: promised_by, .. } = &ended;
                    // All that was published before has been read by both nodes.
                    let at = ended.at;
                    let again = Ended { browser: browser.clone(), node: *promised_by, at };
                    let status = self.shared.haunt(again, node, what).await;
                    if status == Some(200) && what == "GET /me" && node != *promised_by {
                        self.shared.ledger.breaks(Broken::Served { ended: at, by_other_node: true });
                    }
                }
            }
        }
    }

    fn verdict(mut self) {
        let log = Log::captured();
        let (broken, lost) = self.shared.ledger.judged(self.expected.loss);
        let lines: Vec<&str> = log.lines().collect();
        {
            let ledger = self.shared.ledger.state();
            self.row.requests = ledger.requests;
            self.row.unavailable = ledger.unavailable;
            self.row.longest_ms = ledger.longest.as_millis();
            self.row.lines = lines.len();
            self.row.lost = lost;
            let done = [ledger.logins, ledger.refreshes, ledger.logouts];
            assert!(done.iter().all(|count| *count > 0), "logins, refreshes, logouts: {done:?}");
        }
        assert!(broken.is_empty(), "{} promises broken, {lost} excused: {broken:#?}\n{log}", broken.len());
        let is_late = self.row.unavailable > 0 || self.row.longest_ms >= 500;
        let is_busy = !is_long() && self.expected.responses == Responses::AsUsual && is_late;
        let most = self.expected.lines + if is_busy { LINES_OF_A_BUSY_MACHINE } else { 0 };
        assert!(lines.len() <= most, "{} lines, not {most}: {lines:#?}", lines.len());
        match self.expected.responses {
            Responses::Unavailable => assert!(self.row.unavailable > 0, "the fault does not show"),
            Responses::AlmostAsUsual => {}
            // A step may take longer than its limit on a machine that is busy with something else.
            _ => assert!(!is_long() || self.row.unavailable == 0, "{} responses with 503", self.row.unavailable),
        }
        self.row.passed = true;
    }
}

fn node(store: RedisStore, clock: &SetClock, ledger: &Ledger) -> SessionManager<Claims> {
    let ledger = ledger.clone();
    let alarm = move |event: &SessionEvent| {
        if matches!(event.kind, SessionEventKind::RefreshTokenReused) {
            ledger.breaks(Broken::Never("an honest browser was taken for a thief".to_owned()));
        }
    };
    SessionManager::<Claims>::builder()
        .access_keys(KeyRing::hs256(ACCESS_SECRET).expect("long enough"))
        .refresh_keys(KeyRing::hs256(REFRESH_SECRET).expect("long enough"))
        .issuer(ISSUER)
        .session_limit(None)
        .store(store)
        .clock(clock.clone())
        .claims_with((), async |(), _: UserId| Ok::<_, String>(Some(Claims { role: "member".to_owned() })))
        .on_event(alarm)
        .build()
        .expect("a valid configuration")
}
