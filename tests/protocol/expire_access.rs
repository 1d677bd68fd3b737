//! Races with `expire_access`: old claims are not accepted after it, whichever operation runs at the same time.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering::SeqCst},
};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tower_jwt_sessions::{KeyRing, SessionManager, UserId, manager::ClaimsSource, testing::TestClock};

use crate::{
    support::TestStore,
    world::{Jar, MINUTE, pass, settle},
};

#[derive(Debug, Serialize, Deserialize)]
struct Rank {
    rank: u32,
}

type Slow = (oneshot::Sender<()>, oneshot::Receiver<()>);

/// A user database that can return late what it read early.
#[derive(Clone, Default)]
struct Users {
    rank: Arc<AtomicU32>,
    loads: Arc<AtomicU32>,
    /// Signals that the next load has read, and waits until it may return.
    next_is_slow: Arc<Mutex<Option<Slow>>>,
}

impl ClaimsSource<Rank> for Users {
    async fn load(&self, _: &UserId) -> Result<Option<Rank>, Box<dyn std::error::Error + Send + Sync>> {
        let rank = self.rank.load(SeqCst);
        self.loads.fetch_add(1, SeqCst);
        let slow = self.next_is_slow.lock().unwrap().take();
        if let Some((has_read, proceed)) = slow {
            has_read.send(()).unwrap();
            proceed.await.unwrap();
        }
        Ok(Some(Rank { rank }))
    }
}

impl Users {
    /// Makes the next load slow: `.0` signals that it has read, `.1` lets it return.
    fn slow(&self) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let ((has_read, read), (go, proceed)) = (oneshot::channel(), oneshot::channel());
        *self.next_is_slow.lock().unwrap() = Some((has_read, proceed));
        (read, go)
    }
}

fn scene() -> (TestClock, Users, [SessionManager<Rank>; 2]) {
    let clock = TestClock::new();
    let (store, users) = (TestStore::memory(&clock), Users::default());
    let nodes = [(); 2].map(|()| {
        SessionManager::builder()
            .access_keys(KeyRing::hs256([1; 32]).unwrap())
            .refresh_keys(KeyRing::hs256([2; 32]).unwrap())
            .issuer("https://app.test")
            .clock(clock.clone())
            .store(store.clone())
            .claims_source(users.clone())
            .build()
            .unwrap()
    });
    (clock, users, nodes)
}

/// Returns the rank that both nodes read from these cookies.
async fn rank_seen(nodes: &[SessionManager<Rank>; 2], jar: &Jar) -> Option<u32> {
    settle().await;
    let [here, there] = [0, 1].map(|node: usize| jar.visit(&nodes[node]).map(|session| session.claims().rank));
    assert_eq!(here, there);
    here
}

#[tokio::test(start_paused = true)]
async fn claims_loaded_before_expiry_and_signed_after_are_reloaded() {
    let (clock, users, nodes) = scene();
    let mut jar = Jar::of(nodes[0].login("alice").await.unwrap());
    pass(&clock, MINUTE).await;

    let (has_read, go) = users.slow();
    let (node, asking) = (nodes[0].clone(), jar.clone());
    let refresh = tokio::spawn(async move { asking.ask(&node).await });
    has_read.await.unwrap();
    users.rank.store(1, SeqCst);
    nodes[1].expire_access("alice").await.unwrap();
    go.send(()).unwrap();
    jar.keep(refresh.await.unwrap().unwrap());
    assert_eq!(rank_seen(&nodes, &jar).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn repeated_response_crossing_expiry_has_new_claims() {
    let (clock, users, nodes) = scene();
    let mut jar = Jar::of(nodes[0].login("alice").await.unwrap());
    pass(&clock, MINUTE).await;

    // One tab has rotated before; another one repeats, with claims that are outdated when the step runs.
    let rotated = jar.ask(&nodes[0]).await.unwrap();
    let (has_read, go) = users.slow();
    let (node, asking) = (nodes[0].clone(), jar.clone());
    let repeat = tokio::spawn(async move { asking.ask(&node).await });
    has_read.await.unwrap();
    users.rank.store(1, SeqCst);
    nodes[1].expire_access("alice").await.unwrap();
    go.send(()).unwrap();
    let repeated = repeat.await.unwrap().unwrap();

    // The response from before the expiry is refused; the one from after it is accepted.
    jar.keep(rotated);
    assert_eq!(rank_seen(&nodes, &jar).await, None);
    jar.keep(repeated);
    assert_eq!(jar.generations(), (2, 2));
    assert_eq!(rank_seen(&nodes, &jar).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn response_from_before_expiry_is_refused() {
    let (clock, users, nodes) = scene();
    let mut jar = Jar::of(nodes[0].login("alice").await.unwrap());
    pass(&clock, MINUTE).await;
    let slow = jar.ask(&nodes[0]).await.unwrap();
    users.rank.store(1, SeqCst);
    nodes[1].expire_access("alice").await.unwrap();
    jar.refresh(&nodes[1]).await.unwrap();
    assert_eq!(rank_seen(&nodes, &jar).await, Some(1));

    jar.keep(slow);
    assert_eq!(rank_seen(&nodes, &jar).await, None, "old claims are accepted");
    jar.refresh(&nodes[0]).await.unwrap();
    assert_eq!(rank_seen(&nodes, &jar).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn login_crossing_expiry_has_new_claims() {
    let (_, users, nodes) = scene();
    let (has_read, go) = users.slow();
    let node = nodes[0].clone();
    let login = tokio::spawn(async move { node.login("alice").await });
    has_read.await.unwrap();
    users.rank.store(1, SeqCst);
    assert_eq!(nodes[1].expire_access("alice").await.unwrap(), 0, "there is no session yet");
    go.send(()).unwrap();
    let jar = Jar::of(login.await.unwrap().unwrap());
    assert_eq!(rank_seen(&nodes, &jar).await, Some(1));
}

/// Two administrators or a script can cause this.
#[tokio::test(start_paused = true)]
async fn login_crossing_two_expiries_of_one_millisecond_has_new_claims() {
    let (_, users, nodes) = scene();
    nodes[1].expire_access("alice").await.unwrap();
    let node = nodes[0].clone();
    let (has_read, go) = users.slow();
    let login = tokio::spawn(async move { node.login("alice").await });
    has_read.await.unwrap();
    // The step reports the first expiry to the login, which loads again.
    let (has_read, go_on) = users.slow();
    go.send(()).unwrap();
    has_read.await.unwrap();
    users.rank.store(1, SeqCst);
    nodes[1].expire_access("alice").await.unwrap();
    go_on.send(()).unwrap();
    let jar = Jar::of(login.await.unwrap().unwrap());
    assert_eq!(rank_seen(&nodes, &jar).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn claims_are_reloaded_only_when_they_may_be_old() {
    let (clock, users, nodes) = scene();
    let mut jar = Jar::of(nodes[0].login("alice").await.unwrap());
    nodes[1].expire_access("alice").await.unwrap();
    pass(&clock, MINUTE).await;
    jar.refresh(&nodes[0]).await.unwrap();
    assert_eq!(users.loads.load(SeqCst), 2);
}
